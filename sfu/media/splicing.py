"""Where a subscriber's stream goes on with another source: the numbers and the time with which it does.

Receivers show frames by their timestamps: a step back freezes the picture, a step forward delays it. Arrival times are
no measure, since a key frame takes its time to arrive; but the publisher's sender reports put all its layers on one
wall clock (RFC 3550 §6.4.1), by which the time of one is that of any other.
"""

from typing import Final

from rtp.reception import SenderClock
from sfu.media.forwarder import Sent, Splice

MAX_LAG_SECONDS: Final = 0.05
"""A source may be entered at a frame that is older than the last one sent by no more than this: between them they
would show one moment twice, and the picture would seem to stand still."""

MAX_REFUSALS: Final = 3
"""After so many key frames that came too late, the next is taken: this publisher's layers are never in step."""

MAX_DEVIATION_SECONDS: Final = 2.0
"""A time further than this from what the clock on our wall says is not believed: the source's clock stood still while
it was muted, or its reports are wrong."""


def map_timestamp(timestamp: int, source: SenderClock, reference: SenderClock, clock_rate: int) -> int:
    """Return what the media clock of `reference` shows at the moment that is `timestamp` on that of `source`.

    Both are streams of one publisher, with one wall clock and clock rate. Timestamps may be wrapped (32 bits); the
    result is, and so is any that is computed from it.
    """
    since_report = _signed(timestamp - source.timestamp, 32)
    between_reports = _signed(source.ntp - reference.ntp, 64) * clock_rate / (1 << 32)
    return (reference.timestamp + round(between_reports) + since_report) & 0xFFFF_FFFF


def next_timestamp(mapped: int | None, *, sent: Sent, now: float, clock_rate: int) -> int | None:
    """Return the timestamp with which to go on after `sent`: always a later one.

    `mapped` is where the new source stands on the subscriber's clock, as far as that is known; if it is not, the time
    that has passed has to do. None: the source is behind what was sent, by more than can be glossed over.
    """
    expected = sent.timestamp + max(1, round((now - sent.at) * clock_rate))
    if mapped is None or abs(_signed(mapped - expected, 32)) > MAX_DEVIATION_SECONDS * clock_rate:
        return expected & 0xFFFF_FFFF
    ahead = _signed(mapped - sent.timestamp, 32)
    if ahead < -MAX_LAG_SECONDS * clock_rate:
        return None
    return (sent.timestamp + max(1, ahead)) & 0xFFFF_FFFF


class StreamSplicer:
    """Computes the offsets that make one stream of several sources, each called by its epoch.

    The first packet after a splice has the number after the highest that was sent. The first source keeps its
    timestamps; each other is put on the clock of the one before it.
    """

    def __init__(self, *, first_sequence: int, clock_rate: int) -> None:
        assert 0 <= first_sequence < 1 << 15, "a receiver that joins after a wrap cannot guess the roll-over counter"
        self._first_sequence = first_sequence
        self._clock_rate = clock_rate
        self._epoch: int | None = None
        self._timestamp_offset = 0
        self._refusals = 0

    @property
    def epoch(self) -> int | None:
        """The source that was spliced last: its sender clock is asked for at the next splice."""
        return self._epoch

    def forget_source(self, *, clock_rate: int) -> None:
        """What comes next has nothing to do with what came: its epochs are called alike, and mean others.

        Its clock may tick at another rate, in Hz: time goes on from where it was (RFC 7160 §4.1).
        """
        self._epoch = None
        self._clock_rate = clock_rate

    def splice(
        self,
        *,
        sequence: int,
        timestamp: int,
        epoch: int,
        now: float,
        sent: Sent | None,
        clock: SenderClock | None = None,
        last_clock: SenderClock | None = None,
    ) -> Splice | None:
        """Return the offsets with which this packet, the first from a source, continues what was `sent`.

        `clock` is what the source's publisher last said of its time, `last_clock` that of the source spliced last.
        None: stay with that one, and ask for another key frame.
        """
        if sent is None:
            next_sequence, offset = self._first_sequence, 0
        else:
            mapped = self._map(timestamp, epoch, clock, last_clock)
            following = next_timestamp(mapped, sent=sent, now=now, clock_rate=self._clock_rate)
            if following is None:
                self._refusals += 1
                if self._refusals <= MAX_REFUSALS:
                    return None
                following = sent.timestamp + 1
            next_sequence, offset = sent.sequence + 1, following - timestamp
        self._epoch = epoch
        self._timestamp_offset = offset
        self._refusals = 0
        return Splice(next_sequence - sequence, offset)

    def _map(self, timestamp: int, epoch: int, clock: SenderClock | None, last_clock: SenderClock | None) -> int | None:
        """Return where a source stands on the subscriber's clock; None if that cannot be known."""
        if epoch != self._epoch:
            if clock is None or last_clock is None:
                return None
            timestamp = map_timestamp(timestamp, clock, last_clock, self._clock_rate)
        return (timestamp + self._timestamp_offset) & 0xFFFF_FFFF


def _signed(number: int, bits: int) -> int:
    """Return the value closest to zero that is congruent to `number` modulo 2**bits."""
    half = 1 << (bits - 1)
    return ((number + half) & ((1 << bits) - 1)) - half
