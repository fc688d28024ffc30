"""H.264 whose parameter sets are sent once: a real decoder judges what those see who come late."""

import pytest
import trio

from rtp.units import Rid
from tests.simulation.house import open_house, wait_until
from tests.support.encodings import H264, SCALES
from tests.support.judging import TrackJudge
from tests.support.packetizing import EncodedSource
from tests.support.packetizing_nal import BareH264Packetizer
from triforium.visitor.simulcast import Layer


class Watcher:
    """Holds what a visitor gets of one track to what a decoder makes of it."""

    def __init__(self) -> None:
        self.judge = TrackJudge(H264)

    def watch(self, track, packet) -> None:
        self.judge.receive(packet)
        if self.judge.wants_key_frame:
            track.request_key_frame()


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_who_comes_late_sees_what_those_see_who_were_there(autojump_clock, single) -> None:
    early, late = Watcher(), Watcher()
    async with (
        open_house() as house,
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single, watch=early.watch),
    ):
        await alice.publish_video(media=EncodedSource(H264, 0, BareH264Packetizer()))
        await wait_until(lambda: early.judge.pictures > 20)
        async with house.visitor("carol", single=single, watch=late.watch):
            await wait_until(lambda: late.judge.pictures > 100)
    for judge in (early.judge, late.judge):
        assert (judge.faults, judge.missing) == ([], 0)
        assert judge.incomparable == 0


async def test_layers_change_where_a_picture_comes_without_its_sets(autojump_clock) -> None:
    watcher = Watcher()
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True, watch=watcher.watch) as bob,
    ):
        await alice.wait_connected()
        layers = [
            Layer(rid=Rid(rid), width=64 * scale, height=48 * scale, bitrate_bps=50_000 * scale, media=source)
            for rid, scale, source in zip(
                "qhf", SCALES, (EncodedSource(H264, at, BareH264Packetizer()) for at in range(3)), strict=True
            )
        ]
        publication = await alice.publish_simulcast(layers=layers)
        for quality in (2, 0, 1, 2):
            await wait_until(lambda: publication.sid in bob.received)
            bob.set_track(publication.sid, quality=quality)
            await wait_until(lambda quality=quality: watcher.judge.layer == quality)
            await trio.sleep(2)
    assert watcher.judge.faults == []
    assert watcher.judge.layers[-3:] == [0, 1, 2]
