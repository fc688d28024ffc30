"""What is published to be judged, of each kind: its sources, and who knows which of its pictures are right."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

from tests.support import recordings
from tests.support.encodings import AV1, BLOCK_PIXELS, COLUMNS, GROUPS, ROWS, SCALES, VP9, EncodedReference
from tests.support.judging import Reference
from tests.support.packetizing import KINDS, EncodedSource, Kind
from tests.support.recordings import DescribedSource, RecordedReference, RecordedSource
from triforium.visitor import Source


@dataclass(frozen=True, slots=True)
class Production:
    """One kind. Its layers have these sizes (width, height), lowest first: each a source, or all in a single one.

    `temporal_layers` are those that its packets tell of.
    """

    sizes: Sequence[tuple[int, int]]
    temporal_layers: int
    new_sources: Callable[[Random], list[Source]]
    reference: Reference

    @property
    def max_incomparable(self) -> float:
        """How many pictures there may be that cannot be compared, for each that can.

        Where layers are left out, what is lost on the way to the server may be a hole in a subscriber's numbers.
        """
        return 0.2 if self.temporal_layers == 1 else 1.0


def _encoded(kind: Kind) -> Production:
    sizes = [(COLUMNS * BLOCK_PIXELS * scale, ROWS * BLOCK_PIXELS * scale) for scale in SCALES]
    return Production(sizes, kind.temporal_layers, partial(_encoded_sources, kind), EncodedReference(kind.mime))


def _encoded_sources(kind: Kind, random: Random) -> list[Source]:
    return [
        EncodedSource(kind.mime, layer, kind.new_packetizer(random), first_group=random.randrange(GROUPS))
        for layer in range(len(SCALES))
    ]


def _recorded(mime: str, source: type[RecordedSource]) -> Production:
    return Production(recordings.SIZES, 3, lambda random: [source(mime, random)], RecordedReference(mime))


PRODUCTIONS: Final[Mapping[str, Production]] = {
    **{name: _encoded(kind) for name, kind in KINDS.items()},
    "scalable-vp9": _recorded(VP9, DescribedSource),
    "undescribed-vp9": _recorded(VP9, RecordedSource),
    "scalable-av1": _recorded(AV1, DescribedSource),
}
