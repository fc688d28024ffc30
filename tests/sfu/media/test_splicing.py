import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.reception import SenderClock
from sfu.media.forwarder import Sent, Splice
from sfu.media.splicing import MAX_REFUSALS, StreamSplicer, map_timestamp, next_timestamp

RATE = 90_000
SECOND = 1 << 32  # of NTP time


def splicer() -> StreamSplicer:
    return StreamSplicer(first_sequence=100, clock_rate=RATE)


def started(timestamp: int = 1000) -> StreamSplicer:
    """A stream that began with epoch 1."""
    stream = splicer()
    stream.splice(sequence=500, timestamp=timestamp, epoch=1, now=0.0, sent=None)
    return stream


def test_one_moment_is_known_on_both_clocks() -> None:
    source = SenderClock(ntp=10 * SECOND, timestamp=5000, arrived_at=0.0)
    reference = SenderClock(ntp=8 * SECOND + SECOND // 2, timestamp=700_000, arrived_at=0.0)
    assert map_timestamp(5000, source, reference, RATE) == 700_000 + 135_000
    assert map_timestamp(5000 - 90, source, reference, RATE) == 700_000 + 135_000 - 90


def test_the_mapping_of_clocks_goes_both_ways_across_wraps() -> None:
    source = SenderClock(ntp=3, timestamp=(1 << 33) - 5, arrived_at=0.0)
    reference = SenderClock(ntp=(1 << 64) - SECOND + 3, timestamp=7, arrived_at=0.0)
    assert map_timestamp(10, source, reference, RATE) == 7 + 90_000 + 15
    assert map_timestamp(7 + 90_000 + 15, reference, source, RATE) == 10


@pytest.mark.parametrize(
    ("mapped", "expected"),
    [
        (None, 10_000 + 9000),  # nothing is known but that a tenth of a second has passed
        (19_000, 19_000),
        (21_000, 21_000),
        (15_000, 15_000),  # the key frame took its time
        (10_001, 10_001),
        (10_000, 10_001),  # never the same twice
        (10_000 - 4500, 10_001),  # 50 ms behind: nobody sees it
        (10_000 - 4501, None),
        (19_000 + 180_000, 19_000 + 180_000),
        (19_000 + 180_001, 19_000),  # no clock runs so fast
        (19_000 - 180_001, 19_000),  # and this one has stood still
        (19_000 + (1 << 31), 19_000),
    ],
)
def test_the_next_timestamp_is_the_sources_where_that_can_be(mapped: int | None, expected: int | None) -> None:
    assert next_timestamp(mapped, sent=Sent(1, 10_000, 5.0), now=5.1, clock_rate=RATE) == expected


def test_the_first_packet_has_the_first_number_and_its_own_timestamp() -> None:
    splice = splicer().splice(sequence=70_000, timestamp=5, epoch=1, now=3.0, sent=None)
    assert splice == Splice(100 - 70_000, 0)


def test_a_pause_leaves_no_gap_and_keeps_the_sources_clock() -> None:
    stream = started(9000)
    splice = stream.splice(sequence=800, timestamp=99_000, epoch=1, now=2.2, sent=Sent(120, 10_000, 1.2))
    assert splice == Splice(121 - 800, 0)


def test_a_clock_that_stood_still_in_a_pause_is_set_to_the_time_that_passed() -> None:
    stream = started(9000)
    splice = stream.splice(sequence=800, timestamp=10_090, epoch=1, now=61.0, sent=Sent(120, 10_000, 1.0))
    assert splice is not None
    assert splice.timestamp_offset + 10_090 == 10_000 + 60 * RATE


def test_another_source_is_put_on_the_clock_of_the_one_before_it() -> None:
    stream = started()
    # the new layer's clock is 69,000 ticks ahead, and its key frame arrives 80 ms after it was captured
    splice = stream.splice(
        sequence=3,
        timestamp=69_000 + 50_000,
        epoch=2,
        now=3.08,
        sent=Sent(120, 49_000, 3.0),
        clock=SenderClock(SECOND, 70_000, 1.0),
        last_clock=SenderClock(SECOND, 1000, 1.0),
    )
    assert splice is not None
    assert splice == Splice(121 - 3, -69_000)
    back = stream.splice(
        sequence=900,
        timestamp=60_000,
        epoch=1,
        now=3.2,
        sent=Sent(130, 51_000, 3.1),
        clock=SenderClock(SECOND, 1000, 1.0),
        last_clock=SenderClock(SECOND, 70_000, 1.0),
    )
    assert back is not None
    assert back.timestamp_offset == 0


@pytest.mark.parametrize("known", [True, False])
def test_without_reports_on_both_the_time_that_passed_has_to_do(known: bool) -> None:
    stream = started()
    splice = stream.splice(
        sequence=3,
        timestamp=77,
        epoch=2,
        now=3.0,
        sent=Sent(120, 10_000, 1.0),
        clock=SenderClock(SECOND, 70, 1.0) if known else None,
        last_clock=None if known else SenderClock(SECOND, 70, 1.0),
    )
    assert splice is not None
    assert splice.timestamp_offset + 77 == 10_000 + 2 * RATE
    resumed = stream.splice(sequence=50, timestamp=90_077, epoch=2, now=4.0, sent=Sent(150, 200_000, 3.4))
    assert resumed is not None
    assert resumed.timestamp_offset == splice.timestamp_offset


def test_a_key_frame_from_too_far_back_is_refused_but_not_forever() -> None:
    stream = started()

    def enter() -> Splice | None:
        return stream.splice(
            sequence=3,
            timestamp=1000,
            epoch=2,
            now=3.0,
            sent=Sent(120, 10_000, 3.0),
            clock=SenderClock(SECOND, 1000, 1.0),
            last_clock=SenderClock(SECOND, 1000, 1.0),
        )

    assert [enter() for _ in range(MAX_REFUSALS)] == [None] * MAX_REFUSALS
    assert stream.epoch == 1
    assert enter() == Splice(121 - 3, 10_001 - 1000)
    assert stream.epoch == 2


CLOCKS = st.none() | st.builds(SenderClock, st.integers(0, (1 << 64) - 1), st.integers(0, 1 << 33), st.just(0.0))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),  # epoch
            st.integers(0, 0xFFFF_FFFF),  # its timestamp, and reports that may be wrong
            CLOCKS,
            CLOCKS,
            st.floats(0, 5),  # time since the last
            st.integers(0, 300),  # packets, and ticks, sent since
        ),
        max_size=30,
    ),
    st.integers(0, 0xFFFF_FFFF),
)
def test_numbers_and_time_only_go_forward_whatever_publishers_report(steps: list, first: int) -> None:
    stream, now = started(first), 0.0
    sent = Sent(100, first, 0.0)
    for epoch, timestamp, clock, last_clock, elapsed, packets in steps:
        now += elapsed
        splice = stream.splice(
            sequence=7,
            timestamp=timestamp,
            epoch=epoch,
            now=now,
            sent=sent,
            clock=clock,
            last_clock=last_clock,
        )
        if splice is None:
            continue
        number = 7 + splice.sequence_offset
        ticks = (timestamp + splice.timestamp_offset - sent.timestamp) & 0xFFFF_FFFF
        assert number == sent.sequence + 1
        assert 0 < ticks <= (now - sent.at + 2.0) * RATE + 1
        sent = Sent(number + packets, (sent.timestamp + ticks + packets) & 0xFFFF_FFFF, now)
