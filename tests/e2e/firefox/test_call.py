"""Pages of headless Firefox in a room, from another host: Firefox never pairs with loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.e2e.conversations import meet, mute_for_a_while, perceive_each_other
from tests.e2e.meeting import DUAL, FIREFOX, SINGLE, Kind, Meeting, at_once, open_meeting
from tests.e2e.namespace import open_namespace

pytestmark = pytest.mark.e2e

CONNECTIONS: Final = 3
"""Of a page with one for both directions, and a page with one for each."""

SETTLING_SECONDS: Final = 8
"""Firefox checks again within 6 s, and thereby tells which of our addresses it prefers."""

STEADY_SECONDS: Final = 60
BEAT_SECONDS: Final = 5


@asynccontextmanager
async def open_distant_meeting(folder: Path) -> AsyncIterator[Meeting]:
    """Have pages of Firefox on another host than the server, with two ways to it."""
    async with open_namespace() as namespace:
        config = {"bind_addresses": namespace.outside}
        async with open_meeting(folder, config, browser=(*namespace.command, *FIREFOX)) as meeting:
            yield meeting


async def test_a_page_of_firefox_and_a_python_client_see_and_hear_each_other(folder):
    async with open_distant_meeting(folder) as meeting:
        bob = await meeting.invite("bob", Kind.PYTHON, SINGLE)
        await bob.join()
        await bob.publish()
        for layout in (SINGLE, DUAL):
            alice = await meeting.invite("alice", Kind.BROWSER, layout, name=f"alice-{layout}")
            await alice.join()
            await alice.publish()
            await perceive_each_other(alice, bob)
            await alice.leave()
            await bob.until(lambda view: "alice" not in view.participants)


async def test_pages_of_firefox_keep_the_path_that_they_came_by(folder):
    async with open_distant_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        await meet(alice, bob)
        await mute_for_a_while(alice, bob)
        await trio.sleep(SETTLING_SECONDS)
        nominations = meeting.server.nominations()
        assert CONNECTIONS <= len(nominations) <= 2 * CONNECTIONS  # the first path, and where Firefox has settled
        end = trio.current_time() + STEADY_SECONDS
        while trio.current_time() < end:
            await trio.sleep(BEAT_SECONDS)
            await perceive_each_other(alice, bob)
            assert meeting.server.nominations() == nominations

        await alice.leave()
        await bob.until(lambda view: "alice" not in view.participants)
        await alice.join()
        await alice.publish()
        await at_once(partial(bob.sees, alice), partial(alice.sees, bob))
