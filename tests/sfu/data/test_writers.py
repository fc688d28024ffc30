"""Who is slowed down, and who goes without, when a reader does not keep up."""

from collections import Counter

import pytest

from rtp.errors import SendQueueFullError
from sfu.data.packets import Drop
from sfu.data.writers import (
    HOLD_BYTES,
    HOLD_MESSAGES,
    MESSAGE_OVERHEAD,
    MIN_LOSSY_BYTES,
    PATIENCE_BYTES,
    PATIENCE_SECONDS,
    READ_BYTES,
    UNMEASURED_LOSSY_BYTES,
    Hold,
    LossyWriter,
    ReliableWriter,
)

THRESHOLD = 20_000.0
LIMIT = 4 << 20
CHANNEL = 1


class Reader:
    """A channel whose far end reads at `pace` bytes a second, once it is told what time it is."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self.messages: list[bytes] = []
        self.read = 0.0
        self.dropped = 0
        self.threshold: int | None = None
        self.now = 0.0

    def pass_time(self, now: float) -> None:
        self.read = min(self.read + (now - self.now) * self.pace, self.written)
        self.now = now

    @property
    def written(self) -> int:
        return sum(map(len, self.messages))

    def send_message(self, channel_id: int, data: bytes, *, is_text: bool = False) -> None:
        if self.buffered_bytes() + len(data) > LIMIT:
            raise SendQueueFullError
        self.messages.append(data)

    def buffered_bytes(self, channel_id: int = CHANNEL) -> int:
        return self.written - int(self.read)

    def set_drain_threshold(self, channel_id: int, threshold: int) -> None:
        self.threshold = threshold

    def drop_unsent(self, channel_id: int, keep_bytes: int) -> int:
        dropped = 0
        while self.buffered_bytes() > keep_bytes:
            position = next(index for index, end in enumerate(self.ends()) if end > self.read)
            del self.messages[position]
            dropped += 1
        self.dropped += dropped
        return dropped

    def hold(self, size: int) -> None:
        raise AssertionError("the reader sends nothing")

    def release(self, size: int) -> None:
        raise AssertionError("the reader sends nothing")

    def fail(self, error: Exception) -> None:
        raise error

    def ends(self) -> list[int]:
        return [sum(map(len, self.messages[: index + 1])) for index in range(len(self.messages))]


class SenderWindow(Reader):
    def __init__(self) -> None:
        super().__init__(0.0)
        self.held = self.largest = 0

    def hold(self, size: int) -> None:
        self.held += size
        self.largest = max(self.largest, self.held)

    def release(self, size: int) -> None:
        self.held -= size
        assert self.held >= 0


class Scene:
    """One sender and one reader, of reliable messages."""

    def __init__(self, pace: float) -> None:
        self.reader = Reader(pace)
        self.window = SenderWindow()
        self.drops: Counter[Drop] = Counter()
        self.writer = ReliableWriter(self.reader, CHANNEL, THRESHOLD, "bob", self.drops)

    def write(self, size: int, now: float) -> None:
        self.reader.pass_time(now)
        self.writer.write(bytes(size), Hold(self.window, size), now)

    def check(self, now: float) -> None:
        self.reader.pass_time(now)
        self.writer.check(now)


def test_what_a_reader_keeps_up_with_slows_nobody_down() -> None:
    scene = Scene(pace=1e6)
    for number in range(300):
        scene.write(10_000, number * 0.01)
    assert (len(scene.reader.messages), scene.window.largest, scene.drops) == (300, 0, Counter())


def test_a_sender_is_slowed_down_by_what_waits_too_long() -> None:
    scene = Scene(pace=1e6)
    for _ in range(60):
        scene.write(10_000, 0.0)
    held = 60 - HOLD_BYTES // 10_000
    assert scene.window.held == held * (10_000 + MESSAGE_OVERHEAD)
    assert scene.reader.threshold is not None
    scene.check(0.2)
    assert scene.window.held == (held - 20) * (10_000 + MESSAGE_OVERHEAD)
    scene.check(0.6)
    assert (scene.window.held, scene.writer.is_holding, scene.drops) == (0, False, Counter())


def test_a_sender_of_very_small_messages_is_slowed_down_too() -> None:
    scene = Scene(pace=1000.0)
    for _ in range(HOLD_MESSAGES + 10):
        scene.write(1, 0.0)
    assert scene.window.held == 10 * (1 + MESSAGE_OVERHEAD)
    scene.check(0.1)
    assert scene.window.held == 0


def test_a_reader_below_the_threshold_misses_messages_and_slows_nobody_down() -> None:
    scene = Scene(pace=THRESHOLD / 2)
    for number in range(2000):
        scene.write(1000, number * 0.01)
    assert scene.window.largest == 0
    assert scene.drops[Drop.SLOW_READER] > 1000


def test_nobody_waits_for_a_reader_who_is_cut_off_for_a_moment_and_it_misses_nothing() -> None:
    scene = Scene(pace=1e6)
    for number in range(100):
        scene.write(1000, number * 0.01)
    scene.reader.pace = 0.0
    for number in range(100, 800):
        scene.write(1000, number * 0.01)
    assert scene.window.largest == 0
    scene.reader.pace = 2 * THRESHOLD
    scene.write(1000, 8.0)
    scene.write(1000, 9.1)
    assert scene.window.held == 1000 + MESSAGE_OVERHEAD, "it is waited for again"
    assert (len(scene.reader.messages), scene.drops) == (802, Counter())


def test_what_is_kept_for_a_reader_who_takes_nothing_is_bounded_in_time_and_bytes() -> None:
    scene = Scene(pace=0.0)
    for number in range(10_000):
        scene.write(1000, number * 0.01)
    assert scene.reader.buffered_bytes() == pytest.approx(HOLD_BYTES + PATIENCE_SECONDS * 100_000, rel=0.01)
    scene = Scene(pace=0.0)
    for number in range(10_000):
        scene.write(1000, number * 0.001)
    assert 0 < scene.reader.buffered_bytes() - PATIENCE_BYTES <= 1000


def test_a_sender_waits_for_an_unknown_reader_until_its_pace_is_known() -> None:
    scene = Scene(pace=THRESHOLD / 2)
    for _ in range(40):
        scene.write(10_000, 0.0)
    assert scene.window.held > 0
    scene.check(0.1)
    assert scene.window.held > 0
    scene.check(0.3)
    assert (scene.window.held, scene.writer.is_holding) == (0, False)
    scene.write(10_000, 0.31)
    assert (scene.window.held, scene.drops) == (0, Counter())


def test_a_reader_that_stops_is_not_waited_for() -> None:
    scene = Scene(pace=1e6)
    for number in range(100):
        scene.write(10_000, number * 0.005)
    assert scene.window.held > 0
    scene.reader.pace = 0.0
    for tenths in range(5, 20):
        scene.check(tenths / 10)
    assert scene.window.held == 0


def test_who_has_caught_up_misses_nothing_more_and_is_measured_anew() -> None:
    scene = Scene(pace=THRESHOLD / 2)
    for number in range(1000):
        scene.write(1000, number * 0.01)
    missed = scene.drops[Drop.SLOW_READER]
    scene.reader.pace = 1e6
    for number in range(1000):
        scene.write(1000, 20 + number * 0.01)
    assert scene.drops[Drop.SLOW_READER] - missed <= 1 + READ_BYTES / 1000


def test_a_reader_who_has_had_little_to_read_is_not_taken_for_slow() -> None:
    scene = Scene(pace=1e6)
    for number in range(100):
        scene.write(100, number * 0.1)
    for _ in range(40):
        scene.write(10_000, 10.0)
    assert scene.drops == Counter()


def test_one_message_is_held_once_however_many_wait_for_it() -> None:
    window = SenderWindow()
    hold = Hold(window, 100)
    hold.take()
    hold.take()
    assert window.held == 100 + MESSAGE_OVERHEAD
    hold.release()
    assert window.held == 100 + MESSAGE_OVERHEAD
    hold.release()
    assert window.held == 0


def test_a_reader_who_goes_is_waited_for_no_longer() -> None:
    scene = Scene(pace=0.0)
    for _ in range(40):
        scene.write(10_000, 0.0)
    scene.writer.close()
    assert scene.window.held == 0


def test_nothing_is_kept_beyond_what_a_queue_takes() -> None:
    scene = Scene(pace=0.0)
    for _ in range(500):
        scene.write(10_000, 0.0)
    assert scene.reader.buffered_bytes() <= LIMIT
    assert scene.drops == {Drop.QUEUE_FULL: 500 - LIMIT // 10_000}


@pytest.mark.parametrize(("pace", "keep"), [(1e6, 100_000), (10_000.0, MIN_LOSSY_BYTES)])
def test_lossy_messages_that_would_be_late_are_dropped(pace: float, keep: int) -> None:
    reader, drops = Reader(pace), Counter[Drop]()
    writer = LossyWriter(reader, CHANNEL, 0.1, drops)
    for number in range(1000):  # twice the faster one's pace
        reader.pass_time(number * 0.001)
        writer.write(bytes(2000), reader.now)
        if number > 300:
            assert reader.buffered_bytes() <= keep * 1.1
    assert drops[Drop.LATE] == reader.dropped > 0


def test_lossy_messages_wait_for_an_unknown_reader_up_to_a_bound() -> None:
    reader, drops = Reader(0.0), Counter[Drop]()
    writer = LossyWriter(reader, CHANNEL, 0.1, drops)
    for _ in range(100):
        writer.write(bytes(2000), 0.0)
    assert reader.buffered_bytes() == UNMEASURED_LOSSY_BYTES // 2000 * 2000


def test_the_newest_lossy_message_is_never_dropped() -> None:
    reader, drops = Reader(0.0), Counter[Drop]()
    writer = LossyWriter(reader, CHANNEL, 0.1, drops)
    for number in range(10):
        writer.write(bytes([number]) * 60_000, number * 1.0)
    assert reader.messages == [bytes([9]) * 60_000]


def test_without_a_target_latency_lossy_messages_wait_for_ever() -> None:
    reader, drops = Reader(0.0), Counter[Drop]()
    writer = LossyWriter(reader, CHANNEL, 0, drops)
    for number in range(100):
        writer.write(bytes(2000), number * 1.0)
    assert (len(reader.messages), drops) == (100, Counter())
