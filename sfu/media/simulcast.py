"""Which simulcast layer a subscriber is sent: the best live one up to its wish, changed at key frames only.

Theory of operation. A subscriber's wish, in words of qualities or pixels, is put in terms of the layers that are
published: `wished_layer`. `target_layer` then says what to aim at whenever the wish changes or a layer comes or goes.
The target is entered at its own key frame, and until then the layer before it goes on. When a track starts, or comes
back to life, nobody changes for a moment to less than is wished for, since publishers start their layers one after
another.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sfu.media.selecting import NO_LIMIT, LayerLimit

TOLERANCE: Final = 0.9
"""A layer a little smaller than what is wished for will do: nobody sees it."""

LADDER_HEIGHTS: Final = (180, 360)
"""What publishers usually send below the original: taken where they do not say."""


class Quality(IntEnum):
    """What layers are called towards clients."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


@dataclass(frozen=True, slots=True)
class PublishedLayer:
    """One layer as its publisher announced it: sizes in pixels; 0: not said."""

    layer: int
    quality: Quality
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a subscriber wants to see: a quality or, if that is given, a size in pixels; and at most so many frames a second.

    Where not everything can be sent, tracks of a higher `priority` come first. 0: not said. `frame_rate` is
    a matter of temporal layers.
    """

    quality: Quality = Quality.HIGH
    width: int = 0
    height: int = 0
    frame_rate: int = 0
    priority: int = 0


DEFAULT_WISH: Final = Wish()
"""The best that there is."""


def wished_layer(wish: Wish, published: Sequence[PublishedLayer]) -> int:
    """Return the highest layer that `wish` is worth, of at least one; their order does not matter."""
    ascending = sorted(published, key=lambda layer: (layer.quality, layer.layer))
    by_size = wish.width and wish.height
    return (_by_size(wish, ascending) if by_size else _by_quality(wish.quality, ascending)).layer


def wished_limit(wish: Wish, spatial: Sequence[PublishedLayer], temporal_layers: int, frame_rate: float) -> LayerLimit:
    """Return the highest layers within one source that `wish` is worth; no limit where that is all that there are.

    `spatial` are empty for a source that has one. Each temporal layer is taken to double the rate, up to `frame_rate`,
    in frames a second, 0: not known.
    """
    limit = NO_LIMIT
    if spatial and (layer := wished_layer(wish, spatial)) < max(each.layer for each in spatial):
        limit = limit._replace(spatial=layer)
    if wish.frame_rate and frame_rate:
        for temporal in range(temporal_layers - 1):
            if frame_rate / (1 << temporal_layers - 1 - temporal) >= wish.frame_rate * TOLERANCE:
                return limit._replace(temporal=temporal)
    return limit


def target_layer(wished: int, live: Collection[int], *, current: int | None, is_settling: bool) -> int:
    """Return the layer to send, or to wait for: the highest that is wished for and lives, or else the lowest that does.

    `current` is what is being sent. While layers may still be starting (`is_settling`), and while all are silent, what
    is sent goes on, and who is sent nothing waits for the layer that is wished for.
    """
    if wished in live:
        return wished
    if is_settling or not live:
        return wished if current is None else current
    return max((layer for layer in live if layer <= wished), default=min(live))


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
