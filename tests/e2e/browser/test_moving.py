"""Participants of livekit-client in Chromium are brought into another room."""

import pytest

from tests.e2e.meeting import DUAL, Kind
from tests.e2e.moving import move_and_forward

pytestmark = pytest.mark.e2e


async def test_who_is_moved_or_forwarded_is_perceived_where_it_is(folder):
    await move_and_forward(folder, Kind.BROWSER, DUAL)
