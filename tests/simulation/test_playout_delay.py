"""How long subscribers are told to hold pictures back."""

from collections import defaultdict

import pytest
import trio

from rtp.extensions import DEPENDENCY_DESCRIPTOR, PLAYOUT_DELAY
from rtp.sdp.codecs import MediaKind
from tests.simulation.house import flows, open_house
from triforium.config import PlayoutDelayConfig, RoomConfig
from triforium.visitor import BandwidthFeedback
from triforium.visitor.receiving import ReceivedPacket, ReceivedTrack

DELAYED = RoomConfig(playout_delay=PlayoutDelayConfig(enabled=True, min=200, max=1_000))
TOLD = (20 << 12 | 100).to_bytes(3)
REPORTED_SECONDS = 3

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])


class Ears:
    """What came of each track: the playout delay in each packet."""

    def __init__(self) -> None:
        self.told: dict[str, list[bytes | None]] = defaultdict(list)

    def hear(self, track: ReceivedTrack, packet: ReceivedPacket) -> None:
        self.told[track.sid].append(packet.extensions.get(PLAYOUT_DELAY))


@both_layouts
@pytest.mark.parametrize("feedback", list(BandwidthFeedback))
@pytest.mark.parametrize(
    ("room", "claims"),
    [(DELAYED, {}), (RoomConfig(), {"room_config": {"minPlayoutDelay": 200, "maxPlayoutDelay": 1_000}})],
    ids=["configured", "by the token"],
)
async def test_video_tells_the_delay_until_it_is_reported_to_have_come(
    autojump_clock, single, feedback, room, claims
) -> None:
    ears = Ears()
    async with (
        open_house(room=room) as house,
        house.visitor("alice", single=single, claims=claims) as alice,
        house.visitor("bob", single=single, feedback=feedback, watch=ears.hear) as bob,
    ):
        camera, microphone = await alice.publish_video(), await alice.publish_audio()
        for track in (camera, microphone):
            await bob.wait_until(flows(bob, track.sid))
        await trio.sleep(REPORTED_SECONDS)
        told = ears.told[camera.sid]
        count = told.index(None)
        assert count > 0
        assert told == [TOLD] * count + [None] * (len(told) - count)
        assert len(told) > 2 * count, "it was told for about as long as a report takes"
        assert set(ears.told[microphone.sid]) == {None}


@both_layouts
@pytest.mark.parametrize(("room", "is_offered"), [(RoomConfig(), False), (DELAYED, True)], ids=["usual", "delayed"])
async def test_only_a_room_with_a_delay_offers_the_extension(autojump_clock, single, room, is_offered) -> None:
    async with (
        open_house(room=room) as house,
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single) as bob,
    ):
        camera = await alice.publish_video()
        await bob.wait_until(flows(bob, camera.sid))
        sections = house.participant("bob").subscriber.peer.negotiation.transceivers
        videos = [each for each in sections if each.kind is MediaKind.VIDEO and each.current_direction.sends]
        assert videos
        for section in videos:
            assert DEPENDENCY_DESCRIPTOR in section.extensions
            assert (PLAYOUT_DELAY in section.extensions) == is_offered
