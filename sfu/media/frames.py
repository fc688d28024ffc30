"""What a packet says of its frame, whatever the codec: the layers that it is of, and the frames that it needs.

Theory of operation. All that decides whether somebody can do without a frame is told in clear: in the dependency
descriptor, if there is one, or else in the payload descriptor. Both in VP9's flexible mode name the frames that are
needed. Elsewhere they are told by the rules of temporal layers: a frame may need the newest of its own layer and of each
below it, but for one that says it needs the base layer only (VP8's Y), or that comes after a switching up point (VP9's U).
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from rtp.payload.dependency_descriptor import DependencyDescriptor, Structure, parse_dependency_descriptor
from rtp.payload.vp9 import Vp9Descriptor, parse_vp9
from sfu.media.frame_numbers import MAX_STEP, FrameNumbers
from sfu.media.vp8_munger import Vp8Facts

_SPATIAL_BITS: Final = 3
_SPATIAL_LAYERS: Final = 1 << _SPATIAL_BITS
"""As many as VP9 can tell apart: the frames of its pictures are numbered by this."""


@dataclass(slots=True)
class FrameFacts:
    """One packet's frame. Numbers grow with the decoding order, and are unwrapped.

    `references` are the numbers of the frames that it needs. `is_key`: it begins a picture that needs nothing before it.
    `has_start` and `has_end`: the packet is its first, and its last. `descriptor` goes on to subscribers who read it.
    """

    number: int
    spatial: int
    temporal: int
    references: tuple[int, ...]
    is_key: bool
    has_end: bool
    descriptor: DependencyDescriptor | None = None
    has_start: bool = False


class Scalability(NamedTuple):
    """The layers within one source. `sizes` are (width, height) of the spatial ones, lowest first, if it has said so."""

    spatial_layers: int = 1
    temporal_layers: int = 1
    sizes: tuple[tuple[int, int], ...] = ()


class FrameReader:
    """Reads the frames of one source. `scalability` is what it has shown so far; the same object while it is the same."""

    def __init__(self) -> None:
        self.scalability = Scalability()
        self._structure: Structure | None = None
        self._active = 0
        self._numbers = FrameNumbers(gap=MAX_STEP)  # what is counted anew needs no frame that is known
        self._newest: dict[tuple[int, int], int] = {}  # by spatial and temporal layer
        self._last: tuple[int, tuple[int, ...]] | None = None  # a frame, and what it was found to need

    def read_descriptor(self, data: bytes) -> FrameFacts:
        """Read a dependency descriptor. Raises DecodeError."""
        descriptor = parse_dependency_descriptor(data, self._structure)
        if descriptor.attached:
            structure = self._structure = descriptor.structure
            self._active = structure.all_targets
            self._note(
                1 + max(spatial for spatial, _ in structure.target_layers),
                1 + max(temporal for _, temporal in structure.target_layers),
                structure.resolutions,
            )
        if descriptor.active_targets is not None:
            self._active = descriptor.active_targets
        descriptor.active_targets_in_force = self._active
        number = self._numbers.unwrap(descriptor.frame_number, 16)
        spatial = descriptor.spatial_id
        return FrameFacts(
            number,
            spatial,
            descriptor.temporal_id,
            tuple(number - diff for diff in descriptor.frame_diffs),
            is_key=not spatial and not descriptor.frame_diffs,
            has_end=descriptor.ends_frame,
            descriptor=descriptor,
            has_start=descriptor.starts_frame,
        )

    def read_vp8(self, facts: Vp8Facts, *, is_keyframe: bool) -> FrameFacts | None:
        """Tell what VP8's descriptor says of its frame; None if it says nothing of layers."""
        descriptor = facts.descriptor
        if facts.picture_id is None or descriptor.temporal_id is None:
            return None
        if is_keyframe:
            self._newest.clear()
        temporal = descriptor.temporal_id
        if temporal >= self.scalability.temporal_layers:
            self._note(1, temporal + 1)
        references = self._references(facts.picture_id, 0, temporal, is_sync=descriptor.layer_sync)
        return FrameFacts(
            facts.picture_id,
            0,
            temporal,
            references,
            is_key=is_keyframe,
            has_end=False,
            has_start=descriptor.start_of_frame,
        )

    def read_vp9(self, payload: bytes, *, is_described: bool) -> tuple[FrameFacts | None, bool]:
        """Tell what VP9's descriptor says of its frame, None if nothing, and whether a decoder can start here.

        What a dependency descriptor has said of the frame goes before that, and numbers frames otherwise.

        Raises:
            DecodeError: if the descriptor is cut short.
        """
        descriptor = parse_vp9(payload)
        if is_described:
            return None, descriptor.starts_key_picture
        known = self.scalability
        if descriptor.sizes:
            self._note(len(descriptor.sizes), known.temporal_layers, descriptor.sizes)
        starts = descriptor.starts_key_picture
        if descriptor.picture_id is None or descriptor.spatial_id is None or descriptor.temporal_id is None:
            return None, starts
        if descriptor.temporal_id >= known.temporal_layers:
            self._note(self.scalability.spatial_layers, descriptor.temporal_id + 1, self.scalability.sizes)
        if starts:
            self._newest.clear()
        spatial, bits = descriptor.spatial_id, 15 if descriptor.picture_id_is_long else 7
        number = self._numbers.unwrap(descriptor.picture_id * _SPATIAL_LAYERS + spatial, bits + _SPATIAL_BITS)
        is_key = not descriptor.is_predicted and not spatial
        references = self._vp9_references(descriptor, number)
        frame = FrameFacts(
            number,
            spatial,
            descriptor.temporal_id,
            references,
            is_key,
            descriptor.ends_frame,
            has_start=descriptor.starts_frame,
        )
        return frame, starts

    def _vp9_references(self, descriptor: Vp9Descriptor, number: int) -> tuple[int, ...]:
        spatial, temporal = descriptor.spatial_id or 0, descriptor.temporal_id or 0
        references: tuple[int, ...] = ()
        if descriptor.is_flexible:
            references = tuple(number - diff * _SPATIAL_LAYERS for diff in descriptor.picture_diffs)
        elif descriptor.is_predicted:
            references = self._references(number, spatial, temporal, is_sync=False)
        if descriptor.is_switching_up_point:
            for layer in [layer for layer in self._newest if layer[0] == spatial and layer[1] > temporal]:
                del self._newest[layer]
        return (*references, number - 1) if descriptor.uses_lower_layer else references

    def _references(self, number: int, spatial: int, temporal: int, *, is_sync: bool) -> tuple[int, ...]:
        """Return what a frame may need by the rules of temporal layers: the same for all its packets."""
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        newest = self._newest
        layers = ((spatial, below) for below in range(1 if is_sync else temporal + 1))
        references = tuple(newest[layer] for layer in layers if newest.get(layer, number) < number)
        if newest.get((spatial, temporal), number - 1) < number:
            newest[spatial, temporal] = number
        self._last = number, references
        return references

    def _note(self, spatial: int, temporal: int, sizes: tuple[tuple[int, int], ...] = ()) -> None:
        if (new := Scalability(spatial, temporal, sizes)) != self.scalability:
            self.scalability = new
