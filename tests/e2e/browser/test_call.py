"""Pages of headless Chromium with the published JavaScript SDK in a room, with each other and with a Python client."""

import pytest

from tests.e2e.conversations import (
    be_told_of_a_shutdown,
    come_late_and_come_back,
    lose_the_signal_connection,
    meet,
    mute_and_unmute,
    perceive_each_other,
    unpublish_and_publish_again,
)
from tests.e2e.meeting import DUAL, SINGLE, Kind, open_meeting
from tests.e2e.published_port import open_published_port

pytestmark = pytest.mark.e2e

each_layout = pytest.mark.parametrize("layout", [SINGLE, DUAL])


@each_layout
@pytest.mark.parametrize("other_kind", [Kind.BROWSER, Kind.PYTHON])
async def test_a_page_and_another_client_see_and_hear_each_other(folder, layout, other_kind):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, layout)
        bob = await meeting.invite("bob", other_kind, layout)
        await meet(alice, bob)


@pytest.mark.alone
@each_layout
async def test_who_comes_late_or_comes_back_has_video_at_once(folder, layout):
    async with open_meeting(folder) as meeting:
        await come_late_and_come_back(meeting, Kind.BROWSER, layout)


@each_layout
async def test_a_session_outlives_its_signal_connection(folder, layout):
    async with open_meeting(folder) as meeting:
        await lose_the_signal_connection(meeting, Kind.BROWSER, layout)


async def test_muting_stops_what_others_see_and_hear_until_unmuting(folder):
    async with open_meeting(folder) as meeting:
        await mute_and_unmute(meeting, Kind.BROWSER)


async def test_what_is_unpublished_is_gone_until_it_is_published_again(folder):
    async with open_meeting(folder) as meeting:
        await unpublish_and_publish_again(meeting, Kind.BROWSER)


async def test_sigterm_in_a_call_tells_every_page_and_ends_the_server(folder):
    async with open_meeting(folder) as meeting:
        await be_told_of_a_shutdown(meeting, Kind.BROWSER)


async def test_a_page_reaches_a_server_behind_a_published_port(folder):
    """As in a container: the server is bound to one address, and one key names the other, which clients are to use."""
    async with open_published_port("127.0.0.2", "127.0.0.1") as port:
        rtc = {"udp_port": port.number, "node_ip": "127.0.0.2", "enable_loopback_candidate": False}
        async with open_meeting(folder, {"bind_addresses": ["127.0.0.1"], "rtc": rtc}) as meeting:
            alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
            bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
            await meet(alice, bob)
            assert port.forwarded > 0


async def test_a_call_goes_on_when_the_network_gives_a_page_another_address(folder):
    async with open_published_port("127.0.0.2", "127.0.0.1") as port:
        rtc = {"udp_port": port.number, "node_ip": "127.0.0.2", "enable_loopback_candidate": False}
        async with open_meeting(folder, {"bind_addresses": ["127.0.0.1"], "rtc": rtc}) as meeting:
            alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
            bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
            await meet(alice, bob)
            port.rebind()
            await perceive_each_other(alice, bob)
            assert {(await each.view()).reconnections for each in (alice, bob)} == {0}
