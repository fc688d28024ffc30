"""Data between the published JavaScript SDKs, in Chromium and in Node, and with the Python SDK."""

import pytest

from tests.e2e.data_conversations import (
    call_each_other,
    count_in_order,
    exchange_messages,
    follow_a_data_track,
    open_pair,
    stream_both_ways,
)
from tests.e2e.meeting import DUAL, SINGLE, Kind

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("kinds", "layout"),
    [((Kind.BROWSER, Kind.BROWSER), SINGLE), ((Kind.BROWSER, Kind.PYTHON), DUAL)],
    ids=["page-page-single", "page-python-dual"],
)
async def test_data_goes_from_a_page_to_another_client_and_back(folder, layout, kinds):
    async with open_pair(folder, layout, kinds) as (alice, bob):
        await exchange_messages(alice, bob)
        await count_in_order(alice, bob)
        await stream_both_ways(alice, bob)
        await call_each_other(alice, bob)
        await follow_a_data_track(alice, bob)


async def test_data_goes_from_node_to_python_and_back(folder):
    """The Node SDK chooses its layout itself, and has no data tracks."""
    async with open_pair(folder, SINGLE, (Kind.NODE, Kind.PYTHON)) as (alice, bob):
        await exchange_messages(alice, bob)
        await count_in_order(alice, bob)
        await stream_both_ways(alice, bob)
        await call_each_other(alice, bob)
