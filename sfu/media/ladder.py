"""What a video can be sent in, from the least to what its subscriber wishes for, and what each rung of that costs.

Theory of operation. A layer is a simulcast encoding, or all there is. What lies within one, its spatial and temporal
layers, costs its share of what comes in of it. Rungs climb by spatial layers, and each comes with all of its frames: only
the lowest can be had with fewer, before it is given up altogether.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sfu.media.selecting import NO_LIMIT, LayerLimit


class Level(NamedTuple):
    """A layer, and the highest spatial and temporal layer within it; by default all. The better of two is the greater."""

    layer: int
    spatial: int = NO_LIMIT.spatial
    temporal: int = NO_LIMIT.temporal

    def __str__(self) -> str:
        limits = [f"{name} {highest}" for name, highest in self.within.items() if highest is not None]
        return ", ".join([f"layer {self.layer}", *limits])

    @property
    def within(self) -> dict[str, int | None]:
        """The highest layer of each kind within, by its name; None: all."""
        return {kind: None if each in NO_LIMIT else each for kind, each in self.limit._asdict().items()}

    @property
    def limit(self) -> LayerLimit:
        """What may be sent within the layer."""
        return LayerLimit(self.spatial, self.temporal)


@dataclass(frozen=True, slots=True)
class Rung:
    """A level that a video can be sent in, and what the whole of it costs, in bit/s."""

    level: Level
    bitrate_bps: int


class LayerCost(NamedTuple):
    """What comes in of a layer, in bit/s, and of what is within, by spatial and temporal layer, if it tells them apart."""

    bitrate_bps: int
    within: Mapping[tuple[int, int], int]


def ladder(costs: Mapping[int, LayerCost], limit: LayerLimit) -> tuple[Rung, ...]:
    """Return the rungs of a video, lowest first: `costs` of the layers that it may be sent, `limit` within each.

    A rung that costs no less than one above it is of no use.
    """
    rungs: list[Rung] = []
    for layer in sorted(costs, reverse=True):
        for rung in reversed(_within(layer, costs[layer], limit, is_lowest=layer == min(costs))):
            if not rungs or rung.bitrate_bps < rungs[-1].bitrate_bps:
                rungs.append(rung)
    return tuple(reversed(rungs))


def _within(layer: int, cost: LayerCost, limit: LayerLimit, *, is_lowest: bool) -> list[Rung]:
    cells = {
        (spatial, temporal): bitrate
        for (spatial, temporal), bitrate in cost.within.items()
        if spatial <= limit.spatial and temporal <= limit.temporal
    }
    if not cells:
        return [Rung(Level(layer), cost.bitrate_bps)]
    spatials = sorted({spatial for spatial, _ in cells})
    temporals = sorted({temporal for _, temporal in cells})
    everything = max(1, sum(cost.within.values()))
    rungs: list[Rung] = []
    for spatial in spatials:
        for temporal in temporals if is_lowest and spatial == spatials[0] else temporals[-1:]:
            share = sum(each for at, each in cells.items() if at[0] <= spatial and at[1] <= temporal) / everything
            level = Level(layer)
            if temporal < temporals[-1]:
                level = level._replace(spatial=spatial, temporal=temporal)
            elif spatial < spatials[-1]:
                level = level._replace(spatial=spatial)
            rungs.append(Rung(level, round(share * cost.bitrate_bps)))
    return rungs
