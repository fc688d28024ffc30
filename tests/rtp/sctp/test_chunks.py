"""Packets, chunks and parameters as bytes: recorded ones, made-up ones, and noise."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.sctp import chunks as c
from rtp.sctp import parameters as p
from rtp.sctp.packet import MTU, parse_packet, serialize_packet, serialize_packets
from tests.rtp.sctp.vectors import Recorded, recorded

u8, u16, u32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
positive16, positive32 = st.integers(1, 0xFFFF), st.integers(1, 0xFFFF_FFFF)
octets = st.binary(max_size=60)
parameters = st.lists(st.builds(p.Parameter, u16, octets), max_size=4)
others = st.builds(p.Parameter, u16.filter(lambda kind: kind not in {13, 16}), octets)
reconfig_parameters = st.one_of(
    st.builds(p.OutgoingResetRequest, u32, u32, u32, st.lists(u16, max_size=5)),
    st.builds(p.ReconfigResponse, u32, u32),
    others,
)
known = set(c.ChunkType)
any_chunk: st.SearchStrategy[c.Chunk] = st.one_of(
    st.builds(c.Data, u32, u16, u16, u32, octets, st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    st.builds(c.Init, positive32, u32, positive16, positive16, u32, parameters, st.booleans()),
    st.builds(c.Sack, u32, u32, st.lists(st.tuples(u16, u16), max_size=5), st.lists(u32, max_size=5)),
    st.builds(c.Heartbeat, octets, st.booleans()),
    st.builds(c.Abort, octets, st.booleans()),
    st.builds(c.Shutdown, u32),
    st.just(c.ShutdownAck()),
    st.builds(c.ShutdownComplete, st.booleans()),
    st.builds(c.Error, octets),
    st.builds(c.CookieEcho, octets),
    st.just(c.CookieAck()),
    st.builds(c.ForwardTsn, u32, st.lists(st.tuples(u16, u16), max_size=5)),
    st.builds(c.Reconfig, st.lists(reconfig_parameters, max_size=3)),
    st.builds(c.UnknownChunk, u8.filter(lambda kind: kind not in known), u8, octets),
)


@given(st.lists(any_chunk, min_size=1, max_size=4), u32)
def test_what_is_written_is_read(chunks: list[c.Chunk], tag: int) -> None:
    packet = parse_packet(serialize_packet(tag, [chunk.serialize() for chunk in chunks]))
    assert packet.tag == tag
    assert packet.chunks == chunks


@given(st.binary(max_size=400))
def test_noise_raises_nothing_but_decode_error(noise: bytes) -> None:
    for parse in (parse_packet, c.parse_chunks, p.parse_parameters):
        with suppress(DecodeError):
            parse(noise)
    with suppress(DecodeError):
        parse_packet(serialize_packet(0, [noise]))
    for kind in (13, 16):
        with suppress(DecodeError):
            p.parse_reconfig_parameter(p.Parameter(kind, noise))
    assert p.describe_causes(noise)


@pytest.mark.parametrize("line", recorded(), ids=lambda line: f"{line.session}-{line.what}")
def test_recorded_packets_are_read_and_written_back_to_the_byte(line: Recorded) -> None:
    packet = parse_packet(line.packet)
    assert [chunk_type(chunk) for chunk in packet.chunks] == [name for name, _, _ in line.chunks]
    if line.sender != "spike server":  # which counts padding of a chunk's last parameter, against RFC 9260 §3.2
        assert serialize_packet(packet.tag, [chunk.serialize() for chunk in packet.chunks]) == line.packet


def chunk_type(chunk: c.Chunk) -> str:
    return c.ChunkType(chunk.serialize()[0]).name.replace("_", "-")


def test_a_wrong_checksum_is_refused() -> None:
    packet = bytearray(recorded()[0].packet)
    packet[8] ^= 1
    with pytest.raises(DecodeError, match="checksum"):
        parse_packet(bytes(packet))


@pytest.mark.parametrize("line", recorded()[:12], ids=lambda line: line.what)
def test_no_packet_cut_short_is_read(line: Recorded) -> None:
    whole = parse_packet(line.packet)
    for size in range(len(line.packet)):
        with pytest.raises(DecodeError):
            parse_packet(line.packet[:size])
        with suppress(DecodeError):  # cut in the padding alone, all is still there
            assert c.parse_chunks(line.packet[12:size] or b"\0") == whole.chunks


@pytest.mark.parametrize(
    "chunk",
    [
        "00030003",  # shorter than its own header
        "000300ff00000000",  # longer than the packet
        "0003000c0000000000000000",  # DATA without room for its header
        "03000010000000000000000000ff0000",  # SACK with more gaps than bytes
        "0300001000000000000000000000ffff",  # and duplicates
        "010000140000000000000000000100010000000000",  # INIT with tag 0
        "010000140000000100000000000000010000000000",  # INIT without outbound streams
        "01000018000000010000000000010001000000000007ffff",  # INIT with a parameter longer than itself
        "82000008000d0004",  # reset request without its numbers
    ],
)
def test_lying_lengths_and_forbidden_zeros_are_refused(chunk: str) -> None:
    with pytest.raises(DecodeError):
        c.parse_chunks(bytes.fromhex(chunk))


def test_chunks_are_bundled_up_to_the_mtu() -> None:
    packets = serialize_packets(1, [bytes(400)] * 6, has_checksum=True)
    assert [len(packet) for packet in packets] == [812, 812, 812]
    assert len(serialize_packets(1, [bytes(MTU - 12)], has_checksum=True)[0]) == MTU
    assert serialize_packets(1, [], has_checksum=True) == []


@pytest.mark.parametrize(
    ("causes", "text"),
    [
        (b"", "no cause given"),
        (bytes.fromhex("000c0010436c6f73652063616c6c6564"), "cause 12 'Close called'"),  # recorded from Chromium 156
        (bytes.fromhex("00090008"), "causes that cannot be read"),
        (bytes.fromhex("0009000800000001"), "cause 9"),
    ],
)
def test_causes_are_put_into_words(causes: bytes, text: str) -> None:
    assert p.describe_causes(causes) == text
