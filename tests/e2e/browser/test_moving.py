"""Participants of livekit-client in Chromium are brought into another room."""

import pytest

from tests.e2e.meeting import DUAL, SINGLE, Kind
from tests.e2e.moving import move_and_forward, move_while_the_socket_is_dead

pytestmark = pytest.mark.e2e


async def test_who_is_moved_or_forwarded_is_perceived_where_it_is(folder):
    await move_and_forward(folder, Kind.BROWSER, DUAL)


@pytest.mark.parametrize("layout", [SINGLE, DUAL])
async def test_who_is_moved_while_its_socket_is_dead_goes_on_there_when_it_resumes(folder, layout):
    await move_while_the_socket_is_dead(folder, Kind.BROWSER, layout)
