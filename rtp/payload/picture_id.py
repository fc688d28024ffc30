"""The picture id in the payload descriptors of VP8 and VP9, which is the same in both (RFC 7741 §4.2, RFC 9628 §4.2)."""

from typing import Final

_LONG: Final = 0x80  # M: 15 bits in two bytes, else 7 bits in one


def read_picture_id(payload: bytes, at: int) -> tuple[int, bool, int]:
    """Return the picture id that starts at `at`, whether it has 15 bits, and where it ends. Raises IndexError."""
    first = payload[at]
    if first & _LONG:
        return (first & ~_LONG) << 8 | payload[at + 1], True, at + 2
    return first, False, at + 1
