"""What a visitor tells of how much it can be sent: nothing of interest, or what browsers do. Does no I/O."""

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from rtp.extensions import ABS_SEND_TIME, TRANSPORT_CC
from rtp.sdp.transceiver import Capabilities
from rtp.serial import unwrap

PLENTY_BPS: Final = 20_000_000
"""The estimate of who does not look."""

REMB_SECONDS: Final = 0.233
"""Between two estimates, as in Chromium 156."""

_TICKS: Final = 1 << 18  # of abs-send-time in a second


class BandwidthFeedback(Enum):
    """By what means a visitor lets the server know."""

    PLENTY = auto()
    """An estimate (REMB) that never changes: there is always room for more."""
    REMB = auto()
    """An estimate by when packets left and arrived."""
    TRANSPORT_CC = auto()
    """When each packet arrived: the server is to make its own estimate."""


def with_feedback(capabilities: Capabilities, feedback: BandwidthFeedback) -> Capabilities:
    """Return what is offered and answered by who gives this feedback."""
    if feedback is not BandwidthFeedback.TRANSPORT_CC:
        return capabilities
    return replace(
        capabilities,
        video=tuple(replace(codec, feedback=("transport-cc", *codec.feedback)) for codec in capabilities.video),
        video_extensions=(*(uri for uri in capabilities.video_extensions if uri != ABS_SEND_TIME), TRANSPORT_CC),
    )


GROUP_SECONDS: Final = 0.005
"""Packets that left within this time were one burst."""

BASE_SECONDS: Final = 10.0
"""Over which the least delay is that of a path without a queue."""

OVERUSE_SECONDS: Final = 0.06
"""A queue of this length that grows is too long."""

QUIET_SECONDS: Final = 0.02
"""A queue of less is none."""

RATE_SECONDS: Final = 0.5
BACK_OFF: Final = 0.85
GROWTH: Final = 1.08
"""In a second."""

FIRST_SHARE: Final = 0.8
MAX_SHARE: Final = 1.5
"""Of what arrives: where the estimate begins, and what it never exceeds by growing."""

BACK_OFF_SECONDS: Final = 0.3
"""Between two."""


@dataclass(slots=True)
class _Burst:
    sent_at: float
    arrived_at: float
    delay: float


class ReceiverEstimator:
    """Estimates what can be received, by when packets left (abs-send-time) and arrived; as browsers do, but simpler.

    The delay of bursts is compared with the least of late. Where a queue grows the estimate falls to less than what
    arrives, and while there is none it grows slowly, up to a little more than that.
    """

    def __init__(self) -> None:
        self.bitrate_bps: float | None = None
        self._ticks: int | None = None
        self._burst: _Burst | None = None
        self._delays: deque[tuple[float, float]] = deque()  # arrival and delay of bursts
        self._arrivals: deque[tuple[float, int]] = deque()
        self._first_at = 0.0
        self._grown_at = 0.0
        self._backed_off_at = float("-inf")

    def receive(self, send_time: int, size: int, now: float) -> None:
        """Take note of a packet of `size` bytes, with its 24-bit send time."""
        self._ticks = send_time if self._ticks is None else unwrap(send_time, near=self._ticks, bits=24)
        sent_at = self._ticks / _TICKS
        if not self._arrivals and self.bitrate_bps is None:
            self._first_at = now
        self._arrivals.append((now, size))
        while now - self._arrivals[0][0] > RATE_SECONDS:
            self._arrivals.popleft()
        burst = self._burst
        if burst is None or not 0 <= sent_at - burst.sent_at <= GROUP_SECONDS:
            if burst is not None:
                self._judge(burst, now)
            self._burst = _Burst(sent_at, now, now - sent_at)

    def take(self, now: float) -> int | None:
        """Return the estimate, a little grown since the last time; None before anything is known."""
        arriving = 8 * sum(size for _, size in self._arrivals) / RATE_SECONDS
        if self.bitrate_bps is None:
            if not self._arrivals or now < self._first_at + RATE_SECONDS:
                return None
            self.bitrate_bps = FIRST_SHARE * arriving
        elif self._delays and self._queue() < QUIET_SECONDS and self.bitrate_bps < MAX_SHARE * arriving:
            grown = self.bitrate_bps * GROWTH ** (now - self._grown_at)
            self.bitrate_bps = min(grown, MAX_SHARE * arriving)
        self._grown_at = now
        return round(self.bitrate_bps)

    def _queue(self) -> float:
        """Return how long the newest burst had to wait, in seconds."""
        return self._delays[-1][1] - min(delay for _, delay in self._delays)

    def _judge(self, burst: _Burst, now: float) -> None:
        before = self._queue() if self._delays else 0.0
        self._delays.append((now, burst.delay))
        while now - self._delays[0][0] > BASE_SECONDS:
            self._delays.popleft()
        queue = self._queue()
        if self.bitrate_bps is None or queue < OVERUSE_SECONDS or queue <= before:
            return
        if now >= self._backed_off_at + BACK_OFF_SECONDS:
            self._backed_off_at = now
            arriving = 8 * sum(size for _, size in self._arrivals) / RATE_SECONDS
            self.bitrate_bps = min(self.bitrate_bps, BACK_OFF * arriving)
