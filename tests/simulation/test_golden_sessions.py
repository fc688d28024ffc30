"""Permissions, duplicate identities and resumed sessions, told to visitors as they were told to published clients."""

from contextlib import AsyncExitStack

import trio
from livekit.protocol.rtc import SignalRequest, SubscriptionPermission, TrackPermission

from tests.simulation.house import open_house
from tests.simulation.stage import Stage, clients, layouts, leave_together, play
from triforium.visitor import Visitor


async def publish_both(visitor: Visitor) -> None:
    await visitor.publish_video()
    await visitor.publish_audio()


async def permit(alice: Visitor) -> None:
    """Let nobody have the tracks, then Bob the microphone, then everybody both."""
    voice = next(track.sid for track in alice.me.tracks if track.sid.startswith("TR_AM"))
    only_voice = [TrackPermission(participant_identity="bob", track_sids=[voice])]
    for permission in (
        SubscriptionPermission(),
        SubscriptionPermission(track_permissions=only_voice),
        SubscriptionPermission(all_participants=True),
    ):
        alice.send(SignalRequest(subscription_permission=permission))
        await trio.sleep(4)


async def test_permissions_given_and_revoked_are_told_as_recorded(autojump_clock) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice")
        await trio.sleep(1)
        bob = await stage.enter("bob")
        await publish_both(alice)
        await trio.sleep(3.2)
        await permit(alice)
        await leave_together(alice, bob)
        return {"alice": alice, "bob": bob}

    await play("s08-subscription-permission", "js", "v0", act)


async def test_permissions_given_and_revoked_on_one_connection_are_told_as_recorded(autojump_clock) -> None:
    async with open_house() as house, AsyncExitStack() as visitors:
        stage = Stage(house, "s08-subscription-permission", "js", "v1", visitors)
        alice = await stage.enter("alice")
        bob = await stage.enter("bob")
        await publish_both(alice)
        await trio.sleep(4)
        starts = len(alice.messages), len(bob.messages)
        await permit(alice)
        for visitor, start in zip((alice, bob), starts, strict=True):  # before, her camera took its time to begin there
            stage.compare_from(start, visitor, visitor.me.identity, until="alice", since="nobody may subscribe")


@layouts
async def test_a_second_session_of_an_identity_is_told_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        bob = await stage.enter("bob")
        await trio.sleep(2)
        alice = await stage.enter("alice")
        await alice.publish_audio()
        await trio.sleep(4)
        again = await stage.enter("alice")
        await trio.sleep(5)
        await again.publish_audio()
        await trio.sleep(2)
        await leave_together(again, bob)
        return {"alice": alice, "alice#2": again, "bob": bob}

    await play("s09-duplicate-identity", "js", layout, act)


@clients
@layouts
async def test_a_resumed_session_is_told_as_recorded(autojump_clock, client, layout) -> None:
    async with open_house() as house, AsyncExitStack() as visitors:
        stage = Stage(house, "s10-resume", client, layout, visitors)
        alice = await stage.enter("alice", resumes=True)
        bob = await stage.enter("bob")
        await publish_both(alice)
        await bob.publish_audio()
        await trio.sleep(6)
        await alice.cut_signal()
        await trio.sleep(1)
        stage.compare_resumption(alice, "alice")
