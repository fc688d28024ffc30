"""What a sender is told of arrivals, read back as libwebrtc reads it."""

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.arrivals import FEEDBACK_SECONDS, MAX_SPAN, TAIL_SECONDS, ArrivalLog
from rtp.rtcp.transport_cc import TICK_SECONDS, TransportCcFeedback
from rtp.units import Ssrc

US, VIDEO = Ssrc(1234), Ssrc(77)


def read(packet: bytes) -> dict[int, float | None]:
    """Return when each packet arrived by what a message says, by 16-bit number; None for one that has not."""
    flags, kind, words = struct.unpack_from("!BBH", packet)
    assert (flags, kind, len(packet)) == (0x8F, 205, 4 * (words + 1))
    sender, media, base, count, reference = struct.unpack_from("!IIHHI", packet, 4)
    assert (sender, media) == (US, VIDEO)
    symbols: list[int] = []
    at = 20
    while len(symbols) < count:
        (chunk,) = struct.unpack_from("!H", packet, at)
        at += 2
        if not chunk >> 15:
            symbols += [chunk >> 13 & 3] * (chunk & 0x1FFF)
        elif chunk >> 14 & 1:
            symbols += [chunk >> shift & 3 for shift in range(12, -2, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    time = (reference >> 8) * 0.064
    arrivals: dict[int, float | None] = {}
    for place, symbol in enumerate(symbols[:count]):
        if symbol:
            (delta,) = struct.unpack_from("!B" if symbol == 1 else "!h", packet, at)
            at += symbol
            time += delta * TICK_SECONDS
        arrivals[(base + place) & 0xFFFF] = time if symbol else None
    assert len(packet) - at < 4
    return arrivals


def told(messages: Iterable[TransportCcFeedback]) -> dict[int, float | None]:
    """Return what several messages say, the last word on each packet that came."""
    everything: dict[int, float | None] = {}
    for message in messages:
        for number, time in read(message.serialize()).items():
            if time is not None or number not in everything:
                everything[number] = time
    return everything


def log_of(arrivals: Iterable[tuple[int, float]]) -> ArrivalLog:
    log = ArrivalLog(US)
    for number, time in arrivals:
        log.note(number & 0xFFFF, VIDEO, time)
    return log


def test_a_message_says_what_came_when_and_what_has_not() -> None:
    log = log_of([(10, 1.0), (11, 1.001), (13, 1.1), (14, 1.0995)])
    (message,) = log.take(1.1)
    assert read(message.serialize()) == {
        10: pytest.approx(1.0, abs=TICK_SECONDS),
        11: pytest.approx(1.001, abs=TICK_SECONDS),
        12: None,
        13: pytest.approx(1.1, abs=TICK_SECONDS),
        14: pytest.approx(1.0995, abs=TICK_SECONDS),
    }


def test_what_is_missing_between_two_messages_is_missing_in_the_second() -> None:
    log = log_of([(65534, 1.0)])
    log.take(1.0)
    log.note(1, VIDEO, 1.1)
    (message,) = log.take(1.1)
    assert [*read(message.serialize())] == [65535, 0, 1]
    assert message.number == 1


def test_what_comes_late_is_told_without_calling_its_neighbours_lost() -> None:
    log = log_of([(5, 1.0), (7, 1.0), (8, 1.0)])
    log.take(1.0)
    log.note(6, VIDEO, 1.1)
    log.note(9, VIDEO, 1.1)
    first, second = log.take(1.1)
    assert [*read(first.serialize())] == [6]
    assert [*read(second.serialize())] == [9]


def test_a_gap_too_long_to_be_loss_is_another_start() -> None:
    log = log_of([(5, 1.0)])
    log.take(1.0)
    log.note(5 + 2 * MAX_SPAN, VIDEO, 1.1)
    (message,) = log.take(1.1)
    assert [*read(message.serialize())] == [5 + 2 * MAX_SPAN]


def test_a_pause_too_long_for_a_delta_is_another_message() -> None:
    messages = log_of([(5, 1.0), (6, 10.0)]).take(10.0)
    assert [[*read(message.serialize())] for message in messages] == [[5], [6]]
    assert told(messages)[6] == pytest.approx(10.0, abs=TICK_SECONDS)


@pytest.mark.parametrize("step", [1, 2, 5])
@pytest.mark.parametrize("ticks", [1, 1_000])
def test_no_message_is_longer_than_a_datagram(step: int, ticks: int) -> None:
    arrivals = [(number * step, 1.0 + number * ticks * TICK_SECONDS) for number in range(2_000)]
    messages = log_of(arrivals).take(10_000.0)
    assert max(len(message.serialize()) for message in messages) <= 1_150
    assert sum(delta is not None for message in messages for delta in message.deltas) == 2_000


def test_it_is_told_with_a_packet_or_at_last_without_one() -> None:
    log = log_of([(5, 1.0)])
    assert not log.is_due(1.0 + FEEDBACK_SECONDS / 2)
    assert log.is_due(1.0 + FEEDBACK_SECONDS)
    assert log.next_timeout() == 1.0 + TAIL_SECONDS
    log.take(1.1)
    assert not log.is_due(2.0)
    assert log.next_timeout() is None


@given(
    start=st.integers(0, 0xFFFF),
    steps=st.lists(st.tuples(st.integers(-5, 40), st.integers(0, 2_000), st.booleans()), max_size=200),
)
def test_whatever_comes_in_whatever_order_is_told_as_it_came(start: int, steps: list[tuple[int, int, bool]]) -> None:
    log, number, now = ArrivalLog(US), start, 1.0
    came: dict[int, float] = {}
    messages: list[TransportCcFeedback] = []
    for step, ticks, tells in steps:
        number, now = number + step, now + ticks * TICK_SECONDS
        if number not in came:
            came[number] = now
            log.note(number & 0xFFFF, VIDEO, now)
        if tells:
            messages += log.take(now)
    messages += log.take(now)
    said = {number: time for number, time in told(messages).items() if time is not None}
    assert said == {number & 0xFFFF: pytest.approx(time, abs=TICK_SECONDS) for number, time in came.items()}
    assert [message.number for message in messages] == [count & 0xFF for count in range(len(messages))]
