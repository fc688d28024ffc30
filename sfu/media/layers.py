"""Which simulcast layer is sent: for now the best one that lives when the choice is made, and that one for good."""

from collections.abc import Mapping
from typing import Final

SETTLING_SECONDS: Final = 1.0
"""From the first packet of a simulcast track to the choice: publishers start their layers one after another."""

ALIVE_SECONDS: Final = 0.5
"""A layer is live if a packet of it came within this time."""


def best_layer(last_heard: Mapping[int, float], now: float) -> int | None:
    """Return the highest layer that is live; None if none is."""
    return max((layer for layer, heard in last_heard.items() if now - heard <= ALIVE_SECONDS), default=None)
