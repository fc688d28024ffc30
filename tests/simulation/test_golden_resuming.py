"""Sessions that cannot go on, that lose their media, or miss something meanwhile: told as it was recorded."""

from contextlib import AsyncExitStack

import trio

from sfu.errors import CloseReason
from tests.simulation.house import open_house, set_silent
from tests.simulation.recording import NEGOTIATION
from tests.simulation.stage import UNLIKE_FOR_OTHERS, Stage, layouts
from triforium.testing.world import SERVER_HOST

TRACKS = "track "
"""What was told of tracks on an earlier socket is left out there."""


@layouts
async def test_who_was_removed_meanwhile_is_sent_to_join_anew_as_recorded(autojump_clock, layout) -> None:
    async with open_house() as house, AsyncExitStack() as visitors:
        stage = Stage(house, "s10-resume-unknown", "js", layout, visitors)
        alice = await stage.enter("alice", resumes=True)
        await alice.publish_audio()
        await trio.sleep(3)
        start = len(alice.messages)
        await alice.cut_signal()
        house.participant("alice").close(CloseReason.PARTICIPANT_REMOVED)
        await alice.wait_over()
        again = await stage.join_anew("alice")
        stage.compare_from(start, alice, "alice", "alice#2", since="network cuts", until="alice#3")
        stage.compare_newcomer(again, "alice#3")


@layouts
async def test_who_loses_its_media_is_told_to_resume_as_recorded(autojump_clock, layout) -> None:
    async with open_house() as house, AsyncExitStack() as visitors:
        stage = Stage(house, "s10-media-lost", "js", layout, visitors)
        alice = await stage.enter("alice", resumes=True)
        await trio.sleep(4)
        bob = await stage.enter("bob")
        await alice.publish_audio()
        await trio.sleep(3)
        alices, bobs = len(alice.messages), len(bob.messages)
        lost_at = trio.current_time()
        set_silent(alice, silent=True)
        await alice.wait_until(lambda: alice.resumptions == 1)
        assert 12 < trio.current_time() - lost_at < 16
        await alice.leave()
        again = await stage.join_anew("alice")
        since, unlike = "peer connections are closed", (*NEGOTIATION, TRACKS)
        stage.compare_from(alices, alice, "alice", "alice#2", since=since, until="alice#2", without=unlike)
        stage.compare_from(bobs, bob, "bob", since=since, until="alice#3", without=UNLIKE_FOR_OTHERS)
        stage.compare_newcomer(again, "alice#3")


@layouts
async def test_what_was_missed_is_told_on_coming_back_as_recorded(autojump_clock, layout) -> None:
    async with open_house() as house, AsyncExitStack() as visitors:
        stage = Stage(house, "s10-resume-missed", "js", layout, visitors)
        alice = await stage.enter("alice", resumes=True)
        bob = await stage.enter("bob")
        carol = await stage.enter("carol")
        await alice.publish_audio()
        microphone = await bob.publish_audio()
        await trio.sleep(4)
        start = len(alice.messages)
        path = house.participant("alice").publisher.peer.connection.selected
        assert path is not None
        house.network.partition(path.remote[0], SERVER_HOST)
        await alice.cut_signal()
        await carol.leave()
        microphone.mute(True)
        await bob.publish_simulcast()
        house.network.heal(path.remote[0], SERVER_HOST)
        await alice.wait_until(lambda: alice.resumptions == 1)
        await trio.sleep(6)
        socket = "alice#3" if stage.single else "alice#4"  # those before were cut again at once
        stage.compare_from(start, alice, socket, since="sockets work again", until=socket, without=(TRACKS,))
