"""Participants of the published Python SDK in a room, each in a process of its own."""

from functools import partial

import pytest

from tests.e2e.meeting import COLOURS, DUAL, FREQUENCIES, LATE_SECONDS, SINGLE, Kind, Participant, at_once, open_meeting

pytestmark = pytest.mark.e2e


async def assert_sees_and_hears(one: Participant, other: Participant) -> None:
    """What arrives has the colour and the pitch that were sent, give or take what codecs do to them."""
    video = await one.sees(other)
    assert video.colour == pytest.approx(COLOURS[other.identity], abs=25)
    audio = await one.hears(other)
    assert audio.frequency == pytest.approx(FREQUENCIES[other.identity], abs=10)


@pytest.mark.parametrize("layout", [SINGLE, DUAL])
async def test_two_participants_see_and_hear_each_other(folder, layout):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, layout)
        bob = await meeting.invite("bob", Kind.PYTHON, layout)
        await at_once(alice.join, bob.join)
        await at_once(alice.publish, bob.publish)
        await at_once(partial(assert_sees_and_hears, alice, bob), partial(assert_sees_and_hears, bob, alice))


@pytest.mark.parametrize("layout", [SINGLE, DUAL])
async def test_muting_stops_what_others_see_and_hear_until_unmuting(folder, layout):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, layout)
        bob = await meeting.invite("bob", Kind.PYTHON, layout)
        await at_once(alice.join, bob.join)
        await alice.publish()
        await at_once(partial(bob.sees, alice), partial(bob.hears, alice))

        await alice.mute("camera")
        await alice.mute("microphone")
        await bob.until(lambda view: view.video("alice").muted and view.audio("alice").muted)
        await at_once(partial(bob.sees_a_still, alice), partial(bob.hears_silence, alice))

        await alice.unmute("camera")
        await alice.unmute("microphone")
        await bob.until(lambda view: not view.video("alice").muted and not view.audio("alice").muted)
        await assert_sees_and_hears(bob, alice)


@pytest.mark.parametrize("layout", [SINGLE, DUAL])
async def test_who_comes_late_or_comes_back_has_video_at_once(folder, layout):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, layout)
        bob = await meeting.invite("bob", Kind.PYTHON, layout)
        await alice.join()
        await alice.publish()

        await bob.join()
        assert (await bob.sees(alice)).first_frame_seconds < LATE_SECONDS

        await bob.leave()
        await alice.until(lambda view: "bob" not in view.participants)
        await bob.join()
        assert (await bob.sees(alice)).first_frame_seconds < LATE_SECONDS
        await bob.publish()
        await assert_sees_and_hears(alice, bob)


async def test_the_newcomer_replaces_who_has_its_identity(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        second_alice = await meeting.invite("alice", Kind.PYTHON, DUAL, name="second-alice")
        bob = await meeting.invite("bob", Kind.PYTHON, SINGLE)
        await at_once(alice.join, bob.join)
        await second_alice.join()
        assert (await alice.until(lambda view: not view.connected)).reason == "DUPLICATE_IDENTITY"
        await second_alice.publish()
        await assert_sees_and_hears(bob, second_alice)


async def test_sigterm_in_a_call_tells_everybody_and_ends_the_server(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        bob = await meeting.invite("bob", Kind.PYTHON, DUAL)
        await at_once(alice.join, bob.join)
        await at_once(alice.publish, bob.publish)
        await at_once(partial(alice.sees, bob), partial(bob.sees, alice))
        await meeting.server.stop()
        for participant in (alice, bob):
            assert (await participant.until(lambda view: not view.connected)).reason == "SERVER_SHUTDOWN"


async def test_a_call_works_over_ipv6(folder):
    async with open_meeting(folder, {"bind_addresses": ["::1"]}) as meeting:
        assert meeting.server.url.startswith("ws://[::1]:")
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        bob = await meeting.invite("bob", Kind.PYTHON, DUAL)
        await at_once(alice.join, bob.join)
        await at_once(alice.publish, bob.publish)
        await at_once(partial(assert_sees_and_hears, alice, bob), partial(assert_sees_and_hears, bob, alice))
