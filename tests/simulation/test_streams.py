"""What is one stream to subscribers, of what a publisher shows."""

import pytest
from livekit.protocol.models import TrackSource

from tests.simulation.house import flows, open_house
from triforium.config import RoomConfig

SYNCED = RoomConfig(sync_streams=True)


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
@pytest.mark.parametrize(
    ("room", "claims", "are_synced"),
    [
        (RoomConfig(), {}, False),
        (SYNCED, {}, True),
        (RoomConfig(), {"room_config": {"syncStreams": True}}, True),
    ],
    ids=["apart", "configured", "by the token"],
)
async def test_camera_and_microphone_are_one_stream_where_the_room_says_so(
    autojump_clock, single, room, claims, are_synced
) -> None:
    async with (
        open_house(room=room) as house,
        house.visitor("alice", single=single, claims=claims) as alice,
        house.visitor("bob", single=single) as bob,
    ):
        camera, microphone = await alice.publish_video(), await alice.publish_audio()
        screen = await alice.publish_video(source=TrackSource.SCREEN_SHARE)
        for track in (camera, microphone, screen):
            await bob.wait_until(flows(bob, track.sid))
        subscriptions = house.participant("bob").subscriber.subscriptions
        publisher = house.participant("alice").sid
        names = [subscriptions[track.sid].local_track.stream_id for track in (camera, microphone, screen)]
        own = [f"{publisher}|{track.sid}" for track in (camera, microphone, screen)]
        assert names == ([f"{publisher}|camera"] * 2 + [f"{publisher}|screen"] if are_synced else own)
