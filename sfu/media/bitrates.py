"""How much of each layer of a track comes in, and of what is within: what it would cost to send it on.

Nobody keeps a timer for this: whoever asks takes the sample, if the last one is old enough, for all who ask after it;
and somebody asks with each report to the publisher.
"""

from typing import Final

SAMPLE_SECONDS: Final = 0.5
"""The least time over which a rate is taken: some frames of any video."""

FALLING_WEIGHT: Final = 0.25
"""Of the newest sample, if it is below what was measured before: a pause in what is filmed is no cheaper layer."""

RISING_WEIGHT: Final = 0.5

OVERHEAD_BYTES: Final = 20
"""Of each packet that we send, beside its payload: RTP's header and one extension."""


class BitrateMeter:
    """Measures one stream. Times are monotonic seconds; what is measured is in bit/s, None before there is a sample."""

    __slots__ = ("_at", "_bytes", "bitrate_bps")

    def __init__(self) -> None:
        self.bitrate_bps: int | None = None
        self._at: float | None = None
        self._bytes = 0

    def sample(self, packets: int, octets: int, now: float) -> int | None:
        """Return the bitrate, given how many packets and bytes of payload there were ever."""
        total = octets + OVERHEAD_BYTES * packets
        if self._at is None:
            self._at, self._bytes = now, total
        elif now >= self._at + SAMPLE_SECONDS:
            newest = 8 * (total - self._bytes) / (now - self._at)
            self._at, self._bytes = now, total
            before = self.bitrate_bps
            if before is None:
                self.bitrate_bps = round(newest)
            else:
                weight = FALLING_WEIGHT if newest < before else RISING_WEIGHT
                self.bitrate_bps = round(before + weight * (newest - before))
        return self.bitrate_bps


class InnerMeter:
    """Measures the spatial and temporal layers within one stream, as a `BitrateMeter` measures the whole."""

    __slots__ = ("_counts", "_meters")

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], list[int]] = {}  # packets and bytes of payload
        self._meters: dict[tuple[int, int], BitrateMeter] = {}

    def count(self, spatial: int, temporal: int, octets: int) -> None:
        """Count a packet of `octets` bytes of payload."""
        counts = self._counts.get((spatial, temporal))
        if counts is None:
            counts = self._counts[spatial, temporal] = [0, 0]
            self._meters[spatial, temporal] = BitrateMeter()
        counts[0] += 1
        counts[1] += octets

    def sample(self, now: float) -> dict[tuple[int, int], int]:
        """Return what is known of each, by spatial and temporal layer."""
        samples = {at: self._meters[at].sample(packets, octets, now) for at, (packets, octets) in self._counts.items()}
        return {at: bitrate for at, bitrate in samples.items() if bitrate}
