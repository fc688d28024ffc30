"""What pages of headless Chromium with the published JavaScript SDK can publish and choose, beyond a plain call."""

from functools import partial

import pytest

from tests.e2e.meeting import DUAL, SINGLE, Kind, at_once, open_meeting

pytestmark = pytest.mark.e2e


async def test_a_screen_is_shared_beside_a_camera(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        await at_once(alice.join, bob.join)
        await at_once(alice.publish, bob.publish)
        await at_once(*[partial(page.ask, "share") for page in (alice, bob)])
        for page, other in ((alice, bob), (bob, alice)):
            await page.sees(other)
            view = await page.until(lambda view, of=other.identity: view.screen(of).frames > 0)
            assert view.screen(other.identity).width != view.video(other.identity).width

        await alice.ask("unshare")
        await bob.until(lambda view: set(view.participants["alice"]) == {"camera", "microphone"})
        await at_once(partial(bob.sees, alice), partial(alice.sees, bob))


async def test_the_event_of_active_speakers_names_who_speaks(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        carol = await meeting.invite("carol", Kind.BROWSER, SINGLE)
        pages = (alice, bob, carol)
        await at_once(*[page.join for page in pages])
        await at_once(*[partial(page.ask, "hush") for page in pages])
        for speaker in (alice, bob):
            await speaker.ask("speak")
            for page in pages:
                await page.until(lambda view, name=speaker.identity: view.speakers[-1:] == [[name]])
            await speaker.ask("hush")
            for page in pages:
                await page.until(lambda view: view.speakers[-1:] == [[]])
        for page in pages:
            named = {name for names in (await page.view()).speakers for name in names}
            assert named == {"alice", "bob"}
