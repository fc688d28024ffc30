"""The simulcast layers of one published track: what they are called, how big they are, and which of them live."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from string import digits
from typing import Final

from rtp.timers import is_due
from rtp.units import Rid
from sfu.media.frames import Scalability
from sfu.media.liveness import CAMERA, SCREEN_SHARE, TrackLiveness
from sfu.media.simulcast import PublishedLayer, Quality

SETTLING_SECONDS: Final = 1.0
"""From the first sign of life of a track to the end of waiting for more layers: publishers start them one by one."""

RID_LAYERS: Final = {Rid("q"): 0, Rid("h"): 1, Rid("f"): 2}
"""Quarter, half and full: the names that LiveKit's clients give their layers."""


def numbered(rids: Sequence[Rid]) -> dict[Rid, int]:
    """Return the layers that names mean, from 0 for the lowest, whatever their order in the description if they tell.

    OBS counts its encodings down from 0, the highest, and LiveKit's server reads such names so. Others count by their
    order, lowest first as W3C's `sendEncodings` has it by default.
    """
    if _are_livekits(rids):
        return {rid: RID_LAYERS[rid] for rid in rids}
    if _are_digits(rids):
        rids = sorted(rids, reverse=True)
    return {rid: at for at, rid in enumerate(rids)}


def _are_livekits(rids: Sequence[Rid]) -> bool:
    return all(rid in RID_LAYERS for rid in rids)


def _are_digits(rids: Sequence[Rid]) -> bool:
    return all(len(rid) == 1 and rid in digits for rid in rids)


