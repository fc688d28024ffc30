"""The habits of REMB are those recorded from Chromium 156; the scenarios are played with a receiver that has them."""

from collections.abc import Iterable

import pytest

from rtp.bandwidth.estimate import Estimate
from rtp.bandwidth.remote import CALM_SECONDS, RemoteEstimator
from tests.rtp.bandwidth.call import Call
from tests.rtp.bandwidth.virtual_path import Conditions
from tests.rtp.bandwidth.ways import Remb

KBPS = 1_000
MBPS = 1_000_000
REMB_SECONDS = 0.233


class Conversation:
    """A sender of a steady rate, and a receiver that says what it is told to say."""

    def __init__(self) -> None:
        self.estimator = RemoteEstimator()
        self.now = 0.0

    def send(self, bitrate: int, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.now += 0.01
            self.estimator.count_sent(bitrate // 800, self.now)
            if (due := self.estimator.next_timeout()) is not None and due <= self.now:
                self.estimator.handle_timeout(self.now)

    def play(self, bitrate: int, rembs: Iterable[float]) -> Estimate:
        for remb in rembs:
            self.send(bitrate, REMB_SECONDS)
            self.estimator.receive_remb(int(remb), self.now)
        return self.estimator.estimate


def growing(first: float, seconds: float, factor: float = 1.08) -> list[float]:
    return [first * factor ** (number * REMB_SECONDS) for number in range(round(seconds / REMB_SECONDS))]


def test_a_receiver_that_starts_low_and_grows_shows_no_limit() -> None:
    assert Conversation().play(500 * KBPS, growing(230 * KBPS, 15)) == Estimate()


def test_a_remb_that_falls_below_what_is_sent_is_the_limit_from_then_on() -> None:
    call = Conversation()
    call.play(1_700 * KBPS, growing(1_800 * KBPS, 4))
    assert call.play(1_700 * KBPS, [255 * KBPS]) == Estimate(255 * KBPS, is_congested=True)
    assert call.play(190 * KBPS, growing(255 * KBPS, 10, 1.02)) == Estimate(255 * KBPS)


def test_a_remb_that_falls_and_still_exceeds_what_is_sent_is_no_limit() -> None:
    call = Conversation()
    call.play(500 * KBPS, growing(1_800 * KBPS, 4))
    assert call.play(500 * KBPS, [700 * KBPS] * 9) == Estimate()


def test_a_remb_below_what_is_sent_that_grows_no_more_is_the_limit() -> None:
    estimate = Conversation().play(1_700 * KBPS, [600 * KBPS] * 14)
    assert estimate.bitrate_bps == 600 * KBPS


def test_a_remb_that_did_not_grow_while_little_was_sent_is_no_limit_to_a_probe() -> None:
    call = Conversation()
    call.play(300 * KBPS, [310 * KBPS] * 14)
    assert call.play(450 * KBPS, growing(310 * KBPS, 1)) == Estimate()


def test_what_is_sent_without_a_complaint_raises_the_estimate() -> None:
    call = Conversation()
    call.play(1_700 * KBPS, [1_800 * KBPS, 255 * KBPS])
    call.play(190 * KBPS, growing(255 * KBPS, 4))
    bitrate = call.play(400 * KBPS, growing(345 * KBPS, 1.5)).bitrate_bps
    assert bitrate is not None
    assert 380 * KBPS <= bitrate <= 420 * KBPS


def test_a_receiver_that_has_fallen_silent_does_not_raise_the_estimate() -> None:
    call = Conversation()
    call.play(1_700 * KBPS, [1_800 * KBPS, 255 * KBPS])
    call.send(1_700 * KBPS, 10)
    assert call.estimator.estimate == Estimate(255 * KBPS)


def test_congestion_is_over_when_nobody_has_complained_for_a_while() -> None:
    call = Conversation()
    call.play(1_700 * KBPS, [1_800 * KBPS, 255 * KBPS])
    call.send(190 * KBPS, CALM_SECONDS - 0.1)
    assert call.estimator.estimate.is_congested
    call.send(190 * KBPS, 0.3)
    assert not call.estimator.estimate.is_congested


def test_a_few_packets_that_are_asked_for_again_are_no_complaint() -> None:
    call = Conversation()
    for _ in range(20):
        call.send(1_000 * KBPS, 0.2)
        call.estimator.count_nacks(1, call.now)  # one in twenty
    assert call.estimator.estimate == Estimate()


def test_many_packets_that_are_asked_for_again_are_a_complaint() -> None:
    call = Conversation()
    while not call.estimator.statistics().complaints:
        call.send(1_000 * KBPS, 0.1)
        call.estimator.count_nacks(2, call.now)  # one in five
    assert 1 <= call.now <= 2
    bitrate = call.estimator.estimate.bitrate_bps
    assert bitrate is not None
    assert 900 * KBPS <= bitrate <= 950 * KBPS


def limited(bitrate: int) -> Conversation:
    """Return a conversation whose path is known to carry so much, for longer than is looked back."""
    call = Conversation()
    call.play(2 * bitrate, growing(2 * bitrate, 2))
    call.play(2 * bitrate, [bitrate])
    assert call.play(int(0.8 * bitrate), growing(bitrate, 4)) == Estimate(bitrate)
    return call


def test_a_burst_that_arrives_whole_is_no_limit() -> None:
    call = limited(600 * KBPS)
    call.play(150 * KBPS, growing(700 * KBPS, 2))
    call.play(600 * KBPS, [300 * KBPS])  # a key frame: of what was sent before it, all has arrived
    assert call.play(500 * KBPS, growing(310 * KBPS, 2)) == Estimate(600 * KBPS)


def test_a_probe_that_fails_leaves_what_was_known_before() -> None:
    call = limited(600 * KBPS)
    call.play(1_200 * KBPS, [800 * KBPS] * 3)
    assert call.play(1_200 * KBPS, [450 * KBPS]) == Estimate(600 * KBPS, is_congested=True)
    assert call.play(400 * KBPS, growing(460 * KBPS, 4)) == Estimate(600 * KBPS)


def test_what_was_known_is_given_up_if_the_complaints_go_on() -> None:
    call = limited(600 * KBPS)
    call.play(1_200 * KBPS, [800 * KBPS] * 3)
    assert call.play(1_200 * KBPS, [450 * KBPS]).bitrate_bps == 600 * KBPS
    assert call.play(600 * KBPS, [300 * KBPS] * 4).bitrate_bps == 300 * KBPS


def test_a_remb_that_grows_again_after_its_fall_is_no_new_complaint() -> None:
    call = Conversation()
    call.play(1_700 * KBPS, [*growing(1_800 * KBPS, 4), 600 * KBPS])
    complaints = call.estimator.statistics().complaints
    call.play(900 * KBPS, growing(612 * KBPS, 4))
    assert call.estimator.statistics().complaints == complaints == 1


def test_nothing_is_learnt_of_what_is_sent_while_the_rembs_do_not_grow() -> None:
    call = limited(600 * KBPS)
    call.play(1_000 * KBPS, [750 * KBPS] * 4)
    bitrate = call.play(400 * KBPS, growing(750 * KBPS, 3)).bitrate_bps
    assert bitrate is not None
    assert 600 * KBPS <= bitrate <= 650 * KBPS  # by how slots fall


def test_losses_beyond_chance_are_a_limit_even_if_no_queue_is_seen() -> None:
    call = Conversation()
    call.play(1_000 * KBPS, growing(1_200 * KBPS, 3))
    assert not call.estimator.receive_losses(100, 0.2, call.now)
    assert not call.estimator.receive_losses(10, 0.7, call.now)
    assert call.estimator.estimate == Estimate()
    assert call.estimator.receive_losses(100, 0.7, call.now)
    bitrate = call.estimator.estimate.bitrate_bps
    assert bitrate is not None
    assert 290 * KBPS <= bitrate <= 310 * KBPS


def test_reports_of_several_streams_tell_of_the_same_losses() -> None:
    call = Conversation()
    call.play(1_000 * KBPS, growing(1_200 * KBPS, 3))
    assert call.estimator.receive_losses(100, 0.5, call.now)
    call.send(1_000 * KBPS, 0.2)
    assert not call.estimator.receive_losses(100, 0.5, call.now)
    call.send(1_000 * KBPS, 0.8)
    assert call.estimator.receive_losses(100, 0.5, call.now)


@pytest.mark.parametrize(
    "conditions",
    [Conditions(queue_seconds=0.3), Conditions(queue_seconds=1.0), Conditions(queue_bytes=250_000)],
)
def test_a_path_that_narrows_is_obeyed_and_one_that_recovers_is_found_out(conditions: Conditions) -> None:
    narrow, wide = 20, 50
    rates = ((0, 4 * MBPS), (narrow, 300 * KBPS), (wide, 4 * MBPS))
    record = Call(Conditions(**(vars(conditions) | {"rates": rates})), way=Remb).run(80)
    assert record.layer_at(narrow) == 2
    assert record.below_after(narrow, 300 * KBPS) <= 2
    assert record.changes_between(narrow + 2, wide) == 0
    assert record.back_after(wide, 2) <= 15
    assert record.frozen(narrow, wide) <= 2


@pytest.mark.parametrize(("rate", "layer"), [(300 * KBPS, 0), (1_000 * MBPS, 2)])
def test_a_steady_path_carries_the_highest_layer_that_fits(rate: int, layer: int) -> None:
    record = Call(Conditions(rates=((0, rate),)), way=Remb).run(60)
    assert record.layer_at(60) == layer
    assert record.changes_between(30, 60) <= 3
