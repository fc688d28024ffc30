"""What one subscriber lost, sent again: which packet a number stood for, and whether it is worth another try.

Theory of operation. Between two splices, all packets of a source are sent on with the same changes; so what was sent
under a number is known from the run that it falls into and from the source's history, and nothing has to be kept for
each packet that is sent. A packet that is sent again on its own SSRC is protected under the same nonce, so it must be
what it was to the last byte (RFC 7714 §8): all that goes into it is a run's, which never changes, or its source's.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, Protocol, TypeVar

from rtp.extensions import with_extension
from rtp.packet import build_packet
from rtp.payload.dependency_descriptor import DependencyDescriptor
from rtp.payload.rtx import rtx_payload
from rtp.serial import unwrap
from rtp.units import Ssrc
from sfu.media.extending import numbered_extensions, timed_extensions
from sfu.media.frames import FrameFacts
from sfu.media.packet_numbers import PacketNumbers
from sfu.media.selecting import LayerSelector, Placed
from sfu.media.vp8_munger import UNCHANGED, Vp8Facts, Vp8Offsets, shift_ids

MAX_RESENDS: Final = 10
"""Answers for one packet, as often as libwebrtc asks for it: a subscriber may not make us send more than that. With fewer,
a path that loses a tenth freezes every half a minute: of what is not answered, it waits three seconds for the answer."""

MAX_INTERVAL_SECONDS: Final = 0.1
"""Answers for one packet are a round trip apart, or this if that is longer: sooner, the last may be on its way yet."""

MAX_AGE: Final = 1000
"""Packets, back from the newest: for a little more SRTP keeps books on what was sent, and no receiver waits so long."""

MAX_RUNS: Final = 64
"""Splices that are remembered: more would be fewer than 16 packets apart."""


class Refusal(Enum):
    """Why a packet that was asked for was not sent again."""

    UNKNOWN = "never sent, or too long ago"
    MISSING = "not received, or forgotten since"
    LEFT_OUT = "of a layer that is not sent"
    TOO_SOON = "the last answer may be on its way"
    TOO_OFTEN = "sent often enough"
    HELD = "a key frame comes instead"


class ForwardedFacts(Protocol):
    """What has to be known of a packet, beside its bytes, to send it on."""

    sequence: int
    marker: bool
    timestamp: int
    payload_at: int
    payload_end: int
    arrived_at: float
    vp8: Vp8Facts | None
    frame: FrameFacts | None
    captured: bytes | None


_FactsT = TypeVar("_FactsT", bound=ForwardedFacts)


@dataclass(frozen=True, slots=True)
class Run:
    """How packets are sent on, from the number `first` to the next run's.

    `first` is unwrapped, and as sent. `sequence_offset` and `timestamp_offset` were added to the numbers of the source
    that is called `epoch`, and `vp8` to its ids. Packets that are `numbered`, each with a transport-wide number of its
    own, are nowhere kept as they were, and can only be sent again on another SSRC. `selector` has left some packets out,
    and numbered the others, before all that. `frame_offset` was added to the frame numbers in the dependency descriptor,
    which is sent as `descriptor_id`, as abs-capture-time is as `capture_time_id`.
    """

    first: int
    epoch: int
    sequence_offset: int
    timestamp_offset: int
    payload_type: int
    abs_send_time_id: int | None = None
    vp8: Vp8Offsets = UNCHANGED
    numbered: bool = False
    selector: LayerSelector | None = None
    descriptor_id: int | None = None
    frame_offset: int = 0
    capture_time_id: int | None = None


@dataclass(frozen=True, slots=True)
class Resend(Generic[_FactsT]):
    """A packet to send again: its number as it was sent, unwrapped; its source's packet; and how that was sent on.

    `placed` is what the run's selector made of it; None if it has none.
    """

    number: int
    run: Run
    packet: bytes
    facts: _FactsT
    placed: Placed | None = None

    def serialize(self, ssrc: Ssrc) -> bytes:
        """Return what was sent, byte by byte, to be sent on the same SSRC again."""
        assert not self.run.numbered, "its number would be another"
        packet = build_packet(
            payload_type=self.run.payload_type,
            sequence=self.number & 0xFFFF,
            timestamp=self._timestamp(),
            ssrc=ssrc,
            payload=self._payload(),
            marker=self._marker(),
            extensions=self._extensions(self.facts.arrived_at),
        )
        return self._with_capture_time(packet)

    def serialize_rtx(
        self, ssrc: Ssrc, *, payload_type: int, sequence: int, now: float, numbers: PacketNumbers | None = None
    ) -> bytes:
        """Return a retransmission on a stream for that (RFC 4588 §4), with that stream's own next `sequence`.

        It is numbered by `numbers`, if the peer takes transport-wide ones.
        """
        payload = rtx_payload(self.number, self._payload())
        packet = build_packet(
            payload_type=payload_type,
            sequence=sequence & 0xFFFF,
            timestamp=self._timestamp(),
            ssrc=ssrc,
            payload=payload,
            marker=self._marker(),
            extensions=self._extensions(now)
            if numbers is None
            else numbered_extensions(numbers, len(payload), now, *self._described()),
        )
        return self._with_capture_time(packet)

    def _timestamp(self) -> int:
        return (self.facts.timestamp + self.run.timestamp_offset) & 0xFFFF_FFFF

    def _payload(self) -> bytes:
        payload = self.packet[self.facts.payload_at : self.facts.payload_end]
        ids = self.facts.vp8 if self.placed is None else self.placed.vp8
        return payload if ids is None else shift_ids(payload, ids, self.run.vp8)

    def _marker(self) -> bool:
        return self.facts.marker if self.placed is None else self.placed.marker

    def _with_capture_time(self, packet: bytes) -> bytes:
        identifier, captured = self.run.capture_time_id, self.facts.captured
        return packet if identifier is None or captured is None else with_extension(packet, identifier, captured)

    def _extensions(self, sent_at: float) -> bytes:
        return timed_extensions(self.run.abs_send_time_id, sent_at, *self._described())

    def _described(self) -> tuple[int | None, DependencyDescriptor | None, int, int | None]:
        """Return the descriptor's id, itself, and how it is changed."""
        descriptor = None if self.facts.frame is None else self.facts.frame.descriptor
        targets = None if self.placed is None else self.placed.targets
        return self.run.descriptor_id, descriptor, self.run.frame_offset, targets


