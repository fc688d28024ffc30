"""The header extensions of what a subscriber is sent."""

from typing import Final

from rtp.extensions import abs_send_time, serialize_extensions
from rtp.payload.dependency_descriptor import DependencyDescriptor
from sfu.media.packet_numbers import BLOCK_BYTES, PacketNumbers

_HEADER_BYTES: Final = 12  # of a packet that has neither sources nor extensions (RFC 3550 §5.1)


def timed_extensions(  # noqa: PLR0917 - each of them is one word of the hot loop, which calls this
    abs_send_time_id: int | None,
    sent_at: float,
    descriptor_id: int | None = None,
    descriptor: DependencyDescriptor | None = None,
    frame_offset: int = 0,
    targets: int | None = None,
) -> bytes:
    """Return the extension block of a packet with these ids, of which None leave out theirs."""
    elements = [] if abs_send_time_id is None else [(abs_send_time_id, abs_send_time(sent_at))]
    if descriptor_id is not None and descriptor is not None:
        elements.append((descriptor_id, descriptor.renumbered(frame_offset, targets)))
    return serialize_extensions(elements)


def numbered_extensions(  # noqa: PLR0917 - as above
    numbers: PacketNumbers,
    payload_bytes: int,
    now: float,
    descriptor_id: int | None = None,
    descriptor: DependencyDescriptor | None = None,
    frame_offset: int = 0,
    targets: int | None = None,
) -> bytes:
    """Count a packet of so many bytes behind its extensions, and return these: its transport-wide number, and the rest."""
    if descriptor_id is None or descriptor is None:
        return numbers.block(_HEADER_BYTES + BLOCK_BYTES + payload_bytes, now)
    data = descriptor.renumbered(frame_offset, targets)
    return numbers.block_with(descriptor_id, data, _HEADER_BYTES + payload_bytes, now)
