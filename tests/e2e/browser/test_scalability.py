"""What pages of headless Chromium with the published JavaScript SDK publish with several layers within one stream."""

import pytest

from tests.e2e.meeting import DUAL, LARGE, SINGLE, SMALL, Kind, at_once, open_meeting

pytestmark = [pytest.mark.e2e, pytest.mark.alone]


@pytest.mark.parametrize(("codec", "layout"), [("VP9", SINGLE), ("AV1", DUAL)])
async def test_the_quality_that_is_asked_for_is_chosen_within_the_one_stream_that_is_sent(folder, codec, layout):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, layout)
        bob = await meeting.invite("bob", Kind.BROWSER, layout)
        await at_once(alice.join, bob.join)
        await alice.publish(codec=codec.lower())
        assert (await bob.sees(alice)).codec == f"video/{codec}"
        for quality, size in (("HIGH", LARGE), ("LOW", SMALL), ("HIGH", LARGE)):
            await bob.ask("choose", of="alice", quality=quality)
            await bob.sees_in_size(alice, size)
        await bob.sees(alice)
        assert len(await alice.ask("framesSent")) == 1  # one stream
