"""How much may be under way, and how long to wait for it (RFC 9260 §6.3, §7.2)."""

from typing import Final

from rtp.sctp.packet import MTU

INITIAL_RTO_SECONDS: Final = 1.0
MIN_RTO_SECONDS: Final = 0.4
MAX_RTO_SECONDS: Final = 10.0
"""Far below RFC 9260's 60 s: in a live call, what comes later than this comes too late."""

INITIAL_WINDOW_BYTES: Final = min(4 * MTU, max(2 * MTU, 4380))
MAX_WINDOW_BYTES: Final = 1 << 20


class RetransmissionTimeout:
    """RTO from measured round trips (RFC 9260 §6.3.1)."""

    def __init__(self) -> None:
        self.seconds = INITIAL_RTO_SECONDS
        self.smoothed_round_trip_seconds: float | None = None
        self._variation = 0.0

    def measure(self, round_trip_seconds: float) -> None:
        """Take in one round trip, of something that was sent only once (Karn's rule)."""
        smoothed = self.smoothed_round_trip_seconds
        if smoothed is None:
            smoothed, self._variation = round_trip_seconds, round_trip_seconds / 2
        else:
            self._variation += (abs(smoothed - round_trip_seconds) - self._variation) / 4
            smoothed += (round_trip_seconds - smoothed) / 8
        self.smoothed_round_trip_seconds = smoothed
        self.seconds = min(max(smoothed + 4 * self._variation, MIN_RTO_SECONDS), MAX_RTO_SECONDS)

    def back_off(self) -> None:
        """Double, after an expiry (§6.3.3 E2)."""
        self.seconds = min(2 * self.seconds, MAX_RTO_SECONDS)

    def restart(self) -> None:
        """Know nothing of round trips: packets go another way from now on."""
        self.seconds = INITIAL_RTO_SECONDS
        self.smoothed_round_trip_seconds = None


class CongestionWindow:
    """cwnd and ssthresh for one path (RFC 9260 §7.2.1 to §7.2.3)."""

    def __init__(self) -> None:
        self.bytes = INITIAL_WINDOW_BYTES
        self._threshold = MAX_WINDOW_BYTES
        self._partial_bytes_acked = 0

    def grow(self, acked_bytes: int, *, was_full: bool) -> None:
        """Take in that the cumulative TSN moved; `was_full`: before that, all of the window was under way."""
        if self.bytes <= self._threshold:
            if was_full:
                self.bytes = min(self.bytes + min(acked_bytes, MTU), MAX_WINDOW_BYTES)
            return
        self._partial_bytes_acked += acked_bytes
        if self._partial_bytes_acked >= self.bytes:
            self._partial_bytes_acked -= self.bytes
            if was_full:
                self.bytes = min(self.bytes + MTU, MAX_WINDOW_BYTES)

    def shrink(self) -> None:
        """Halve: something was lost that a later arrival betrayed (§7.2.3, fast retransmit)."""
        self._threshold = self.bytes = max(self.bytes // 2, 4 * MTU)
        self._partial_bytes_acked = 0

    def collapse(self) -> None:
        """Begin anew from one packet: T3 ran out (§7.2.3)."""
        self._threshold = max(self.bytes // 2, 4 * MTU)
        self.bytes = MTU
        self._partial_bytes_acked = 0
