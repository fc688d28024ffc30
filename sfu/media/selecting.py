"""Which frames of one source a subscriber gets who is not to get them all, and under which numbers.

Theory of operation. A frame is sent if it is of layers within the limit and all that it needs was sent. So what is sent
can always be decoded, and a subscriber comes to a higher temporal layer where that begins anew. Limits change between
pictures. More spatial layers come with a key picture only: which layer ends a picture has to be known before its end.
What is left out leaves no gap: packets, and VP8's pictures, are numbered anew, as far as nothing unknown is in between.
What is lost beside a packet that is left out is not unknown, where it can be of no other frame: it would be left out, too.
What else is lost while much is left out adds up to holes that 16 bits cannot tell: they are closed when something is sent.
Whatever was decided of a frame can be found out again, for packets that come late and for those that are sent again.
"""

from bisect import bisect_right
from collections import deque
from typing import Final, NamedTuple, Protocol

from rtp.reception import MAX_DROPOUT
from sfu.media.forwarder import GapCloser
from sfu.media.frames import FrameFacts
from sfu.media.vp8_munger import Vp8Facts

MAX_REMEMBERED_FRAMES: Final = 256
"""How far back a frame may need another, and how late a packet may come."""

MAX_REMEMBERED_LIMITS: Final = 64


class LayerLimit(NamedTuple):
    """The highest spatial and temporal layer to send, from 0."""

    spatial: int
    temporal: int


NO_LIMIT: Final = LayerLimit(1 << 8, 1 << 8)


class Last(NamedTuple):
    """The newest packet of a source: its unwrapped number, its timestamp, and VP8's unwrapped picture id."""

    sequence: int
    timestamp: int
    picture_id: int | None


class SelectableFacts(Protocol):
    """What has to be known of a packet to decide on it."""

    sequence: int
    timestamp: int
    marker: bool
    vp8: Vp8Facts | None
    frame: FrameFacts | None


class Placed(NamedTuple):
    """What a packet becomes that is sent. `targets` is the mask of decode targets, None: as it came."""

    sequence: int
    marker: bool
    vp8: Vp8Facts | None
    targets: int | None


