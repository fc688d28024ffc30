"""A subscriber's connection without a network, whose keys see to it that none is used twice."""

from dataclasses import dataclass

from rtp.packet import RtpHeader, parse_header
from rtp.rtcp.compound import RtcpPacket, parse_compound
from rtp.serial import unwrap
from rtp.srtp import REPLAY_WINDOW, SrtpFailure, SrtpSendError
from rtp.srtp_direct import MAX_PACKET_BYTES
from rtp.units import Address, Path, Ssrc
from tests.rtp.ice.checks import HERE

PATH = Path(HERE, ("198.51.100.7", 40000))
OTHER_PATH = Path(HERE, ("203.0.113.9", 50000))


@dataclass
class SentPacket:
    """What left on a stream: `index` is what SRTP makes of the number, wraps counted (RFC 3711 §3.3.1)."""

    index: int
    header: RtpHeader
    payload: bytes
    extensions: bytes


class Keys:
    """In place of an SRTP session: leaves all in clear, and refuses what SRTP would, or must never be asked."""

    def __init__(self) -> None:
        self.sent: dict[int, list[SentPacket]] = {}
        self.fault: Exception | None = None
        self.removed: list[Ssrc] = []
        self._highest: dict[int, int] = {}
        self._used: dict[int, dict[int, bytes]] = {}

    def protect(self, packet: bytes) -> bytes:
        if self.fault is not None:
            raise self.fault
        header = parse_header(packet)
        assert header.ssrc not in self.removed, "its index would begin again, with the same keys"
        assert len(packet) <= MAX_PACKET_BYTES
        assert not header.has_padding
        used = self._used.setdefault(header.ssrc, {})
        highest = self._highest.get(header.ssrc)
        assert used or header.sequence < 1 << 15, "whoever joins cannot guess the roll-over counter"
        index = header.sequence if highest is None else unwrap(header.sequence, near=highest)
        if highest is not None and index <= highest - REPLAY_WINDOW:
            raise SrtpSendError(SrtpFailure.TOO_OLD)
        assert used.setdefault(index, packet) == packet, f"number {index} would be used for a second packet"
        self._highest[header.ssrc] = index if highest is None else max(index, highest)
        extensions = packet[12 : header.size]
        self.sent.setdefault(header.ssrc, []).append(SentPacket(index, header, packet[header.size :], extensions))
        return packet

    def protect_rtcp(self, compound: bytes) -> bytes:
        return compound

    def remove_stream(self, ssrc: Ssrc) -> None:
        self.removed.append(ssrc)


class Transport:
    def __init__(self) -> None:
        self.srtp: Keys | None = Keys()


class Endpoint:
    def __init__(self) -> None:
        self.queued: list[tuple[bytes, Address]] = []

    def outbox(self, local: Address) -> object:
        return self.queued.append


class Connection:
    """What down tracks and media sessions ask of a `PeerConnection`."""

    def __init__(self) -> None:
        self.transport, self.endpoint = Transport(), Endpoint()
        self.keys = self.transport.srtp
        self.selected: Path | None = PATH
        self.failures: list[Exception] = []
        self.reports: list[list[RtcpPacket]] = []
        self.reschedules = 0

    def fail(self, error: Exception) -> None:
        self.failures.append(error)

    def reschedule(self) -> None:
        self.reschedules += 1

    def send_rtcp(self, compound: bytes) -> None:
        assert len(compound) <= MAX_PACKET_BYTES, "SRTP would refuse it, and that would end the participant"
        self.reports.append(parse_compound(compound))

    def sent(self, ssrc: int) -> list[SentPacket]:
        return self.keys.sent.get(ssrc, [])

    def take(self, kind: type) -> list[RtcpPacket]:
        """Return the RTCP packets of one kind that were sent so far, and forget all."""
        taken = [packet for compound in self.reports for packet in compound if isinstance(packet, kind)]
        self.reports.clear()
        return taken
