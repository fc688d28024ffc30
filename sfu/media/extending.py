"""The header extensions of what a subscriber is sent."""

from rtp.extensions import abs_send_time, serialize_extensions
from rtp.payload.dependency_descriptor import DependencyDescriptor


def row_extensions(  # noqa: PLR0917 - each of them is one word of the hot loop, which calls this
    abs_send_time_id: int | None,
    sent_at: float,
    descriptor_id: int | None,
    descriptor: DependencyDescriptor | None,
    frame_offset: int,
    targets: int | None,
) -> bytes:
    """Return the extension block of a packet with these ids, of which None leave out theirs."""
    elements = [] if abs_send_time_id is None else [(abs_send_time_id, abs_send_time(sent_at))]
    if descriptor_id is not None and descriptor is not None:
        elements.append((descriptor_id, descriptor.renumbered(frame_offset, targets)))
    return serialize_extensions(elements)
