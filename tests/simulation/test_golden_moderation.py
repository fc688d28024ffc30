"""A back end mutes tracks, removes people and deletes rooms; somebody vanishes: told as it was recorded."""

from collections.abc import Callable

import pytest
import trio

from tests.simulation.back_end import BackEnd, CallError, open_back_end
from tests.simulation.house import ROOM, sent, wait_until
from tests.simulation.stage import Stage, layouts, leave_together, play
from triforium.visitor import Publication, Visitor


def is_told_of(visitor: Visitor, sid: str) -> Callable[[], bool]:
    return lambda: sid in {each.sid for each in sent(visitor, "mute")}


async def mute_as_told(visitor: Visitor, publication: Publication, api: BackEnd) -> None:
    """Have the back end mute a track; its publisher says so itself then, as clients do."""
    await api.call("MutePublishedTrack", room=ROOM, identity=visitor.me.identity, track_sid=publication.sid, muted=True)
    await visitor.wait_until(is_told_of(visitor, publication.sid))
    publication.mute(True)


@layouts
async def test_a_track_is_muted_by_a_back_end_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice")
        await trio.sleep(2)
        bob = await stage.enter("bob")
        await trio.sleep(1)
        microphone = await alice.publish_audio()
        await alice.publish_simulcast()
        await trio.sleep(3)
        async with open_back_end(stage.house) as api:
            await mute_as_told(alice, microphone, api)
            await trio.sleep(2)
            with pytest.raises(CallError, match="failed_precondition"):
                await api.call("MutePublishedTrack", room=ROOM, identity="alice", track_sid=microphone.sid, muted=False)
            await api.call("MutePublishedTrack", room=ROOM, identity="alice", track_sid="TR_nosuchtrack", muted=True)
            await alice.wait_until(is_told_of(alice, "TR_nosuchtrack"))
        microphone.mute(False)
        await trio.sleep(2)
        await leave_together(alice, bob, within=0.001 if stage.single else 0.5)
        return {"alice": alice, "bob": bob}

    await play("s09-server-mute", "js", layout, act)


@layouts
async def test_who_closes_the_page_is_told_of_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        bob = await stage.enter("bob")
        await trio.sleep(3.2)
        alice = await stage.enter("alice")
        await alice.publish_audio()
        await trio.sleep(3)
        await alice.leave()
        await trio.sleep(20)
        await bob.leave()
        return {"alice": alice, "bob": bob}

    await play("s09-vanish", "js", layout, act)


@layouts
async def test_python_is_muted_and_removed_and_its_room_deleted_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        bob = await stage.enter("bob")
        alice = await stage.enter("alice")
        microphone = await alice.publish_audio()
        await trio.sleep(3)
        async with open_back_end(stage.house) as api:
            await mute_as_told(alice, microphone, api)
            microphone.mute(True)  # Rust says it twice
            await trio.sleep(2)
            await api.call("RemoveParticipant", room=ROOM, identity="alice")
            await trio.sleep(3)
            again = await stage.enter("bob")
            await trio.sleep(4)
            await api.call("DeleteRoom", room=ROOM)
            await wait_until(lambda: again.signal_code is not None)
        return {"alice": alice, "bob": bob, "bob#2": again}

    await play("s09-mute-remove-duplicate-delete", "py", layout, act)
