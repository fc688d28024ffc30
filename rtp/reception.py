"""What one SSRC's receiver knows: which packets came, and what to report of them (RFC 3550 §6.4.1, A.1, A.3, A.8).

Theory of operation. Sequence numbers and timestamps are unwrapped here, once, and never wrap again for anyone further
on. A packet *fits* if both its numbers agree with what came before: newer by sequence, not by too much, and not older
by timestamp; or older by sequence, within a window, and by timestamp no newer and no older than the stream. What does
not fit is `SUSPECT` and to be dropped; but five such packets in sequence with nothing fitting between them are a sender
that has started anew, and the fifth is `RESTARTED`: reckoning begins again with it, in numbers above all earlier ones.
"""

from array import array
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from rtp.packet import RtpHeader
from rtp.rtcp.reports import ReportBlock
from rtp.serial import compact_ntp, unwrap
from rtp.units import Ssrc

WINDOW: Final = 2048
"""How many sequence numbers back duplicates are known. Resends without RTX come on the media's own SSRC, seconds late."""

MAX_DROPOUT: Final = 3000
"""The largest gap taken for loss, in packets (RFC 3550 A.1): a larger one may be a new source's random number."""

RESTART_PACKETS: Final = 5
"""How many packets in sequence make a restart. RFC 3550 A.1 takes two; two stray resends would do that."""

MAX_TRANSIT_CHANGE_SECONDS: Final = 5.0
"""A change of transit time beyond this is a sender that stopped its media clock for a pause, not jitter."""

MAX_REPORT_OFFSET_SECONDS: Final = 60.0
"""How far a sender report's RTP time may lie from the packets': beyond it, it speaks of another run of the clock."""

_NEVER: Final = -(1 << 40)  # no sequence number is this low


class Verdict(Enum):
    """What a packet is to its stream."""

    NEWEST = auto()
    """Newer than all before it. Numbers it skips are missing for now."""
    LATE = auto()
    """Missing until now."""
    RESTARTED = auto()
    """The first of a new source on the same SSRC: nothing before it belongs to what follows."""
    DUPLICATE = auto()
    """Seen before: drop it."""
    SUSPECT = auto()
    """Does not fit what came before: drop it, unless more of the kind show that the sender has restarted."""
    EARLY = auto()
    """Nothing but padding, before any media: a bandwidth probe, on which no stream may start. Drop it."""


@dataclass(slots=True)
class Arrival:
    """A packet in its stream, its numbers unwrapped. They mean nothing if it is to be dropped."""

    verdict: Verdict
    sequence: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class SenderClock:
    """One instant on the sender's wall clock (64-bit NTP), on its media clock (unwrapped ticks), and its arrival here."""

    ntp: int
    timestamp: int
    arrived_at: float


@dataclass(frozen=True, slots=True)
class ReceptionStatistics:
    """Counts since the SSRC was first heard, over all restarts.

    `packets` fitted and were new, padding-only ones included, and `octets` are their payload; `lost` may still come.
    `suspects` were dropped, and so were `duplicates`, `early` padding and sender reports in `reports_ignored`.
    """

    packets: int
    octets: int
    lost: int
    late: int
    duplicates: int
    suspects: int
    early: int
    restarts: int
    reports_ignored: int
    jitter_seconds: float


