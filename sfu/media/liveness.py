"""Which simulcast layers live: publishers stop and start layers without a word, as their uplink allows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Cadence:
    """What the layers of a track are held to: one that lives sends something in each cycle of `cycle_seconds`.

    A layer that had stopped lives again after so many cycles in sequence: `cycles_to_return` for an upper one, and fewer,
    `lowest_cycles_to_return`, for the one that everybody falls back to. An uplink that has just given up a layer will do
    so again, and everybody would be sent up and down.
    """

    cycle_seconds: float
    cycles_to_return: int
    lowest_cycles_to_return: int


CAMERA: Final = Cadence(0.5, 6, 2)
SCREEN_SHARE: Final = Cadence(2.0, 1, 1)
"""A still picture is worth a packet now and then."""


class TrackLiveness:
    """Tells from their packets which layers of one track live. Times are monotonic seconds.

    A layer lives from its first packet on. A publisher that is silent altogether is cut off, and not short of bandwidth:
    after that, all its layers live again from their first packets on.
    """

    def __init__(self, cadence: Cadence) -> None:
        self.live: frozenset[int] = frozenset()
        self._cadence = cadence
        self._cycle_ends: float | None = None  # None: nothing has come yet
        self._heard: set[int] = set()  # in this cycle
        self._good_cycles: dict[int, int] = {}  # in sequence, of layers that have come once

    def receive_packet(self, layer: int, now: float) -> bool:
        """Count a packet of media: padding shows nothing. Return whether `live` has changed."""
        self._heard.add(layer)
        if layer in self._good_cycles:
            return False
        if self._cycle_ends is None:
            self._cycle_ends = now + self._cadence.cycle_seconds
        self._good_cycles[layer] = 0
        self.live |= {layer}
        return True

    def forget(self, layer: int) -> bool:
        """The publisher has taken the layer back: it lives again from its next packet on. Return as `receive_packet`."""
        was_live = layer in self.live
        self._good_cycles.pop(layer, None)
        self._heard.discard(layer)
        self.live -= {layer}
        return was_live

    def reset(self) -> None:
        """The publisher has muted the track, or unmuted it: what was heard before says nothing of what comes."""
        self.live = frozenset()
        self._cycle_ends = None
        self._heard.clear()
        self._good_cycles.clear()

    def renumber(self, numbers: Mapping[int, int]) -> None:
        """Call layers by other numbers, which are given by those of before."""
        self.live = frozenset(numbers.get(layer, layer) for layer in self.live)
        self._heard = {numbers.get(layer, layer) for layer in self._heard}
        self._good_cycles = {numbers.get(layer, layer): cycles for layer, cycles in self._good_cycles.items()}

    def next_timeout(self) -> float | None:
        """Say when the running cycle ends."""
        return self._cycle_ends

    def handle_timeout(self, now: float) -> bool:
        """End the cycle, if it is over. Return as `receive_packet`."""
        if self._cycle_ends is None or now < self._cycle_ends:
            return False
        if not self._heard:
            self.reset()
            return True
        # A cycle that ends late is one cycle: what would have come in the next is still on its way to us.
        self._cycle_ends = now + self._cadence.cycle_seconds
        before, lowest = self.live, min(self._good_cycles)
        for layer in self._good_cycles:
            self._good_cycles[layer] = self._good_cycles[layer] + 1 if layer in self._heard else 0
        self.live = frozenset(layer for layer in self._heard if layer in before or self._is_back(layer, lowest))
        self._heard.clear()
        return self.live != before

    def _is_back(self, layer: int, lowest: int) -> bool:
        cadence = self._cadence
        needed = cadence.lowest_cycles_to_return if layer == lowest else cadence.cycles_to_return
        return self._good_cycles[layer] >= needed
