"""The numbers that a source gives its frames, unwrapped."""

from typing import Final

from rtp.serial import unwrap

MAX_STEP: Final = 512
"""Neither loss nor delay takes a number further from the highest: its source has begun to count anew, or lies."""


class FrameNumbers:
    """Unwraps the numbers of one source. They go on upwards whatever it says: nobody waits for them to come back."""

    def __init__(self, *, gap: int = 1) -> None:
        """Let what is counted anew follow the highest by `gap`."""
        self._gap = gap
        self._highest: int | None = None
        self._offset = 0  # of what is unwrapped from what came

    def unwrap(self, number: int, bits: int) -> int:
        """Return what a number of so many bits means, which may be late."""
        if self._highest is None:
            self._highest = number
            return number
        number += self._offset
        unwrapped = unwrap(number, near=self._highest, bits=bits)
        if abs(unwrapped - self._highest) > MAX_STEP:
            unwrapped = self._highest + self._gap
            self._offset += unwrapped - number
        self._highest = max(self._highest, unwrapped)
        return unwrapped
