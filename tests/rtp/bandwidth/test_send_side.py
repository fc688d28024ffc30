from random import Random

from rtp.bandwidth.estimate import MIN_BITRATE_BPS, Estimate
from rtp.bandwidth.send_side import SILENCE_SECONDS, FeedbackDrop, SendSideEstimator
from rtp.bandwidth.sent_packets import MAX_PACKETS
from rtp.rtcp.transport_cc import REFERENCE_TICKS, TICK_SECONDS, TransportCcFeedback
from rtp.units import Ssrc

SIZE = 1_000
REFERENCE_SECONDS = REFERENCE_TICKS * TICK_SECONDS


def feedback(base: int, arrivals: list[float | None], reference: int | None = None) -> TransportCcFeedback:
    """Tell of packets from `base` on by when they arrived."""
    first = next(arrival for arrival in arrivals if arrival is not None)
    units = int(first / REFERENCE_SECONDS)
    last = units * REFERENCE_TICKS
    deltas: list[int | None] = []
    for arrival in arrivals:
        ticks = None if arrival is None else round(arrival / TICK_SECONDS)
        deltas.append(None if ticks is None else ticks - last)
        last = last if ticks is None else ticks
    told = units if reference is None else units + reference
    return TransportCcFeedback(Ssrc(1), Ssrc(2), base & 0xFFFF, told & 0xFF_FFFF, 0, tuple(deltas))


class Sender:
    """Sends a packet of `SIZE` every ten milliseconds, 800 kbit/s, to a path that is told how to deliver."""

    def __init__(self) -> None:
        self.estimator = SendSideEstimator()
        self.now = 0.0

    def pass_time(self, seconds: float, *, delay: float = 0.03, growth: float = 0.0, loss: float = 0.0) -> None:
        """`growth` is by how much the delay grows in a second; all is told of every tenth packet, and at once."""
        random, arrivals, first = Random(1), [], 0
        for step in range(round(seconds * 100)):
            self.now += 0.01
            number = self.estimator.sent(SIZE, self.now)
            first = first if arrivals else number
            arrival = self.now + delay + growth * step / 100
            arrivals.append(None if random.random() < loss else arrival)
            if len(arrivals) == 10 and any(arrivals):
                self.estimator.receive_feedback(feedback(first, arrivals), self.now + 0.05)
                arrivals = []


def test_packets_are_numbered_beyond_sixteen_bits() -> None:
    estimator = SendSideEstimator()
    assert [estimator.sent(SIZE, number / 1000) for number in range(70_000)] == list(range(70_000))
    estimator.receive_feedback(feedback(69_998, [71.0, 71.001]), 71.01)
    assert estimator.statistics().received == 2
    assert not estimator.statistics().drops


def test_nothing_is_known_before_a_limit_shows() -> None:
    sender = Sender()
    sender.pass_time(5)
    assert sender.estimator.estimate == Estimate()
    assert sender.estimator.statistics().delivered_bps == 800_000
    assert sender.estimator.round_trip_seconds is not None
    assert 0.049 < sender.estimator.round_trip_seconds < 0.051


def test_a_queue_that_grows_shows_what_the_path_delivers() -> None:
    sender = Sender()
    sender.pass_time(2)
    sender.pass_time(1, growth=1.0)  # a second's packets take two
    bitrate = sender.estimator.estimate.bitrate_bps
    assert sender.estimator.estimate.is_congested
    assert bitrate is not None
    assert 360_000 < bitrate < 400_000  # less than half of what is sent, by a margin


def test_a_receivers_clock_that_runs_fast_is_no_queue() -> None:
    sender = Sender()
    for _ in range(60):
        sender.pass_time(1, delay=0.03 + sender.now * 0.0005, growth=0.0005)
    assert sender.estimator.estimate == Estimate()


def test_a_reference_time_that_wraps_goes_on() -> None:
    estimator = SendSideEstimator()
    for number in range(100):
        now = 0.05 * number
        base = estimator.sent(SIZE, now)
        estimator.receive_feedback(feedback(base, [now + 0.03], reference=(1 << 24) - 20), now + 0.06)
    assert estimator.estimate == Estimate()
    assert estimator.statistics().delivered_bps == 160_000


