"""What becomes of the picture where the subscriber's link is not what it should be."""

import pytest
import trio
from livekit.protocol.rtc import ACTIVE, PAUSED, SignalRequest, SimulateScenario

from sfu.media.downtrack import Allowance
from sfu.media.ladder import Level
from tests.simulation.bottleneck import Outcome, Phase, bottleneck, run_phases
from tests.simulation.house import House, flows, open_house, sent, wait_until
from triforium.config import CongestionControlConfig, RtcConfig
from triforium.visitor import BandwidthFeedback

FAST, SLOW = 2_000_000, 300_000
STEADY_SECONDS, SLOW_SECONDS, FAST_AGAIN_SECONDS = 6.0, 12.0, 16.0
DROP_AT = STEADY_SECONDS
RISE_AT = DROP_AT + SLOW_SECONDS
END = RISE_AT + FAST_AGAIN_SECONDS

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])


async def drop_and_rise(
    queue_seconds: float, *, feedback: BandwidthFeedback = BandwidthFeedback.TRANSPORT_CC, single: bool = False
) -> Outcome:
    return await run_phases(
        [
            Phase(STEADY_SECONDS, bottleneck(FAST, queue_seconds=queue_seconds)),
            Phase(SLOW_SECONDS, bottleneck(SLOW, queue_seconds=queue_seconds)),
            Phase(FAST_AGAIN_SECONDS, bottleneck(FAST, queue_seconds=queue_seconds)),
        ],
        feedback=feedback,
        single=single,
    )


@both_layouts
async def test_a_drop_is_followed_and_undone(autojump_clock, single) -> None:
    outcome = await drop_and_rise(0.3, single=single)
    assert outcome.layers_from(0, DROP_AT) == [2]
    assert outcome.fell_below(SLOW, DROP_AT) <= 2
    assert outcome.frozen(DROP_AT, RISE_AT) <= 2
    assert outcome.layers_from(DROP_AT + 2, RISE_AT) == [0]
    assert outcome.reached(2, RISE_AT) <= 15
    assert outcome.frozen(RISE_AT, END) <= 0.5


async def test_a_long_queue_does_not_hide_it(autojump_clock) -> None:
    outcome = await drop_and_rise(1.0)
    assert outcome.fell_below(SLOW, DROP_AT) <= 2
    assert outcome.frozen(DROP_AT, RISE_AT) <= 2
    assert outcome.reached(2, RISE_AT) <= 15


async def test_a_queue_shorter_than_a_key_frame_does_not_freeze_the_picture(autojump_clock) -> None:
    outcome = await drop_and_rise(0.05)
    assert outcome.frozen(DROP_AT, RISE_AT) <= 2
    assert outcome.reached(2, RISE_AT) <= 15
    assert outcome.frozen(RISE_AT, END) <= 1


@pytest.mark.parametrize(("loss", "seed"), [(0.01, 1), (0.05, 5), (0.1, 3)])
async def test_loss_by_chance_is_no_reason_to_send_less(autojump_clock, loss, seed) -> None:
    # in the last one a packet is lost four times
    outcome = await run_phases(
        [Phase(32, bottleneck(None, loss=loss))], feedback=BandwidthFeedback.TRANSPORT_CC, seed=seed
    )
    assert outcome.layers_from(0) == [2]
    assert outcome.frozen(0, 32) <= 0.5


@pytest.mark.parametrize("feedback", [BandwidthFeedback.TRANSPORT_CC, BandwidthFeedback.REMB])
@pytest.mark.parametrize(("rate", "layer"), [(2_000_000, 2), (900_000, 1), (300_000, 0)])
async def test_a_steady_link_gets_the_best_layer_that_fits(autojump_clock, rate, layer, feedback) -> None:
    outcome = await run_phases([Phase(36, bottleneck(rate))], feedback=feedback)
    assert outcome.samples[-1].layer == layer
    assert outcome.changes(5) <= 3


async def test_who_only_estimates_is_followed_too(autojump_clock) -> None:
    outcome = await drop_and_rise(0.3, feedback=BandwidthFeedback.REMB)
    assert outcome.fell_below(SLOW, DROP_AT) <= 3
    assert outcome.frozen(DROP_AT, RISE_AT) <= 2
    assert outcome.layers_from(DROP_AT + 4, RISE_AT) == [0]


