"""Publishers that say who may have their tracks, while the room is on."""

import pytest
from livekit.protocol.rtc import SignalRequest, SubscriptionPermission, TrackPermission

from tests.simulation.house import flows, open_call, open_house, sent

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])


def permission(**fields: object) -> SignalRequest:
    return SignalRequest(subscription_permission=SubscriptionPermission(**fields))


@both_layouts
async def test_what_a_publisher_withholds_ends_and_what_it_gives_back_returns(autojump_clock, single) -> None:
    async with open_call(single=single) as (_house, alice, bob):
        audio, video = await alice.publish_audio(), await alice.publish_video()
        await bob.wait_until(flows(bob, audio.sid))
        await bob.wait_until(flows(bob, video.sid))
        alice.send(permission())
        await bob.wait_until(lambda: not bob.subscribed)
        only_voice = TrackPermission(participant_identity="bob", track_sids=[audio.sid])
        alice.send(permission(track_permissions=[only_voice]))
        await bob.wait_until(flows(bob, audio.sid))
        assert bob.subscribed == {audio.sid}
        alice.send(permission(all_participants=True))
        await bob.wait_until(flows(bob, video.sid))
        assert bob.subscribed == {audio.sid, video.sid}
        told = [(each.track_sid, each.allowed) for each in sent(bob, "subscription_permission_update")]
        assert told == [
            (audio.sid, True),
            (video.sid, True),
            (audio.sid, False),
            (video.sid, False),
            (audio.sid, True),
            (video.sid, True),
        ]


async def test_a_recorder_may_have_what_is_withheld_from_all(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        await alice.wait_connected()
        audio = await alice.publish_audio()
        alice.send(permission())
        async with (
            house.visitor("recorder", single=True, grant={"recorder": True, "hidden": True}) as recorder,
            house.visitor("bob", single=True) as bob,
        ):
            await recorder.wait_until(flows(recorder, audio.sid))
            assert not bob.subscribed
