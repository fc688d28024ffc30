"""The hot loop: one packet in, one protected datagram out for each subscriber.

`FanOut` owns the rows; a `DownTrack` holds a handle on one of them and takes the decisions. This body in plain Python is
the definition of right.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from rtp.extensions import with_extension
from rtp.srtp import SrtpSendError
from rtp.srtp_direct import MAX_PACKET_BYTES
from rtp.units import Address, Ssrc
from sfu.media.extending import numbered_extensions, timed_extensions
from sfu.media.forwarder import Sent
from sfu.media.frames import FrameFacts
from sfu.media.packet_numbers import PacketNumbers
from sfu.media.selecting import NO_LIMIT, Last, LayerLimit, LayerSelector
from sfu.media.vp8_munger import UNCHANGED, Vp8Facts, Vp8Offsets, shift_ids

_HEADER: Final = struct.Struct("!BBHII")  # V|P|X|CC, M|PT, sequence, timestamp, SSRC
_NUMBERED_HEADER: Final = struct.Struct("!BBHIIII")  # and an extension block of one element
_HEADER_BYTES: Final = _HEADER.size
_NUMBERED_BYTES: Final = _NUMBERED_HEADER.size
_VERSION: Final = 0x80
_VERSION_AND_EXTENSION: Final = 0x90

NO_LAYER: Final = -1
NO_EPOCH: Final = 0

MAX_PAYLOAD_BYTES: Final = MAX_PACKET_BYTES - 47
"""What SRTP takes, less our header (12), the longest extension block that we write (32), and what a retransmission (2)
and a wider picture id (1) add."""


@dataclass(slots=True)
class PacketFacts:
    """What was found out about a packet, once, for all who get it.

    `sequence` is unwrapped and without gaps for what was dropped on purpose; `timestamp` ticks at the codec's clock
    rate, 32 bits. A source that starts anew, or another source of the layer, is another `epoch`. `is_entry` says that a
    decoder can start here, and that nothing newer was forwarded before it. `vp8` are its ids, where rows change them, and
    `frame` tells its layers, where it says. `captured` is its abs-capture-time, which few packets have.
    """

    sequence: int
    timestamp: int
    marker: bool
    layer: int
    epoch: int
    is_entry: bool
    payload_at: int
    payload_end: int
    arrived_at: float
    vp8: Vp8Facts | None = None
    frame: FrameFacts | None = None
    captured: bytes | None = None


class RowOwner(Protocol):
    """Who takes the decisions about a row."""

    def enter(self, facts: PacketFacts) -> bool:
        """Go on with the source of this packet, at which the row's target can be entered. False: not with this one."""

    def fail(self, error: Exception) -> None:
        """Take the blame for an exception in the row's turn."""