def test_what_arrives_after_all_is_not_lost() -> None:
    estimator = SendSideEstimator()
    for number in range(4):
        estimator.sent(SIZE, number / 100)
    estimator.receive_feedback(feedback(0, [0.03, None, 0.05, None]), 0.1)
    assert estimator.statistics().lost == 2
    estimator.receive_feedback(feedback(1, [0.12]), 0.2)
    assert (estimator.statistics().received, estimator.statistics().lost) == (3, 1)


def test_what_was_never_sent_or_told_before_is_counted_and_not_heeded() -> None:
    estimator = SendSideEstimator()
    for number in range(MAX_PACKETS + 10):
        estimator.sent(SIZE, number / 1000)
    newest = MAX_PACKETS + 9
    estimator.receive_feedback(feedback(newest, [3.0, 3.1, 3.2]), 3.3)  # the last two do not exist
    estimator.receive_feedback(feedback(newest, [3.0]), 3.3)
    estimator.receive_feedback(feedback(3, [3.0]), 3.3)  # forgotten
    assert estimator.statistics().drops == {FeedbackDrop.UNKNOWN: 3, FeedbackDrop.REPEATED: 1}
    assert estimator.statistics().received == 1


def test_feedback_that_stays_away_halves_the_estimate_time_and_again() -> None:
    sender = Sender()
    sender.pass_time(2)
    bitrates = []
    for _ in range(8):
        due = sender.estimator.next_timeout()
        assert due is not None
        while sender.now < due:
            sender.now += 0.01
            sender.estimator.sent(SIZE, sender.now)
        if sender.estimator.handle_timeout(sender.now):
            bitrates.append(sender.estimator.estimate.bitrate_bps)
            assert sender.estimator.estimate.is_congested
    assert bitrates == [400_000, 200_000, 100_000, 50_000, MIN_BITRATE_BPS]
    sender.pass_time(0.1)
    assert not sender.estimator.estimate.is_congested


def test_no_feedback_is_awaited_while_nothing_is_sent_or_from_who_never_gave_any() -> None:
    silent = SendSideEstimator()
    silent.sent(SIZE, 0.0)
    assert silent.next_timeout() is None
    sender = Sender()
    sender.pass_time(2)
    assert not sender.estimator.handle_timeout(sender.now + 10 * SILENCE_SECONDS)
    assert sender.estimator.estimate == Estimate()


def test_loss_beyond_chance_is_congestion_even_without_a_queue() -> None:
    sender = Sender()
    sender.pass_time(3, loss=0.1)
    assert sender.estimator.estimate == Estimate()
    sender.pass_time(3, loss=0.5)
    assert sender.estimator.estimate.is_congested
    bitrate = sender.estimator.estimate.bitrate_bps
    assert bitrate is not None
    assert 300_000 < bitrate < 500_000


def test_who_sends_too_little_to_tell_of_losses_is_not_congested_for_ever_by_those_before() -> None:
    sender = Sender()
    sender.pass_time(2, loss=0.5)
    assert sender.estimator.estimate.is_congested
    for _ in range(15):
        sender.now += 0.2
        number = sender.estimator.sent(SIZE, sender.now)
        sender.estimator.receive_feedback(feedback(number, [sender.now + 0.03]), sender.now + 0.05)
    assert not sender.estimator.estimate.is_congested


def test_a_path_on_which_nothing_is_sent_any_more_is_not_congested_for_ever() -> None:
    sender = Sender()
    sender.pass_time(2)
    sender.now += 0.01
    sender.estimator.sent(SIZE, sender.now)  # of which nobody tells
    sender.now += 2 * SILENCE_SECONDS
    assert sender.estimator.handle_timeout(sender.now)
    assert sender.estimator.estimate.is_congested
    bitrate = sender.estimator.estimate.bitrate_bps
    sender.now += 2 * SILENCE_SECONDS
    assert sender.estimator.handle_timeout(sender.now)
    assert sender.estimator.estimate == Estimate(bitrate, is_congested=False)
