"""Who speaks, and how loudly: from the level that each packet of audio carries in its header (RFC 6464).

The tests are what LiveKit's clients are used to: a tenth of a second of a door that slams makes nobody a speaker, and
nobody who takes a breath stops being one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, log10
from typing import Final, Generic, TypeVar

WINDOW_SECONDS: Final = 0.4
"""How much audio makes one measurement. New ones are there to be told as often."""

ACTIVE_LEVEL: Final = 35
"""In -dBov, so lower is louder: packets up to this count as speech."""

ACTIVE_SHARE: Final = 0.4
"""Of a window: with less speech in it, it was something else."""

SMOOTHING: Final = 2 / 3
"""Weight of the newest window: what an average over two of them gives it, which fades exponentially."""

STALE_SECONDS: Final = 0.8
"""Who sends no audio for so long is silent."""

SPEAKING: Final[float] = 10 ** (-ACTIVE_LEVEL / 20)
"""The linear level from which on somebody speaks."""

STEPS: Final = 8
"""Levels are told in this many steps: smaller changes are not worth a message."""


class AudioLevels:
    """Measures how loud one track is. Times are monotonic seconds."""

    def __init__(self, clock_rate: int) -> None:
        self._window = round(WINDOW_SECONDS * clock_rate)
        self._timestamp: int | None = None  # of the newest packet
        self._heard_at = 0.0
        self._smoothed = 0.0
        self._observed = self._active = 0  # ticks of this window
        self._loudest = 127

    def receive_packet(self, level: int, timestamp: int, now: float) -> None:
        """Take the level of a packet, 0 to 127 in -dBov, and its unwrapped timestamp. Late ones count for nothing."""
        last, self._timestamp = self._timestamp, max(timestamp, self._timestamp or timestamp)
        self._heard_at = now
        if last is None or timestamp <= last:
            return
        # A packet stands for the time since the one before it. After a pause it does not stand for the pause.
        ticks = min(timestamp - last, self._window)
        self._observed += ticks
        if level <= ACTIVE_LEVEL:
            self._active += ticks
            self._loudest = min(self._loudest, level)
        if self._observed >= self._window:
            self._end_window()

    def reset(self) -> None:
        """The track was muted: forget what was heard."""
        self._timestamp = None
        self._smoothed = 0.0
        self._begin_window()

    def level(self, now: float) -> float:
        """Return how loud the track is: 0 to 1, linear; from `SPEAKING` on somebody speaks."""
        return self._smoothed if now - self._heard_at < STALE_SECONDS else 0.0

    def _begin_window(self) -> None:
        self._observed = self._active = 0
        self._loudest = 127

    def _end_window(self) -> None:
        share = self._active / self._observed
        if share >= ACTIVE_SHARE:
            # Speech with pauses in it counts as less loud than speech without.
            linear = 10 ** ((20 * log10(share) - self._loudest) / 20)
            self._smoothed += (linear - self._smoothed) * SMOOTHING
        else:
            self._smoothed = 0.0
        self._begin_window()


_KeyT = TypeVar("_KeyT")


@dataclass(frozen=True, slots=True)
class Speaker(Generic[_KeyT]):
    """What a room is told of one participant: its level, in steps of an eighth up to 1, and whether it speaks."""

    participant: _KeyT
    level: float
    active: bool


def current_speakers(levels: Iterable[tuple[_KeyT, float]]) -> dict[_KeyT, Speaker[_KeyT]]:
    """Return who speaks, the loudest first. `levels` has one entry for each audio track; a participant may have several."""
    loudest: dict[_KeyT, float] = {}
    for participant, level in levels:
        if level >= SPEAKING:
            loudest[participant] = max(level, loudest.get(participant, 0.0))
    ranked = sorted(loudest, key=lambda participant: loudest[participant], reverse=True)
    return {
        participant: Speaker(participant, min(1.0, ceil(loudest[participant] * STEPS) / STEPS), active=True)
        for participant in ranked
    }


def changed_speakers(
    before: Mapping[_KeyT, Speaker[_KeyT]], after: Mapping[_KeyT, Speaker[_KeyT]]
) -> list[Speaker[_KeyT]]:
    """Return what to tell the room: who speaks now, or at another level, in order; then who does not any more."""
    changed = [speaker for participant, speaker in after.items() if before.get(participant) != speaker]
    silent = [Speaker(participant, 0.0, active=False) for participant in before if participant not in after]
    return changed + silent