class Row:
    """One output: everything that changes from one subscriber to the next.

    `epoch` is the source that is being sent, `target` the layer that should be; NO_EPOCH and NO_LAYER are nothing.
    Numbers of the source below `first` are not sent: they came before the splice. `vp8` is added to the source's ids;
    None if they stay what they are. `numbers` gives each packet a transport-wide number, where the peer takes them;
    `count` is told of each where it does not, and somebody wants to know. `selector` leaves out layers of the source; None
    if everything is sent. `descriptor_id` is the header extension for the dependency descriptor, and `frame_offset` is
    added to the frame numbers in that. `capture_time_id` is the one for abs-capture-time.
    """

    __slots__ = (
        "abs_send_time_id",
        "capture_time_id",
        "count",
        "descriptor_id",
        "epoch",
        "first",
        "frame_offset",
        "last_frame_number",
        "last_sent_at",
        "last_sequence",
        "last_timestamp",
        "last_vp8",
        "limit",
        "numbers",
        "octets",
        "owner",
        "packets",
        "payload_type",
        "protect",
        "queue",
        "refused",
        "remote",
        "selector",
        "sequence_offset",
        "ssrc",
        "target",
        "timestamp_offset",
        "vp8",
        "withheld",
    )

    def __init__(self, owner: RowOwner, ssrc: Ssrc) -> None:
        self.owner = owner
        self.ssrc = ssrc
        self.payload_type = 0
        self.abs_send_time_id: int | None = None
        self.descriptor_id: int | None = None
        self.capture_time_id: int | None = None
        self.numbers: PacketNumbers | None = None
        self.count: Callable[[int, float], None] | None = None
        self.epoch = NO_EPOCH
        self.target = NO_LAYER
        self.first = 0
        self.sequence_offset = self.timestamp_offset = 0
        self.protect: Callable[[bytes], bytes] | None = None
        self.queue: Callable[[tuple[bytes, Address]], None] | None = None
        self.remote: Address = ("", 0)
        self.packets = self.octets = self.refused = self.withheld = 0
        self.last_sequence = -1
        self.last_timestamp = 0
        self.last_sent_at = 0.0
        self.vp8: Vp8Offsets | None = None
        self.last_vp8: Vp8Facts | None = None
        self.limit = NO_LIMIT
        self.selector: LayerSelector | None = None
        self.frame_offset = 0
        self.last_frame_number: int | None = None  # as sent, 16 bits

    @property
    def sent(self) -> Sent | None:
        """Where the stream stands; None before its first packet."""
        return Sent(self.last_sequence, self.last_timestamp, self.last_sent_at) if self.packets else None

    def retarget(
        self,
        protect: Callable[[bytes], bytes],
        queue: Callable[[tuple[bytes, Address]], None],
        remote: Address,
    ) -> None:
        """Send to this address, with these keys, from now on."""
        self.protect, self.queue, self.remote = protect, queue, remote

    def splice(
        self, facts: PacketFacts, sequence_offset: int, timestamp_offset: int, vp8: Vp8Offsets = UNCHANGED
    ) -> None:
        """Go on with the source of this packet, with these offsets to its numbers and ids."""
        self.sequence_offset, self.timestamp_offset = sequence_offset, timestamp_offset
        self.vp8 = None if vp8 == UNCHANGED else vp8
        if facts.vp8 is not None:  # after another codec, VP8 goes on where it was
            self.last_vp8 = None
        self.selector = None if self.limit == NO_LIMIT else LayerSelector(self.limit)
        self.frame_offset = self._frame_offset(facts.frame)
        self.first = facts.sequence
        self.epoch = facts.epoch

    def select(self, limit: LayerLimit) -> bool:
        """Send no layers above these from the next picture on. Return whether packets are numbered anew from here on."""
        self.limit = limit
        if self.epoch == NO_EPOCH:
            return False
        if self.selector is not None:
            self.selector.limit = limit
            return False
        if limit == NO_LIMIT:
            return False
        sequence = self.last_sequence - self.sequence_offset
        timestamp = (self.last_timestamp - self.timestamp_offset) & 0xFFFF_FFFF
        picture_id = None if self.last_vp8 is None else self.last_vp8.picture_id
        self.selector = LayerSelector(limit, last=Last(sequence, timestamp, picture_id))
        return True

    def pause(self) -> None:
        """Send nothing until the target is set, and entered."""
        self.target, self.epoch = NO_LAYER, NO_EPOCH

    def leave_out_late(self) -> None:
        """Send nothing any more that the newest has overtaken: it was not sent as packets are from here on."""
        newest: int | None = self.last_sequence - self.sequence_offset
        if self.selector is not None and newest is not None:
            newest = self.selector.source_sequence(newest)
        if newest is not None:
            self.first = max(self.first, newest + 1)

    def leave(self) -> None:
        """Send nothing until the target is entered."""
        self.epoch = NO_EPOCH

    def _frame_offset(self, frame: FrameFacts | None) -> int:
        """Return what makes frame numbers go on where they are: receivers take older ones for what came late."""
        if frame is None or frame.descriptor is None or self.last_frame_number is None:
            return 0
        first = frame.descriptor.frame_number
        ahead = (first - self.last_frame_number) & 0xFFFF
        return 0 if 0 < ahead < 1 << 15 else (self.last_frame_number + 1 - first) & 0xFFFF


