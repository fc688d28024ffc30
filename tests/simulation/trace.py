"""What happened in a simulation, told so that two runs can be compared.

A trace has a line for each datagram that the network carried or lost: virtual time, source, destination, fate, kind,
length, and its header in clear; and a line for each signal message that a visitor sent or received. Handshakes, keys and
ciphertext are not in it: of a DTLS handshake's datagrams there is only the kind, and fingerprints are masked.

RTP's header is in clear on the wire. What SRTCP and DTLS hide is learned where it is protected: while `reading` lasts,
`SrtpSession.protect_rtcp` and `DtlsTransport.send` tell the trace which ciphertext stands for which packet. So each
datagram is traced once, by the network, in the order in which the network dealt with it.
"""

import gzip
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final
from unittest.mock import patch

from rtp.dtls import DtlsOutput, DtlsTransport, SendDatagram
from rtp.packet import is_rtcp, parse_header
from rtp.srtp import SrtpKeys, SrtpSession
from triforium.testing import TracedDatagram
from triforium.visitor import SignalMessage

_APPLICATION_DATA: Final = 23  # of the DTLS record types
_FINGERPRINT: Final = re.compile(rb"(a=fingerprint:\S+ )[0-9A-F:]+")
_SCTP_HEADER_BYTES: Final = 8  # without the checksum
_SCTP_FIRST_CHUNK: Final = 12


class Trace:
    """The story of one run. `lines` are in the order of events, but for signal messages, which come by visitor."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._clear: dict[bytes, bytes] = {}

    @property
    def digest(self) -> str:
        """The whole story in 64 characters."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Learn what is under the encryption of all that is sent inside the block."""
        begin, send = SrtpSession.__init__, DtlsTransport.send
        clear = self._clear

        def begin_to_tell(session: SrtpSession, keys: SrtpKeys) -> None:
            begin(session, keys)
            protect_rtcp = session.protect_rtcp

            def protect_and_tell(packet: bytes) -> bytes:
                datagram = protect_rtcp(packet)
                clear[datagram] = packet
                return datagram

            session.protect_rtcp = protect_and_tell

        def send_and_tell(transport: DtlsTransport, data: bytes) -> list[DtlsOutput]:
            outputs = send(transport, data)
            clear.update((output.data, data) for output in outputs if isinstance(output, SendDatagram))
            return outputs

        with (
            patch.object(SrtpSession, "__init__", begin_to_tell),
            patch.object(DtlsTransport, "send", send_and_tell),
            # How well a join request is compressed depends on the fingerprint in it, and on that how many segments it takes.
            patch.object(gzip, "compress", partial(gzip.compress, compresslevel=0)),
        ):
            yield

    def tap(self, datagram: TracedDatagram) -> None:
        """Note the end of a datagram: the network's tap."""
        path = f"{_name(datagram.source)} {_name(datagram.destination)} {datagram.fate.name}"
        self.lines.append(f"{datagram.time:.6f} {path} {self._describe(datagram.data)}")

    def add_messages(self, visitor: str, messages: Iterable[SignalMessage]) -> None:
        """Note what was said on a visitor's signal connection."""
        for message in messages:
            content = _FINGERPRINT.sub(rb"\1", message.content.SerializeToString(deterministic=True))
            way = ">" if message.is_sent else "<"
            digest = hashlib.sha256(content).hexdigest()[:16]
            self.lines.append(f"{message.time:.6f} {visitor} {way} {message.kind} {len(content)} {digest}")

    def _describe(self, data: bytes) -> str:
        if data[0] <= 3:
            return f"STUN {len(data)} {data[:2].hex()}"
        if data[0] < 64:
            packet = self._clear.get(data)
            if data[0] != _APPLICATION_DATA or packet is None:
                return "DTLS"
            return f"SCTP {len(packet)} {packet[:_SCTP_HEADER_BYTES].hex()} {packet[_SCTP_FIRST_CHUNK:].hex()}"
        if is_rtcp(data):
            return f"RTCP {len(data)} {self._clear[data].hex()}"
        return f"RTP {len(data)} {data[: parse_header(data).size].hex()}"


def _name(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
