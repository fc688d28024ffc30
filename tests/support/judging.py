"""What a subscriber gets of a marked track, held to what a decoder gives that was fed directly. Does no I/O.

Decoders hide broken references without an error: they show a picture, and go on. So each picture is compared, byte for
byte, with the right one for what it says it is (`encodings`). Packets are put in order first. Where one is missing for
good, no picture can be compared until the next key frame: those are counted, and a key frame is asked for.
"""

from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Protocol, TypeAlias

import av

from rtp.errors import DecodeError
from rtp.serial import unwrap
from tests.support.describing import DescribedFrames
from tests.support.encodings import VP8, Decoder, EncodedReference, Mark
from tests.support.packetizing import Vp8Ids, assemble, is_key_frame, starts_frame, vp8_ids
from triforium.visitor import ReceivedPacket

PATIENCE_SECONDS: Final = 1.0
"""How long a missing packet is waited for: longer than the last packet that was sent again takes."""

MAX_SKEW_SECONDS: Final = 0.5
"""How far the time of a stream may come to differ from the time that passes."""
SKEW_PACKETS: Final = 20
"""Of so many packets, at least one came without delay."""

CLOCK_RATE: Final = 90_000

PERIOD_FRAMES: Final = 4
"""Among so many frames, there is at least one of each temporal layer."""

Ordered: TypeAlias = ReceivedPacket | int
"""A packet in its place, or how many are missing there for good."""


class Reference(Protocol):
    """Who knows which pictures are right."""

    def mark(self, picture: bytes) -> Mark | None:
        """Return what a picture is; None if it is nothing that there should be."""

    def temporal(self, mark: Mark) -> int:
        """Return the temporal layer of a picture."""


class JitterBuffer:
    """Puts packets in the order of their numbers, each once."""

    def __init__(self) -> None:
        self.late = 0
        self._next: int | None = None
        self._waiting: dict[int, ReceivedPacket] = {}

    def receive(self, packet: ReceivedPacket) -> Iterator[Ordered]:
        """Yield what is in order now, and gaps that have been there for too long."""
        if self._next is None:
            self._next = packet.sequence
        if packet.sequence < self._next:
            self.late += 1  # nobody waits for it any more
            return
        self._waiting[packet.sequence] = packet
        while self._waiting:
            if self._next in self._waiting:
                yield self._waiting.pop(self._next)
                self._next += 1
                continue
            first = min(self._waiting)
            if packet.arrived_at - self._waiting[first].arrived_at < PATIENCE_SECONDS:
                return
            yield first - self._next
            self._next = first


