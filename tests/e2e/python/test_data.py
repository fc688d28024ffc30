"""Data between participants of the published Python SDK: messages, RPC and data tracks.

How it bears ten thousand messages and ten megabytes is seen beside the browsers, who take part in that.
"""

import pytest

from tests.e2e.data_conversations import call_each_other, exchange_messages, follow_a_data_track, open_pair
from tests.e2e.meeting import DUAL, SINGLE, Kind

pytestmark = pytest.mark.e2e

each_layout = pytest.mark.parametrize("layout", [SINGLE, DUAL])


@each_layout
async def test_data_goes_from_python_to_python(folder, layout):
    async with open_pair(folder, layout, (Kind.PYTHON, Kind.PYTHON)) as (alice, bob):
        await exchange_messages(alice, bob)
        await call_each_other(alice, bob)
        await follow_a_data_track(alice, bob)
