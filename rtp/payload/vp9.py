"""VP9 in RTP (RFC 9628): the payload descriptor, which tells layers and, in flexible mode, references."""

from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.payload.picture_id import read_picture_id

# The descriptor (RFC 9628 §4.2): only its first byte is always there.
#
#  0 1 2 3 4 5 6 7
# +-+-+-+-+-+-+-+-+
# |I|P|L|F|B|E|V|Z|   P: needs earlier pictures   F: flexible mode   B, E: start and end of a frame
# |M| PictureID   |   if I: 15 bits in two bytes if M, else 7 bits in one
# | TID |U| SID |D|   if L; then TL0PICIDX in a byte unless F
# |   P_DIFF    |N|   if F and P: up to three, the last without N
# |      SS       |   if V: the scalability structure
_HAS_PICTURE_ID: Final = 0x80
_PREDICTED: Final = 0x40
_HAS_LAYERS: Final = 0x20
_FLEXIBLE: Final = 0x10
_START: Final = 0x08
_END: Final = 0x04
_HAS_STRUCTURE: Final = 0x02
MAX_REFERENCES: Final = 3


@dataclass(slots=True)
class Vp9Descriptor:
    """The payload descriptor in front of each VP9 packet; a frame is one spatial layer of a picture.

    `size` counts its bytes. `picture_id` has 15 bits if `picture_id_is_long`, else 7; None if it was left out, as are
    `spatial_id` and `temporal_id`. `picture_diffs` say how many pictures back those are that the frame needs, in flexible
    mode. `sizes` are (width, height) of the spatial layers, where the scalability structure came with them.
    """

    size: int
    starts_frame: bool
    ends_frame: bool
    is_predicted: bool
    is_flexible: bool
    picture_id: int | None = None
    picture_id_is_long: bool = False
    temporal_id: int | None = None
    spatial_id: int | None = None
    is_switching_up_point: bool = False
    uses_lower_layer: bool = False
    picture_diffs: tuple[int, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()

    @property
    def starts_key_picture(self) -> bool:
        """Whether a decoder can start here: told without the frame itself, which may be encrypted."""
        return self.starts_frame and not self.is_predicted and not self.spatial_id and not self.uses_lower_layer


def parse_vp9(payload: bytes) -> Vp9Descriptor:
    """Read the descriptor at the start of an RTP payload, its padding taken off.

    Raises:
        DecodeError: if it is cut short, or names more references than there may be.
    """
    try:
        return _parse(payload)
    except IndexError as error:
        raise DecodeError(f"VP9 descriptor cut short in a payload of {len(payload)} bytes") from error


def _parse(payload: bytes) -> Vp9Descriptor:
    flags = payload[0]
    descriptor = Vp9Descriptor(
        1,
        bool(flags & _START),
        bool(flags & _END),
        bool(flags & _PREDICTED),
        bool(flags & _FLEXIBLE),
    )
    at = 1
    if flags & _HAS_PICTURE_ID:
        descriptor.picture_id, descriptor.picture_id_is_long, at = read_picture_id(payload, at)
    if flags & _HAS_LAYERS:
        layers = payload[at]
        descriptor.temporal_id, descriptor.spatial_id = layers >> 5, layers >> 1 & 7
        descriptor.is_switching_up_point, descriptor.uses_lower_layer = bool(layers & 0x10), bool(layers & 1)
        at += 1
        if not flags & _FLEXIBLE:
            payload[at]  # TL0PICIDX: nobody needs it, but it is there
            at += 1
    if flags & _FLEXIBLE and flags & _PREDICTED:
        at = _parse_diffs(payload, at, descriptor)
    if flags & _HAS_STRUCTURE:
        at = _parse_structure(payload, at, descriptor)
    descriptor.size = at
    return descriptor


def _parse_diffs(payload: bytes, at: int, descriptor: Vp9Descriptor) -> int:
    diffs = []
    while True:
        diffs.append(payload[at] >> 1)
        if not payload[at] & 1:
            break
        if len(diffs) == MAX_REFERENCES:
            raise DecodeError(f"a VP9 frame has at most {MAX_REFERENCES} references")
        at += 1
    descriptor.picture_diffs = tuple(diffs)
    return at + 1


def _parse_structure(payload: bytes, at: int, descriptor: Vp9Descriptor) -> int:
    """Read N_S, Y and G, the sizes if Y, and pass over the groups of pictures if G (RFC 9628 §4.2.1)."""
    flags = payload[at]
    at += 1
    if flags & 0x10:
        count = (flags >> 5) + 1
        if at + 4 * count > len(payload):
            raise DecodeError("VP9 scalability structure cut short")
        descriptor.sizes = tuple(
            (int.from_bytes(payload[start : start + 2]), int.from_bytes(payload[start + 2 : start + 4]))
            for start in range(at, at + 4 * count, 4)
        )
        at += 4 * count
    if flags & 0x08:
        pictures = payload[at]
        at += 1
        for _ in range(pictures):
            at += 1 + (payload[at] >> 2 & 3)
        if at > len(payload):
            raise DecodeError("VP9 scalability structure cut short")
    return at
