"""Trouble that pages simulate (`simulateScenario` of livekit-client): the call goes on, or ends with its reason."""

import pytest

from tests.e2e.conversations import meet, perceive_each_other
from tests.e2e.meeting import DUAL, LARGE, SINGLE, SMALL, Kind, open_meeting

pytestmark = pytest.mark.e2e

each_layout = pytest.mark.parametrize("layout", [SINGLE, DUAL])

RESUMED = ["signal-reconnect", "disconnect-signal-on-resume", "disconnect-signal-on-resume-no-messages"]
JOINED_ANEW = ["full-reconnect", "resume-reconnect", "migration", "node-failure", "force-tcp", "force-tls"]
"""The last two ask for other protocols, which are not served here: the client reconnects, and is served by UDP again."""

NARROW_BPS = 100_000


@each_layout
async def test_a_call_goes_on_after_every_simulated_trouble(folder, layout):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, layout)
        bob = await meeting.invite("bob", Kind.BROWSER, layout)
        await meet(alice, bob)
        for number, scenario in enumerate(RESUMED + JOINED_ANEW, start=1):
            print(scenario)  # noqa: T201 - shown of a test that fails: how far it went
            sid = (await alice.view()).sid
            await alice.ask("simulate", scenario=scenario)
            view = await alice.until(lambda view, number=number: view.connected and view.reconnections == number)
            assert (view.sid == sid) == (scenario in RESUMED)
            await perceive_each_other(alice, bob)
        assert (await bob.view()).reconnections == 0


@each_layout
async def test_what_is_published_while_a_page_joins_anew_is_perceived_by_it(folder, layout):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, layout)
        bob = await meeting.invite("bob", Kind.PYTHON, layout)
        await meet(alice, bob)
        await bob.unpublish()
        energy = (await bob.view()).audio("alice").energy
        await alice.ask("simulate", scenario="full-reconnect")
        await bob.until(lambda view: 0 < view.audio("alice").energy < energy)  # her new track: this is another count
        await bob.publish()
        await alice.until(lambda view: view.connected and view.reconnections == 1)
        await perceive_each_other(alice, bob)


async def test_a_page_speaks_has_a_narrow_link_and_is_sent_away_as_it_asks(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        await meet(alice, bob)
        await alice.ask("simulate", scenario="leave-full-reconnect")  # as with LiveKit's server, nothing happens

        await alice.mute()  # her beeps may pass for speech
        await bob.until(lambda view: view.audio("alice").muted and "alice" not in view.speaking)
        await alice.ask("simulate", scenario="speaker")
        await bob.until(lambda view: "alice" in view.speaking)
        await alice.unmute()

        await alice.sees_in_size(bob, LARGE)
        await alice.ask("simulate", scenario="subscriber-bandwidth", argument=NARROW_BPS)
        await alice.sees_in_size(bob, SMALL)
        await alice.ask("simulate", scenario="subscriber-bandwidth", argument=0)
        await alice.sees_in_size(bob, LARGE)

        await alice.ask("simulate", scenario="server-leave")
        assert await alice.until_disconnected() == "SERVER_SHUTDOWN"
        await bob.until(lambda view: "alice" not in view.participants)
