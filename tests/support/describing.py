"""What dependency descriptors say of the packets that they come with, held to what else came. Does no I/O."""

from collections.abc import Iterator

from rtp.errors import DecodeError
from rtp.payload.dependency_descriptor import DependencyDescriptor, Structure, parse_dependency_descriptor
from rtp.serial import unwrap
from triforium.visitor import ReceivedPacket


class DescribedFrames:
    """Reads the packets of one stream in order, as a receiver does that goes by the descriptor alone.

    Frames are numbered on, and hang on nothing that has not come; the last packet of a picture is of the highest spatial
    layer among the decode targets that are said to be there.
    """

    def __init__(self) -> None:
        self._structure: Structure | None = None
        self._active = 0
        self._number: int | None = None
        self._frames: set[int] | None = None  # that came since the last key picture; None: something is missing

    def lose(self) -> None:
        """Note that packets are missing: of what hangs on others, nothing can be said until the next key picture."""
        self._frames = None

    def receive(self, packet: ReceivedPacket) -> Iterator[str]:
        """Yield what is wrong with the next packet. Raises DecodeError."""
        if packet.descriptor is None:
            if self._structure is not None:
                yield "no descriptor any more"
            return
        try:
            descriptor = parse_dependency_descriptor(packet.descriptor, self._structure)
        except DecodeError:
            if self._frames is None:
                return  # what it needs to be read may be among what is missing
            raise
        self._structure = descriptor.structure
        if descriptor.attached:
            self._active = descriptor.structure.all_targets
        if descriptor.active_targets is not None:
            self._active = descriptor.active_targets
        yield from self._check_number(descriptor)
        if self._frames is None:
            return
        highest = max(
            (spatial for at, (spatial, _) in enumerate(descriptor.structure.target_layers) if self._active >> at & 1),
            default=0,
        )
        if descriptor.spatial_id > highest or (packet.marker and descriptor.spatial_id != highest):
            yield f"of spatial layer {descriptor.spatial_id}, with a marker: {packet.marker}, where {highest} is the highest"

    def _check_number(self, descriptor: DependencyDescriptor) -> Iterator[str]:
        last = self._number
        number = descriptor.frame_number if last is None else unwrap(descriptor.frame_number, last, 16)
        self._number = number
        if last is not None and (number < last or (descriptor.starts_frame and number == last)):
            yield f"frame {number} after {last}"
        if not descriptor.starts_frame:
            return
        if not descriptor.frame_diffs:
            self._frames = set()
        elif self._frames is not None and (
            missing := {number - diff for diff in descriptor.frame_diffs} - self._frames
        ):
            yield f"frame {number} hangs on {missing}, which never came"
        if self._frames is not None:
            self._frames.add(number)
