"""The dependency descriptor (AV1 RTP payload specification, appendix A): which frames a frame needs, for any codec.

A key frame brings a structure: templates that later frames refer to by number. So a descriptor can be read only with the
structure in force, and whoever reads a stream keeps the newest.
"""

from dataclasses import dataclass, field
from typing import Final

from rtp.errors import DecodeError
from rtp.payload.bits import Bits

MAX_TEMPLATES: Final = 64
MAX_SPATIAL_ID: Final = 3
MAX_TEMPORAL_ID: Final = 7

_MANDATORY_BITS: Final = 24
_FLAG_BITS: Final = 5
_ACTIVE_FLAG: Final = 3  # counted from the last of the five flags: structure, active, DTIs, fdiffs, chains
_SAME_LAYER: Final = 0
_NEXT_TEMPORAL: Final = 1
_NEXT_SPATIAL: Final = 2


@dataclass(slots=True)
class Template:
    """What frames of one kind have in common: `indications` has two bits for each decode target, 0: not part of it."""

    spatial_id: int
    temporal_id: int
    indications: tuple[int, ...] = ()
    frame_diffs: tuple[int, ...] = ()


@dataclass(slots=True)
class Structure:
    """The templates of a stream, from a key frame on. `resolutions` are (width, height) by spatial id, if they were sent."""

    template_id_offset: int
    decode_targets: int
    templates: tuple[Template, ...]
    chains: int
    resolutions: tuple[tuple[int, int], ...]
    target_layers: tuple[tuple[int, int], ...] = field(init=False)
    """The highest spatial and temporal id in each decode target."""
    _within: dict[tuple[int, int], int] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find out which layers the decode targets are."""
        layers = []
        for target in range(self.decode_targets):
            within = [each for each in self.templates if each.indications[target]]
            layers.append(
                (
                    max((each.spatial_id for each in within), default=0),
                    max((each.temporal_id for each in within), default=0),
                )
            )
        self.target_layers = tuple(layers)

    @property
    def all_targets(self) -> int:
        """The mask of all decode targets: the first is the lowest bit."""
        return (1 << self.decode_targets) - 1

    def targets_within(self, spatial_id: int, temporal_id: int) -> int:
        """Return the mask of the decode targets that need nothing above these layers."""
        mask = self._within.get((spatial_id, temporal_id))  # asked for with each packet and subscriber, of a few limits
        if mask is None:
            mask = self._within[spatial_id, temporal_id] = sum(
                1 << target
                for target, (spatial, temporal) in enumerate(self.target_layers)
                if spatial <= spatial_id and temporal <= temporal_id
            )
        return mask


@dataclass(slots=True)
class DependencyDescriptor:
    """One packet's descriptor. `frame_number` has 16 bits; `frame_diffs` say how far back the frames are that it needs.

    `structure` is the one in force, and `attached` says that it came with this packet. `active_targets` is the mask that
    came with it, None if none did.
    """

    data: bytes
    starts_frame: bool
    ends_frame: bool
    frame_number: int
    spatial_id: int
    temporal_id: int
    frame_diffs: tuple[int, ...]
    structure: Structure
    attached: bool
    active_targets: int | None
    mask_at: int
    """Where, in bits, the mask is or would be."""
    active_targets_in_force: int = 0
    """The newest mask that came in the stream; whoever reads the stream fills it in."""

    def renumbered(self, frame_offset: int, mask: int | None) -> bytes:
        """Return the descriptor with so much added to its frame number, and with this mask if it is not None."""
        data = self.data if mask is None else self.with_active_targets(mask)
        if not frame_offset:
            return data
        return data[:1] + (self.frame_number + frame_offset & 0xFFFF).to_bytes(2) + data[3:]

    def with_active_targets(self, mask: int) -> bytes:
        """Return the descriptor with this mask of decode targets in place of its own, or in addition."""
        bits, size = int.from_bytes(self.data), len(self.data) * 8
        if size == _MANDATORY_BITS:
            bits, size = bits << _FLAG_BITS, size + _FLAG_BITS
        targets = self.structure.decode_targets
        rest_at = self.mask_at + (targets if self.active_targets is not None else 0)
        head, rest = bits >> (size - self.mask_at), bits & ((1 << (size - rest_at)) - 1)
        head |= 1 << (self.mask_at - _MANDATORY_BITS - _FLAG_BITS + _ACTIVE_FLAG)
        bits = (head << targets | mask) << (size - rest_at) | rest
        size = self.mask_at + targets + size - rest_at
        return (bits << (-size % 8)).to_bytes((size + 7) // 8)


def parse_dependency_descriptor(data: bytes, structure: Structure | None) -> DependencyDescriptor:
    """Read a descriptor with the structure in force, None if there was none yet.

    Raises:
        DecodeError: if it is cut short, against the rules, or refers to what the structure does not have.
    """
    if len(data) < 3:
        raise DecodeError(f"a dependency descriptor has at least 3 bytes: {len(data)}")
    starts, ends, template_id = bool(data[0] & 0x80), bool(data[0] & 0x40), data[0] & 0x3F
    frame_number = data[1] << 8 | data[2]
    mask_at = _MANDATORY_BITS + _FLAG_BITS
    if len(data) == 3:
        template = _template(structure, template_id)
        assert structure is not None, "a template was found in it"
        return DependencyDescriptor(
            data,
            starts,
            ends,
            frame_number,
            template.spatial_id,
            template.temporal_id,
            template.frame_diffs,
            structure,
            attached=False,
            active_targets=None,
            mask_at=mask_at,
        )
    reader = Bits(data, _MANDATORY_BITS)
    attached, has_mask, has_indications, has_diffs, has_chains = (reader.read(1) for _ in range(_FLAG_BITS))
    if attached:
        structure = _read_structure(reader)
        mask_at = reader.at
    template = _template(structure, template_id)
    assert structure is not None, "a template was found in it"
    mask = reader.read(structure.decode_targets) if has_mask else None
    if has_indications:
        reader.read(2 * structure.decode_targets)
    diffs = _read_custom_diffs(reader) if has_diffs else template.frame_diffs
    if has_chains:
        reader.read(8 * structure.chains)
    return DependencyDescriptor(
        data,
        starts,
        ends,
        frame_number,
        template.spatial_id,
        template.temporal_id,
        diffs,
        structure,
        attached=bool(attached),
        active_targets=mask,
        mask_at=mask_at,
    )


def _template(structure: Structure | None, template_id: int) -> Template:
    if structure is None:
        raise DecodeError("a dependency descriptor without a structure to read it by")
    at = template_id - structure.template_id_offset & MAX_TEMPLATES - 1
    if at >= len(structure.templates):
        raise DecodeError(f"template {template_id} is not in the structure")
    return structure.templates[at]


def _read_structure(reader: Bits) -> Structure:
    offset, targets = reader.read(6), reader.read(5) + 1
    templates = _read_layers(reader)
    for each in templates:
        each.indications = tuple(reader.read(2) for _ in range(targets))
    for each in templates:
        diffs = []
        while reader.read(1):
            diffs.append(reader.read(4) + 1)
        each.frame_diffs = tuple(diffs)
    chains = reader.read_below(targets + 1)
    if chains:
        for _ in range(targets):
            reader.read_below(chains)
        reader.read(4 * chains * len(templates))
    resolutions: tuple[tuple[int, int], ...] = ()
    if reader.read(1):
        resolutions = tuple((reader.read(16) + 1, reader.read(16) + 1) for _ in range(templates[-1].spatial_id + 1))
    return Structure(offset, targets, tuple(templates), chains, resolutions)


def _read_layers(reader: Bits) -> list[Template]:
    spatial = temporal = 0
    templates: list[Template] = []
    while True:
        if len(templates) == MAX_TEMPLATES:
            raise DecodeError(f"more than {MAX_TEMPLATES} templates")
        templates.append(Template(spatial, temporal))
        step = reader.read(2)
        if step == _NEXT_TEMPORAL:
            temporal += 1
        elif step == _NEXT_SPATIAL:
            spatial, temporal = spatial + 1, 0
        elif step != _SAME_LAYER:
            return templates
        if spatial > MAX_SPATIAL_ID or temporal > MAX_TEMPORAL_ID:
            raise DecodeError(f"a template of spatial layer {spatial} and temporal layer {temporal}")


def _read_custom_diffs(reader: Bits) -> tuple[int, ...]:
    diffs = []
    while size := reader.read(2):
        diffs.append(reader.read(4 * size) + 1)
    return tuple(diffs)
