from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.payload.h265 import is_keyframe

VPS_UNIT, SPS_UNIT, PPS_UNIT = b"\x40\x01vps", b"\x42\x01sps", b"\x44\x01pps"
IDR_UNIT, TRAIL_UNIT, SEI_UNIT = b"\x26\x01slice", b"\x02\x01slice", b"\x4e\x01sei"


def aggregate(*units: bytes) -> bytes:
    return b"\x60\x01" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


@pytest.mark.parametrize(
    ("payload", "is_key"),
    [
        (VPS_UNIT, True),  # each in a packet of its own, before the picture
        (SPS_UNIT, True),
        (aggregate(VPS_UNIT, SPS_UNIT, PPS_UNIT), True),
        (aggregate(b"\x46\x01\x50", SEI_UNIT, SPS_UNIT), True),  # behind an access unit delimiter
        (b"\x62\x01\xa1" + SPS_UNIT[2:], True),  # its first fragment
        (b"\x62\x01\x21" + SPS_UNIT[2:], False),  # another
        (b"\x62\x01\x61" + SPS_UNIT[2:], False),  # the last
        (PPS_UNIT, False),
        (IDR_UNIT, False),  # without its parameter sets
        (b"\x62\x01\x93slice", False),
        (TRAIL_UNIT, False),
        (aggregate(SEI_UNIT, TRAIL_UNIT), False),
    ],
)
def test_a_key_frame_is_where_parameter_sets_start(payload: bytes, is_key: bool) -> None:
    assert is_keyframe(payload) == is_key


@pytest.mark.parametrize(
    "payload", ["", "40", "6201", "6001", "600100", "60010000", "60010001 40", "60010003 4001", "60010002 4e01 00"]
)
def test_units_cut_short_are_refused(payload: str) -> None:
    with pytest.raises(DecodeError):
        is_keyframe(bytes.fromhex(payload))


@given(st.binary(max_size=40), st.sampled_from([b"", b"\x60\x01", b"\x62\x01", b"\x60\x01\x00\x02"]))
def test_noise_raises_nothing_but_decode_error(noise: bytes, start: bytes) -> None:
    with suppress(DecodeError):
        is_keyframe(start + noise)


@given(st.lists(st.binary(min_size=2, max_size=20), min_size=1, max_size=20))
def test_aggregated_units_are_found_wherever_they_are(units: list[bytes]) -> None:
    assert is_keyframe(aggregate(*units)) == any(unit[0] >> 1 & 0x3F in {32, 33} for unit in units)
