"""When the packets of one transport arrived: what their sender's bandwidth estimate goes by.

Every packet with a transport-wide number counts, on whatever SSRC: what is left out looks lost, and a browser that sees
such loss stays at what it starts with.
"""

from typing import Final

from rtp.rtcp.transport_cc import (
    MAX_DELTA,
    MIN_DELTA,
    REFERENCE_TICKS,
    TICK_SECONDS,
    TransportCcFeedback,
)
from rtp.serial import unwrap
from rtp.units import Ssrc

FEEDBACK_SECONDS: Final = 0.05
"""Between two messages while packets come: told with the next packet, for which we are awake anyway."""

TAIL_SECONDS: Final = 0.25
"""After which what is left is told, if no packet comes."""

MAX_SPAN: Final = 1_000
"""Packets that one message speaks of. A greater gap is no loss but another start."""

MAX_TOLD: Final = 400
"""Arrivals in one message: with what is missing between them it has some 1,100 bytes at most."""


class ArrivalLog:
    """Notes arrivals, and tells of them, so that none is kept for long. Times are in seconds on one monotonic clock."""

    def __init__(self, sender_ssrc: Ssrc) -> None:
        self._sender_ssrc = sender_ssrc
        self._arrivals: dict[int, int] = {}  # ticks by number, unwrapped, of those that have not been told
        self._highest: int | None = None
        self._next: int | None = None  # the number after the last that was told of
        self._told_at = 0.0  # or when the first packet came
        self._media_ssrc = Ssrc(0)
        self._count = 0

    def note(self, sequence: int, media_ssrc: Ssrc, now: float) -> None:
        """Note that the packet with this transport-wide number, of 16 bits, has arrived."""
        if self._highest is None:
            self._told_at, self._highest = now, sequence
        number = unwrap(sequence, near=self._highest)
        if abs(number - self._highest) > MAX_SPAN:
            self._arrivals.clear()
            self._next, self._highest = None, number
        self._highest = max(self._highest, number)
        self._media_ssrc = media_ssrc
        self._arrivals.setdefault(number, round(now / TICK_SECONDS))

    def is_due(self, now: float) -> bool:
        """Say whether it is time to tell, as a packet has come."""
        return now >= self._told_at + FEEDBACK_SECONDS and bool(self._arrivals)

    def next_timeout(self) -> float | None:
        """Return when to tell of what is left if no packet comes."""
        return self._told_at + TAIL_SECONDS if self._arrivals else None

    def take(self, now: float) -> list[TransportCcFeedback]:
        """Return what is to be told now, and forget it."""
        self._told_at = now
        numbers = sorted(self._arrivals)
        messages: list[TransportCcFeedback] = []
        while numbers:
            messages.append(self._message(numbers))
        self._arrivals.clear()
        return messages

    def _message(self, numbers: list[int]) -> TransportCcFeedback:
        """Tell of as many as one message can, and take them from the list.

        One that comes late is told alone, or with those right after it: of the others around it has been told.
        """
        first = numbers[0]
        base = first if self._next is None or first - self._next > MAX_SPAN else min(self._next, first)
        is_late = self._next is not None and first < self._next
        reference = self._arrivals[first] // REFERENCE_TICKS
        last = reference * REFERENCE_TICKS
        deltas: list[int | None] = []
        told = 0
        while numbers and numbers[0] - base < MAX_SPAN and told < MAX_TOLD:
            delta = self._arrivals[numbers[0]] - last
            if not MIN_DELTA <= delta <= MAX_DELTA or (is_late and numbers[0] != base + len(deltas)):
                break
            number = numbers.pop(0)
            deltas += [None] * (number - base - len(deltas))
            deltas.append(delta)
            told += 1
            last += delta
        self._next = base + len(deltas) if self._next is None else max(base + len(deltas), self._next)
        self._count += 1
        return TransportCcFeedback(
            self._sender_ssrc, self._media_ssrc, base & 0xFFFF, reference, (self._count - 1) & 0xFF, tuple(deltas)
        )
