"""Pages of headless Chromium with the published JavaScript SDK in a room, with each other and with a Python client."""

from functools import partial

import pytest

from tests.e2e.meeting import COLOURS, DUAL, FREQUENCIES, LATE_SECONDS, SINGLE, Kind, at_once, open_meeting
from tests.e2e.relay import open_published_port

pytestmark = pytest.mark.e2e

each_layout = pytest.mark.parametrize("layout", [SINGLE, DUAL])


@each_layout
async def test_two_pages_see_and_hear_each_other(folder, layout):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, layout)
        bob = await meeting.invite("bob", Kind.BROWSER, layout)
        await at_once(alice.join, bob.join)
        await at_once(alice.publish, bob.publish)
        await at_once(
            partial(alice.sees, bob), partial(alice.hears, bob), partial(bob.sees, alice), partial(bob.hears, alice)
        )


@each_layout
async def test_muting_stops_what_others_see_and_hear_until_unmuting(folder, layout):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, layout)
        bob = await meeting.invite("bob", Kind.BROWSER, layout)
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
        await at_once(partial(bob.sees, alice), partial(bob.hears, alice))


@each_layout
async def test_who_comes_late_or_comes_back_has_video_at_once(folder, layout):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, layout)
        bob = await meeting.invite("bob", Kind.BROWSER, layout)
        await alice.join()
        await alice.publish()

        await bob.join()
        assert (await bob.sees(alice)).first_frame_seconds < LATE_SECONDS

        await bob.leave()
        await alice.until(lambda view: "bob" not in view.participants)
        await bob.join()
        assert (await bob.sees(alice)).first_frame_seconds < LATE_SECONDS
        await bob.publish()
        await at_once(partial(alice.sees, bob), partial(alice.hears, bob))


@each_layout
async def test_a_page_and_a_python_client_see_and_hear_each_other(folder, layout):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, layout)
        bob = await meeting.invite("bob", Kind.PYTHON, layout)
        await at_once(alice.join, bob.join)
        await at_once(alice.publish, bob.publish)
        await at_once(partial(bob.sees, alice), partial(bob.hears, alice))
        video = await alice.sees(bob)
        assert video.colour == pytest.approx(COLOURS["bob"], abs=25)
        audio = await alice.hears(bob)
        assert audio.frequency == pytest.approx(FREQUENCIES["bob"], abs=10)


async def test_unpublishing_takes_the_track_away_and_publishing_brings_it_back(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        await at_once(alice.join, bob.join)
        await at_once(alice.publish, bob.publish)
        await at_once(partial(alice.sees, bob), partial(bob.sees, alice))
        await at_once(partial(alice.unpublish, "camera"), partial(bob.unpublish, "camera"))
        await alice.until(lambda view: "camera" not in view.participants["bob"])
        await bob.until(lambda view: "camera" not in view.participants["alice"])
        await at_once(alice.publish, bob.publish)
        await at_once(partial(alice.sees, bob), partial(bob.sees, alice))


async def test_sigterm_in_a_call_tells_every_page_and_ends_the_server(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        await at_once(alice.join, bob.join)
        await at_once(alice.publish, bob.publish)
        await at_once(partial(alice.sees, bob), partial(bob.sees, alice))
        await meeting.server.stop()
        for participant in (alice, bob):
            assert (await participant.until(lambda view: not view.connected)).reason == "SERVER_SHUTDOWN"


async def test_a_page_reaches_a_server_behind_a_published_port(folder):
    """As in a container: the server is bound to one address, and one key names the other, which clients are to use."""
    async with open_published_port("127.0.0.2", "127.0.0.1") as (published, port):
        config = {"bind_addresses": ["127.0.0.1"], "rtc": {"udp_port": port, "node_ip": "127.0.0.2", "enable_loopback_candidate": False}}
        async with open_meeting(folder, config) as meeting:
            alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
            bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
            await at_once(alice.join, bob.join)
            await alice.publish()
            before = published.forwarded
            await at_once(partial(bob.sees, alice), partial(bob.hears, alice))
            assert published.forwarded > before
