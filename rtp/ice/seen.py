"""Which checks have come before: one that comes again, from elsewhere, was recorded by somebody (RFC 8445 §19.2).

A Bloom filter of transaction ids. They are random, so their own bits say where each is noted, and nothing is hashed. Of
new ids two in a thousand at most seem to be old ones.
"""

import struct
from typing import Final

MAX_SEEN: Final = 1024
"""Checks, after which all from before the last as many are forgotten: with one every 2.5 s, 40 to 80 minutes' worth."""

_WORDS: Final = struct.Struct("!6H")  # a transaction id: 96 bits (RFC 8489 §5)
_PLACES: Final = 1 << 14
_FILTER_BYTES: Final = _PLACES >> 3


class SeenChecks:
    """Remembers transaction ids."""

    def __init__(self) -> None:
        self._recent = bytearray(_FILTER_BYTES)
        self._earlier = self._recent
        self._count = 0

    def note(self, transaction_id: bytes) -> bool:
        """Remember one; return whether it has come before."""
        recent, earlier = self._recent, self._earlier
        is_recent = is_earlier = True
        for word in _WORDS.unpack(transaction_id):
            at, bit = word % _PLACES >> 3, 1 << (word & 7)
            if not earlier[at] & bit:
                is_earlier = False
            if not recent[at] & bit:
                is_recent = False
                recent[at] |= bit
        if not is_recent:
            self._count += 1
            if self._count > MAX_SEEN:
                self._earlier, self._recent, self._count = recent, bytearray(_FILTER_BYTES), 0
        return is_recent or is_earlier
