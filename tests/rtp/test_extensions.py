from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError, LocalProtocolError
from rtp.extensions import (
    MAX_PLAYOUT_DELAY_MS,
    abs_send_time,
    find_extension,
    parse_audio_level,
    parse_extensions,
    playout_delay,
    serialize_extensions,
    with_extension,
)
from rtp.packet import build_packet, parse_header
from rtp.serial import ntp_time
from tests.rtp.wire import URIS, recorded_rtp


def packet_with(block: bytes) -> bytes:
    return build_packet(payload_type=96, sequence=1, timestamp=2, ssrc=3, payload=b"media", extensions=block)


def parse_block(block: bytes) -> dict[int, bytes]:
    packet = packet_with(block)
    return parse_extensions(packet, parse_header(packet))


def test_recorded_extensions_are_read_as_recorded() -> None:
    for recorded in recorded_rtp():
        header = parse_header(recorded.packet)
        assert parse_extensions(recorded.packet, header) == recorded.extensions, recorded.where
        for element, data in recorded.extensions.items():
            assert find_extension(recorded.packet, header, element) == data, recorded.where
        assert find_extension(recorded.packet, header, 200) is None


def test_recorded_blocks_are_written_back_byte_by_byte() -> None:
    for recorded in recorded_rtp():
        header = parse_header(recorded.packet)
        elements = list(parse_extensions(recorded.packet, header).items())
        block = recorded.packet[header.extension_at - 4 : header.size]
        assert serialize_extensions(elements) == block, recorded.where


def test_recorded_names_are_all_known() -> None:
    assert {name for recorded in recorded_rtp() for name in recorded.session["extensions"].values()} == set(URIS)


@pytest.mark.parametrize(
    ("block", "elements"),
    [
        # The figure of RFC 8285 §4.2: one byte, two bytes, padding, four bytes.
        ("bede 0003  10 aa  21 bbbb  0000  33 cccccccc  00", {1: b"\xaa", 2: b"\xbb\xbb", 3: b"\xcc" * 4}),
        # The figure of RFC 8285 §4.3: no bytes, one byte, padding, four bytes.
        ("1000 0003  01 00  02 01 bb  00  03 04 cccccccc", {1: b"", 2: b"\xbb", 3: b"\xcc" * 4}),
        ("bede 0000", {}),
        ("bede 0001  00000000", {}),
        ("100f 0001  01 02 aabb", {1: b"\xaa\xbb"}),  # the application's bits may be anything
        ("1000 0001  0f 01 aa 00", {15: b"\xaa"}),  # 15 means nothing in particular in this form
        ("bede 0002  10 aa  f0 bb  20 cc  00 00", {1: b"\xaa"}),  # 15 ends the block, its length unread
        ("bede 0002  10 aa  ff     20 cc  000000", {1: b"\xaa"}),
        ("bede 0002  10 aa  01 bb  20 cc  00 00", {1: b"\xaa"}),  # and so does 0 with a length
        ("bede 0001  10 aa  10 bb", {1: b"\xaa"}),  # the first of a repeated id counts
        ("abcd 0001  10 aa  10 bb", {}),  # not a form of RFC 8285
    ],
)
def test_blocks_are_read_by_rfc_8285(block: str, elements: dict[int, bytes]) -> None:
    assert parse_block(bytes.fromhex(block)) == elements


@pytest.mark.parametrize(
    "block",
    [
        "bede 0001  13 aaaaaa",  # four bytes are said, three are left
        "bede 0001  10 aa 00 20",
        "1000 0001  01 03 aaaa",
        "1000 0001  01 01 aa 02",  # an id without a length
    ],
)
def test_an_element_that_runs_past_its_block_is_refused(block: str) -> None:
    with pytest.raises(DecodeError):
        parse_block(bytes.fromhex(block))


