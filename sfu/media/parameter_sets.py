"""H.264's parameter sets, for publishers that send them too rarely: who comes late cannot read a picture without them.

Theory of operation. Encoders of real-time video send them in front of each IDR picture, but some do so once, or in the
description alone. What came last is kept, and stands in front of each IDR picture that comes without: once for all who
get it, as if the publisher had sent it.
"""

from collections.abc import Iterable
from typing import Final

from rtp.payload import h264

MAX_BYTES: Final = 2048
"""Of what is kept for one stream. Real sets take some dozen bytes each."""


class ParameterSets:
    """Those that one stream sent last: `known` at first, from its description."""

    def __init__(self, known: Iterable[bytes] = ()) -> None:
        self._units: list[bytes] = []
        self._told_at: int | None = None
        for unit in known:
            self._note(unit, None)

    @property
    def of_sequence(self) -> bytes | None:
        """The sequence parameter set, of several the first."""
        return self._units[0] if self._units else None

    def receive(self, payload: bytes, timestamp: int) -> tuple[bytes, ...]:
        """Take one packet's payload, and return the units to send before it: none, but before a bare IDR picture.

        Raises:
            DecodeError: its units are cut short.
        """
        for unit in h264.whole_units(payload):
            self._note(unit, timestamp)
        if timestamp == self._told_at or not h264.begins_idr_picture(payload):
            return ()
        self._told_at = timestamp
        return tuple(self._units)

    def _note(self, unit: bytes, timestamp: int | None) -> None:
        """Keep a parameter set. A sequence's begins anew, but beside another of the same picture."""
        kind = h264.unit_type(unit)
        if kind == h264.SEQUENCE_PARAMETER_SET:
            if timestamp is None or timestamp != self._told_at:
                self._units.clear()
            self._told_at = timestamp
        elif kind != h264.PICTURE_PARAMETER_SET or not self._units:
            return
        if unit not in self._units:
            self._units.append(unit)
            if sum(map(len, self._units)) > MAX_BYTES:
                self._units.clear()
