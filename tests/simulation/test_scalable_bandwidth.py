"""What a subscriber on a narrow link gets of layers that lie within one stream, with a real decoder as the judge."""

from random import Random

import pytest
import trio

from rtp.units import Rid
from tests.simulation.bottleneck import bottleneck
from tests.simulation.house import open_house
from tests.simulation.trial import Watcher
from tests.support.productions import PRODUCTIONS
from triforium.testing.world import SERVER_HOST
from triforium.visitor import BandwidthFeedback, Layer, MediaPlan

STEPS = ((1.3, (2, True)), (0.6, (1, True)), (0.25, (0, True)), (0.12, (0, False)), (1.3, (2, True)))
"""The link, in shares of what all layers take, and what is to be seen: the spatial layer, and whether every frame of it.
Spatial layers take about a tenth, a third and the rest; the frames of the last temporal layer half of the lowest."""

SETTLING_SECONDS = 15.0
FRESH_SECONDS = 0.5


def seen(watcher: Watcher, sid: str) -> tuple[int | None, bool]:
    """Return the spatial layer of the newest picture, and whether the highest temporal one comes too."""
    judge = watcher.judge_of(sid)
    assert judge is not None
    assert trio.current_time() - judge.seen_at < FRESH_SECONDS
    return judge.layer, judge.temporal == 2


@pytest.mark.parametrize("kind", ["scalable-vp9", "undescribed-vp9", "scalable-av1"])
async def test_a_stream_is_thinned_to_what_the_link_carries(autojump_clock, kind) -> None:
    production = PRODUCTIONS[kind]
    watcher = Watcher(2, production.reference)
    (width, height), (source,) = production.sizes[-1], production.new_sources(Random(1))
    async with open_house(seed=1) as house:
        host = house.new_host()
        async with (
            house.visitor("alice", single=False) as alice,
            house.visitor(
                "bob",
                single=False,
                feedback=BandwidthFeedback.TRANSPORT_CC,
                watch=watcher.watch,
                world=house.world(host),
                plan=MediaPlan(),
            ) as bob,
        ):
            watcher.visitor = bob
            await alice.wait_connected()
            await bob.wait_connected()
            layer = Layer(rid=Rid("f"), width=width, height=height, bitrate_bps=600_000, media=source)
            video = await alice.publish_simulcast(layers=[layer], by_ssrc=True)
            await trio.sleep(4)
            down_track = house.participant("bob").subscriber.subscriptions[video.sid].down_track
            whole = down_track.source.costs(trio.current_time())[0].bitrate_bps
            for share, expected in STEPS:
                house.network.set_link(SERVER_HOST, host, bottleneck(share * whole))
                await trio.sleep(SETTLING_SECONDS)
                assert seen(watcher, video.sid) == expected
            judge = watcher.judge_of(video.sid)
            assert judge is not None
            assert judge.faults == []
