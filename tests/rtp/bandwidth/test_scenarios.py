"""A sender that follows the estimate among layers of 150, 500 and 1,700 kbit/s, and audio of 40, over paths of all sorts.

Key frames, nine times as large as other frames, leave all at once every seven seconds, and at every change of layers.
"""

import pytest

from tests.rtp.bandwidth.call import Call
from tests.rtp.bandwidth.virtual_path import Conditions

KBPS = 1_000
MBPS = 1_000_000
FREE = 1_000 * MBPS
MAX_CHANGES = 3
"""In thirty seconds of an unchanging path."""


def steady(rate: float, **conditions) -> Conditions:
    return Conditions(rates=((0, rate),), **conditions)


DROPS = {
    "a queue of 50 ms": Conditions(queue_seconds=0.05),
    "a queue of 100 ms": Conditions(queue_seconds=0.1),
    "a queue of 300 ms": Conditions(queue_seconds=0.3),
    "bufferbloat": Conditions(queue_seconds=1.0),
    "a queue of ten packets": Conditions(queue_bytes=12_000),
    "a queue of 32 kB": Conditions(queue_bytes=32_000),
    "a queue of 250 kB": Conditions(queue_bytes=250_000),
    "5 % lost": Conditions(loss=0.05),
    "jitter": Conditions(jitter_seconds=0.03),
    "far away": Conditions(delay_seconds=0.1),
}


@pytest.mark.parametrize("conditions", DROPS.values(), ids=DROPS.keys())
def test_a_path_that_narrows_is_obeyed_and_one_that_recovers_is_found_out(conditions: Conditions) -> None:
    narrow, wide = 20, 50
    rates = ((0, 2 * MBPS), (narrow, 300 * KBPS), (wide, 2 * MBPS))
    record = Call(Conditions(**(vars(conditions) | {"rates": rates}))).run(80)
    assert record.layer_at(narrow) == 2
    assert record.below_after(narrow, 300 * KBPS) <= 2
    assert record.changes_between(narrow + 2, wide) <= MAX_CHANGES
    assert record.layer_at(wide) == 0
    assert record.back_after(wide, 2) <= 15
    assert record.changes_between(wide + 15, 80) == 0
    assert record.frozen(narrow, wide) <= 2
    assert record.frozen(wide, 80) <= 0.5


@pytest.mark.parametrize("queue_seconds", [0.1, 1.0])
@pytest.mark.parametrize(
    ("rate", "layer"), [(250, 0), (400, 0), (600, 1), (1_000, 1), (1_500, 1), (1_800, 1), (2_000, 2), (3_000, 2)]
)
def test_a_steady_path_carries_the_highest_layer_that_fits(rate: int, layer: int, queue_seconds: float) -> None:
    record = Call(steady(rate * KBPS, queue_seconds=queue_seconds)).run(45)
    assert record.layer_at(45) == layer
    assert record.changes_between(15, 45) <= MAX_CHANGES
    assert record.frozen(15, 45) <= 0.5


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_sender_without_a_bottleneck_learns_of_no_limit(layer: int) -> None:
    record = Call(steady(FREE), fixed=layer).run(20)
    assert all(bitrate is None and not is_congested for _, bitrate, is_congested in record.estimates)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_sender_of_little_keeps_its_estimate(layer: int) -> None:
    call = Call(steady(2 * MBPS), highest=layer)
    call.estimator.estimate = type(call.estimator.estimate)(1_900 * KBPS)
    record = call.run(40)
    assert (record.lowest_estimate(0, 40) or 0) >= 1_750 * KBPS
    assert record.changes == [(0.0, layer)]


@pytest.mark.parametrize(("rate", "layer"), [(300 * KBPS, 0), (700 * KBPS, 1), (2 * MBPS, 2), (FREE, 2)])
@pytest.mark.parametrize("loss", [0.01, 0.05, 0.1])
def test_loss_by_chance_does_not_lower_the_layer(rate: float, layer: int, loss: float) -> None:
    record = Call(steady(rate, loss=loss), feedback_loss=loss).run(50)
    assert record.layer_at(50) == layer
    assert record.changes_between(15, 45) <= MAX_CHANGES
    assert (record.lowest_estimate(5, 50) or rate) >= rate / 2


@pytest.mark.parametrize("rate", [300, 700, 1_000])
def test_a_path_that_drops_what_exceeds_its_rate_is_obeyed(rate: int) -> None:
    record = Call(steady(rate * KBPS, queue_bytes=6_000)).run(45)
    assert record.sent_bps(5, 45) <= 1.1 * rate * KBPS
    assert record.changes_between(15, 45) <= MAX_CHANGES


def test_a_competing_flow_is_given_way_to_while_it_lasts() -> None:
    record = Call(steady(2 * MBPS), foreign=lambda now: MBPS if 15 < now < 45 else 0).run(75)
    assert record.below_after(15, MBPS) <= 3
    assert record.changes_between(18, 45) <= MAX_CHANGES
    assert record.layer_at(45) == 1
    assert record.back_after(45, 2) <= 15
    assert record.frozen(0, 75) <= 1


def test_a_slow_ramp_is_followed_down_and_up() -> None:
    rates = [(half / 2, (0.25 + 1.75 * abs(half / 60 - 1)) * MBPS) for half in range(120)]
    record = Call(Conditions(rates=tuple(rates))).run(65)
    assert [layer for _, layer in record.changes][:3] == [2, 1, 0]
    assert record.layer_at(64) == 2
    assert len(record.changes) <= 8
    assert record.frozen(0, 65) <= 0.5


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_path_that_becomes_longer_is_no_overload(layer: int) -> None:
    record = Call(steady(FREE, shift=(10, 0.1)), fixed=layer).run(40)
    assert all(bitrate is None and not is_congested for _, bitrate, is_congested in record.estimates)


@pytest.mark.parametrize("conditions", [steady(2 * MBPS, jitter_seconds=0.06), steady(2 * MBPS, reorder=0.05)])
def test_packets_that_arrive_unevenly_or_out_of_order_are_no_overload(conditions: Conditions) -> None:
    assert Call(conditions).run(40).changes == [(0.0, 2)]


@pytest.mark.parametrize("seconds", [0.3, 1, 4])
def test_a_path_that_stands_still_for_a_while_is_back_soon(seconds: float) -> None:
    call = Call(steady(3 * MBPS, queue_bytes=100_000, stall=(10, seconds)))
    record = call.run(40)
    congested = {at > 10 for at, _, is_congested in record.estimates if is_congested}
    assert congested == ({True} if seconds >= 1 else set())
    assert record.layer_at(10 + seconds + 10) == 2
    assert record.changes_between(25, 40) == 0


def test_lost_feedback_is_not_lost_media() -> None:
    call = Call(steady(700 * KBPS), feedback_loss=0.3)
    record = call.run(45)
    assert record.layer_at(45) == 1
    assert record.changes_between(15, 45) <= MAX_CHANGES
