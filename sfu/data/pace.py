"""How fast a reader takes what waits for it."""

from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 1.0
"""How far back we look."""

MEASURED_SECONDS: Final = 0.25
"""How long something has to have waited before we say anything."""

_SAMPLE_SECONDS: Final = 0.05


class Pace:
    """The rate at which a reader takes data while there is data for it to take, in bytes a second.

    A reader that has nothing to take tells nothing of how fast it is: that time is left out, by `forget`.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()  # when, and what had been taken by then

    def note(self, taken: int, now: float) -> None:
        """Note that `taken` bytes have been taken so far, and that there is more to take."""
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= now - WINDOW_SECONDS:
            samples.popleft()
        if not samples or now - samples[-1][0] >= _SAMPLE_SECONDS:
            samples.append((now, taken))

    def forget(self) -> None:
        """Begin anew."""
        self._samples.clear()

    def bytes_per_second(self, taken: int, now: float) -> float | None:
        """Return the rate up to now; None if it has not been measured for long enough."""
        if not self._samples or now - self._samples[0][0] < MEASURED_SECONDS:
            return None
        since, taken_then = self._samples[0]
        return (taken - taken_then) / (now - since)
