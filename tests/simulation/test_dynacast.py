"""What nobody watches is not sent, and comes back without a gap for those who watch something less."""

from itertools import pairwise

import pytest
import trio
from livekit.protocol.models import VideoQuality

from sfu.media.dynacast import FIRST_SECONDS, LOWERING_SECONDS
from tests.simulation.house import flows, open_call, open_house, sent, wait_until
from tests.simulation.test_layers import both_layouts, by_rid_and_by_ssrc, layer_sent
from triforium.visitor import Publication, Visitor

NOTHING, LOW, ALL = 0, 1, 3
"""How many qualities are enabled."""


def told(publisher: Visitor) -> list[tuple[float, int]]:
    """Return how many qualities a publisher was told to send, and when; both forms say the same."""
    result = []
    for message in publisher.messages:
        if message.kind == "subscribed_quality_update":
            update = message.content.subscribed_quality_update
            (codec,) = update.subscribed_codecs
            assert codec.codec == "vp8"
            assert list(codec.qualities) == list(update.subscribed_qualities)
            enabled = [each.quality for each in codec.qualities if each.enabled]
            assert enabled == list(range(len(enabled))), "the lowest first, none left out"
            assert [each.quality for each in codec.qualities] == [0, 1, 2], "all are named"
            result.append((message.time, len(enabled)))
    return result


def stopped(video: Publication) -> list[bool]:
    return [sender.is_stopped for sender in video.senders]


@both_layouts
@by_rid_and_by_ssrc
async def test_a_publisher_stops_what_nobody_wants_and_starts_it_again_when_somebody_does(
    autojump_clock, single, by_ssrc
) -> None:
    async with open_house() as house, house.visitor("alice", single=single, dynacast=True) as alice:
        video = await alice.publish_simulcast(by_ssrc=by_ssrc)
        published_at = trio.current_time()
        await trio.sleep(FIRST_SECONDS + 1)
        ((at, enabled),) = told(alice)
        assert enabled == NOTHING
        assert at - published_at == pytest.approx(FIRST_SECONDS, abs=0.2)
        assert stopped(video) == [True, True, True]
        async with house.visitor("bob", single=single) as bob:
            await bob.wait_until(flows(bob, video.sid))
            assert told(alice)[1:] == [(told(alice)[-1][0], ALL)]
            assert stopped(video) == [False, False, False]
            await wait_until(lambda: layer_sent(house, video.sid) == 2)
            bob.set_track(video.sid, quality=VideoQuality.LOW)
            asked_at = trio.current_time()
            await trio.sleep(LOWERING_SECONDS + 1)
            at, enabled = told(alice)[-1]
            assert enabled == LOW
            # Counted from when Bob is on the lower layer: until then he is sent the upper one.
            assert LOWERING_SECONDS <= at - asked_at < LOWERING_SECONDS + 0.5
            assert stopped(video) == [False, True, True]
        await trio.sleep(LOWERING_SECONDS + 1)
        assert told(alice)[-1][1] == NOTHING
        assert stopped(video) == [True, True, True]


@by_rid_and_by_ssrc
async def test_an_upper_layer_comes_back_at_once_while_the_lower_one_goes_on(autojump_clock, by_ssrc) -> None:
    arrivals: list[float] = []
    async with (
        open_house() as house,
        house.visitor("alice", single=True, dynacast=True) as alice,
        house.visitor("bob", single=True, watch=lambda _, packet: arrivals.append(packet.arrived_at)) as bob,
    ):
        video = await alice.publish_simulcast(by_ssrc=by_ssrc)
        await bob.wait_until(flows(bob, video.sid))
        bob.set_track(video.sid, quality=VideoQuality.LOW)
        await wait_until(lambda: stopped(video) == [False, True, True])
        await trio.sleep(3)
        arrivals.clear()
        bob.set_track(video.sid)
        asked_at = trio.current_time()
        await wait_until(lambda: layer_sent(house, video.sid) == 2)
        assert trio.current_time() - asked_at < 0.5, "it need not prove itself, as a layer has to that died by itself"
        await bob.wait_until(flows(bob, video.sid, 10))
        gaps = [after - before for before, after in pairwise(arrivals)]
        assert max(gaps) <= 0.25, "five frames a second, and no pause"
        statistics = bob.received[video.sid].statistics()
        assert (statistics.lost, statistics.suspects, statistics.restarts) == (0, 0, 0)


async def test_the_best_that_anybody_wants_is_sent(autojump_clock) -> None:
    async with open_call(single=True) as (house, alice, bob), house.visitor("carol", single=False) as carol:
        video = await alice.publish_simulcast()
        for each in (bob, carol):
            await each.wait_until(flows(each, video.sid))
        bob.set_track(video.sid, quality=VideoQuality.LOW)
        carol.set_track(video.sid, disabled=True)
        await trio.sleep(LOWERING_SECONDS + 1)
        assert [enabled for _, enabled in told(alice)] == [ALL, LOW]
        carol.set_track(video.sid, quality=VideoQuality.MEDIUM)
        await wait_until(lambda: told(alice)[-1][1] == 2)
        carol.subscribe(video.sid, wanted=False)
        await trio.sleep(LOWERING_SECONDS + 1)
        assert [enabled for _, enabled in told(alice)] == [ALL, LOW, 2, LOW]


async def test_nothing_is_told_of_a_track_that_is_muted_and_what_is_wanted_then_when_it_is_unmuted(
    autojump_clock,
) -> None:
    async with open_call(single=True) as (_, alice, bob):
        video = await alice.publish_simulcast()
        await bob.wait_until(flows(bob, video.sid))
        video.mute(True)
        bob.set_track(video.sid, quality=VideoQuality.LOW)
        await trio.sleep(3 * LOWERING_SECONDS)
        assert [enabled for _, enabled in told(alice)] == [ALL]
        video.mute(False)
        await wait_until(lambda: len(told(alice)) == 2)
        assert told(alice)[-1][1] == LOW


async def test_a_publisher_that_resumes_is_told_again(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True, resumes=True) as alice,
        house.visitor("bob", single=True) as bob,
    ):
        video = await alice.publish_simulcast()
        await bob.wait_until(flows(bob, video.sid))
        await alice.cut_signal()
        await wait_until(lambda: alice.resumptions == 1 and len(told(alice)) == 2)
        assert [enabled for _, enabled in told(alice)] == [ALL, ALL]
        kinds = [message.kind for message in alice.messages if not message.is_sent]
        assert kinds.index("reconnect") < len(kinds) - 1 - kinds[::-1].index("subscribed_quality_update")


async def test_a_track_of_one_layer_is_wanted_in_full_or_not_at_all(autojump_clock) -> None:
    async with open_call(single=True) as (_, alice, bob):
        video = await alice.publish_video()
        await bob.wait_until(flows(bob, video.sid))
        bob.set_track(video.sid, quality=VideoQuality.LOW)
        await trio.sleep(LOWERING_SECONDS + 1)
        assert [enabled for _, enabled in told(alice)] == [ALL]
        bob.set_track(video.sid, disabled=True)
        await trio.sleep(LOWERING_SECONDS + 1)
        assert [enabled for _, enabled in told(alice)] == [ALL, NOTHING]


async def test_audio_is_never_told_of(autojump_clock) -> None:
    async with open_call(single=True) as (_, alice, bob):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        await trio.sleep(FIRST_SECONDS + 1)
        assert sent(alice, "subscribed_quality_update") == []
