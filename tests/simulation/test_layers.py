"""Who gets which layer of a simulcast publisher, as it asks for it by signalling."""

import pytest
import trio
from livekit.protocol.models import VideoQuality

from tests.simulation.house import House, flows, open_call, wait_until

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
by_rid_and_by_ssrc = pytest.mark.parametrize("by_ssrc", [False, True], ids=["by-rid", "by-ssrc"])


def layer_sent(house: House, sid: str) -> int | None:
    """Return the layer of a track that bob is being sent."""
    return house.participant("bob").subscriber.subscriptions[sid].down_track.statistics().layer


@both_layouts
@by_rid_and_by_ssrc
async def test_a_subscriber_gets_the_quality_or_the_size_that_it_asks_for(autojump_clock, single, by_ssrc) -> None:
    async with open_call(single=single) as (house, alice, bob):
        video = await alice.publish_simulcast(by_ssrc=by_ssrc)
        await bob.wait_until(flows(bob, video.sid))
        assert layer_sent(house, video.sid) == 2
        for wish, layer in (
            ({"quality": VideoQuality.LOW}, 0),
            ({"quality": VideoQuality.MEDIUM}, 1),
            ({"width": 1280, "height": 720}, 2),
            ({"width": 300, "height": 170}, 0),
            ({"quality": VideoQuality.HIGH}, 2),
        ):
            bob.set_track(video.sid, **wish)
            await wait_until(lambda layer=layer: layer_sent(house, video.sid) == layer)
        await bob.wait_until(flows(bob, video.sid, 10))
        statistics = bob.received[video.sid].statistics()
        assert (statistics.lost, statistics.suspects, statistics.restarts) == (0, 0, 0)


async def test_a_wish_is_remembered_until_its_track_is_subscribed_to(autojump_clock) -> None:
    async with open_call(single=True) as (house, alice, bob):
        video = await alice.publish_simulcast()
        await bob.wait_until(flows(bob, video.sid))
        bob.subscribe(video.sid, wanted=False)
        await wait_until(lambda: video.sid not in house.participant("bob").subscriber.subscriptions)
        bob.set_track(video.sid, quality=VideoQuality.MEDIUM)
        bob.subscribe(video.sid)
        await wait_until(lambda: video.sid in house.participant("bob").subscriber.subscriptions)
        await wait_until(lambda: layer_sent(house, video.sid) is not None)
        assert layer_sent(house, video.sid) == 1


@by_rid_and_by_ssrc
async def test_a_layer_that_stops_is_replaced_and_comes_back(autojump_clock, by_ssrc) -> None:
    async with open_call(single=True) as (house, alice, bob):
        video = await alice.publish_simulcast(by_ssrc=by_ssrc)
        await bob.wait_until(flows(bob, video.sid))
        video.stop_layer(2)
        await wait_until(lambda: layer_sent(house, video.sid) == 1)
        video.stop_layer(1)
        await wait_until(lambda: layer_sent(house, video.sid) == 0)
        video.start_layer(2)
        with trio.fail_after(5):
            await wait_until(lambda: layer_sent(house, video.sid) == 2)
        await bob.wait_until(flows(bob, video.sid, 10))
        assert bob.received[video.sid].statistics().suspects == 0
