"""What a page of headless Chromium sees whose link becomes narrow, and wide again."""

from typing import Final

import pytest

from tests.e2e.meeting import LARGE, SINGLE, SMALL, Kind, open_meeting
from tests.e2e.published_port import open_published_port
from triforium.testing import Link

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

NARROW: Final = Link(delay_seconds=0.02, rate_bps=250_000, queue_bytes=250_000 // 8 * 3 // 10)
"""The layers of a page's camera take some 150 and 450 kbit/s, less if it is busy."""


async def test_a_page_on_a_narrow_link_sees_the_small_picture_and_the_large_one_when_it_is_wide_again(folder):
    async with open_published_port("127.0.0.2", "127.0.0.1") as port:
        rtc = {"udp_port": port.number, "node_ip": "127.0.0.2", "enable_loopback_candidate": False}
        async with open_meeting(folder, {"bind_addresses": ["127.0.0.1"], "rtc": rtc}) as meeting:
            alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
            bob = await meeting.invite("bob", Kind.BROWSER, SINGLE)
            await alice.join()
            await bob.join()
            await alice.publish()
            await bob.sees_in_size(alice, LARGE)
            port.link = NARROW
            await bob.sees_in_size(alice, SMALL)
            port.link = Link()
            await bob.sees_in_size(alice, LARGE)
