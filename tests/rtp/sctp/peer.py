"""A peer played by hand, chunk by chunk, to one established association of ours."""

from rtp.sctp import chunks as c
from rtp.sctp import parameters as p
from rtp.sctp.association import SctpAssociation
from rtp.sctp.drops import Drop
from rtp.sctp.outputs import (
    SctpOutput,
    SendPacket,
)
from rtp.sctp.packet import Packet, parse_packet, serialize_packet
from tests.rtp.sctp.link import association

PEER_TAG = 0x77
PEER_TSN = 1000


def packets(outputs: list[SctpOutput]) -> list[Packet]:
    return [parse_packet(output.data) for output in outputs if isinstance(output, SendPacket)]


def sent(outputs: list[SctpOutput]) -> list[c.Chunk]:
    return [chunk for packet in packets(outputs) for chunk in packet.chunks]


def events(outputs: list[SctpOutput]) -> list[SctpOutput]:
    return [output for output in outputs if not isinstance(output, SendPacket)]


class Peer:
    """An established association of ours, with its peer played by hand."""

    def __init__(self, *parameters: p.Parameter, a_rwnd: int = 1 << 20, **arguments: object) -> None:
        self.core = association(1, **arguments)
        announced = [
            p.Parameter(p.ParameterType.FORWARD_TSN_SUPPORTED, b""),
            p.Parameter(p.ParameterType.SUPPORTED_EXTENSIONS, bytes((130, 192))),
            *parameters,
        ]
        init = c.Init(PEER_TAG, a_rwnd, 0xFFFF, 0xFFFF, PEER_TSN, announced)
        (packet,) = packets(self.core.receive(serialize_packet(0, [init.serialize()]), 0.0))
        (self.init_ack,) = packet.chunks
        assert isinstance(self.init_ack, c.Init)
        self.cookie = self.init_ack.parameters[0].value
        self.outputs = self.receive(c.CookieEcho(self.cookie))
        self.tsn = self.init_ack.initial_tsn

    def receive(self, *chunks: c.Chunk, now: float = 0.0, tag: int | None = None) -> list[SctpOutput]:
        packet = serialize_packet(self.core.tag if tag is None else tag, [chunk.serialize() for chunk in chunks])
        return self.core.receive(packet, now)


def data(offset: int, text: bytes = b"x", sequence: int = 0, **fields: object) -> c.Data:
    return c.Data((PEER_TSN + offset) & 0xFFFF_FFFF, 0, sequence, 51, text, **fields)


def dropped(core: SctpAssociation) -> dict[Drop, int]:
    return dict(core.statistics().drops)
