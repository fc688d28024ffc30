from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.packet import RtpHeader, build_packet, parse_header, payload_end
from rtp.reception import MAX_DROPOUT, WINDOW, Arrival, Reception, SenderClock, Verdict
from rtp.units import Ssrc
from tests.rtp.wire import recorded_rtp

SSRC = Ssrc(7)
RATE = 48_000
TICKS = 960  # of one packet of 20 ms


def header(sequence: int, timestamp: int) -> RtpHeader:
    return parse_header(
        build_packet(
            payload_type=111, sequence=sequence % (1 << 16), timestamp=timestamp % (1 << 32), ssrc=SSRC, payload=b"x"
        )
    )


class Stream:
    """A source whose packets are numbered together in sequence and time, and arrive when it sends them."""

    def __init__(self, first_sequence: int = 1000, first_timestamp: int = 50_000) -> None:
        self.reception = Reception(RATE)
        self.sequence = first_sequence
        self.timestamp = first_timestamp

    def receive(self, number: int, *, size: int = 100) -> Arrival:
        """Hand over packet `number`, counted from 0."""
        return self.reception.receive(
            header(self.sequence + number, self.timestamp + number * TICKS), number * 0.02, size
        )

    def verdicts(self, numbers: Iterable[int]) -> list[str]:
        return [self.receive(number).verdict.name for number in numbers]

    def report(self) -> tuple[int, int]:
        """Return fraction lost, in 1/256, and packets lost."""
        block = self.reception.report_block(SSRC, 100.0)
        assert block is not None
        return block.fraction_lost, block.packets_lost


@pytest.mark.parametrize(
    ("numbers", "verdicts"),
    [
        ([0, 1, 2], "NEWEST NEWEST NEWEST"),
        ([0, 2, 3], "NEWEST NEWEST NEWEST"),
        ([0, 2, 1], "NEWEST NEWEST LATE"),
        ([0, 0, 1, 0], "NEWEST DUPLICATE NEWEST DUPLICATE"),
        ([0, 2, 1, 1], "NEWEST NEWEST LATE DUPLICATE"),
        ([0, MAX_DROPOUT], "NEWEST NEWEST"),
        ([0, MAX_DROPOUT + 1], "NEWEST SUSPECT"),
        ([0, WINDOW, 1], "NEWEST NEWEST LATE"),
        ([0, WINDOW, 0], "NEWEST NEWEST SUSPECT"),
        ([1, 0], "NEWEST SUSPECT"),  # older than the stream
    ],
)
@pytest.mark.parametrize("first_sequence", [1000, 0, 0xFFFF, 0xFFFE, 0xFFFF - WINDOW])
def test_packets_are_ruled_on_by_their_place(numbers: list[int], verdicts: str, first_sequence: int) -> None:
    assert Stream(first_sequence).verdicts(numbers) == verdicts.split()


def test_numbers_are_unwrapped() -> None:
    stream = Stream(first_sequence=0xFFFE, first_timestamp=0xFFFF_FFFF - TICKS)
    arrivals = [stream.receive(number) for number in (0, 1, 3, 2)]
    assert [arrival.sequence - 0xFFFE for arrival in arrivals] == [0, 1, 3, 2]
    assert [arrival.timestamp - stream.timestamp for arrival in arrivals] == [0, TICKS, 3 * TICKS, 2 * TICKS]
    block = stream.reception.report_block(SSRC, 1.0)
    assert block is not None
    assert block.highest_sequence == 0x1_0001


def test_a_timestamp_is_unwrapped_by_time_after_hours_of_silence() -> None:
    reception = Reception(90_000)
    reception.receive(header(1, 0), 0.0, 100)
    seven_hours = 7 * 3600  # more than half the range of the timestamp, which would look like going back
    arrival = reception.receive(header(2, seven_hours * 90_000), float(seven_hours), 100)
    assert arrival == Arrival(Verdict.NEWEST, 2, seven_hours * 90_000)