class LayerSelector:
    """Selects frames of one source for one subscriber, up to `limit`, which may be changed at any time."""

    def __init__(self, limit: LayerLimit, *, last: Last | None = None) -> None:
        """Begin with a key frame, or in the middle: after `last`, up to which everything was sent."""
        self.limit = limit
        self._limits: deque[LayerLimit] = deque([limit if last is None else NO_LIMIT], MAX_REMEMBERED_LIMITS)
        self._limits_from: deque[float] = deque([float("-inf")], MAX_REMEMBERED_LIMITS)  # by number of frame
        self._timestamp: int | None = None
        self._all_sent_to: float = float("-inf")
        self._newest: int | None = None
        self._is_sent: dict[int, bool] = {}  # by number of frame
        self._left_from: int | None = None  # the frame of the newest packet, if nothing is sent of that any more
        self._numbers, self._picture_ids = GapCloser(), GapCloser()
        self._highest_placed: int | None = None
        if last is not None:
            self._timestamp = last.timestamp
            self._all_sent_to = last.sequence
            self._highest_placed = self._numbers.number(last.sequence)
            if last.picture_id is not None:
                self._picture_ids.number(last.picture_id)

    @property
    def spatial(self) -> int:
        """The highest spatial layer that may be sent now; it rises to the limit's at a key picture."""
        return self._limits[-1].spatial

    def place(self, facts: SelectableFacts) -> Placed | None:
        """Decide on a packet that came just now; None: it is left out, or too late to be numbered."""
        frame = facts.frame
        if frame is not None and not self._wants(frame, facts):
            is_next = self._left_from is not None and 0 <= frame.number - self._left_from <= 1
            self._numbers.drop(facts.sequence, with_missing=is_next)
            self._left_from = frame.number if self._left_from is None else max(frame.number, self._left_from)
            if facts.vp8 is not None and facts.vp8.picture_id is not None:
                self._picture_ids.drop(facts.vp8.picture_id)
            return None
        if frame is not None and frame.has_start and frame.number - 1 == self._left_from:
            self._numbers.drop(facts.sequence - 1, with_missing=True)
        self._left_from = frame.number if frame is not None and (frame.has_end or facts.marker) else None
        placed = self._placed(facts)
        if placed is None:
            return None
        if self._highest_placed is None or placed.sequence > self._highest_placed:
            if self._highest_placed is not None and placed.sequence > self._highest_placed + MAX_DROPOUT:
                placed = placed._replace(sequence=self._highest_placed + 1)
                self._numbers.go_on(facts.sequence, placed.sequence)
            self._highest_placed = placed.sequence
        return placed

    def recall(self, facts: SelectableFacts) -> Placed | None:
        """Return what `place` made of a packet that was sent; None if it was not, or it is too long ago."""
        frame = facts.frame
        if frame is not None and not self._is_sent.get(frame.number, True):
            return None
        return self._placed(facts)

    def source_sequence(self, number: int) -> int | None:
        """Return the source's number of what was sent as `number`; None if it is too long ago."""
        return self._numbers.original(number)

    def _placed(self, facts: SelectableFacts) -> Placed | None:
        frame, vp8, marker, targets = facts.frame, facts.vp8, facts.marker, None
        number = self._numbers.number(facts.sequence)
        if number is None:
            return None
        if frame is not None:
            limit = self._limit_of(frame.number)
            marker = marker or (frame.has_end and frame.spatial == limit.spatial)
            if frame.descriptor is not None and limit != NO_LIMIT:
                targets = frame.descriptor.active_targets_in_force
                targets &= frame.descriptor.structure.targets_within(*limit)
        if vp8 is not None and vp8.picture_id is not None:
            picture_id = self._picture_ids.number(vp8.picture_id)
            if picture_id is None:
                return None
            vp8 = Vp8Facts(vp8.descriptor, picture_id)
        return Placed(number, marker, vp8, targets)

    def _wants(self, frame: FrameFacts, facts: SelectableFacts) -> bool:
        """Say whether the frame is sent: the same for all its packets."""
        decided = self._is_sent.get(frame.number)
        if decided is not None:
            return decided
        if facts.sequence <= self._all_sent_to:
            return self._decide(frame.number, wanted=True)
        if self._newest is None or frame.number > self._newest:
            if facts.timestamp != self._timestamp:
                self._begin_picture(frame)
                self._timestamp = facts.timestamp
            self._newest = frame.number
        wanted = self._allows(frame.number, frame) and all(
            self._has_sent(reference, frame) for reference in frame.references
        )
        return self._decide(frame.number, wanted=wanted)

    def _allows(self, number: int, frame: FrameFacts) -> bool:
        """Say whether the limit at `number` lets the layers of `frame` through."""
        limit = self._limit_of(number)
        return frame.spatial <= limit.spatial and frame.temporal <= limit.temporal

    def _has_sent(self, reference: int, frame: FrameFacts) -> bool:
        """Say whether `frame` can count on one that it needs: if that has not come yet, it may be of the same layer."""
        sent = self._is_sent.get(reference)
        return self._allows(reference, frame) if sent is None else sent

    def _decide(self, number: int, *, wanted: bool) -> bool:
        self._is_sent[number] = wanted
        if len(self._is_sent) > MAX_REMEMBERED_FRAMES:
            del self._is_sent[next(iter(self._is_sent))]
        return wanted

    def _begin_picture(self, frame: FrameFacts) -> None:
        wanted, current = self.limit, self._limits[-1]
        spatial = wanted.spatial if frame.is_key else min(wanted.spatial, current.spatial)
        if (limit := LayerLimit(spatial, wanted.temporal)) != current:
            self._limits.append(limit)
            self._limits_from.append(frame.number)

    def _limit_of(self, number: int) -> LayerLimit:
        if number >= self._limits_from[-1]:
            return self._limits[-1]
        return self._limits[max(0, bisect_right(self._limits_from, number) - 1)]
