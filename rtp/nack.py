"""Which missing packets to ask a publisher for, and when to stop asking (RFC 4585 §3.5, §6.2.1).

Theory of operation. A gap in the sequence numbers may be packets that were overtaken, so each number is asked for
`REORDER_SECONDS` after it was missed, and then again each time that an answer is overdue: after one round trip, and
`BACKOFF` times as long with each further try, within bounds. A packet that does not come by then, or that we have no
room to remember, is given up: what follows refers to it, so only a key frame helps. A key frame that comes by itself
ends the wait for all before it.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

MAX_MISSING: Final = 100
"""Packets asked for at a time: of more, so many are lost that a key frame costs less."""

MAX_TRIES: Final = 5
"""Requests for one packet."""

REORDER_SECONDS: Final = 0.02
"""From a gap to the first request: packets overtake each other by less."""

MIN_INTERVAL_SECONDS: Final = 0.02
MAX_INTERVAL_SECONDS: Final = 0.4
"""Bounds for the time between two requests for one packet, whatever the round trip."""

BACKOFF: Final = 1.25
"""How much longer each request is waited for than the one before it."""

DEFAULT_ROUND_TRIP_SECONDS: Final = 0.07

ROUND_TRIP_WEIGHT: Final = 0.75
"""Of the newest measurement: the network of a moment ago says little."""


@dataclass(frozen=True, slots=True)
class Request:
    """Ask the publisher for these packets: unwrapped sequence numbers, ascending."""

    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeNeeded:
    """Packets were given up: a decoder can go on only at a key frame. Nothing to worry about in audio."""


NackOutput: TypeAlias = Request | KeyframeNeeded


@dataclass(frozen=True, slots=True)
class NackStatistics:
    """Counts so far, in packets.

    `missed` were skipped by a newer one; of these `requested` have been asked for, `recovered` came after that, and
    `abandoned` were given up. `requests` counts each time that each packet was asked for.
    """

    missed: int
    requested: int
    requests: int
    recovered: int
    abandoned: int


@dataclass(slots=True)
class _Missing:
    tries: int
    due: float
    asked_at: float


class NackGenerator:
    """Watches one incoming stream for gaps. Sequence numbers are unwrapped, `now` is monotonic seconds.

    A sender that has started anew is another stream: make another generator.
    """

    def __init__(self) -> None:
        self.round_trip_seconds = DEFAULT_ROUND_TRIP_SECONDS
        """What is believed of the way to the publisher and back."""
        self._highest: int | None = None
        self._missing: dict[int, _Missing] = {}  # by sequence, ascending: numbers are added only above the highest
        self._due: float | None = None
        self._missed = self._requested = self._requests = self._recovered = self._abandoned = 0

    def receive_packet(
        self, sequence: int, now: float, *, is_keyframe: bool = False, is_resend: bool = False
    ) -> list[NackOutput]:
        """Note a packet: media or padding, new or again.

        `is_keyframe` says that a key frame starts here; `is_resend` that it came as a retransmission (RFC 4588), and
        so can only be the answer to a request.
        """
        highest = self._highest
        if highest is None or sequence == highest + 1:
            self._highest = sequence
        elif sequence > highest:
            self._highest = sequence
            return self._miss(range(highest + 1, sequence), now, is_keyframe=is_keyframe)
        elif (missing := self._missing.pop(sequence, None)) is not None:
            self._receive_missing(missing, now, is_resend=is_resend)
        if is_keyframe and self._missing:
            self._forget_before(sequence)
        return []

    def measure_round_trip(self, seconds: float) -> None:
        """Take a new measurement of the way to the publisher and back."""
        self.round_trip_seconds += ROUND_TRIP_WEIGHT * (seconds - self.round_trip_seconds)

    def next_timeout(self) -> float | None:
        """Say when `handle_timeout` may have something to ask for."""
        return self._due

    def handle_timeout(self, now: float) -> list[NackOutput]:
        """Ask for what is due, and give up what has been asked for often enough."""
        if self._due is None or now < self._due:
            return []
        due = [sequence for sequence, missing in self._missing.items() if missing.due <= now]
        exhausted = [sequence for sequence in due if self._missing[sequence].tries >= MAX_TRIES]
        for sequence in exhausted:
            del self._missing[sequence]
        self._abandoned += len(exhausted)
        outputs: list[NackOutput] = [KeyframeNeeded()] if exhausted else []
        if wanted := tuple(sequence for sequence in due if sequence in self._missing):
            for sequence in wanted:
                self._ask(self._missing[sequence], now)
            outputs.append(Request(wanted))
        self._find_due()
        return outputs

    def statistics(self) -> NackStatistics:
        """Return counts so far."""
        return NackStatistics(self._missed, self._requested, self._requests, self._recovered, self._abandoned)

    def _miss(self, gap: range, now: float, *, is_keyframe: bool) -> list[NackOutput]:
        """Take note of the packets that were skipped by the newest."""
        self._missed += len(gap)
        if is_keyframe:  # nobody needs what came before it
            self._forget_before(gap.stop)
            return []
        kept = gap if len(gap) <= MAX_MISSING else range(0)
        abandoned = len(gap) - len(kept)
        room = MAX_MISSING - len(kept) if kept else 0  # what does not fit, and all that led up to it, is lost
        for sequence in list(self._missing)[: max(0, len(self._missing) - room)]:
            del self._missing[sequence]
            abandoned += 1
        for sequence in kept:
            self._missing[sequence] = _Missing(0, now + REORDER_SECONDS, now)
        self._find_due()
        self._abandoned += abandoned
        return [KeyframeNeeded()] if abandoned else []

    def _receive_missing(self, missing: _Missing, now: float, *, is_resend: bool) -> None:
        if missing.tries:
            self._recovered += 1
        if is_resend and missing.tries == 1:  # after more, nobody knows which one was answered (Karn's algorithm)
            self.measure_round_trip(now - missing.asked_at)
        if not self._missing:
            self._due = None

    def _forget_before(self, sequence: int) -> None:
        self._missing = {number: missing for number, missing in self._missing.items() if number > sequence}
        self._find_due()

    def _ask(self, missing: _Missing, now: float) -> None:
        self._requests += 1
        if not missing.tries:
            self._requested += 1
        interval = self.round_trip_seconds * BACKOFF**missing.tries
        missing.tries += 1
        missing.asked_at = now
        missing.due = now + max(MIN_INTERVAL_SECONDS, min(MAX_INTERVAL_SECONDS, interval))

    def _find_due(self) -> None:
        self._due = min((missing.due for missing in self._missing.values()), default=None)
