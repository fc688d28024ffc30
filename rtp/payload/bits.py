"""Fields that are not whole bytes, and numbers of variable length, in the headers of codecs."""

from typing import Final

from rtp.errors import DecodeError

_MAX_ZEROS: Final = 31  # in front of the longest number that H.264 has a name for: one below 2**32 - 1


class Bits:
    """Reads bits from the front of some bytes, from bit `at` on; past their end it raises DecodeError."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.at = at
        self._value = int.from_bytes(data)
        self._size = len(data) * 8

    def read(self, count: int) -> int:
        """Read a number of `count` bits."""
        end = self.at + count
        if end > self._size:
            raise DecodeError(f"cut short: {count} more bits after {self.at} of {self._size}")
        self.at = end
        return self._value >> (self._size - end) & ((1 << count) - 1)

    def read_below(self, limit: int) -> int:
        """Read a number below `limit`: ns(n) of the AV1 specification, §4.10.7."""
        width = limit.bit_length()
        short = (1 << width) - limit
        value = self.read(width - 1)
        return value if value < short else (value << 1 | self.read(1)) - short

    def read_golomb(self) -> int:
        """Read a number from 0 on: ue(v) of H.264, §9.1."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > _MAX_ZEROS:
                raise DecodeError("a number of more than 32 bits")
        return (1 << zeros) - 1 + self.read(zeros)

    def read_signed_golomb(self) -> int:
        """Read a number on either side of 0: se(v) of H.264, §9.1.1."""
        value = self.read_golomb()
        return -(value // 2) if value % 2 == 0 else value // 2 + 1
