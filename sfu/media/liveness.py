"""Which simulcast layers live: publishers stop and start layers without a word, as their uplink allows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Cadence:
    """What a living layer does: `samples` packets at least in each cycle of `cycle_seconds`.

    A layer that had stopped lives again after `cycles_to_return` such cycles in sequence.
    """

    samples: int
    cycles_to_return: int
    cycle_seconds: float


LOWEST_LAYER: Final = Cadence(samples=1, cycles_to_return=4, cycle_seconds=0.5)
"""One that everybody falls back to: soon believed in again."""

UPPER_LAYER: Final = Cadence(samples=5, cycles_to_return=20, cycle_seconds=0.5)
"""An uplink that has just given up a layer will do so again: everybody would be sent up and down."""

SCREEN_SHARE: Final = Cadence(samples=1, cycles_to_return=1, cycle_seconds=2.0)
"""A still picture is worth a packet now and then."""


class LayerLiveness:
    """Tells from its packets whether one layer lives. Times are monotonic seconds.

    The first packet shows that it does, and so does the first after a `pause`.
    """

    def __init__(self, cadence: Cadence) -> None:
        self.is_live = False
        self._cadence = cadence
        self._cycle_ends: float | None = None  # None: nothing has come yet
        self._packets = 0
        self._good_cycles = 0

    def receive_packet(self, now: float) -> bool:
        """Count a packet of media: padding shows nothing. Return whether the layer has come to life."""
        self._packets += 1
        if self._cycle_ends is not None:
            return False
        self._cycle_ends = now + self._cadence.cycle_seconds
        self.is_live = True
        return True

    def pause(self) -> None:
        """The publisher has muted the track, or was told that nobody wants the layer: silence shows nothing now."""
        self.is_live = False
        self._cycle_ends = None
        self._packets = self._good_cycles = 0

    def next_timeout(self) -> float | None:
        """Say when the running cycle ends."""
        return self._cycle_ends

    def handle_timeout(self, now: float) -> bool:
        """End the cycle that is over, if one is. Return whether the layer has died, or come back."""
        if self._cycle_ends is None or now < self._cycle_ends:
            return False
        # A cycle that ends late is one cycle: what would have come in the next is still on its way to us.
        self._cycle_ends = now + self._cadence.cycle_seconds
        self._good_cycles = self._good_cycles + 1 if self._packets >= self._cadence.samples else 0
        self._packets = 0
        was_live = self.is_live
        self.is_live = self._good_cycles > 0 and (was_live or self._good_cycles >= self._cadence.cycles_to_return)
        return self.is_live != was_live


class TrackLiveness:
    """Tells which layers of one track live. A publisher that is silent altogether is cut off, and not short of bandwidth.

    So after that, all its layers live again from their first packets on.
    """

    def __init__(self, cadence_of: Callable[[int], Cadence]) -> None:
        self._cadence_of = cadence_of
        self._layers: dict[int, LayerLiveness] = {}

    @property
    def live(self) -> frozenset[int]:
        """The layers that live."""
        return frozenset(layer for layer, liveness in self._layers.items() if liveness.is_live)

    def receive_packet(self, layer: int, now: float) -> bool:
        """Count a packet of media. Return whether `live` has changed."""
        liveness = self._layers.get(layer)
        if liveness is None:
            liveness = self._layers[layer] = LayerLiveness(self._cadence_of(layer))
        return liveness.receive_packet(now)

    def forget(self, layer: int) -> None:
        """The publisher has taken the layer back: it lives again from its next packet on."""
        self._layers.pop(layer, None)

    def pause(self) -> None:
        """The publisher has muted the track."""
        for liveness in self._layers.values():
            liveness.pause()

    def next_timeout(self) -> float | None:
        """Say when a cycle of any layer ends."""
        dues = [liveness.next_timeout() for liveness in self._layers.values()]
        return min((due for due in dues if due is not None), default=None)

    def handle_timeout(self, now: float) -> bool:
        """End the cycles that are over. Return whether `live` has changed."""
        changes = [liveness.handle_timeout(now) for liveness in self._layers.values()]
        if any(changes) and not self.live:
            self.pause()
        return any(changes)
