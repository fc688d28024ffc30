from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.packet import parse_header, payload_end
from rtp.payload.h264 import begins_idr_picture, is_continuation, is_keyframe, whole_units
from tests.rtp.wire import recorded_rtp

SPS_UNIT = bytes.fromhex("6742c01f8c8d40")
PPS_UNIT = bytes.fromhex("68ce3c80")


def stap(*units: bytes) -> bytes:
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


@pytest.mark.parametrize(
    ("payload", "is_key"),
    [
        (SPS_UNIT, True),  # alone, before its PPS and IDR picture
        (b"\x27\x42\xc0\x1e", True),  # another NRI, and as short as they come
        (stap(SPS_UNIT, PPS_UNIT), True),
        (stap(b"\x09\xf0", SPS_UNIT, PPS_UNIT, b"\x65slice"), True),  # behind an access unit delimiter
        (b"\x7c\x87" + SPS_UNIT[1:], True),  # its first fragment
        (b"\x7c\x07" + SPS_UNIT[1:], False),  # another
        (PPS_UNIT, False),
        (stap(PPS_UNIT, b"\x65slice"), False),
        (b"\x65slice", False),  # an IDR picture without its parameter sets
        (b"\x7c\x85slice", False),
        (b"\x41slice", False),
    ],
)
def test_a_key_frame_is_where_a_sequence_parameter_set_starts(payload: bytes, is_key: bool) -> None:
    assert is_keyframe(payload) == is_key


@pytest.mark.parametrize(
    ("payload", "begins"),
    [
        (b"\x65\x88slice", True),
        (b"\x65\x40slice", False),  # another slice of it
        (b"\x7c\x85\x88slice", True),  # in fragments, the first
        (b"\x7c\x85\x40slice", False),
        (b"\x7c\x05\x88slice", False),
        (b"\x7c\x85", False),
        (stap(b"\x09\xf0", b"\x65\x88slice"), True),
        (stap(SPS_UNIT, PPS_UNIT), False),
        (b"\x41\x9aslice", False),
        (b"", False),
    ],
)
def test_an_idr_picture_begins_with_its_first_macroblock(payload: bytes, *, begins: bool) -> None:
    assert begins_idr_picture(payload) == begins


@pytest.mark.parametrize(
    ("payload", "is_one"),
    [
        (b"\x41\x9aslice", True),
        (b"\x7c\x05slice", True),
        (b"\x7c\x45slice", True),
        (b"\x7c\x85slice", False),
        (b"\x65\x88slice", False),
        (stap(b"\x41\x9aslice"), False),
        (SPS_UNIT, False),
        (b"\x7c", False),
        (b"", False),
    ],
)
def test_most_payloads_go_on_with_what_was_begun(payload: bytes, *, is_one: bool) -> None:
    assert is_continuation(payload) == is_one


@pytest.mark.parametrize(
    ("payload", "units"),
    [
        (SPS_UNIT, [SPS_UNIT]),
        (stap(SPS_UNIT, PPS_UNIT), [SPS_UNIT, PPS_UNIT]),
        (b"\x7c\x87" + SPS_UNIT[1:], []),
    ],
)
def test_units_are_taken_out_of_payloads_that_hold_them_whole(payload: bytes, units: list[bytes]) -> None:
    assert list(whole_units(payload)) == units


@pytest.mark.parametrize("payload", ["", "7c", "78", "7800", "780000", "780002 67", "780001 68 00", "780001 68 0000"])
def test_units_cut_short_are_refused(payload: str) -> None:
    with pytest.raises(DecodeError):
        is_keyframe(bytes.fromhex(payload))


def test_recorded_key_frames_are_those_that_bring_a_dependency_structure() -> None:
    # Chromium 156 with OpenH264: parameter sets in one STAP-A, then the IDR picture in fragments
    found = 0
    for recorded in recorded_rtp():
        if recorded.what == "h264":
            header = parse_header(recorded.packet)
            payload = recorded.packet[header.size : payload_end(recorded.packet, header)]
            dependency = bytes.fromhex(recorded.line["ext"].get("dd", ""))
            assert is_keyframe(payload) == (len(dependency) > 3 and dependency[3] >= 0x80), recorded.where
            found += is_keyframe(payload)
    assert found == 2


@given(st.binary(max_size=40), st.sampled_from([b"", b"\x78", b"\x7c", b"\x78\x00\x01"]))
def test_noise_raises_nothing_but_decode_error(noise: bytes, start: bytes) -> None:
    with suppress(DecodeError):
        is_keyframe(start + noise)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=20))
def test_aggregated_units_are_found_wherever_they_are(units: list[bytes]) -> None:
    assert is_keyframe(stap(*units)) == any(unit[0] & 0x1F == 7 for unit in units)
