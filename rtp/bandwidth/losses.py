"""Whether packets are lost because too many are sent, or because the path loses some whatever is sent.

Loss that comes with no queue is the path's own (a radio link's, say), and sending less does not mend it, up to
`RANDOM_LOSS`. Where a queue stands, any loss beyond the path's own is a queue that overflows.
"""

from collections import deque
from math import sqrt
from typing import Final

WINDOW_SECONDS: Final = 1.0
"""The window in which loss is counted."""

MIN_SECONDS: Final = 0.4
"""What the window must span at least to say something."""

MIN_PACKETS: Final = 20
"""Fewer packets in the window say nothing."""

RANDOM_LOSS: Final = 0.15
"""Share of packets that a path may lose by itself."""

OVERFLOW: Final = 0.03
"""Share of packets, beyond the path's own loss, that an overflowing queue loses at least."""

DEVIATIONS: Final = 2.0
"""By how many standard deviations loss must exceed chance."""

PATH_LOSS_FEEDBACKS: Final = 100
"""Over about how many of the last the path's own loss is averaged."""


def exceeds_chance(share: float, chance: float, packets: int) -> bool:
    """Say whether so large a share of `packets` is lost that it is no accident where each is lost with this chance."""
    return share > chance + DEVIATIONS * sqrt(chance * (1 - chance) / packets)


class Losses:
    """The losses of one path, feedback by feedback. `now` is in seconds on one monotonic clock."""

    def __init__(self) -> None:
        self._average = 0.0  # share that is lost while there is no queue
        self._averaged = 0  # feedbacks in it
        self._window = deque[tuple[float, int, float]]()  # time, packets, share of them that was lost
        self._packets = self._lossy = 0  # in the window: packets, and feedbacks that told of losses

    @property
    def path_loss(self) -> float:
        """Share of packets that the path loses by itself: at most `RANDOM_LOSS`."""
        return min(RANDOM_LOSS, self._average)

    def add(self, received: int, lost: int, now: float, *, has_queue: bool) -> None:
        """Take in what a feedback told."""
        share = lost / (received + lost)
        self._window.append((now, received + lost, share))
        self._packets += received + lost
        self._lossy += lost > 0
        while now - self._window[0][0] > WINDOW_SECONDS:
            _, packets, passed = self._window.popleft()
            self._packets -= packets
            self._lossy -= passed > 0
        if not has_queue:
            self._averaged = min(self._averaged + 1, PATH_LOSS_FEEDBACKS)
            self._average += (share - self._average) / self._averaged

    def is_excessive(self, *, has_queue: bool) -> bool | None:
        """Say whether more is lost than chance explains; None if too little is known."""
        window, packets = self._window, self._packets
        if packets < MIN_PACKETS or window[-1][0] - window[0][0] < MIN_SECONDS:
            return None
        if 2 * self._lossy < len(window):
            return False  # the median, below, is zero
        # the median over time, not the mean over packets: a key frame that overflows a queue is bad luck of a moment
        share = sorted([share for _, _, share in window])[len(window) // 2]
        chance = min(RANDOM_LOSS, self.path_loss + OVERFLOW) if has_queue else RANDOM_LOSS
        return exceeds_chance(share, chance, packets)

    def forget(self) -> None:
        """Begin a new window: the losses of the one so far have been acted upon."""
        self._window.clear()
        self._packets = self._lossy = 0