@dataclass(frozen=True, slots=True)
class ResendStatistics:
    """Packets sent again, those of them not for the first time, and those asked for in vain."""

    resent: int
    repeated: int
    refused: dict[Refusal, int]


class Resender(Generic[_FactsT]):
    """Answers one subscriber's NACKs for one stream. Memory is bounded, and sending costs nothing."""

    def __init__(self) -> None:
        self._runs: deque[Run] = deque(maxlen=MAX_RUNS)
        self._resent: dict[int, tuple[int, float]] = {}  # by number: how often, and when last
        self._is_held = False
        self._answers = self._repeated = 0
        self._refused: Counter[Refusal] = Counter()

    def begin(self, run: Run) -> None:
        """Send on like this from `run.first` on, which is above all numbers that were sent."""
        while self._runs and self._runs[-1].first >= run.first:
            self._runs.pop()  # nothing was sent in it
        self._runs.append(run)

    def hold(self) -> None:
        """The subscriber has given up on what it lost, and asked for a key frame: it needs nothing from before it."""
        self._is_held = True

    def release(self) -> None:
        """A key frame was sent."""
        self._is_held = False

    @property
    def repeated(self) -> int:
        """How many packets were sent again, and then again."""
        return self._repeated

    def answer(
        self,
        sequences: Iterable[int],
        *,
        highest: int,
        now: float,
        round_trip_seconds: float,
        find: Callable[[int, int], tuple[bytes, _FactsT] | None],
    ) -> list[Resend[_FactsT]]:
        """Return what to send again of `sequences`, 16-bit numbers that the subscriber misses.

        `highest` is the newest number that was sent. `find` looks up a packet by its source's epoch and its number in
        there, in the source's history.
        """
        outputs: list[Resend[_FactsT]] = []
        patience = min(MAX_INTERVAL_SECONDS, round_trip_seconds)
        for sequence in sequences:
            ruling = self._rule(unwrap(sequence, near=highest), highest, now - patience, find)
            if isinstance(ruling, Refusal):
                self._refused[ruling] += 1
                continue
            count, _ = self._resent.get(ruling.number, (0, 0.0))
            self._resent[ruling.number] = count + 1, now
            self._answers += 1
            self._repeated += count > 0
            outputs.append(ruling)
        if len(self._resent) > 2 * MAX_AGE:
            oldest = highest - MAX_AGE
            self._resent = {number: resent for number, resent in self._resent.items() if number > oldest}
        return outputs

    def statistics(self) -> ResendStatistics:
        """Return counts so far."""
        return ResendStatistics(self._answers, self._repeated, dict(self._refused))

    def _rule(
        self,
        number: int,
        highest: int,
        before: float,
        find: Callable[[int, int], tuple[bytes, _FactsT] | None],
    ) -> Resend[_FactsT] | Refusal:
        """Rule on one number; an answer given since `before` still stands."""
        if self._is_held:
            return Refusal.HELD
        run = self._run_of(number) if highest - MAX_AGE < number <= highest else None
        if run is None:
            return Refusal.UNKNOWN
        if (resent := self._resent.get(number)) is not None:
            count, resent_at = resent
            if count >= MAX_RESENDS:
                return Refusal.TOO_OFTEN
            if resent_at > before:
                return Refusal.TOO_SOON
        sequence: int | None = number - run.sequence_offset
        if run.selector is not None and sequence is not None:
            sequence = run.selector.source_sequence(sequence)
        found = None if sequence is None else find(run.epoch, sequence)
        if found is None:
            return Refusal.MISSING
        if run.selector is None:
            return Resend(number, run, *found)
        placed = run.selector.recall(found[1])
        return Refusal.LEFT_OUT if placed is None else Resend(number, run, *found, placed)

    def _run_of(self, number: int) -> Run | None:
        return next((run for run in reversed(self._runs) if number >= run.first), None)
