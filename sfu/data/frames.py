"""The packets of data tracks, as they go through `_data_track`.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-----+-+-+-+-------------------+-------------------------------+
    |  V  |S|F|X|     reserved      |            handle             |
    +-----+-+-+-+-------------------+-------------------------------+
    |           sequence            |         frame number          |
    +-------------------------------+-------------------------------+
    |                           timestamp                           |
    +---------------------------------------------------------------+
    |  extensions (X), payload ...

The server reads the version and the handle, and writes the handle. All else is between publisher and subscriber.
"""

import struct
from typing import Final

from rtp.errors import DecodeError

HEADER_BYTES: Final = 12
MAX_HANDLE: Final = 0xFFFF

_HANDLE = struct.Struct("!H")
_HANDLE_OFFSET: Final = 2


def parse_handle(packet: bytes) -> int:
    """Return which of its sender's tracks a packet belongs to.

    Raises:
        DecodeError: if it is cut short, of an unknown version, or of the handle 0, which stands for none.
    """
    if len(packet) < HEADER_BYTES or packet[0] >> 5 != 0:
        raise DecodeError("no packet of a data track, or of an unknown version")
    handle = int(_HANDLE.unpack_from(packet, _HANDLE_OFFSET)[0])
    if not handle:
        raise DecodeError("0 is no handle")
    return handle


def with_handle(packet: bytes, handle: int) -> bytes:
    """Return the same packet under another handle."""
    return packet[:_HANDLE_OFFSET] + _HANDLE.pack(handle) + packet[_HANDLE_OFFSET + _HANDLE.size :]
