"""Codecs other than the usual, between participants of the published Python SDK."""

import pytest

from tests.e2e.meeting import DUAL, SINGLE, Kind, at_once, open_meeting

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("publishing", "watching"), [(SINGLE, DUAL), (DUAL, SINGLE)])
async def test_h264_is_seen_beside_vp8(folder, publishing, watching):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, publishing)
        bob = await meeting.invite("bob", Kind.PYTHON, watching)
        await at_once(alice.join, bob.join)
        await alice.publish(codec="h264")
        await bob.publish()
        await bob.perceives(alice)
        assert (await bob.view()).video("alice").codec == "video/H264"
        await alice.perceives(bob)
