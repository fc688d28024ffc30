"""A back end takes permissions and gives them back, removes people and rooms: told as it was recorded."""

import trio

from tests.simulation.back_end import open_back_end
from tests.simulation.house import ROOM, sent, wait_until
from tests.simulation.stage import Stage, layouts, play
from triforium.visitor import Publication, Visitor

EVERYTHING = {"can_subscribe": True, "can_publish": True, "can_publish_data": True}


async def lose(visitor: Visitor, publication: Publication) -> None:
    """Wait to be told that a track is unpublished, and take it out of the description, as clients do."""
    await visitor.wait_until(lambda: publication.sid in {each.track_sid for each in sent(visitor, "track_unpublished")})
    publication.unpublish()


@layouts
async def test_permissions_are_taken_and_given_back_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice")
        await trio.sleep(3)
        bob = await stage.enter("bob")
        await trio.sleep(0.5)
        camera, microphone = await alice.publish_video(), await alice.publish_audio()
        await trio.sleep(4)
        async with open_back_end(stage.house) as api:

            async def allow(identity: str, **permission: object) -> None:
                await api.call("UpdateParticipant", room=ROOM, identity=identity, permission=permission)

            await allow("alice", **EVERYTHING, can_publish_sources=["MICROPHONE"])
            await lose(alice, camera)
            await trio.sleep(2)
            await allow("alice", can_subscribe=True)
            await lose(alice, microphone)
            await trio.sleep(2)
            await allow("alice", **EVERYTHING)
            await trio.sleep(1)
            await alice.publish_audio()
            await trio.sleep(2)
            await allow("bob", can_publish=True, can_publish_data=True)
            await trio.sleep(4)
            await allow("bob", **EVERYTHING)
            await trio.sleep(4)
            await allow("bob", **EVERYTHING)
            await trio.sleep(1)
        await alice.leave()
        await bob.leave()
        return {"alice": alice, "bob": bob}

    await play("s08-permissions", "js", layout, act)


@layouts
async def test_a_participant_is_removed_and_a_room_deleted_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice")
        await trio.sleep(1)
        bob = await stage.enter("bob")
        await alice.publish_audio()
        await trio.sleep(3.5)
        async with open_back_end(stage.house) as api:
            await api.call("RemoveParticipant", room=ROOM, identity="alice")
            await trio.sleep(3)
            await api.call("DeleteRoom", room=ROOM)
            await wait_until(lambda: bob.signal_code is not None)
        return {"alice": alice, "bob": bob}

    await play("s09-remove-delete", "js", layout, act)


@layouts
async def test_who_may_not_publish_or_subscribe_or_be_seen_is_told_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice")
        await alice.publish_audio()
        await trio.sleep(1.5)
        bob = await stage.enter("bob", grant={"can_publish": False, "can_publish_data": False})
        await trio.sleep(3)
        carol = await stage.enter("carol", grant={"can_subscribe": False})
        await carol.publish_audio()
        await trio.sleep(6)
        dave = await stage.enter("dave", grant={"hidden": True, "can_publish": False})
        await trio.sleep(4)
        async with trio.open_nursery() as nursery:
            for visitor in (bob, carol, dave, alice):
                nursery.start_soon(visitor.leave)
                await trio.sleep(0.001)
        return {"alice": alice, "bob": bob, "carol": carol, "dave": dave}

    await play("s08-join-limited", "js", layout, act)
