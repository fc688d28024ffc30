"""Everybody is told how well media gets through: at first, and when that changes."""

from itertools import groupby

import pytest
import trio
from livekit.protocol.models import EXCELLENT, GOOD, LOST, POOR, VideoQuality

from sfu.media.quality import WINDOW_SECONDS
from tests.simulation.bottleneck import Phase, bottleneck, run_phases
from tests.simulation.house import HTTP, flows, open_call, open_house, sent, wait_until
from tests.simulation.recording import recorded
from triforium.testing import Link
from triforium.visitor import BandwidthFeedback, Visitor


def told(visitor: Visitor) -> list[dict[str, int]]:
    """Return what somebody was told, one message after the other: qualities by sid."""
    return [
        {each.participant_sid: each.quality for each in update.updates}
        for update in sent(visitor, "connection_quality")
    ]


def words(visitor: Visitor, about: Visitor) -> list[int]:
    """Return what somebody was told of somebody, without repetitions."""
    every = [update[about.me.sid] for update in told(visitor) if about.me.sid in update]
    return [quality for quality, _ in groupby(every)]


async def test_everybody_is_told_once_of_itself_and_of_those_that_it_gets_something_of(autojump_clock) -> None:
    async with open_call(single=True) as (_, alice, bob):
        await alice.publish_audio()
        video = await alice.publish_simulcast()
        await bob.wait_until(flows(bob, video.sid))
        await trio.sleep(4 * WINDOW_SECONDS)
        assert told(alice) == [{alice.me.sid: EXCELLENT}]
        assert told(bob) == [{bob.me.sid: EXCELLENT, alice.me.sid: EXCELLENT}]
        ((mine, _),) = [update.updates for update in sent(bob, "connection_quality")]
        assert mine.participant_sid == bob.me.sid
        assert mine.score == pytest.approx(4.5, abs=0.01)


async def test_the_first_words_are_those_of_the_recorded_server(autojump_clock) -> None:
    messages = [m for m in recorded("s06-dynacast.js-v1", "bob", "s>c") if m.kind == "connection_quality"]
    theirs = [(each["quality"], each["score"]) for each in messages[0].fields["updates"]]
    async with open_call(single=True) as (_, alice, bob):
        video = await alice.publish_simulcast()
        await bob.wait_until(flows(bob, video.sid))
        await bob.wait_until(lambda: bool(told(bob)))
        ours = [(each.quality, each.score) for each in sent(bob, "connection_quality")[0].updates]
        assert theirs == [("EXCELLENT", 4.5), ("EXCELLENT", 4.5)]
        assert ours == [(EXCELLENT, pytest.approx(4.5, abs=0.01))] * 2


async def test_a_layer_that_the_publisher_cannot_afford_is_told_and_one_that_nobody_wants_is_not(
    autojump_clock,
) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True, dynacast=True) as alice,
        house.visitor("bob", single=True) as bob,
    ):
        video = await alice.publish_simulcast()
        await bob.wait_until(flows(bob, video.sid))
        bob.set_track(video.sid, quality=VideoQuality.LOW)
        await wait_until(lambda: [sender.is_stopped for sender in video.senders] == [False, True, True])
        await trio.sleep(3 * WINDOW_SECONDS)
        bob.set_track(video.sid)
        await trio.sleep(3 * WINDOW_SECONDS)
        assert words(bob, alice) == [EXCELLENT]
        video.stop_layer(2)
        await trio.sleep(3 * WINDOW_SECONDS)
        assert words(bob, alice) == words(alice, alice) == [EXCELLENT, GOOD]
        assert words(bob, bob) == [EXCELLENT], "he gets the best that there is"
        video.start_layer(2)
        await trio.sleep(6 * WINDOW_SECONDS)
        assert words(bob, alice) == words(alice, alice) == [EXCELLENT, GOOD, EXCELLENT]


async def test_who_has_too_little_bandwidth_is_told_so_and_nobody_else(autojump_clock) -> None:
    outcome = await run_phases(
        [Phase(1.5 * WINDOW_SECONDS, bottleneck(2_000_000)), Phase(2.5 * WINDOW_SECONDS, bottleneck(300_000))],
        feedback=BandwidthFeedback.TRANSPORT_CC,
    )
    updates = [
        each.content.connection_quality.updates for each in outcome.messages if each.kind == "connection_quality"
    ]
    his = [quality for quality, _ in groupby(own.quality for own, *_ in updates)]
    hers = {other.quality for _, *others in updates for other in others}
    assert his[0] == EXCELLENT
    assert his[-1] == POOR
    assert LOST not in his
    assert hers == {EXCELLENT}


async def test_who_is_muted_is_heard_as_well_as_ever(autojump_clock) -> None:
    async with open_call(single=False) as (_, alice, bob):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        await trio.sleep(2 * WINDOW_SECONDS)
        audio.mute(True)
        await trio.sleep(3.3 * WINDOW_SECONDS)
        audio.mute(False)
        await trio.sleep(3 * WINDOW_SECONDS)
        assert words(bob, alice) == words(bob, bob) == [EXCELLENT]


async def test_a_track_of_which_nothing_comes_is_poor_while_its_publisher_is_there(autojump_clock) -> None:
    async with open_call(single=True) as (_, alice, bob):
        video = await alice.publish_video()
        await bob.wait_until(flows(bob, video.sid))
        await trio.sleep(2 * WINDOW_SECONDS)
        video.stop_layer(0)
        await trio.sleep(3 * WINDOW_SECONDS)
        assert words(bob, alice) == [EXCELLENT, POOR]
        assert words(bob, bob) == [EXCELLENT]


async def test_who_is_cut_off_is_lost_for_the_others_and_for_itself_while_signalling_goes_on(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("bob", single=True) as bob,
        house.visitor("alice", single=True, world=house.world("10.9.9.9")) as alice,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        await trio.sleep(2 * WINDOW_SECONDS)
        cut_at = trio.current_time()
        house.network.set_link("10.9.9.9", HTTP[0], Link(loss=1.0))
        await bob.wait_until(lambda: words(bob, alice) == [EXCELLENT, LOST])
        assert WINDOW_SECONDS < trio.current_time() - cut_at < 2 * WINDOW_SECONDS + 0.1
        assert words(alice, alice) == [EXCELLENT, LOST]
        (last,) = [each for each in sent(bob, "connection_quality")[-1].updates if each.participant_sid == alice.me.sid]
        assert last.score == pytest.approx(1.252), "as recorded"
        assert words(bob, bob) == [EXCELLENT]


async def test_who_resumes_is_told_again(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True, resumes=True) as alice:
        await alice.publish_audio()
        await trio.sleep(2 * WINDOW_SECONDS)
        await alice.cut_signal()
        await trio.sleep(2 * WINDOW_SECONDS)
        assert told(alice) == [{alice.me.sid: EXCELLENT}] * 2
