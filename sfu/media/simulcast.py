"""Which simulcast layer a subscriber is sent: the best live one up to its wish, changed at key frames only.

Theory of operation. A subscriber's wish, in words of qualities or pixels, is put in terms of the layers that are
published. `aim` then sets the target whenever the wish changes or a layer comes or goes, and `decide` rules on each
packet: the target is entered at its own key frame, and until then the layer before it goes on. While nothing has been
sent yet, the wish itself is aimed at for a moment, since publishers start their layers one after another.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto
from typing import Final

ACQUISITION_SECONDS: Final = 1.0
"""From the first life of a track to the end of waiting for the layer that is wished for."""

TOLERANCE: Final = 0.9
"""A layer a little smaller than what is wished for will do, and so will one a little faster: nobody sees it."""

LADDER_HEIGHTS: Final = (180, 360)
"""What publishers usually send below the original: taken where they do not say."""


class Quality(IntEnum):
    """What layers are called towards clients."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


@dataclass(frozen=True, slots=True)
class PublishedLayer:
    """One layer as its publisher announced it: sizes in pixels, frames per second; 0: not said."""

    layer: int
    quality: Quality
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a subscriber wants to see: a quality or, if that is given, a size in pixels; and at most so many frames a second.

    0: not said. Fewer frames can be had only where layers differ in them, as those of screen shares do.
    """

    quality: Quality = Quality.HIGH
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0


def wished_layer(wish: Wish, published: Sequence[PublishedLayer]) -> int | None:
    """Return the highest layer that `wish` is worth; None if nothing is published. The order does not matter."""
    ascending = sorted(published, key=lambda layer: layer.quality)
    if not ascending:
        return None
    if wish.frame_rate:
        fastest = wish.frame_rate / TOLERANCE
        ascending = [layer for layer in ascending if layer.frame_rate <= fastest] or ascending[:1]
    by_size = wish.width and wish.height
    return (_by_size(wish, ascending) if by_size else _by_quality(wish.quality, ascending)).layer


def _by_quality(quality: Quality, ascending: Sequence[PublishedLayer]) -> PublishedLayer:
    """Return the best of at most this quality, or the least."""
    return next((layer for layer in reversed(ascending) if layer.quality <= quality), ascending[0])


def _by_size(wish: Wish, ascending: Sequence[PublishedLayer]) -> PublishedLayer:
    """Return the first that is big enough, by its height, or width where the picture is upright; or the biggest."""
    best = ascending[-1]
    is_upright = best.width < best.height
    wanted = (wish.width if is_upright else wish.height) * TOLERANCE
    sizes = [layer.width if is_upright else layer.height for layer in ascending]
    if not all(sizes):
        quality = next((at for at, height in enumerate(LADDER_HEIGHTS) if height >= wanted), len(LADDER_HEIGHTS))
        return _by_quality(Quality(quality), ascending)
    for at, size in enumerate(sizes[:-1]):
        if size >= wanted and size != sizes[at + 1]:  # of equals the upper one has the better picture
            return ascending[at]
    return best


@dataclass(frozen=True, slots=True)
class LayerState:
    """Which layer a subscriber is sent, and which it should be; None: nothing.

    `acquire_until` is set while nothing was sent yet and the layer that is wished for may still start.
    """

    current: int | None = None
    target: int | None = None
    acquire_until: float | None = None

    @property
    def wants_keyframe(self) -> bool:
        """Whether nothing will change until the target's publisher sends a key frame."""
        return self.target is not None and self.target != self.current


class Verdict(Enum):
    """What is to be done with a packet."""

    DROP = auto()
    FORWARD = auto()
    SWITCH = auto()
    """Forward it, and splice: it starts a new source."""


def aim(state: LayerState, *, wished: int | None, live: Collection[int], now: float) -> LayerState:
    """Return the state with the target that it should have now; look again at `acquire_until`, if it says so.

    `wished` is the highest layer to send; None stops sending, and what is sent after that is acquired anew.
    """
    if wished is None:
        return LayerState()
    if not live:  # nothing can be entered, and what was sent may go on as it stopped
        return state
    until = state.acquire_until
    if state.current is not None or wished in live:
        return replace(state, target=_best(wished, live), acquire_until=None)
    if until is None and state.target is None:
        until = now + ACQUISITION_SECONDS
    if until is not None and now < until:
        return replace(state, target=wished, acquire_until=until)
    return replace(state, target=_best(wished, live), acquire_until=None)


def decide(state: LayerState, layer: int, *, is_keyframe: bool) -> tuple[LayerState, Verdict]:
    """Rule on one packet. A layer can be entered only by its own key frame."""
    if layer == state.target != state.current and is_keyframe:
        return replace(state, current=layer, acquire_until=None), Verdict.SWITCH
    return state, Verdict.FORWARD if layer == state.current else Verdict.DROP


def _best(wished: int, live: Collection[int]) -> int:
    """Return the highest that is wished for and lives, or else the lowest that does: more is better than nothing."""
    return max((layer for layer in live if layer <= wished), default=min(live))
