"""Frames in redundant audio: where they are, and that nothing is read that is not there."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.packet import build_packet, parse_header, payload_end
from rtp.payload.red import enclose, parse_red, serialize_red
from tests.rtp.wire import recorded_rtp


def frames(payload: bytes) -> list[tuple[int, int, bytes]]:
    blocks = parse_red(payload, 0, len(payload))
    return [(block.payload_type, block.timestamp_offset, payload[block.start : block.end]) for block in blocks]


def test_the_headers_say_what_the_rfc_says() -> None:
    # F=1, PT 111, 960 ticks before, 3 bytes; F=0, PT 111; then the frames (RFC 2198 §3)
    assert frames(bytes.fromhex("ef0f0003 6f aabbcc dd")) == [(111, 960, b"\xaa\xbb\xcc"), (111, 0, b"\xdd")]


def test_every_redundant_frame_that_chromium_sent_is_one_that_it_sent_before() -> None:
    # Chromium 156, one frame of redundancy
    sent: dict[int, bytes] = {}
    repeated = 0
    for recorded in recorded_rtp():
        header = parse_header(recorded.packet)
        end = payload_end(recorded.packet, header)
        if not recorded.where.startswith("rtp-red") or recorded.what != "red" or end == header.size:
            continue
        *redundant, primary = parse_red(recorded.packet, header.size, end)
        assert primary.payload_type == 111
        sent[header.timestamp] = recorded.packet[primary.start : primary.end]
        for block in redundant:
            assert recorded.packet[block.start : block.end] == sent[header.timestamp - block.timestamp_offset]
            repeated += 1
    assert (len(sent), repeated) == (80, 79)


@pytest.mark.parametrize(
    "payload",
    ["", "ef", "ef0f00", "ef0f0003", "ef0f0003 6f aabb", "ef0f0000", "ef0f0003 ef0f0003 6f aabbcc"],
)
def test_what_is_cut_short_is_refused(payload: str) -> None:
    data = bytes.fromhex(payload)
    with pytest.raises(DecodeError):
        parse_red(data, 0, len(data))


def test_padding_is_no_part_of_a_frame() -> None:
    assert parse_red(b"\x6fabc\x00\x02", 0, 4)[-1].end == 4


@given(
    st.integers(0, 127),
    st.binary(max_size=1400),
    st.lists(st.tuples(st.integers(0, (1 << 14) - 1), st.binary(max_size=1023)), max_size=4),
)
def test_what_is_written_is_read(payload_type: int, frame: bytes, redundant: list[tuple[int, bytes]]) -> None:
    payload = serialize_red(payload_type, frame, redundant)
    assert frames(payload) == [*((payload_type, offset, data) for offset, data in redundant), (payload_type, 0, frame)]


@given(st.binary(max_size=60))
def test_noise_raises_nothing_but_decode_error(noise: bytes) -> None:
    with suppress(DecodeError):
        for block in parse_red(noise, 0, len(noise)):
            assert block.start <= block.end <= len(noise)


def test_a_bare_frame_becomes_one_of_red_with_nothing_else_changed() -> None:
    bare = build_packet(payload_type=111, sequence=7, timestamp=8, ssrc=9, payload=b"opus", marker=True)
    red = enclose(bare, parse_header(bare), 63)
    header = parse_header(red)
    assert (header.payload_type, header.marker, header.sequence, header.timestamp, header.ssrc) == (63, True, 7, 8, 9)
    assert frames(red[header.size :]) == [(111, 0, b"opus")]