class FanOut:
    """All outputs of one published track."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        """Send to `row` too, as its target says."""
        self._rows = [*self._rows, row]  # a copy: a row may be added while a packet is forwarded

    def remove(self, row: Row) -> None:
        """Send to `row` no more."""
        self._rows = [each for each in self._rows if each is not row]

    def forward(self, packet: bytes, facts: PacketFacts) -> None:
        """Rewrite, protect and queue `packet` for every row that is on its source, or can enter it now.

        No SSRC may ever send two packets under one number (RFC 7714 §8.1). So callers forward no number of an epoch
        twice, and after its newest leave out so few that 16 bits are enough to tell the next.
        """
        layer, epoch, is_entry = facts.layer, facts.epoch, facts.is_entry
        sequence, timestamp, now = facts.sequence, facts.timestamp, facts.arrived_at
        marker = 0x80 if facts.marker else 0
        payload, vp8 = packet[facts.payload_at : facts.payload_end], facts.vp8
        source, captured = payload, facts.captured
        if vp8 is not None:
            payload = shift_ids(payload, vp8, UNCHANGED)
        size = len(payload)
        tails: dict[int, bytes] = {}  # by the id of abs-send-time, of those whose ids stay
        changed: dict[tuple[object, ...], bytes] = {}  # of the others, by all that they depend on
        descriptor = None if facts.frame is None else facts.frame.descriptor
        pack, pack_numbered = _HEADER.pack, _NUMBERED_HEADER.pack
        for row in self._rows:
            if row.epoch != epoch and (row.target != layer or not is_entry):
                continue
            try:
                if row.epoch != epoch and not row.owner.enter(facts):
                    continue
                if sequence < row.first:
                    continue
                protect, queue, identifier = row.protect, row.queue, row.abs_send_time_id
                assert protect is not None, "a row has a target only while its connection is up"
                assert queue is not None, "and then it has all that it takes to send"
                offsets, selector, numbers = row.vp8, row.selector, row.numbers
                number, ids, targets, end = sequence, vp8, None, marker
                if selector is not None:
                    if (placed := selector.place(facts)) is None:
                        row.withheld += 1
                        continue
                    number, ids, targets = placed.sequence, placed.vp8, placed.targets
                    end = 0x80 if placed.marker else 0
                described = None if descriptor is None else row.descriptor_id
                flags = _VERSION if identifier is None and described is None else _VERSION_AND_EXTENSION
                if described is not None or (ids is not None and (offsets is not None or selector is not None)):
                    picture_id = None if ids is None else ids.picture_id
                    inside = None if numbers is not None else described  # else each has a block of its own
                    key = identifier, offsets, picture_id, inside, targets, row.frame_offset
                    if (tail := changed.get(key)) is None:
                        body = source if ids is None else shift_ids(source, ids, offsets or UNCHANGED)
                        block = timed_extensions(identifier, now, inside, descriptor, row.frame_offset, targets)
                        tail = changed[key] = block + body
                elif identifier is None:
                    tail = payload
                elif (tail := tails.get(identifier)) is None:
                    tail = tails[identifier] = timed_extensions(identifier, now) + payload
                number += row.sequence_offset
                stamp = (timestamp + row.timestamp_offset) & 0xFFFF_FFFF
                kind = end | row.payload_type
                if numbers is not None and descriptor is not None and described is not None:
                    header = pack(_VERSION_AND_EXTENSION, kind, number & 0xFFFF, stamp, row.ssrc)
                    header += numbered_extensions(
                        numbers, len(tail), now, described, descriptor, row.frame_offset, targets
                    )
                elif numbers is not None:
                    element = numbers.count(_NUMBERED_BYTES + len(tail), now) & 0xFFFF
                    header = pack_numbered(
                        _VERSION_AND_EXTENSION,
                        kind,
                        number & 0xFFFF,
                        stamp,
                        row.ssrc,
                        numbers.profile,
                        numbers.base | element << numbers.shift,
                    )
                else:
                    header = pack(flags, kind, number & 0xFFFF, stamp, row.ssrc)
                    if (count := row.count) is not None:
                        count(_HEADER_BYTES + len(tail), now)
                sent = header + tail
                if captured is not None and row.capture_time_id is not None:
                    sent = with_extension(sent, row.capture_time_id, captured)
                queue((protect(sent), row.remote))
                row.packets += 1
                row.octets += size
                row.last_sent_at = now
                if number > row.last_sequence:
                    row.last_sequence = number
                    row.last_timestamp = stamp
                    if ids is not None:
                        row.last_vp8 = ids
                    if descriptor is not None and described is not None:
                        row.last_frame_number = (descriptor.frame_number + row.frame_offset) & 0xFFFF
            except SrtpSendError:
                row.refused += 1  # overtaken by more packets than SRTP keeps books on: nobody waits for it any more
            except Exception as error:  # noqa: BLE001 - the fence round each row: a subscriber's fault is its own
                row.owner.fail(error)
