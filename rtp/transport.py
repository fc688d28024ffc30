"""One peer connection's transport: ICE, DTLS, SRTP and SCTP behind one demultiplexer (RFC 7983). Does no I/O.

Datagrams come in with the path that they took; what is to be done about them comes back as outputs, in order. Media has
two calls of its own, `receive_rtp` and `receive_rtcp`, which return the packet in clear: lists of outputs would cost
more than the cryptography.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias, assert_never

from rtp.datachannel import (
    ChannelClosed,
    ChannelDrained,
    ChannelMessage,
    ChannelOpened,
    DataChannelOutput,
    DataChannels,
)
from rtp.dcep import ChannelParameters
from rtp.dtls import ApplicationData, Closed, DtlsOutput, DtlsState, DtlsTransport, Established, SendDatagram
from rtp.dtls import Failed as DtlsFailed
from rtp.ice.outputs import ConsentLost, Forgotten, IceOutput, IceStatistics, Nominated, Send, Validated
from rtp.sctp.outputs import AssociationClosed, AssociationUp, SendPacket
from rtp.srtp import SrtpError, SrtpSession
from rtp.timers import earliest
from rtp.units import Path


class IceAgent(Protocol):
    """What a transport asks of either ICE agent, the lite one or the controlling one."""

    selected: Path | None

    def receive(self, data: bytes, path: Path, now: float) -> list[IceOutput]:
        """Take one STUN datagram."""

    def answer_repeat(self, data: bytes, path: Path, now: float) -> bytes | None:
        """Answer a check that only repeats what was answered before; None to all else, which is for `receive`."""

    def is_validated(self, path: Path) -> bool:
        """Say whether a check has proved that the peer is at the far end of `path`."""

    def heard(self, now: float) -> None:
        """Note a sign of life that was authenticated by other means."""

    def next_timeout(self) -> float | None:
        """Say when to be woken."""

    def handle_timeout(self, now: float) -> list[IceOutput]:
        """Do what is due."""

    def statistics(self) -> IceStatistics:
        """Return a snapshot of the counters."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The DTLS handshake is done and the peer's certificate is the one it promised: media may flow."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The peer has been silent too long (RFC 7675 §5.1): nothing more may be sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The handshake failed: this transport will never carry anything."""

    reason: str


TransportOutput: TypeAlias = (
    Send
    | Validated
    | Forgotten
    | Nominated
    | Connected
    | Lost
    | Broken
    | Closed
    | ChannelOpened
    | ChannelMessage
    | ChannelDrained
    | ChannelClosed
)


class DropCause(Enum):
    """Why a datagram was not used."""

    UNKNOWN_PROTOCOL = "unknown protocol"
    UNVALIDATED_PATH = "path not validated by ICE"
    NO_KEYS = "media before the handshake was done"
    SRTP_REFUSED = "SRTP refused it"
    SRTCP_REFUSED = "SRTCP refused it"
    NO_DATA_SECTION = "data without a data section"


@dataclass(frozen=True, slots=True)
class TransportStatistics:
    """How many datagrams a transport has taken, and which of them it dropped."""

    datagrams: int
    drops: dict[DropCause, int]


class PeerTransport:
    """ICE, DTLS, SRTP and, where negotiated, SCTP with one peer."""

    def __init__(self, ice: IceAgent, dtls: DtlsTransport) -> None:
        self.ice = ice
        self.dtls = dtls
        self.srtp: SrtpSession | None = None
        self.channels: DataChannels | None = None
        self._connects_data = False
        self._datagrams = 0
        self._drops: Counter[DropCause] = Counter()

    @property
    def connected(self) -> bool:
        """Whether the handshake is done."""
        return self.srtp is not None

    def attach_channels(self, channels: DataChannels, now: float, *, initiate: bool) -> list[TransportOutput]:
        """Carry data channels from now on; `initiate` says whether we send the SCTP INIT. Once only."""
        assert self.channels is None, "a transport has one association"
        self.channels = channels
        self._connects_data = initiate
        return self._from_channels(channels.connect(now), now) if initiate and self.connected else []

    def receive(self, datagram: bytes, path: Path, now: float) -> list[TransportOutput]:
        """Take a datagram that is not media: STUN, DTLS, or something to be dropped."""
        self._datagrams += 1
        first = datagram[0] if datagram else 255
        if first <= 3:
            return self._from_ice(self.ice.receive(datagram, path, now), now)
        if not 20 <= first <= 63:
            return self._drop(DropCause.UNKNOWN_PROTOCOL)
        if not self.ice.is_validated(path):
            # One forged record would end the association, and a handshake costs a millisecond.
            return self._drop(DropCause.UNVALIDATED_PATH)
        return self._from_dtls(self.dtls.receive(datagram, now), now)

    def answer_repeat(self, datagram: bytes, path: Path, now: float) -> bytes | None:
        """Return the answer to a consent check that changes nothing; None to all else, which is for `receive`."""
        answer = self.ice.answer_repeat(datagram, path, now)
        self._datagrams += answer is not None
        return answer

    def receive_rtp(self, datagram: bytes, path: Path, now: float) -> bytes | None:
        """Return the RTP packet in `datagram`, or None if it was dropped (and counted)."""
        if (srtp := self._srtp_for(path)) is None:
            return None
        try:
            packet = srtp.unprotect(datagram)
        except SrtpError:
            self._drop(DropCause.SRTP_REFUSED)
            return None
        self.ice.heard(now)
        return packet

    def receive_rtcp(self, datagram: bytes, path: Path, now: float) -> bytes | None:
        """Return the RTCP compound in `datagram`, or None if it was dropped (and counted)."""
        if (srtp := self._srtp_for(path)) is None:
            return None
        try:
            packet = srtp.unprotect_rtcp(datagram)
        except SrtpError:
            self._drop(DropCause.SRTCP_REFUSED)
            return None
        self.ice.heard(now)
        return packet

    def send_message(self, channel: int, data: bytes, now: float, *, is_text: bool = False) -> list[TransportOutput]:
        """Send one message on an open data channel.

        Raises:
            SendQueueFullError: too much waits to be sent; the message was refused, and nothing has been done.
            LocalProtocolError: if there is no such channel, or it is closing.
        """
        assert self.channels is not None, "no data section was negotiated"
        return self._from_channels(self.channels.send(channel, data, now, is_text=is_text), now)

    def open_channel(self, parameters: ChannelParameters, now: float) -> list[TransportOutput]:
        """Open a data channel. Raises as `DataChannels.open`."""
        assert self.channels is not None, "no data section was negotiated"
        return self._from_channels(self.channels.open(parameters, now)[1], now)

    def release_received(self, size: int, now: float) -> list[TransportOutput]:
        """Give back receive window that `channels.hold` took."""
        assert self.channels is not None, "nothing was ever received"
        return self._from_channels(self.channels.release(size, now), now)

    def next_timeout(self) -> float | None:
        """Say when the first of the parts wants to be woken."""
        return earliest(
            self.ice.next_timeout(),
            self.dtls.next_timeout(),
            None if self.channels is None else self.channels.next_timeout(),
        )

    def handle_timeout(self, now: float) -> list[TransportOutput]:
        """Do what is due in each part; harmless if early."""
        outputs = self._from_ice(self.ice.handle_timeout(now), now)
        outputs += self._from_dtls(self.dtls.handle_timeout(now), now)
        if self.channels is not None:
            outputs += self._from_channels(self.channels.handle_timeout(now), now)
        return outputs

    def close(self) -> list[TransportOutput]:
        """Say goodbye: close_notify, to wherever the peer is."""
        return [
            Send(output.data, self.ice.selected)
            for output in self.dtls.close()
            if isinstance(output, SendDatagram) and self.ice.selected is not None
        ]

    def statistics(self) -> TransportStatistics:
        """Return counts so far."""
        return TransportStatistics(self._datagrams, dict(self._drops))

    def _srtp_for(self, path: Path) -> SrtpSession | None:
        """Return what unprotects a datagram that came on `path`; None if nothing may, which is counted."""
        self._datagrams += 1
        if not self.ice.is_validated(path):
            self._drop(DropCause.UNVALIDATED_PATH)
            return None
        if self.srtp is None:
            self._drop(DropCause.NO_KEYS)
        return self.srtp

    def _drop(self, cause: DropCause) -> list[TransportOutput]:
        self._drops[cause] += 1
        return []

    def _from_ice(self, outputs: list[IceOutput], now: float) -> list[TransportOutput]:
        results: list[TransportOutput] = []
        for output in outputs:
            match output:
                case ConsentLost():
                    results.append(Lost("no sign of life from the peer"))
                case Nominated():
                    results.append(output)
                    results += self._from_dtls(self.dtls.start(now), now)  # the client's hello; nothing after the first
                    if self.channels is not None:
                        results += self._from_channels(self.channels.path_changed(now), now)
                case Send() | Validated() | Forgotten():
                    results.append(output)
                case _:
                    assert_never(output)
        return results

    def _from_dtls(self, outputs: list[DtlsOutput], now: float) -> list[TransportOutput]:
        results: list[TransportOutput] = []
        for output in outputs:
            match output:
                case SendDatagram(data):
                    if self.ice.selected is not None:  # else it is lost, as on any network, and sent again
                        results.append(Send(data, self.ice.selected))
                case Established(keys):
                    self.srtp = SrtpSession(keys)
                    results.append(Connected())
                    if self.channels is not None and self._connects_data:
                        results += self._from_channels(self.channels.connect(now), now)
                case ApplicationData(data):
                    if self.channels is None:
                        self._drop(DropCause.NO_DATA_SECTION)
                    else:
                        results += self._from_channels(self.channels.receive(data, now), now)
                case Closed():
                    results.append(output)
                case DtlsFailed(reason):
                    results.append(Broken(reason))
                case _:
                    assert_never(output)
        return results

    def _from_channels(self, outputs: list[DataChannelOutput], now: float) -> list[TransportOutput]:
        results: list[TransportOutput] = []
        for output in outputs:
            match output:
                case SendPacket(data):
                    if self.dtls.state is DtlsState.CONNECTED:  # else it is lost, and the association's timers know
                        results += self._from_dtls(self.dtls.send(data), now)
                case ChannelOpened() | ChannelMessage() | ChannelDrained() | ChannelClosed():
                    results.append(output)
                case AssociationUp() | AssociationClosed():
                    pass  # the channels have been told; nobody above asks for the association
                case _:
                    assert_never(output)
        return results
