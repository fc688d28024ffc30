"""When what was lost is sent again: in a leaky bucket's own time, and beside what is sent live."""

from rtp.bandwidth.pacer import DEPTH_SECONDS, MAX_WAITING, RepairPacer

RATE_BPS = 800_000  # 100 bytes a millisecond
SIZE = 1_000


class Path:
    """What is sent: answers of `SIZE` bytes, and what is live."""

    def __init__(self, bitrate_bps: int | None = RATE_BPS) -> None:
        self.pacer = RepairPacer[int]()
        self.pacer.limit(bitrate_bps)
        self.sent_bytes = 0

    def answers(self, now: float) -> list[int]:
        answered: list[int] = []
        while (request := self.pacer.take(now, self.sent_bytes)) is not None:
            answered.append(request)
            self.sent_bytes += SIZE
        return answered

    def answers_until(self, end: float) -> list[tuple[float, int]]:
        """Play the timers, and return what is answered when."""
        found: list[tuple[float, int]] = []
        while (due := self.pacer.next_timeout()) is not None and due <= end:
            found += [(due, request) for request in self.answers(due)]
        return found


def test_what_is_lost_is_sent_at_the_paths_rate_in_the_order_of_requests() -> None:
    path = Path()
    path.pacer.add(range(20), now=1.0)
    answered = path.answers_until(10.0)
    assert [request for _, request in answered] == list(range(20))
    assert answered[0][0] == 1.0
    assert 0.17 < answered[-1][0] - 1.0 < 0.2, "19 kB at 100 kB/s"
    assert path.pacer.next_timeout() is None


def test_without_a_limit_nothing_waits() -> None:
    path = Path(None)
    path.pacer.add(range(20), now=1.0)
    assert path.answers(1.0) == list(range(20))


def test_what_waits_is_sent_at_once_when_the_limit_is_gone() -> None:
    path = Path()
    path.pacer.add(range(20), now=1.0)
    first = path.answers(1.0)
    path.pacer.limit(None)
    assert first + [request for _, request in path.answers_until(1.1)] == list(range(20))


def test_live_packets_go_first() -> None:
    path = Path()
    path.answers(1.0)
    path.pacer.add([1], now=1.0)
    path.answers(1.0)
    path.sent_bytes += SIZE
    path.pacer.add([2], now=1.001)
    assert path.answers(1.001) == []
    ((at, request),) = path.answers_until(2.0)
    assert request == 2
    assert 0.015 < at - 1.0 < 0.025, "2 kB at 100 kB/s"


def test_a_burst_that_no_queue_can_hold_delays_only_for_so_long() -> None:
    path = Path()
    path.sent_bytes += 100 * SIZE
    path.pacer.add([1], now=0.0)
    ((at, _),) = path.answers_until(2.0)
    assert at <= DEPTH_SECONDS


def test_live_frames_that_are_too_many_leave_room_for_answers() -> None:
    path = Path()
    path.pacer.add(range(3), now=0.0)
    answered: list[tuple[float, int]] = []
    for frame in range(30):
        path.sent_bytes += 7 * SIZE
        answered += path.answers_until((frame + 0.99) / 30)
    assert [request for _, request in answered] == [0, 1, 2]


def test_who_asks_again_while_an_answer_waits_gets_one() -> None:
    path = Path()
    path.pacer.add([1, 2, 3, 4, 2, 3], now=1.0)
    path.pacer.add([4, 3], now=1.0)
    assert [request for _, request in path.answers_until(2.0)] == [1, 2, 3, 4]


def test_what_waits_is_bounded() -> None:
    path = Path()
    path.pacer.add(range(MAX_WAITING + 10), now=1.0)
    path.pacer.add(range(MAX_WAITING), now=1.0)
    assert path.pacer.overflows == 10
    assert len(path.answers_until(100.0)) == MAX_WAITING
