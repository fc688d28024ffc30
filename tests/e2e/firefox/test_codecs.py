"""What pages of headless Firefox make of codecs that they lack: this one has no plugin for H.264."""

from functools import partial

import pytest

from tests.e2e.firefox.test_call import open_distant_meeting
from tests.e2e.meeting import DUAL, SINGLE, Kind, at_once

pytestmark = pytest.mark.e2e


async def test_who_cannot_decode_a_track_gets_all_the_others(folder):
    async with open_distant_meeting(folder) as meeting:
        bob = await meeting.invite("bob", Kind.PYTHON, SINGLE)
        await bob.join()
        await bob.publish(codec="h264")
        pages = [await meeting.invite("alice", Kind.BROWSER, SINGLE), await meeting.invite("carol", Kind.BROWSER, DUAL)]
        for page in pages:
            await page.join()
            await page.publish(codec="h264")
        await at_once(*[partial(page.hears, bob) for page in pages])
        alice, carol = pages
        await at_once(partial(alice.sees, carol), partial(carol.sees, alice), partial(bob.sees, alice))
        for page, other in ((alice, carol), (carol, alice)):
            view = await page.view()
            assert view.video("bob").frames == 0
            assert view.video(other.identity).codec == "video/VP8"
        assert len(meeting.server.undecodable()) == len(pages)
