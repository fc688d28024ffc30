"""What pages of headless Chromium with the published JavaScript SDK can publish and choose, beyond a plain call."""

from functools import partial
from typing import Final

import pytest
import trio

from tests.e2e.meeting import (
    DUAL,
    HALF_SECOND_FRAMES,
    LARGE,
    SINGLE,
    SMALL,
    WAIT_SECONDS,
    Kind,
    Meeting,
    Participant,
    View,
    at_once,
    open_meeting,
)

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

FREEZE_SECONDS: Final = 0.5
"""A gap between two frames that people notice. At 15 frames a second there are 0.07 s between them."""

FRAMES_SECONDS: Final = 0.7
"""Long enough for frames of every layer that is sent."""

HELD_BACK_SECONDS: Final = 0.4
"""On the average, where the room says at least 0.6. On loopback a page holds pictures back for 0.02 of its own accord."""


async def three_pages(meeting: Meeting, **options: object) -> tuple[Participant, Participant, Participant]:
    """Have Alice, Bob and Carol in a room, each with a camera and a microphone."""
    alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
    bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
    carol = await meeting.invite("carol", Kind.BROWSER, SINGLE)
    await at_once(*[partial(page.join, **options) for page in (alice, bob, carol)])
    await at_once(*[page.publish for page in (alice, bob, carol)])
    return alice, bob, carol


async def has_size(page: Participant, other: Participant, size: tuple[int, int]) -> None:
    """Wait until frames of that size, and of no other, have come for half a second.

    Publishers start their layers as they find that their uplinks bear them, and may take one back at first.
    """

    def is_settled(view: View) -> bool:
        track = view.video(other.identity)
        return (track.width, track.height) == size and track.frames_of_size >= HALF_SECOND_FRAMES

    await page.until(is_settled)


async def changes_size(page: Participant, other: Participant, size: tuple[int, int], change: partial) -> None:
    """Make a change, and wait until frames of that size come. Nothing freezes meanwhile."""
    await page.ask("forgetGaps")
    await change()
    await has_size(page, other, size)
    assert (await page.view()).video(other.identity).longest_gap_seconds < FREEZE_SECONDS


async def test_the_quality_that_is_asked_for_changes_the_size_without_a_freeze(folder):
    async with open_meeting(folder) as meeting:
        alice, bob, carol = await three_pages(meeting)
        await at_once(*[partial(has_size, page, bob, LARGE) for page in (alice, carol)])
        await carol.ask("forgetGaps")
        for quality, size in (("LOW", SMALL), ("HIGH", LARGE)) * 2:
            await changes_size(alice, bob, size, partial(alice.ask, "choose", of="bob", quality=quality))
        seen = (await carol.view()).video("bob")  # by somebody who changed nothing
        assert (seen.width, seen.height) == LARGE
        assert seen.longest_gap_seconds < FREEZE_SECONDS


async def test_the_size_in_the_page_changes_the_size_that_comes_without_a_freeze(folder):
    async with open_meeting(folder) as meeting:
        alice, bob, carol = await three_pages(meeting, adaptive=True)
        await at_once(*[partial(has_size, page, bob, SMALL) for page in (alice, carol)])
        await carol.ask("forgetGaps")
        for size in (LARGE, SMALL) * 2:
            width, height = size
            await changes_size(alice, bob, size, partial(alice.ask, "resize", of="bob", width=width, height=height))
        seen = (await carol.view()).video("bob")
        assert (seen.width, seen.height) == SMALL
        assert seen.longest_gap_seconds < FREEZE_SECONDS


async def sends_only(page: Participant, rids: set[str]) -> None:
    """Wait until a page sends frames of just these layers of its camera."""
    with trio.fail_after(WAIT_SECONDS):
        before = await page.ask("framesSent")
        while True:
            await trio.sleep(FRAMES_SECONDS)
            after = await page.ask("framesSent")
            if {rid for rid, frames in after.items() if frames > before[rid]} == rids:
                return
            before = after


async def test_what_nobody_shows_is_not_sent_and_comes_back_without_a_freeze(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        await at_once(partial(alice.join, dynacast=True), partial(bob.join, adaptive=True))
        await alice.publish()
        await has_size(bob, alice, SMALL)
        await sends_only(alice, {"q"})
        await changes_size(bob, alice, LARGE, partial(bob.ask, "resize", of="alice", width=640, height=360))
        await sends_only(alice, {"q", "h"})
        await bob.ask("show", of="alice", shown=False)
        await sends_only(alice, set())
        await bob.ask("show", of="alice", shown=True)
        await has_size(bob, alice, LARGE)
        await sends_only(alice, {"q", "h"})
        for page, known in ((alice, {"alice"}), (bob, {"alice", "bob"})):
            view = await page.view()
            assert view.qualities.keys() == known
            assert not {"lost", "unknown"} & set(view.qualities.values())


async def test_h264_is_published_and_subscribed_to(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, SINGLE)
        await at_once(alice.join, bob.join)
        await at_once(partial(alice.publish, codec="h264"), partial(bob.publish, codec="vp8"))
        assert (await bob.sees(alice)).codec == "video/H264"
        assert (await alice.sees(bob)).codec == "video/VP8"
        await has_size(bob, alice, LARGE)
        for quality, size in (("LOW", SMALL), ("HIGH", LARGE)):
            await changes_size(bob, alice, size, partial(bob.ask, "choose", of="alice", quality=quality))


async def test_once_somebody_needs_the_backup_codec_everybody_gets_it_and_the_first_one_stops(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, SINGLE)
        carol = await meeting.invite("carol", Kind.BROWSER, DUAL)
        await at_once(partial(alice.join, dynacast=True), partial(bob.join, without="video/H264"), carol.join)
        await alice.publish(codec="h264")
        assert (await bob.sees(alice)).codec == "video/VP8"
        await carol.until(lambda view: view.video("alice").codec == "video/VP8")
        await at_once(*[partial(has_size, page, alice, LARGE) for page in (bob, carol)])
        await sends_only(alice, set())  # of what she began with
        await at_once(*[partial(page.sees, alice) for page in (bob, carol)])


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


async def test_pictures_are_held_back_as_the_room_says(folder):
    delay = {"enabled": True, "min": 600, "max": 900}
    async with open_meeting(folder, {"room": {"playout_delay": delay}}) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        await at_once(alice.join, bob.join)
        await at_once(alice.publish, bob.publish)
        for page, other in ((alice, "bob"), (bob, "alice")):
            await page.until(lambda view, other=other: view.video(other).held_back_seconds >= HELD_BACK_SECONDS)
