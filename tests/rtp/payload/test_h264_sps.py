"""How large the pictures are, as real encoders write it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.payload.h264_sps import parse_picture_size

CHROMIUM = "6742c01f8c8d405017fcb35060606078442350"


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        (CHROMIUM, (640, 360)),  # recorded from Chromium 156; the others are libx264's
        ("6742c00ad9047a10000003001000000303c0f1226480", (64, 48)),
        ("674d4020eca02b030f3708000003000800000301e078c18cb0", (1366, 768)),  # main, cropped
        ("67640028acd940780227e584000003000400000300f03c60c658", (1920, 1080)),  # high
        ("67640028acd94078044fdc20000003002000000783e2c5b2c0", (1920, 1080)),  # in fields
        ("677a001ebcd940a42fe22784000003000400000300f03c58b658", (642, 362)),  # 4:2:2
        ("67f4001e919b281485fc7c4420000003002000000781e2c5b2c0", (642, 361)),  # 4:4:4
        ("6764001ef3650280bfe2610000030001000003003c0f162d96", (640, 360)),  # gray
    ],
)
def test_the_size_is_that_of_the_picture_that_is_shown(unit: str, size: tuple[int, int]) -> None:
    assert parse_picture_size(bytes.fromhex(unit)) == size


@pytest.mark.parametrize("kept", range(11))
def test_what_is_cut_short_is_refused(kept: int) -> None:
    with pytest.raises(DecodeError):
        parse_picture_size(bytes.fromhex(CHROMIUM)[:kept])


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(DecodeError):
        parse_picture_size(bytes.fromhex(CHROMIUM) + bytes(2000))


@given(st.binary(max_size=80))
def test_anything_else_is_a_size_or_refused(data: bytes) -> None:
    with suppress(DecodeError):
        width, height = parse_picture_size(data)
        assert 0 < width < 1 << 16
        assert 0 < height < 1 << 16
