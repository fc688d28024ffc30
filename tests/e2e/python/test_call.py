"""Participants of the published Python SDK in a room, each in a process of its own."""

import pytest

from tests.e2e.conversations import (
    be_told_of_a_shutdown,
    come_late_and_come_back,
    lose_the_signal_connection,
    meet,
    mute_and_unmute,
)
from tests.e2e.meeting import DUAL, SINGLE, Kind, at_once, open_meeting

pytestmark = pytest.mark.e2e

each_layout = pytest.mark.parametrize("layout", [SINGLE, DUAL])


@each_layout
async def test_who_comes_late_or_comes_back_has_video_at_once(folder, layout):
    async with open_meeting(folder) as meeting:
        await come_late_and_come_back(meeting, Kind.PYTHON, layout)


@each_layout
async def test_a_session_outlives_its_signal_connection(folder, layout):
    async with open_meeting(folder) as meeting:
        await lose_the_signal_connection(meeting, Kind.PYTHON, layout)


async def test_muting_stops_what_others_see_and_hear_until_unmuting(folder):
    async with open_meeting(folder) as meeting:
        await mute_and_unmute(meeting, Kind.PYTHON)


async def test_sigterm_in_a_call_tells_everybody_and_ends_the_server(folder):
    async with open_meeting(folder) as meeting:
        await be_told_of_a_shutdown(meeting, Kind.PYTHON)


async def test_the_newcomer_replaces_who_has_its_identity(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        second_alice = await meeting.invite("alice", Kind.PYTHON, DUAL, name="second-alice")
        bob = await meeting.invite("bob", Kind.PYTHON, SINGLE)
        await at_once(alice.join, bob.join)
        await second_alice.join()
        assert await alice.until_disconnected() == "DUPLICATE_IDENTITY"
        await second_alice.publish()
        await bob.perceives(second_alice)


async def test_a_call_works_over_ipv6(folder):
    async with open_meeting(folder, {"bind_addresses": ["::1"]}) as meeting:
        assert meeting.server.url.startswith("ws://[::1]:")
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        bob = await meeting.invite("bob", Kind.PYTHON, DUAL)
        await meet(alice, bob)
