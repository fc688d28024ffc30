"""The sequence parameter set of H.264 (§7.3.2.1.1): how large the pictures are."""

from typing import Final

from rtp.errors import DecodeError
from rtp.payload.bits import Bits

_HEADER_BYTES: Final = 4  # the unit's, profile_idc, constraint flags and level_idc
_WITH_CHROMA: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""The values of profile_idc whose sets tell of chroma sampling and scaling matrices; others have 4:2:0."""
_GRAY, _YUV_420, _YUV_422, _YUV_444 = range(4)
_CROP_UNITS: Final = {_GRAY: (1, 1), _YUV_420: (2, 2), _YUV_422: (2, 1), _YUV_444: (1, 1)}
"""How many pixels of width and height one step of cropping takes (§7.4.2.1.1), where frames are not of fields."""
_MACROBLOCK_PIXELS: Final = 16
_MAX_POC_CYCLE: Final = 255
_MAX_PIXELS: Final = 0xFFFF
_MAX_BYTES: Final = 1024
_PREVENTION: Final = b"\0\0\3"
"""An encoder puts the last byte behind two zeros, lest three bytes look like a start code (§7.4.1)."""


def parse_picture_size(unit: bytes) -> tuple[int, int]:
    """Return width and height, in pixels, of the pictures that a sequence parameter set, with its header, is for.

    Raises:
        DecodeError: it is cut short, or says what cannot be.
    """
    if len(unit) > _MAX_BYTES:
        raise DecodeError(f"H.264 sequence parameter set of {len(unit)} bytes")
    bits = Bits(unit[_HEADER_BYTES:].replace(_PREVENTION, b"\0\0"))
    bits.read_golomb()  # its number
    chroma = _read_chroma(bits) if unit[1:2] and unit[1] in _WITH_CHROMA else _YUV_420
    if chroma not in _CROP_UNITS:
        raise DecodeError(f"H.264 chroma format {chroma}")
    bits.read_golomb()  # log2_max_frame_num
    _skip_picture_order(bits)
    bits.read_golomb()  # max_num_ref_frames
    bits.read(1)  # gaps in frame_num
    columns, rows = bits.read_golomb() + 1, bits.read_golomb() + 1
    fields = 2 - bits.read(1)
    if fields == 2:
        bits.read(1)  # mb_adaptive_frame_field
    bits.read(1)  # direct_8x8_inference
    left = right = top = bottom = 0
    if bits.read(1):
        left, right, top, bottom = (bits.read_golomb() for _ in range(4))
    unit_width, unit_height = _CROP_UNITS[chroma]
    width = columns * _MACROBLOCK_PIXELS - unit_width * (left + right)
    height = fields * (rows * _MACROBLOCK_PIXELS - unit_height * (top + bottom))
    if not (0 < width <= _MAX_PIXELS and 0 < height <= _MAX_PIXELS):
        raise DecodeError(f"H.264 pictures of {width}x{height}")
    return width, height


def _read_chroma(bits: Bits) -> int:
    """Return chroma_format_idc, and pass by what comes with it."""
    chroma = bits.read_golomb()
    if chroma == _YUV_444:
        bits.read(1)  # separate_colour_plane
    bits.read_golomb()  # bit depths
    bits.read_golomb()
    bits.read(1)  # qpprime_y_zero_transform_bypass
    if bits.read(1):
        for number in range(12 if chroma == _YUV_444 else 8):
            if bits.read(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)
    return chroma


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """Pass by a list (§7.3.2.1.1.1), which ends early where the next scale is 0."""
    scale = 8
    for _ in range(size):
        scale = (scale + bits.read_signed_golomb()) % 256
        if not scale:
            return


def _skip_picture_order(bits: Bits) -> None:
    kind = bits.read_golomb()
    if kind == 0:
        bits.read_golomb()  # log2_max_pic_order_cnt_lsb
    elif kind == 1:
        bits.read(1)  # delta_pic_order_always_zero
        bits.read_golomb()  # the offsets, of either sign
        bits.read_golomb()
        cycle = bits.read_golomb()
        if cycle > _MAX_POC_CYCLE:
            raise DecodeError(f"H.264 picture order cycle of {cycle}")
        for _ in range(cycle):
            bits.read_golomb()
