"""How many frames a second a stream has, by its timestamps."""

from typing import Final

_WEIGHT: Final = 1 / 16
"""Of the newest frame in the mean."""

_MAX_GAP_SECONDS: Final = 1.0
"""Further apart, frames say nothing of a rate: the stream has rested."""

CHANGE: Final = 1.25
"""A rate that has changed by less is as good as the same."""


class FrameRate:
    """The mean rate of the newest frames. `value` is frames a second as last worth telling; 0: not known yet."""

    def __init__(self, clock_rate: int) -> None:
        self.value = 0.0
        self._clock_rate = clock_rate
        self._last: int | None = None
        self._mean_ticks = 0.0
        self._frames = 0

    def receive_packet(self, timestamp: int) -> bool:
        """Count a packet that was not overtaken. Return whether `value` has changed."""
        last, self._last = self._last, timestamp
        if last is None or timestamp == last:
            return False
        ticks = timestamp - last & 0xFFFF_FFFF
        if ticks > self._clock_rate * _MAX_GAP_SECONDS:
            return False
        self._frames += 1
        weight = max(_WEIGHT, 1 / self._frames)
        self._mean_ticks += (ticks - self._mean_ticks) * weight
        if self._frames * _WEIGHT < 1:
            return False
        rate = self._clock_rate / self._mean_ticks
        if self.value / CHANGE < rate < self.value * CHANGE:
            return False
        self.value = rate
        return True