class TrackLayers:
    """The layers of one track, lowest first, by number. A track of one encoding has one, which always lives.

    `live` are those that can be sent. `is_settling`: more of them may still be starting. `are_measured`: their publisher
    does not say how large they are.
    """

    def __init__(
        self, rids: Sequence[Rid] = (), sizes: Sequence[tuple[int, int]] = (), *, is_screen_share: bool = False
    ) -> None:
        """Take the names of the encodings, and their announced sizes (width, height) from low to high, if known."""
        self._by_name = numbered(rids)
        numbers = sorted(self._by_name.values()) or [0]
        self._has_order = _are_livekits(rids) or _are_digits(rids)
        known = sizes if len(sizes) == len(numbers) else [(0, 0)] * len(numbers)
        self.are_measured = len(numbers) > 1 and not all(map(all, known))
        self.published = tuple(
            PublishedLayer(number, Quality(min(number, Quality.HIGH)), width, height)
            for number, (width, height) in zip(numbers, known, strict=True)
        )
        self.within: tuple[PublishedLayer, ...] = ()
        """The spatial layers within one source, from 0; none if it has but one."""
        self.temporal_layers = 1
        self.frame_rate = 0.0
        self.is_screen_share = is_screen_share
        self.is_settling = len(numbers) > 1
        self.live = frozenset[int]() if self.is_settling else frozenset(numbers)
        self._liveness = TrackLiveness(SCREEN_SHARE if is_screen_share else CAMERA) if self.is_settling else None
        self._settles_at: float | None = None
        self._seen = self.live

    def number(self, rid: Rid | None) -> int:
        """Return the layer of this name; of those that come up later, in another description, as well as can be told."""
        if rid is None:
            return self.published[0].layer
        return self._by_name.get(rid, RID_LAYERS.get(rid, 0))

    def name(self, layer: int) -> str:
        """Return what a layer is called: by its publisher, or as LiveKit's clients would."""
        names = self._by_name or RID_LAYERS
        return next((str(rid) for rid, number in names.items() if number == layer), str(layer))

    def describe(self, scalability: Scalability, frame_rate: float) -> None:
        """Note the layers within each source, and its frames a second, which all have alike."""
        spatial, self.temporal_layers, sizes = scalability
        self.frame_rate = frame_rate
        known = sizes if len(sizes) == spatial else [(0, 0)] * spatial
        self.within = tuple(
            PublishedLayer(number, Quality(min(number, Quality.HIGH)), width, height)
            for number, (width, height) in enumerate(known if spatial > 1 else ())
        )

    def measure(self, layer: int, size: tuple[int, int]) -> Mapping[int, int] | None:
        """Note the size (width, height) of a layer's picture. Return the numbers of layers by those before; None: no news.

        They change where names tell no order, and it is not that of the sizes.
        """
        published = {each.layer: each for each in self.published}
        if layer not in published or (published[layer].width, published[layer].height) == size:
            return None
        published[layer] = replace(published[layer], width=size[0], height=size[1])
        measured = [each for each in published.values() if each.width]
        if not self._has_order:
            measured.sort(key=lambda each: (each.width * each.height, each.layer))
        numbers = {number: number for number in published}
        numbers |= zip((each.layer for each in measured), sorted(each.layer for each in measured), strict=True)
        self._renumber(numbers)
        renumbered = (
            replace(each, layer=number, quality=Quality(min(number, Quality.HIGH)))
            for each, number in ((published[before], number) for before, number in numbers.items())
        )
        self.published = tuple(sorted(renumbered, key=lambda each: each.layer))
        return numbers

    def receive_packet(self, layer: int, now: float) -> bool:
        """Count a packet of media. Return whether to look anew at what everybody is sent."""
        if self._liveness is None or not self._liveness.receive_packet(layer, now):
            return False
        if not self.live:
            self.is_settling = True
            self._settles_at = now + SETTLING_SECONDS
        self.live = self._liveness.live
        self._seen |= self.live
        return True

    def forget(self, layer: int) -> bool:
        """The publisher has taken the layer back for now. Return as `receive_packet` does."""
        if self._liveness is None or not self._liveness.forget(layer):
            return False
        self.live = self._liveness.live
        return True

    def quality(self, layer: int) -> Quality:
        """Return what publishers call a layer: the best that there is passes for the best of all."""
        return Quality.HIGH if layer >= self.published[-1].layer else Quality(min(layer, Quality.HIGH))

    def missing(self, allowed: int) -> int:
        """Count the layers that have come once, and are allowed still, above the best that comes now."""
        if not self.live:
            return 0
        best = max(self.live)
        return sum(layer > best and self.quality(layer) <= allowed for layer in self._seen)

    def expect(self, qualities: Collection[Quality]) -> None:
        """The publisher has been asked for these again. It stopped them at our word: they need not prove themselves."""
        if self._liveness is None:
            return
        for each in self.published:
            if each.layer not in self.live and self.quality(each.layer) in qualities:
                self._liveness.forget(each.layer)

    def reset(self) -> None:
        """The publisher has muted the track, or unmuted it: what was heard before says nothing of what comes."""
        if self._liveness is not None:
            self._liveness.reset()
            self.live = self._liveness.live

    def next_timeout(self) -> float | None:
        """Say when silence, or the end of settling, may change something."""
        due = None if self._liveness is None else self._liveness.next_timeout()
        if self._settles_at is None:
            return due
        return self._settles_at if due is None else min(due, self._settles_at)

    def handle_timeout(self, now: float) -> bool:
        """Notice who has fallen silent. Return as `receive_packet` does."""
        if self._liveness is None:
            return False
        has_changed = self._liveness.handle_timeout(now)
        self.live = self._liveness.live
        if is_due(self._settles_at, now):
            self._settles_at = None
            self.is_settling = False
            has_changed = True
        return has_changed

    def _renumber(self, numbers: Mapping[int, int]) -> None:
        self._by_name = {rid: numbers[number] for rid, number in self._by_name.items()}
        self._seen = frozenset(numbers.get(layer, layer) for layer in self._seen)
        if self._liveness is not None:
            self._liveness.renumber(numbers)
            self.live = self._liveness.live
