"""Who says when a picture was captured, and who is told."""

from dataclasses import replace

import pytest

from rtp.extensions import ABS_CAPTURE_TIME
from rtp.sdp.codecs import MediaKind
from rtp.sdp.transceiver import Capabilities
from sfu.media.capabilities import RECEIVE
from tests.simulation.house import open_house
from tests.simulation.test_codecs import both_layouts, open_caller

TIMELESS = replace(RECEIVE, video_extensions=tuple(uri for uri in RECEIVE.video_extensions if uri != ABS_CAPTURE_TIME))


@both_layouts
@pytest.mark.parametrize(("knows", "is_agreed"), [(RECEIVE, True), (TIMELESS, False)], ids=["knows it", "does not"])
async def test_the_capture_time_is_agreed_on_with_all_who_know_it(
    autojump_clock, single, knows: Capabilities, is_agreed
) -> None:
    async with (
        open_house() as house,
        open_caller(house, "alice", knows, single=single) as alice,
        open_caller(house, "bob", knows, single=single) as bob,
    ):
        info = await alice.publish("camera", "vp8")
        await bob.told_of(info.sid)
        await bob.negotiate()
        for connection in (alice.publisher, bob.subscriber):
            videos = [each for each in connection.transceivers if each.kind is MediaKind.VIDEO and each.codecs]
            assert videos
            assert {ABS_CAPTURE_TIME in each.extensions for each in videos} == {is_agreed}
