"""Transport-wide numbers on what one connection is sent, and the header extension that carries them."""

import struct
from collections.abc import Callable
from typing import Final

from rtp.extensions import serialize_extensions

_BLOCK: Final = struct.Struct("!II")  # profile and length, the one element

BLOCK_BYTES: Final = _BLOCK.size

# draft-holmer-rmcat-transport-wide-cc-extensions-01 §2, in the element forms of RFC 8285 §4.2 and §4.3.
#
#  |       0xBEDE        |  length = 1  |  ID  |  1  |  number (16)  |  0  |
#  |       0x1000        |  length = 1  |   ID   |  2  |  number (16)     |
_ONE_BYTE: Final = 0xBEDE_0001
_TWO_BYTE: Final = 0x1000_0001
_FIRST_LONG_ID: Final = 15


class PacketNumbers:
    """Numbers the packets of one connection, over all its streams, in the order in which they are sent.

    `count` takes a packet's size in bytes and the time, and returns its number, unwrapped. `profile` is the first word
    of the extension block, and `base | (number & 0xFFFF) << shift` the second, for whoever writes the block himself.
    """

    __slots__ = ("_identifier", "base", "count", "profile", "shift")

    def __init__(self, identifier: int, count: Callable[[int, float], int]) -> None:
        self.count, self._identifier = count, identifier
        if identifier < _FIRST_LONG_ID:
            self.profile, self.base, self.shift = _ONE_BYTE, (identifier << 4 | 1) << 24, 8
        else:
            self.profile, self.base, self.shift = _TWO_BYTE, identifier << 24 | 2 << 16, 0

    def block(self, size: int, now: float) -> bytes:
        """Count one packet of `size` bytes, which is sent now; return its extension block."""
        return _BLOCK.pack(self.profile, self.base | (self.count(size, now) & 0xFFFF) << self.shift)

    def block_with(self, identifier: int, data: bytes, size: int, now: float) -> bytes:
        """Count one packet, and return its extension block with another element; `size` is without that block."""
        elements = [(self._identifier, bytes(2)), (identifier, data)]
        size += len(serialize_extensions(elements))
        elements[0] = self._identifier, (self.count(size, now) & 0xFFFF).to_bytes(2)
        return serialize_extensions(elements)