async def test_a_queue_too_short_to_be_seen_in_estimates_is_found_by_its_losses(autojump_clock) -> None:
    outcome = await drop_and_rise(0.05, feedback=BandwidthFeedback.REMB)
    assert outcome.fell_below(SLOW, DROP_AT) <= 5
    assert outcome.reached(2, RISE_AT) <= 15


async def test_who_only_estimates_is_back_soon_after_others_have_shared_the_link(autojump_clock) -> None:
    outcome = await run_phases(
        [Phase(6, bottleneck(FAST)), Phase(15, bottleneck(FAST), 1e6), Phase(16, bottleneck(FAST))],
        feedback=BandwidthFeedback.REMB,
    )
    assert outcome.reached(2, 21) <= 15
    assert outcome.frozen(0, 37) <= 0.5


async def test_it_can_be_turned_off(autojump_clock) -> None:
    config = {"rtc": RtcConfig(congestion_control=CongestionControlConfig(enabled=False))}
    outcome = await run_phases([Phase(4, bottleneck(SLOW))], feedback=BandwidthFeedback.TRANSPORT_CC, config=config)
    assert outcome.samples[-1].budget_bps is None
    assert outcome.layers_from(0) == [2]


@both_layouts
@pytest.mark.parametrize("may_pause", [True, False])
async def test_who_simulates_little_bandwidth_gets_little_and_is_told_of_pauses(
    autojump_clock, single, may_pause
) -> None:
    config = {"rtc": RtcConfig(congestion_control=CongestionControlConfig(allow_pause=may_pause))}
    async with (
        open_house(config=config) as house,
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single) as bob,
    ):
        video = await alice.publish_simulcast()
        await bob.wait_until(flows(bob, video.sid))
        down_track = house.participant("bob").subscriber.subscriptions[video.sid].down_track
        await trio.sleep(2)  # until it is known what layers cost

        bob.send(SignalRequest(simulate=SimulateScenario(subscriber_bandwidth=100)))
        await wait_until(lambda: down_track.statistics().layer == (None if may_pause else 0))
        assert down_track.is_starved == may_pause
        bob.send(SignalRequest(simulate=SimulateScenario(subscriber_bandwidth=0)))
        await wait_until(lambda: down_track.statistics().layer == 2)

        states = [
            (info.participant_sid, info.track_sid, info.state)
            for update in sent(bob, "stream_state_update")
            for info in update.stream_states
        ]
        told = [PAUSED, ACTIVE] if may_pause else []
        assert states == [(alice.join.participant.sid, video.sid, state) for state in told]


async def test_why_a_layer_is_sent_is_shown(autojump_clock) -> None:
    allowances: list[Allowance | None] = []

    def look(house: House, _: float) -> None:
        (subscription,) = house.participant("bob").subscriber.subscriptions.values()
        allowances.append(subscription.down_track.statistics().allowance)

    await run_phases([Phase(6, bottleneck(SLOW))], feedback=BandwidthFeedback.TRANSPORT_CC, during=look)
    assert allowances[0] is None
    last = allowances[-1]
    assert last is not None
    assert last.level == Level(0)
    assert [rung.level.layer for rung in last.ladder] == [0, 1, 2]
    costs = [rung.bitrate_bps for rung in last.ladder]
    assert costs[0] < last.budget_bps < costs[1] < costs[2]


@pytest.mark.parametrize("feedback", [BandwidthFeedback.TRANSPORT_CC, BandwidthFeedback.REMB])
async def test_what_is_paused_comes_back_when_there_is_room(autojump_clock, feedback) -> None:
    config = {"rtc": RtcConfig(congestion_control=CongestionControlConfig(allow_pause=True))}
    phases = [Phase(4, bottleneck(FAST)), Phase(10, bottleneck(80_000)), Phase(30, bottleneck(FAST))]
    outcome = await run_phases(phases, feedback=feedback, config=config)
    assert outcome.samples[130].layer is None
    assert outcome.samples[-1].layer == 2
    states = [
        info.state
        for each in outcome.messages
        if each.kind == "stream_state_update"
        for info in each.content.stream_state_update.stream_states
    ]
    assert states[0] == PAUSED
    assert states[-1] == ACTIVE
