"""Compound packets (RFC 3550 §6.1): the RTCP packets of one datagram, in order."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from rtp.errors import DecodeError
from rtp.rtcp.goodbye import Goodbye, parse_goodbye
from rtp.rtcp.header import (
    HEADER,
    VERSION,
    PacketType,
    PayloadFeedbackFormat,
    TransportFeedbackFormat,
    serialize_packet,
)
from rtp.rtcp.key_frame_request import (
    FullIntraRequest,
    PictureLossIndication,
    parse_full_intra_request,
    parse_picture_loss_indication,
)
from rtp.rtcp.nack import MAX_SEQUENCES, GenericNack, parse_generic_nack
from rtp.rtcp.remb import ReceiverEstimatedMaxBitrate, parse_remb
from rtp.rtcp.reports import ReceiverReport, SenderReport, parse_receiver_report, parse_sender_report
from rtp.rtcp.source_description import SourceDescription, parse_source_description
from rtp.rtcp.transport_cc import MAX_STATUSES, TransportCcFeedback, parse_transport_cc

_PADDING: Final = 0x20


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """A packet of a type, or a feedback message type, that we do not read; `fmt` is its five-bit count field.

    Such packets are skipped (RFC 3550 §6.1), but callers may want to count them. `body` is what follows the header.
    """

    packet_type: int
    fmt: int
    body: bytes

    def serialize(self) -> bytes:
        """Return the packet as it came, without its padding."""
        return serialize_packet(self.packet_type, self.fmt, self.body + bytes(-len(self.body) % 4))


RtcpPacket: TypeAlias = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Goodbye
    | GenericNack
    | PictureLossIndication
    | FullIntraRequest
    | ReceiverEstimatedMaxBitrate
    | TransportCcFeedback
    | Unrecognised
)


def parse_compound(data: bytes) -> list[RtcpPacket]:
    """Read all the packets of one datagram, which may begin with any type (reduced size, RFC 5506).

    Raises:
        DecodeError: if there is none, or if any is malformed: then none can be trusted. Or if all together ask for
            more than `MAX_SEQUENCES` packets, or tell of more than `MAX_STATUSES`, as a few bytes each can.
    """
    packets: list[RtcpPacket] = []
    at = asked = told = 0
    while at < len(data):
        if at + HEADER.size > len(data):
            raise DecodeError("RTCP header cut short")
        flags, packet_type, words = HEADER.unpack_from(data, at)
        end = at + HEADER.size + 4 * words
        if flags >> 6 != VERSION or end > len(data):
            raise DecodeError(f"RTCP packet of {end - at} bytes, {len(data) - at} left, flags {flags:#04x}")
        body = data[at + HEADER.size : end]
        packet = _parse_packet(packet_type, flags & 0x1F, _strip(body) if flags & _PADDING else body)
        if isinstance(packet, TransportCcFeedback):
            told += len(packet.deltas)
        elif isinstance(packet, GenericNack):
            asked += len(packet.sequences)
        if asked > MAX_SEQUENCES or told > MAX_STATUSES:
            raise DecodeError("RTCP of more packets than anybody has on the way")
        packets.append(packet)
        at = end
    if not packets:
        raise DecodeError("empty RTCP datagram")
    return packets


def serialize_compound(packets: Iterable[RtcpPacket]) -> bytes:
    """Return one datagram of all `packets`, in order."""
    return b"".join(packet.serialize() for packet in packets)


def _strip(body: bytes) -> bytes:
    """Take off the padding. Chromium 156 pads TWCC feedback by other than whole words, so that is not held against it."""
    padding = body[-1] if body else 0
    if not 0 < padding <= len(body):
        raise DecodeError(f"{padding} bytes of padding in an RTCP body of {len(body)}")
    return body[:-padding]


_BY_FORMAT: Final[Mapping[tuple[int, int], Callable[[bytes], RtcpPacket | None]]] = {
    (PacketType.TRANSPORT_FEEDBACK, TransportFeedbackFormat.NACK): parse_generic_nack,
    (PacketType.TRANSPORT_FEEDBACK, TransportFeedbackFormat.TRANSPORT_CC): parse_transport_cc,
    (PacketType.PAYLOAD_FEEDBACK, PayloadFeedbackFormat.PLI): parse_picture_loss_indication,
    (PacketType.PAYLOAD_FEEDBACK, PayloadFeedbackFormat.FIR): parse_full_intra_request,
    (PacketType.PAYLOAD_FEEDBACK, PayloadFeedbackFormat.APPLICATION): parse_remb,
}
_BY_TYPE: Final[Mapping[int, Callable[[int, bytes], RtcpPacket]]] = {
    PacketType.SENDER_REPORT: parse_sender_report,
    PacketType.RECEIVER_REPORT: parse_receiver_report,
    PacketType.SOURCE_DESCRIPTION: parse_source_description,
    PacketType.GOODBYE: parse_goodbye,
}


def _parse_packet(packet_type: int, count: int, body: bytes) -> RtcpPacket:
    packet: RtcpPacket | None = None
    if (parse := _BY_FORMAT.get((packet_type, count))) is not None:
        packet = parse(body)
    elif (parse_counted := _BY_TYPE.get(packet_type)) is not None:
        packet = parse_counted(count, body)
    return Unrecognised(packet_type, count, body) if packet is None else packet
