from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.packet import parse_header, payload_end
from rtp.payload.h264 import PPS, SPS, H264Unit, is_keyframe, parse_h264, parse_parameter_sets
from tests.rtp.wire import recorded_rtp

SPS_UNIT = bytes.fromhex("6742c01f8c8d40")
PPS_UNIT = bytes.fromhex("68ce3c80")


def stap(*units: bytes) -> bytes:
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


@pytest.mark.parametrize(
    ("payload", "units"),
    [
        (b"\x65slice", [H264Unit(5, starts=True, ends=True, at=0, end=6)]),
        (b"\x41", [H264Unit(1, starts=True, ends=True, at=0, end=1)]),
        (b"\x7c\x85slice", [H264Unit(5, starts=True, ends=False, at=0, end=7)]),
        (b"\x7c\x05slice", [H264Unit(5, starts=False, ends=False, at=0, end=7)]),
        (b"\x7c\x45slice", [H264Unit(5, starts=False, ends=True, at=0, end=7)]),
        (
            stap(SPS_UNIT, PPS_UNIT),
            [H264Unit(7, starts=True, ends=True, at=3, end=10), H264Unit(8, starts=True, ends=True, at=12, end=16)],
        ),
        (b"\x7d\x00\x01", [H264Unit(29, starts=True, ends=True, at=0, end=3)]),  # interleaved: not in mode 1
    ],
)
def test_every_form_of_a_packet_is_read(payload: bytes, units: list[H264Unit]) -> None:
    assert parse_h264(payload) == units


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


def test_whole_parameter_sets_are_found_alone_and_aggregated() -> None:
    assert parse_parameter_sets(stap(b"\x09\xf0", SPS_UNIT, PPS_UNIT, b"\x65slice")) == [SPS_UNIT, PPS_UNIT]
    assert parse_parameter_sets(SPS_UNIT) == [SPS_UNIT]
    assert parse_parameter_sets(b"\x7c\x87" + SPS_UNIT[1:]) == []
    assert parse_parameter_sets(b"\x41slice") == []


@pytest.mark.parametrize("payload", ["", "7c", "78", "7800", "780000", "780002 67", "780001 67 00", "780001 67 0000"])
def test_units_cut_short_are_refused(payload: str) -> None:
    with pytest.raises(DecodeError):
        parse_h264(bytes.fromhex(payload))


def test_recorded_key_frames_are_those_that_bring_a_dependency_structure() -> None:
    # Chromium 156 with OpenH264: parameter sets in one STAP-A, then the IDR picture in fragments
    found = 0
    for recorded in recorded_rtp():
        if recorded.what == "h264":
            header = parse_header(recorded.packet)
            payload = recorded.packet[header.size : payload_end(recorded.packet, header)]
            dependency = bytes.fromhex(recorded.line["ext"].get("dd", ""))
            assert is_keyframe(payload) == (len(dependency) > 3 and dependency[3] >= 0x80), recorded.where
            if is_keyframe(payload):
                assert [unit[0] & 0x1F for unit in parse_parameter_sets(payload)] == [SPS, PPS]
                found += 1
            # without aggregation a frame's last packet ends a unit, and the others of a frame in fragments do not
            assert parse_h264(payload)[-1].ends or not header.marker
    assert found == 2


@given(st.binary(max_size=40), st.sampled_from([b"", b"\x78", b"\x7c", b"\x78\x00\x01"]))
def test_noise_raises_nothing_but_decode_error(noise: bytes, start: bytes) -> None:
    payload = start + noise
    with suppress(DecodeError):
        units = parse_h264(payload)
        assert units
        assert all(0 <= unit.at < unit.end <= len(payload) for unit in units)
        assert is_keyframe(payload) == any(unit.kind == SPS and unit.starts for unit in units)
        parse_parameter_sets(payload)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=20))
def test_aggregated_units_are_found_where_they_are(units: list[bytes]) -> None:
    payload = stap(*units)
    assert [payload[unit.at : unit.end] for unit in parse_h264(payload)] == units