class Reception:
    """Keeps the books on one incoming SSRC of media. Each packet costs the same, and memory does not grow.

    Not for an SSRC of retransmissions (RFC 4588): its timestamps are those of the packets that it repeats, and go back.
    """

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self.sender_clock: SenderClock | None = None
        """The last sender report of this run of the stream: what lines it up with other streams."""
        self._started = False
        self._seen = array("q", [_NEVER]) * WINDOW  # at sequence modulo WINDOW, the last sequence seen there
        self._base = self._highest = 0
        self._first_timestamp = self._timestamp = 0  # of the run's first packet, and of its newest
        self._arrived_at = 0.0  # of the newest
        self._transit = self._jitter = 0.0  # in ticks
        self._suspect_next = self._suspects_in_sequence = 0
        # Counts never go back; what they were when this run began is kept beside them.
        self._packets = self._packets_before = 0
        self._heard_before = 0  # packets and duplicates
        self._lost_before = 0
        self._expected_reported = self._heard_reported = 0
        self._octets = self._late = self._duplicates = self._suspects = self._early = 0
        self._restarts = self._reports_ignored = 0

    def receive(self, header: RtpHeader, now: float, size: int) -> Arrival:
        """Rule on one packet. `size` is its payload's, padding taken off: 0 for nothing but padding."""
        if not self._started:
            return self._start(header, now, size)
        highest = self._highest
        gap = ((header.sequence - highest + 0x8000) & 0xFFFF) - 0x8000
        # After hours of silence the timestamp may be more than half its range on: time says how many times it wrapped.
        expected = self._timestamp + int((now - self._arrived_at) * self.clock_rate)
        timestamp = expected - 0x8000_0000 + ((header.timestamp - expected + 0x8000_0000) & 0xFFFF_FFFF)
        sequence = highest + gap
        if 0 < gap <= MAX_DROPOUT and timestamp >= self._timestamp:
            verdict = Verdict.NEWEST
            if timestamp != self._timestamp:
                self._measure_jitter(timestamp, now)
            self._highest = sequence
            self._timestamp = timestamp
            self._arrived_at = now
        elif -WINDOW < gap <= 0 and self._first_timestamp <= timestamp <= self._timestamp:
            if self._seen[sequence % WINDOW] == sequence:
                self._duplicates += 1
                return Arrival(Verdict.DUPLICATE, sequence, timestamp)
            verdict = Verdict.LATE
            self._late += 1
            self._base = min(self._base, sequence)  # the first frame's packets may overtake each other
        else:
            return self._suspect(header, now, size)
        self._seen[sequence % WINDOW] = sequence
        self._suspects_in_sequence = 0
        self._packets += 1
        self._octets += size
        return Arrival(verdict, sequence, timestamp)

    def has_received(self, sequence: int) -> bool:
        """Say whether a packet of this number, as sent, has come lately."""
        number = unwrap(sequence, near=self._highest)
        return self._seen[number % WINDOW] == number

    def receive_sender_report(self, ntp: int, rtp_timestamp: int, now: float) -> None:
        """Note a sender report on this SSRC: its 64-bit NTP time and the RTP timestamp of the same instant.

        Ignored: one that was overtaken (both its times go back), one whose RTP time is far from the packets', and any
        before the first packet. A step of the sender's wall clock alone is believed.
        """
        if not self._started:
            self._reports_ignored += 1
            return
        expected = self._timestamp + int((now - self._arrived_at) * self.clock_rate)
        timestamp = unwrap(rtp_timestamp, near=expected, bits=32)
        last = self.sender_clock
        overtaken = last is not None and ntp <= last.ntp and timestamp <= last.timestamp
        if overtaken or abs(timestamp - expected) > MAX_REPORT_OFFSET_SECONDS * self.clock_rate:
            self._reports_ignored += 1
            return
        self.sender_clock = SenderClock(ntp, timestamp, now)

    def report_block(self, ssrc: Ssrc, now: float) -> ReportBlock | None:
        """Return what to report of `ssrc` in the next receiver report, and begin a new interval for the fraction lost.

        None before the first packet: there is nothing to tell.
        """
        if not self._started:
            return None
        # "The number of packets received includes any which are late or duplicates" (RFC 3550 §6.4.1).
        expected = self._highest - self._base + 1
        heard = self._packets + self._duplicates - self._heard_before
        expected_since = expected - self._expected_reported
        lost_since = expected_since - (heard - self._heard_reported)
        self._expected_reported = expected
        self._heard_reported = heard
        clock = self.sender_clock
        return ReportBlock(
            ssrc=ssrc,
            fraction_lost=min(255, (lost_since << 8) // expected_since) if lost_since > 0 else 0,
            packets_lost=max(-0x80_0000, min(0x7F_FFFF, expected - heard)),
            highest_sequence=self._highest & 0xFFFF_FFFF,
            jitter=int(self._jitter) & 0xFFFF_FFFF,
            last_sender_report=compact_ntp(clock.ntp) if clock else 0,
            delay_since=min(0xFFFF_FFFF, int((now - clock.arrived_at) * 0x1_0000)) if clock else 0,
        )

    @property
    def jitter_seconds(self) -> float:
        """How unevenly packets come, smoothed (RFC 3550 §6.4.1)."""
        return self._jitter / self.clock_rate

    def statistics(self) -> ReceptionStatistics:
        """Return counts so far."""
        return ReceptionStatistics(
            packets=self._packets,
            octets=self._octets,
            lost=self._lost(),
            late=self._late,
            duplicates=self._duplicates,
            suspects=self._suspects,
            early=self._early,
            restarts=self._restarts,
            reports_ignored=self._reports_ignored,
            jitter_seconds=self.jitter_seconds,
        )

    def _start(self, header: RtpHeader, now: float, size: int) -> Arrival:
        if not size:
            self._early += 1
            return Arrival(Verdict.EARLY, header.sequence, header.timestamp)
        self._started = True
        self._begin(header.sequence, header.timestamp, now, size)
        return Arrival(Verdict.NEWEST, header.sequence, header.timestamp)

    def _begin(self, sequence: int, timestamp: int, now: float, size: int) -> None:
        """Begin a run of the stream with this packet (RFC 3550 A.1, `init_seq`)."""
        self._base = self._highest = sequence
        self._first_timestamp = self._timestamp = timestamp
        self._arrived_at = now
        self._transit = now * self.clock_rate - timestamp
        self._jitter = 0.0
        self._seen[sequence % WINDOW] = sequence
        self._suspects_in_sequence = 0
        self._packets += 1
        self._octets += size

    def _suspect(self, header: RtpHeader, now: float, size: int) -> Arrival:
        """Rule on a packet that does not fit; a run of them is a new source, which may not start on padding either."""
        if header.sequence != self._suspect_next:
            self._suspects_in_sequence = 0
        self._suspects_in_sequence += 1
        self._suspect_next = (header.sequence + 1) & 0xFFFF
        if self._suspects_in_sequence < RESTART_PACKETS or not size:
            self._suspects += 1
            return Arrival(Verdict.SUSPECT, header.sequence, header.timestamp)
        self._restarts += 1
        self._lost_before = self._lost()
        self._packets_before = self._packets
        self._heard_before = self._packets + self._duplicates
        self._expected_reported = self._heard_reported = 0
        self.sender_clock = None
        # Above all numbers of the run before, and so far above that late packets of this run are too.
        floor = self._highest + WINDOW
        sequence = floor + ((header.sequence - floor) & 0xFFFF)
        timestamp = self._timestamp + 1 + ((header.timestamp - self._timestamp - 1) & 0xFFFF_FFFF)
        self._begin(sequence, timestamp, now, size)
        return Arrival(Verdict.RESTARTED, sequence, timestamp)

    def _measure_jitter(self, timestamp: int, now: float) -> None:
        """Note the first packet of a frame (RFC 3550 A.8): those after it are late by the sender's own pacing."""
        transit = now * self.clock_rate - timestamp
        change = abs(transit - self._transit)
        self._transit = transit
        if change < MAX_TRANSIT_CHANGE_SECONDS * self.clock_rate:
            self._jitter += (change - self._jitter) / 16

    def _lost(self) -> int:
        if not self._started:
            return 0
        return self._lost_before + (self._highest - self._base + 1) - (self._packets - self._packets_before)
