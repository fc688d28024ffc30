from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.payload.vp9 import parse_vp9

# Recorded from Chromium 156, L3T3_KEY in flexible mode.
KEY_START = bytes.fromhex("bedef510 50 014000b4 02800168 050002d0")  # with a scalability structure
UPPER_END = bytes.fromhex("b5def51530fe2d2f451f17d7")
PREDICTED = bytes.fromhex("f9def652028700200004fe02")


def test_a_key_picture_starts_where_nothing_is_needed() -> None:
    descriptor = parse_vp9(KEY_START)
    assert descriptor.starts_key_picture
    assert (descriptor.picture_id, descriptor.picture_id_is_long) == (0x5EF5, True)
    assert (descriptor.spatial_id, descriptor.temporal_id, descriptor.is_switching_up_point) == (0, 0, True)
    assert descriptor.sizes == ((320, 180), (640, 360), (1280, 720))
    assert (descriptor.is_flexible, descriptor.is_predicted, descriptor.picture_diffs) == (True, False, ())


def test_upper_layers_of_a_key_picture_use_the_lower_ones() -> None:
    descriptor = parse_vp9(UPPER_END)
    assert (descriptor.spatial_id, descriptor.uses_lower_layer, descriptor.ends_frame) == (2, True, True)
    assert not descriptor.starts_key_picture


def test_in_flexible_mode_references_are_told() -> None:
    descriptor = parse_vp9(PREDICTED)
    assert (descriptor.spatial_id, descriptor.temporal_id) == (1, 2)
    assert (descriptor.picture_diffs, descriptor.size) == ((1,), 5)
    assert parse_vp9(bytes.fromhex("50 03 05 02")).picture_diffs == (1, 2, 1)


def test_outside_of_it_there_is_an_index_of_base_pictures_and_sometimes_groups() -> None:
    # I, L, B, V; picture id 5; TID 1, U, SID 1, D; TL0PICIDX; two layers with sizes; two pictures in a group
    structure = "38 0140 00b4 0280 0168 02 04 01 58 01 02"
    descriptor = parse_vp9(bytes.fromhex("aa 05 33 07" + structure + "ff"))
    assert (descriptor.temporal_id, descriptor.spatial_id, descriptor.uses_lower_layer) == (1, 1, True)
    assert descriptor.is_switching_up_point
    assert descriptor.sizes == ((320, 180), (640, 360))
    assert descriptor.size == 19


@pytest.mark.parametrize(
    "payload",
    ["", "80", "80 80", "20", "50", "50 03 05 03 00", "02", "02 10 00", "02 08", "02 08 01", "02 08 01 04", "20 00"],
)
def test_one_cut_short_or_against_the_rules_is_refused(payload: str) -> None:
    with pytest.raises(DecodeError):
        parse_vp9(bytes.fromhex(payload))


@given(st.binary(max_size=60))
def test_noise_raises_nothing_but_decode_error(noise: bytes) -> None:
    with suppress(DecodeError):
        assert parse_vp9(noise).size <= len(noise)
