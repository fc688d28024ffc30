"""SCTP packets, chunks, parameters, cookies, associations and DCEP, as the network might send them."""

import json
from functools import cache
from pathlib import Path
from typing import Final

from rtp.datachannel import DataChannels
from rtp.dcep import ChannelParameters, parse_open
from rtp.sctp.association import SctpAssociation
from rtp.sctp.chunks import Chunk, ChunkType, CookieEcho, Data, ForwardTsn, Init, Sack, parse_chunks
from rtp.sctp.cookie import parse_cookie
from rtp.sctp.outputs import SctpOutput, SendPacket
from rtp.sctp.packet import PACKET_HEADER_SIZE, parse_packet, serialize_packet
from rtp.sctp.parameters import Parameter, describe_causes, parse_parameters, parse_reconfig_parameter
from tests.fuzz.target import Target

TAG: Final = 0x1234
TSN: Final = 0xFFFF_FFFE
SECRET: Final = bytes(32)


@cache
def _recorded() -> list[bytes]:
    path = Path(__file__).parents[1] / "vectors" / "wire" / "sctp.jsonl"
    return [bytes.fromhex(json.loads(line)["hex"]) for line in path.read_text().splitlines()]


def _bodies() -> list[bytes]:
    """Return the chunks of recorded packets, and some that answer what `_established` has sent."""
    made: list[Chunk] = [
        *(Data((1 + n) & 0xFFFF_FFFF, 2, n, 51, b"half", beginning=not n, ending=n == 3) for n in range(5)),
        ForwardTsn(4, [(2, 1)]),
        Sack(TSN, 4000, [(2, 3)], [7]),
        Sack((TSN + 2) & 0xFFFF_FFFF, 0),
        Data(2, 0, 0, 50, ChannelParameters("_lossy", ordered=False, max_retransmits=0).serialize_open()),
    ]
    return [packet[PACKET_HEADER_SIZE:] for packet in _recorded()] + [chunk.serialize() for chunk in made]


def _packets() -> list[bytes]:
    return [serialize_packet(TAG, [body]) for body in _bodies()]


def _openings() -> list[bytes]:
    chunks = [chunk for packet in _recorded() for chunk in parse_packet(packet).chunks]
    return [chunk.data for chunk in chunks if isinstance(chunk, Data) and chunk.protocol == 50]


def _association() -> SctpAssociation:
    return SctpAssociation(tag=TAG, initial_tsn=TSN, cookie_secret=SECRET, max_message_size=4000)


def _cookie_of(outputs: list[SctpOutput]) -> bytes:
    (output,) = outputs
    assert isinstance(output, SendPacket)
    (init_ack,) = parse_packet(output.data).chunks
    assert isinstance(init_ack, Init)
    return init_ack.parameters[0].value


def _established() -> SctpAssociation:
    """Return an association that is up, has something to send, and waits for the answer to a reset."""
    core = _association()
    extensions = [Parameter(0xC000, b""), Parameter(0x8008, bytes((130, 192)))]
    init = serialize_packet(0, [Init(9, 5000, 9, 9, 1, extensions).serialize()])
    cookie = _cookie_of(core.receive(init, 0.0))
    core.receive(serialize_packet(TAG, [CookieEcho(cookie).serialize()]), 0.0)
    core.reset_stream(5, 0.0)
    core.send(0, 51, bytes(3000), 0.0, max_retransmits=0)
    core.send(1, 53, bytes(3000), 0.0)
    return core


def _feed(core: SctpAssociation | DataChannels, packet: bytes) -> None:
    """Feed a packet as it is, or its bytes as chunks of a packet that is right, twice; then let the timers run."""
    packets = [packet]
    if sum(packet) % 2:
        packets = [serialize_packet(TAG, [packet[PACKET_HEADER_SIZE:]])] * 2
    for number, each in enumerate(packets):
        core.receive(each, 0.1 * number)
    for now in (0.5, 2.0, 5.0, 90.0):
        core.handle_timeout(now)
        core.next_timeout()
        core.statistics()


def _feed_fresh(packet: bytes) -> None:
    core = _association()
    _feed(core, packet)
    core.receive(serialize_packet(0, [packet[PACKET_HEADER_SIZE:]]), 91.0)  # an INIT has tag 0


def _inits() -> list[bytes]:
    """Return recorded INITs, and one with parameters that nobody knows."""
    unknown = [Parameter(kind, b"what") for kind in (0x8ABC, 0xCABC, 0xCABD, 0x4ABC, 0x0ABC)]
    recorded = [packet[PACKET_HEADER_SIZE:] for packet in _recorded() if packet[PACKET_HEADER_SIZE] == ChunkType.INIT]
    return [*recorded, Init(9, 5000, 9, 9, 1, unknown * 12).serialize()]


def _feed_setting_up(init: bytes) -> None:
    """Feed an INIT, give the cookie back in time or too late, and let what was begun from our side run out."""
    core = _association()
    core.connect(0.0)
    for output in core.receive(serialize_packet(0, [init]), 0.0):
        if isinstance(output, SendPacket):
            (answer,) = parse_packet(output.data).chunks
            assert isinstance(answer, Init)
            echo = CookieEcho(answer.parameters[0].value)
            core.receive(serialize_packet(TAG, [echo.serialize()]), 60.0 + sum(init) % 2)
    _feed(core, serialize_packet(TAG, [init]))
    for _ in range(12):
        if (due := core.next_timeout()) is not None:
            core.handle_timeout(due)


def _feed_connecting(packet: bytes) -> None:
    core = _association()
    core.connect(0.0)
    _feed(core, packet)


def _feed_channels(packet: bytes) -> None:
    channels = DataChannels(_established(), is_dtls_client=False)
    channels.open(ChannelParameters("_reliable"), 0.0)
    _feed(channels, packet)


def _feed_dcep(message: bytes) -> None:
    channels = DataChannels(_established(), is_dtls_client=False)
    for stream, data in enumerate((message, b"\x03" + message)):
        channels.receive(serialize_packet(TAG, [Data(1 + stream, stream, 0, 50, data[:1400]).serialize()]), 0.0)
        parse_open(data)


def _parse_parameters(data: bytes) -> None:
    describe_causes(data)
    for parameter in parse_parameters(data):
        parse_reconfig_parameter(parameter)


def _signed_cookies() -> list[bytes]:
    init = Init(9, 5000, 9, 9, 1).serialize()
    return [_cookie_of(_association().receive(serialize_packet(0, [init]), 0.0))]


def _parse_packet(data: bytes) -> None:
    parse_packet(data)


def _parse_chunks(data: bytes) -> None:
    parse_chunks(data)


def _parse_cookie(data: bytes) -> None:
    parse_cookie(data, SECRET)


def _parse_open(data: bytes) -> None:
    parse_open(data)


TARGETS: list[Target] = [
    Target("sctp-packet", _recorded, _parse_packet),
    Target("sctp-chunks", _bodies, _parse_chunks),
    Target("sctp-parameters", lambda: [body[offset:] for body in _bodies() for offset in (4, 20)], _parse_parameters),
    Target("sctp-cookie", _signed_cookies, _parse_cookie),
    Target("sctp-setting-up", _inits, _feed_setting_up),
    Target("sctp-association-fresh", _packets, _feed_fresh),
    Target("sctp-association-connecting", _packets, _feed_connecting),
    Target("sctp-association-established", _packets, lambda data: _feed(_established(), data)),
    Target("data-channels", _packets, _feed_channels),
    Target("dcep", _openings, _feed_dcep),
    Target("dcep-open", _openings, _parse_open),
]