@pytest.mark.parametrize(
    ("elements", "block"),
    [
        ([], ""),
        ([(1, b"a")], "bede 0001  10 61 0000"),
        ([(14, b"a" * 16)], "bede 0005  ef 61616161616161616161616161616161 000000"),
        ([(15, b"a")], "1000 0001  0f 01 61 00"),
        ([(1, b"a" * 17)], "1000 0005  01 11 6161616161616161616161616161616161 00"),
        ([(1, b""), (2, b"a")], "1000 0002  01 00  02 01 61 000000"),
    ],
)
def test_the_two_byte_form_is_taken_when_an_element_needs_it(elements: list[tuple[int, bytes]], block: str) -> None:
    assert serialize_extensions(elements) == bytes.fromhex(block)


@pytest.mark.parametrize("element", [(0, b"a"), (256, b"a"), (1, bytes(256))])
def test_an_element_that_no_form_can_hold_is_our_mistake(element: tuple[int, bytes]) -> None:
    with pytest.raises(LocalProtocolError):
        serialize_extensions([element])


@given(st.dictionaries(st.integers(1, 255), st.binary(max_size=255), max_size=8))
def test_what_was_written_is_read_back(elements: dict[int, bytes]) -> None:
    assert parse_block(serialize_extensions(list(elements.items()))) == elements


@given(st.sampled_from([0xBEDE, 0x1000, 0x1007, 0]), st.binary(max_size=100), st.integers(0, 255))
def test_noise_raises_nothing_but_decode_error_and_both_readers_agree(profile: int, noise: bytes, wanted: int) -> None:
    block = noise + bytes(-len(noise) % 4)
    packet = packet_with(profile.to_bytes(2) + (len(block) // 4).to_bytes(2) + block)
    header = parse_header(packet)
    with suppress(DecodeError):
        assert parse_extensions(packet, header).get(wanted) == find_extension(packet, header, wanted)
    with suppress(DecodeError):
        find_extension(packet, header, wanted)


def test_the_audio_level_leaves_out_voice_activity() -> None:
    assert parse_audio_level(b"\xff") == 127  # recorded from Chromium 156: silence, with the bit set
    assert parse_audio_level(b"\x05\x00") == 5
    with pytest.raises(DecodeError):
        parse_audio_level(b"")


def test_abs_send_time_is_the_middle_of_ntp_time_and_wraps_every_64_seconds() -> None:
    assert abs_send_time(1.5) == bytes.fromhex("060000")
    assert abs_send_time(64 + 1.5) == abs_send_time(1.5)
    wall = 1_700_000_000.25
    assert abs_send_time(wall) == (ntp_time(wall) >> 14 & 0xFFFFFF).to_bytes(3)


@pytest.mark.parametrize("sources", [b"", bytes(range(8))])
@given(st.dictionaries(st.integers(1, 13), st.binary(min_size=1, max_size=16), max_size=4), st.binary(max_size=20))
def test_an_element_is_added_and_all_else_stays(sources: bytes, elements: dict[int, bytes], payload: bytes) -> None:
    plain = build_packet(
        payload_type=96,
        sequence=1,
        timestamp=2,
        ssrc=3,
        payload=payload,
        extensions=serialize_extensions(list(elements.items())),
    )
    packet = bytes((plain[0] | len(sources) // 4,)) + plain[1:12] + sources + plain[12:]
    longer = with_extension(packet, 14, b"new")
    header = parse_header(longer)
    assert parse_extensions(longer, header) == elements | {14: b"new"}
    assert (longer[header.size :], longer[1 : 12 + len(sources)]) == (payload, packet[1 : 12 + len(sources)])


def test_the_playout_delay_is_two_times_twelve_bits_of_10_ms() -> None:
    assert playout_delay(0, 10_000) == bytes.fromhex("0003e8")
    assert playout_delay(40_950, MAX_PLAYOUT_DELAY_MS) == b"\xff\xff\xff"
    for bounds in ((20, 10), (-10, 10), (0, 40_960)):
        with pytest.raises(LocalProtocolError):
            playout_delay(*bounds)
