"""What participants do in a room, whatever they are made of."""

from functools import partial
from typing import Final

from tests.e2e.meeting import DUAL, SINGLE, Kind, Meeting, Participant, at_once

LATE_SECONDS: Final = 2
"""From beginning to join to the first picture of somebody who is there already."""


async def perceive_each_other(alice: Participant, bob: Participant) -> None:
    await at_once(partial(alice.perceives, bob), partial(bob.perceives, alice))


async def meet(alice: Participant, bob: Participant) -> None:
    """Join at the same time, publish, see and hear each other."""
    await at_once(alice.join, bob.join)
    await at_once(alice.publish, bob.publish)
    await perceive_each_other(alice, bob)


async def mute_and_unmute(meeting: Meeting, kind: Kind) -> None:
    """Meet and mute for a while, one layout and the other."""
    alice = await meeting.invite("alice", kind, SINGLE)
    bob = await meeting.invite("bob", kind, DUAL)
    await meet(alice, bob)
    await mute_for_a_while(alice, bob)


async def mute_for_a_while(alice: Participant, bob: Participant) -> None:
    """Who have met, stop being seen and heard, and begin again."""
    await at_once(alice.mute, bob.mute)
    await alice.until(lambda view: view.video("bob").muted and view.audio("bob").muted)
    await bob.until(lambda view: view.video("alice").muted and view.audio("alice").muted)
    await at_once(partial(alice.perceives_nothing_of, bob), partial(bob.perceives_nothing_of, alice))

    await at_once(alice.unmute, bob.unmute)
    await alice.until(lambda view: not view.video("bob").muted and not view.audio("bob").muted)
    await bob.until(lambda view: not view.video("alice").muted and not view.audio("alice").muted)
    await perceive_each_other(alice, bob)


async def come_late_and_come_back(meeting: Meeting, kind: Kind, layout: str) -> None:
    """Have video at once in a room where somebody publishes already, the second time too."""
    alice = await meeting.invite("alice", kind, layout)
    bob = await meeting.invite("bob", kind, layout)
    await alice.join()
    await alice.publish()

    await bob.join()
    assert (await bob.sees(alice)).first_frame_seconds < LATE_SECONDS
    await bob.publish()
    await alice.perceives(bob)

    await bob.leave()
    await alice.until(lambda view: "bob" not in view.participants)
    await bob.join()
    assert (await bob.sees(alice)).first_frame_seconds < LATE_SECONDS
    await bob.publish()
    await alice.perceives(bob)


async def unpublish_and_publish_again(meeting: Meeting, kind: Kind) -> None:
    """Take tracks back, on both sides at once, so that their media sections are used again."""
    alice = await meeting.invite("alice", kind, SINGLE)
    bob = await meeting.invite("bob", kind, DUAL)
    await meet(alice, bob)
    await at_once(alice.unpublish, bob.unpublish)
    await alice.until(lambda view: view.participants == {"bob": {}})
    await bob.until(lambda view: view.participants == {"alice": {}})
    await at_once(alice.publish, bob.publish)
    await perceive_each_other(alice, bob)


async def be_told_of_a_shutdown(meeting: Meeting, kind: Kind) -> None:
    """Be in a call when the server gets SIGTERM."""
    alice = await meeting.invite("alice", kind, SINGLE)
    bob = await meeting.invite("bob", kind, DUAL)
    await meet(alice, bob)
    await meeting.server.stop()
    for participant in (alice, bob):
        assert await participant.until_disconnected() == "SERVER_SHUTDOWN"


async def lose_the_signal_connection(meeting: Meeting, kind: Kind, layout: str) -> None:
    """Meet, lose the socket in the middle of the call, and go on with the same session."""
    wire = await meeting.lay_wire()
    alice = await meeting.invite("alice", kind, layout, url=f"ws://127.0.0.1:{wire.port}")
    bob = await meeting.invite("bob", kind, layout)
    await meet(alice, bob)
    before = {each.identity: (await each.view()).sid for each in (alice, bob)}
    wire.cut()
    await wire.mend()
    await alice.until(lambda view: view.connected and view.reconnections == 1)
    await perceive_each_other(alice, bob)
    assert {each.identity: (await each.view()).sid for each in (alice, bob)} == before