def test_packets_of_the_first_frame_may_overtake_each_other() -> None:
    reception = Reception(90_000)
    assert reception.receive(header(0, 3000), 0.0, 100).verdict is Verdict.NEWEST
    assert reception.receive(header(-1, 3000), 0.0, 100) == Arrival(Verdict.LATE, -1, 3000)
    assert reception.statistics().lost == 0
    assert reception.receive(header(-2, 2999), 0.0, 100).verdict is Verdict.SUSPECT


def test_a_stream_does_not_start_on_padding_but_may_hold_it() -> None:
    stream = Stream()
    assert stream.receive(0, size=0).verdict is Verdict.EARLY
    assert stream.reception.report_block(SSRC, 1.0) is None
    assert stream.receive(1).verdict is Verdict.NEWEST
    assert stream.receive(2, size=0).verdict is Verdict.NEWEST
    statistics = stream.reception.statistics()
    assert (statistics.early, statistics.packets, statistics.octets, statistics.lost) == (1, 2, 100, 0)


def test_loss_is_reported_for_the_interval_and_in_all() -> None:
    stream = Stream()
    stream.verdicts([0, 1, 2, 3, 5, 6, 7, 9])
    assert stream.report() == (2 * 256 // 10, 2)
    stream.verdicts(range(10, 20))
    assert stream.report() == (0, 2)
    stream.verdicts([4, 8])  # came after all
    assert stream.report() == (0, 0)
    assert stream.report() == (0, 0)  # nothing new


def test_duplicates_count_against_loss_in_reports_but_not_in_statistics() -> None:
    # RFC 3550 §6.4.1: "the loss may be negative if there are duplicates"
    stream = Stream()
    stream.verdicts([0, 1, 1, 1, 3])
    assert stream.report() == (0, -1)
    statistics = stream.reception.statistics()
    assert (statistics.packets, statistics.duplicates, statistics.lost) == (3, 2, 1)


def test_a_wholly_lost_interval_is_reported_as_255_at_most() -> None:
    stream = Stream()
    stream.receive(0)
    stream.report()
    stream.receive(MAX_DROPOUT)
    assert stream.report() == (255, MAX_DROPOUT - 1)


def test_packets_lost_stays_within_24_bits() -> None:
    stream = Stream()
    for number in range(0, 3000 * (MAX_DROPOUT - 1), MAX_DROPOUT - 1):
        assert stream.receive(number).verdict is Verdict.NEWEST
    assert stream.report() == (255, 0x7F_FFFF)
    assert stream.reception.statistics().lost > 0x7F_FFFF


@pytest.mark.parametrize(
    ("sequence", "timestamp"),
    [
        (40_000, 3_000_000_000),  # both numbers anew
        (1011, 3_000_000_000),  # in sequence, but time goes back
        (1000, 3_000_000_000),  # seen numbers, at another time
        (1005, 70_000),  # older by sequence, newer by time
        (900, 40_000),  # before the start
        (5000, 70_000),  # too far on
    ],
)
def test_five_misfits_in_sequence_are_a_new_source(sequence: int, timestamp: int) -> None:
    stream = Stream()
    stream.verdicts(range(10))
    old = stream.receive(10)
    stream.sequence, stream.timestamp = sequence - 11, timestamp - 11 * TICKS
    assert stream.verdicts(range(11, 15)) == ["SUSPECT"] * 4
    arrival = stream.receive(15)
    assert arrival.verdict is Verdict.RESTARTED
    assert arrival.sequence % (1 << 16) == (sequence + 4) % (1 << 16)
    assert arrival.timestamp % (1 << 32) == timestamp + 4 * TICKS
    assert arrival.sequence > old.sequence + WINDOW
    assert arrival.timestamp > old.timestamp
    assert stream.verdicts([16, 16, 18, 17]) == ["NEWEST", "DUPLICATE", "NEWEST", "LATE"]


def test_a_packet_that_fits_ends_a_row_of_misfits() -> None:
    stream = Stream()
    stream.verdicts(range(5000, 5010))
    strays = [0, 1, 2, 3]  # resent long after, from before the stream
    assert stream.verdicts([*strays, 5010, 4, 5, 6, 7, 5011]) == [
        *["SUSPECT"] * 4,
        "NEWEST",
        *["SUSPECT"] * 4,
        "NEWEST",
    ]


def test_a_gap_among_misfits_begins_their_count_again() -> None:
    stream = Stream()
    stream.verdicts(range(20_000, 20_010))
    assert stream.verdicts([0, 1, 2, 4, 5, 6, 7, 8]) == ["SUSPECT"] * 7 + ["RESTARTED"]


def test_a_new_source_does_not_start_on_padding_either() -> None:
    stream = Stream()
    stream.verdicts(range(20_000, 20_010))
    assert {stream.receive(number, size=0).verdict for number in range(8)} == {Verdict.SUSPECT}
    assert stream.receive(8).verdict is Verdict.RESTARTED


def test_a_restart_begins_the_reports_again_and_keeps_the_counts() -> None:
    stream = Stream()
    stream.verdicts([20_000, 20_002])
    stream.reception.receive_sender_report(1 << 40, stream.timestamp + 20_002 * TICKS, 400.0)
    assert stream.report() == (256 // 3, 1)
    stream.verdicts(range(5))
    assert stream.reception.sender_clock is None
    assert stream.report() == (0, 0)
    stream.verdicts([6])
    assert stream.report() == (128, 1)
    statistics = stream.reception.statistics()
    assert (statistics.packets, statistics.lost, statistics.suspects, statistics.restarts) == (4, 2, 4, 1)


def test_a_steady_stream_has_no_jitter() -> None:
    stream = Stream()
    stream.verdicts(range(100))
    assert stream.reception.statistics().jitter_seconds == pytest.approx(0, abs=1e-9)


def test_jitter_is_a_running_mean_of_changes_in_transit() -> None:
    reception = Reception(RATE)
    for number, late in enumerate((0.0, 0.010, 0.010, 0.0)):
        reception.receive(header(number, number * TICKS), number * 0.02 + late, 100)
    # RFC 3550 A.8: J += (|D| - J) / 16, with D = 480, 0, 480 ticks
    first = 480 / 16
    second = first - first / 16
    third = second + (480 - second) / 16
    block = reception.report_block(SSRC, 1.0)
    assert block is not None
    assert block.jitter == int(third)
    assert reception.statistics().jitter_seconds == pytest.approx(third / RATE)


def test_jitter_is_measured_once_a_frame() -> None:
    reception = Reception(90_000)
    for packet in range(30):  # ten frames of three packets, paced over 20 ms of their 33
        frame, place = divmod(packet, 3)
        reception.receive(header(packet, frame * 3000), frame / 30 + place * 0.01, 1000)
    assert reception.statistics().jitter_seconds == pytest.approx(0, abs=1e-9)


def test_a_media_clock_that_stood_still_is_no_jitter() -> None:
    stream = Stream()
    stream.verdicts(range(10))
    stream.reception.receive(header(stream.sequence + 10, stream.timestamp + 10 * TICKS), 60.0, 100)
    stream.reception.receive(header(stream.sequence + 11, stream.timestamp + 11 * TICKS), 60.02, 100)
    assert stream.reception.statistics().jitter_seconds == pytest.approx(0, abs=1e-9)


def test_a_report_block_says_when_the_last_sender_report_came() -> None:
    stream = Stream()
    stream.receive(0)
    block = stream.reception.report_block(SSRC, 1.0)
    assert block is not None
    assert (block.last_sender_report, block.delay_since) == (0, 0)
    stream.reception.receive_sender_report(0xEEADC0BD_AB749ADC, stream.timestamp, 1.0)
    block = stream.reception.report_block(SSRC, 1.5)
    assert block is not None
    assert (block.last_sender_report, block.delay_since) == (0xC0BDAB74, 0x8000)


def test_the_sender_clock_is_unwrapped_like_the_packets() -> None:
    stream = Stream(first_timestamp=0xFFFF_FFFF)
    stream.receive(0)
    stream.reception.receive_sender_report(1 << 32, 99, 0.1)
    assert stream.reception.sender_clock == SenderClock(1 << 32, (1 << 32) + 99, 0.1)


@pytest.mark.parametrize(
    ("ntp_seconds", "ticks", "believed"),
    [
        (101, RATE, True),
        (99, -RATE, False),  # overtaken
        (100, 0, False),  # came twice
        (50, RATE, True),  # the wall clock was set back
        (101, 59 * RATE, True),
        (101, 62 * RATE, False),  # of another clock
        (101, -62 * RATE, False),
    ],
)
def test_sender_reports_that_cannot_be_are_ignored(ntp_seconds: int, ticks: int, *, believed: bool) -> None:
    stream = Stream()
    stream.receive(0)
    stream.reception.receive_sender_report(100 << 32, stream.timestamp, 0.5)
    stream.reception.receive_sender_report(ntp_seconds << 32, (stream.timestamp + ticks) % (1 << 32), 1.0)
    clock = stream.reception.sender_clock
    assert clock is not None
    assert (clock.ntp == ntp_seconds << 32 and clock.arrived_at == 1.0) == believed
    assert stream.reception.statistics().reports_ignored == (not believed)


def test_a_sender_report_before_the_first_packet_is_ignored() -> None:
    reception = Reception(RATE)
    reception.receive_sender_report(1 << 32, 5, 0.0)
    assert reception.sender_clock is None
    assert reception.statistics().reports_ignored == 1


def test_every_packet_of_the_recorded_media_streams_fits() -> None:
    receptions: dict[tuple[str, int], Reception] = {}
    media = [recorded for recorded in recorded_rtp() if recorded.what not in ("rtx", "rtx-padding")]
    for recorded in media:
        parsed = parse_header(recorded.packet)
        rate = 48_000 if recorded.what in ("opus", "red") else 90_000
        key = (recorded.where.split(":")[0], parsed.ssrc)
        reception = receptions.setdefault(key, Reception(rate))
        size = payload_end(recorded.packet, parsed) - parsed.size
        reception.receive(parsed, recorded.line["t_ms"] / 1000, size)
    totals = [reception.statistics() for reception in receptions.values()]
    assert sum(total.packets + total.early + total.duplicates for total in totals) == len(media)
    assert sum(total.suspects for total in totals) == 0


@given(st.lists(st.integers(-3000, 4000), max_size=200), st.integers(0, 0xFFFF))
def test_unwrapped_numbers_never_jump_and_nothing_is_taken_twice(steps: list[int], first_sequence: int) -> None:
    stream = Stream(first_sequence)
    number = 10_000
    newest, taken = None, set()
    for step in steps:
        number = max(0, number + step)
        arrival = stream.receive(number)
        if arrival.verdict in (Verdict.NEWEST, Verdict.LATE, Verdict.RESTARTED):
            assert arrival.sequence not in taken
            taken.add(arrival.sequence)
            assert arrival.sequence % (1 << 16) == (first_sequence + number) % (1 << 16)
        if arrival.verdict is Verdict.NEWEST:
            assert newest is None or newest < arrival.sequence <= newest + MAX_DROPOUT
        if arrival.verdict in (Verdict.NEWEST, Verdict.RESTARTED):
            newest = arrival.sequence
    statistics = stream.reception.statistics()
    assert statistics.packets == len(taken)
    assert statistics.packets + statistics.duplicates + statistics.suspects == len(steps)
    assert statistics.lost >= 0