class TrackJudge:
    """Judges one track as one subscriber gets it. `faults` says what was wrong, in the order of its finding.

    `pictures` were right; `incomparable` came complete after a loss, or at the beginning, and before the next key frame;
    `stretches` are how many each time; `missing` packets never came; `cut_short` frames were left where another layer was
    entered. `layers` are those of the pictures, without repetitions; `seen_at` is when the last came. `wants_key_frame`:
    without one there is nothing to compare any more.
    """

    def __init__(self, mime: str, reference: Reference | None = None) -> None:
        """`reference` tells which pictures are right: by default, those of the codec in `encodings`."""
        self.faults: list[str] = []
        self.pictures = self.key_frames = self.incomparable = self.missing = self.cut_short = 0
        self.stretches: list[int] = [0]
        self.wants_key_frame = False
        self.layers: list[int] = []
        self.seen_at = float("-inf")
        self._temporal_layers: deque[int] = deque(maxlen=PERIOD_FRAMES)
        self._mime = mime
        self._buffer = JitterBuffer()
        self._decoder = Decoder(mime)
        self._reference = reference or EncodedReference(mime)
        self._described = DescribedFrames()
        self._frame: list[ReceivedPacket] | None = None  # None: its beginning is missing
        self._last: ReceivedPacket | None = None
        self._timestamp: int | None = None  # unwrapped, of the last packet
        self._first: tuple[int, float] | None = None  # unwrapped timestamp and arrival
        self._skews: deque[float] = deque(maxlen=SKEW_PACKETS)
        self._gap = 0  # packets missing since the last
        self._mark: Mark | None = None  # of the last picture
        self._is_broken = True  # no picture can be compared: the first packet may not be the first that was sent
        self._must_be_key = False

    @property
    def layer(self) -> int | None:
        """The layer of the last picture."""
        return self.layers[-1] if self.layers else None

    @property
    def temporal(self) -> int | None:
        """The highest temporal layer of the last few pictures."""
        return max(self._temporal_layers, default=None)

    def receive(self, packet: ReceivedPacket) -> None:
        """Take a packet as it comes."""
        for ordered in self._buffer.receive(packet):
            if isinstance(ordered, int):
                self._lose(ordered)
            else:
                self._take(ordered)

    def _lose(self, count: int) -> None:
        self.missing += count
        self._gap += count
        self._frame = None
        self._described.lose()
        if not self._is_broken:
            self._is_broken = self.wants_key_frame = True
            self.stretches.append(0)

    def _take(self, packet: ReceivedPacket) -> None:
        try:
            starts = starts_frame(self._mime, packet.payload)
            self._check_order(packet)
            for fault in self._described.receive(packet):
                self._fault(packet, fault)
        except DecodeError as error:
            self._fault(packet, f"cannot be read: {error}")
            return
        is_new = self._last is None or self._last.timestamp != packet.timestamp
        if is_new and not self._gap and self._last is not None and not self._last.marker:
            self.cut_short += 1
            self._must_be_key = True  # nothing else may hang on a frame of which the end was never sent
        if is_new and (starts or not (self._gap or self._last is None)):
            self._frame = []
        self._last, self._gap = packet, 0
        if self._frame is not None:
            self._frame.append(packet)
            if packet.marker:
                self._judge(self._frame)
        if packet.marker:
            self._frame = None
            self.wants_key_frame = self._is_broken

    def _check_order(self, packet: ReceivedPacket) -> None:
        """Hold a packet to the one before it: time never repeats or goes back, and pictures are numbered on."""
        last = self._last
        near = packet.timestamp if self._timestamp is None else self._timestamp
        timestamp = unwrap(packet.timestamp, near, 32)
        step = timestamp - near
        self._timestamp = timestamp
        self._check_skew(packet, timestamp)
        if last is None:
            return
        if step < 0:
            self._fault(packet, f"its time goes back by {-step}")
        if step == 0 and last.marker:
            self._fault(packet, "another frame with the same time")
        if last.payload_type != packet.payload_type:
            self._fault(packet, "another payload type")
        if self._mime == VP8:
            self._check_ids(packet, vp8_ids(last.payload), vp8_ids(packet.payload), is_same_frame=step == 0)

    def _check_skew(self, packet: ReceivedPacket, timestamp: int) -> None:
        """Hold the stream's time to that which passes: a delay makes a packet late, but none makes it early."""
        if self._first is None:
            self._first = timestamp, packet.arrived_at
        first, began = self._first
        self._skews.append((timestamp - first) / CLOCK_RATE - (packet.arrived_at - began))
        skew = max(self._skews)
        if len(self._skews) == SKEW_PACKETS and abs(skew) > MAX_SKEW_SECONDS:
            self._fault(packet, f"its time is {skew:.3f} s ahead")

    def _check_ids(self, packet: ReceivedPacket, before: Vp8Ids, after: Vp8Ids, *, is_same_frame: bool) -> None:
        if is_same_frame:
            if before != after:
                self._fault(packet, f"one frame, but {before} and then {after}")
            return
        # TL0PICIDX counts frames of the lowest temporal layer.
        for name, bits, least in (("picture_id", 15, 1), ("tl0_picture_index", 8, 0 if after.temporal_id else 1)):
            old, new = getattr(before, name), getattr(after, name)
            if (old is None) != (new is None):
                self._fault(packet, f"{name} comes and goes: {old}, then {new}")
            elif old is not None and not least <= (new - old) % (1 << bits) <= least + self._gap:
                self._fault(packet, f"{name} goes from {old} to {new}, with {self._gap} packets missing")

    def _judge(self, frame: list[ReceivedPacket]) -> None:
        try:
            units = assemble(self._mime, [packet.payload for packet in frame])
        except (AssertionError, DecodeError, IndexError) as error:
            self._fault(frame[0], f"no frame: {error}")
            return
        is_key = is_key_frame(self._mime, units)
        if is_key:
            self.key_frames += 1
            self._is_broken = False
        elif self._is_broken:
            self.incomparable += 1
            self.stretches[-1] += 1
            return
        elif self._must_be_key:
            self._fault(frame[0], "hangs on a frame that was cut short")
        self._must_be_key = False
        try:
            pictures = self._decoder.decode(units)
        except av.FFmpegError as error:
            self._fault(frame[0], f"the decoder refuses it: {error}")
            return
        if len(pictures) != 1:
            self._fault(frame[0], f"makes {len(pictures)} pictures")
            return
        self._compare(frame[0], pictures[0], is_key=is_key)

    def _compare(self, packet: ReceivedPacket, picture: bytes, *, is_key: bool) -> None:
        mark, last = self._reference.mark(picture), None if is_key else self._mark
        if mark is None or not (last is None or mark.follows(last)):
            self._fault(packet, f"not the picture that it should be: {mark} after {self._mark}")
            return
        self._mark = mark
        self.pictures += 1
        self.seen_at = packet.arrived_at
        self._temporal_layers.append(self._reference.temporal(mark))
        if self.layer != mark.layer:
            self.layers.append(mark.layer)

    def _fault(self, packet: ReceivedPacket, what: str) -> None:
        self.faults.append(f"{packet.sequence} at {packet.arrived_at:.3f}: {what}")


def switches(judge: TrackJudge) -> int:
    """Return how often the pictures changed their layer."""
    return sum(1 for _ in pairwise(judge.layers))
