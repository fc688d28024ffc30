"""VP8's own ids (RFC 7741 §4.2) for what is sent on: one series, whatever the sources.

Receivers put frames together by these ids. A picture id must follow the one before it: a decoder that sees a gap waits
for a frame that nobody will send. The ids of a source keep their distances, so all that a subscriber's stream needs is
what to add to them, and that changes only where its source does. Sources may come without some of the ids, or without
all: Chromium leaves them out where the dependency descriptor was agreed on.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from rtp.payload.vp8 import Vp8Descriptor, rewrite_ids
from sfu.media.frame_numbers import FrameNumbers


@dataclass(slots=True)
class Vp8Facts:
    """What a packet says of its frame, read once for all who get it. `picture_id` is unwrapped; None: it has none."""

    descriptor: Vp8Descriptor
    picture_id: int | None


class Vp8Offsets(NamedTuple):
    """What to add to the ids of a source, modulo what they have room for."""

    picture_id: int = 0
    tl0_picture_index: int = 0
    key_index: int = 0


UNCHANGED: Final = Vp8Offsets()

_PICTURE_ID: Final = 0x7FFF


class Vp8Source:
    """Unwraps the picture ids of one source: of 7 bits, of 15, or of 7 as long as they fit."""

    def __init__(self) -> None:
        self._numbers = FrameNumbers()

    def read(self, descriptor: Vp8Descriptor) -> Vp8Facts:
        """Return what this packet says of its frame; packets may be late."""
        if descriptor.picture_id is None:
            return Vp8Facts(descriptor, None)
        bits = 15 if descriptor.picture_id_is_long else 7
        return Vp8Facts(descriptor, self._numbers.unwrap(descriptor.picture_id, bits))


def shift_ids(payload: bytes, facts: Vp8Facts, offsets: Vp8Offsets) -> bytes:
    """Return `payload` with the picture id of `facts`, and all its ids moved by `offsets`: at most one byte longer.

    The picture id may be another than that in the payload, where pictures before it were left out.
    """
    descriptor, picture_id = facts.descriptor, facts.picture_id
    if offsets == UNCHANGED:
        if picture_id is None:
            return payload
        if descriptor.picture_id_is_long and picture_id & _PICTURE_ID == descriptor.picture_id:
            return payload
    return rewrite_ids(
        payload,
        descriptor,
        picture_id=(picture_id or 0) + offsets.picture_id,
        tl0_picture_index=(descriptor.tl0_picture_index or 0) + offsets.tl0_picture_index,
        key_index=(descriptor.key_index or 0) + offsets.key_index,
    )


class Vp8Munger:
    """The ids of one subscriber's stream. The first source that has an id keeps it as it is."""

    def __init__(self) -> None:
        self.offsets = UNCHANGED
        """What to add to the ids of all packets since the last `switch`."""
        # The newest ids that were sent, as sent but not cut to size; None: there was none yet.
        self._picture_id: int | None = None
        self._tl0_picture_index: int | None = None
        self._key_index: int | None = None

    def switch(self, first: Vp8Facts, last: Vp8Facts | None) -> None:
        """Go on with the source of `first`, a key frame: its ids follow those of `last`, the newest that was sent.

        It may be the same source, after a pause. `last` is None if nothing was sent since the switch before, or ever.
        """
        if last is not None:
            self._note_sent(last)
        self.offsets = Vp8Offsets(
            _offset(first.picture_id, self._picture_id),
            _offset(first.descriptor.tl0_picture_index, self._tl0_picture_index),
            _offset(first.descriptor.key_index, self._key_index),
        )

    def _note_sent(self, last: Vp8Facts) -> None:
        descriptor = last.descriptor
        if last.picture_id is not None:
            self._picture_id = last.picture_id + self.offsets.picture_id
        if descriptor.tl0_picture_index is not None:
            self._tl0_picture_index = descriptor.tl0_picture_index + self.offsets.tl0_picture_index
        if descriptor.key_index is not None:
            self._key_index = descriptor.key_index + self.offsets.key_index


def _offset(first: int | None, sent: int | None) -> int:
    """Return what makes `first` follow what was sent."""
    return 0 if first is None or sent is None else sent + 1 - first
