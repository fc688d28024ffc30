"""Data between participants of the published Python SDK: messages, streams, RPC and data tracks."""

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

each_layout = pytest.mark.parametrize("layout", [SINGLE, DUAL])

EXCHANGES = [exchange_messages, count_in_order, stream_both_ways, call_each_other, follow_a_data_track]


@each_layout
@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_data_goes_from_python_to_python(folder, layout, exchange):
    async with open_pair(folder, layout, (Kind.PYTHON, Kind.PYTHON)) as (alice, bob):
        await exchange(alice, bob)
