"""What pages agree on with the server about a track, beyond the codec of its video: encryption, and redundant sound."""

from functools import partial

import pytest

from tests.e2e.meeting import DUAL, LARGE, SINGLE, SMALL, Kind, at_once, open_meeting

pytestmark = pytest.mark.e2e


async def test_frames_encrypted_from_end_to_end_are_for_those_who_have_the_key(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        carol = await meeting.invite("carol", Kind.BROWSER, SINGLE)
        await at_once(
            partial(alice.join, passphrase="right"),
            partial(bob.join, passphrase="right"),
            partial(carol.join, passphrase="wrong"),
        )
        await alice.publish(codec="vp8")
        await bob.perceives(alice)
        # Layers are entered at key frames, which are known by what encryption leaves in clear.
        for quality, size in (("LOW", SMALL), ("HIGH", LARGE)):
            await bob.ask("choose", of="alice", quality=quality)
            await bob.sees_in_size(alice, size)
        view = await carol.until(lambda view: view.video("alice").packets > 100 and view.audio("alice").packets > 100)
        assert (view.video("alice").frames, view.audio("alice").energy) == (0, 0.0)


async def test_a_microphone_is_heard_with_the_redundancy_that_it_is_sent_with(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, DUAL)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        await at_once(alice.join, bob.join)
        await alice.publish()
        await bob.hears(alice)
        await bob.until(lambda view: view.audio("alice").redundant > 50)
