"""Data tracks between visitors: publish, subscribe, handles, and what passes."""

from functools import partial

import pytest
import trio
from livekit.protocol.models import DataBlob, DataBlobKey, DataTrackInfo, ParticipantPermission
from livekit.protocol.rtc import (
    DataTrackSubscriberHandles,
    GetDataBlobRequest,
    GetDataBlobResponse,
    PublishDataTrackRequest,
    PublishDataTrackResponse,
    RequestResponse,
    SignalRequest,
    StoreDataBlobRequest,
    StoreDataBlobResponse,
    SubscriptionPermission,
    SyncState,
    TrackPermission,
    UnpublishDataTrackRequest,
    UpdateDataSubscription,
)

from sfu.room.moderation import set_permission
from tests.simulation.house import House, open_call, open_house, sent
from triforium.visitor import Visitor

each_layout = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])

FRAME = bytes.fromhex("1800000100000000a39b7c670707070707")
"""Sent by livekit-client 2.23 on a track that it had published under the handle 1."""


async def publish(visitor: Visitor, name: str = "sensor", handle: int = 1) -> DataTrackInfo:
    count = len(sent(visitor, "publish_data_track_response"))
    request = PublishDataTrackRequest(pub_handle=handle, name=name)
    visitor.send(SignalRequest(publish_data_track_request=request))
    await visitor.wait_until(lambda: len(sent(visitor, "publish_data_track_response")) > count)
    return sent(visitor, "publish_data_track_response")[-1].info


def subscribe(visitor: Visitor, sid: str, *, wanted: bool = True) -> None:
    update = UpdateDataSubscription.Update(track_sid=sid, subscribe=wanted)
    visitor.send(SignalRequest(update_data_subscription=UpdateDataSubscription(updates=[update])))


def allow(publisher: Visitor, *permissions: TrackPermission) -> None:
    """Let those named have what is named, and nobody else anything."""
    publisher.send(SignalRequest(subscription_permission=SubscriptionPermission(track_permissions=permissions)))


def handles(visitor: Visitor) -> dict[int, str] | None:
    """Return what a visitor was last told it gets, by handle."""
    told = sent(visitor, "data_track_subscriber_handles")
    return {handle: track.track_sid for handle, track in told[-1].sub_handles.items()} if told else None


async def ready(*visitors: Visitor) -> None:
    for visitor in visitors:
        await visitor.wait_until(partial(visitor.data.can_send, "_data_track"))
        await visitor.wait_until(lambda visitor=visitor: "_data_track" in visitor.open_channels)


@each_layout
async def test_a_frame_reaches_its_subscriber_under_the_subscribers_handle(autojump_clock, single):
    async with open_call(single=single) as (house, alice, bob):
        await ready(alice, bob)
        info = await publish(alice)
        await bob.wait_until(lambda: list(bob.participants["alice"].data_tracks) == [info])
        assert bob.participants["alice"].is_publisher
        subscribe(bob, info.sid)
        await bob.wait_until(lambda: handles(bob))
        (handle,) = handles(bob)
        assert sent(bob, "data_track_subscriber_handles")[-1].sub_handles[
            handle
        ] == DataTrackSubscriberHandles.PublishedDataTrack(
            publisher_identity="alice", publisher_sid=house.participant("alice").sid, track_sid=info.sid
        )
        alice.data.send_bytes("_data_track", FRAME)
        await bob.wait_until(lambda: bob.data.received)
        (message,) = bob.data.received
        assert (message.label, message.data) == ("_data_track", FRAME[:2] + handle.to_bytes(2, "big") + FRAME[4:])


@each_layout
async def test_unpublishing_ends_the_subscription(autojump_clock, single):
    async with open_call(single=single) as (_, alice, bob):
        await ready(alice, bob)
        info = await publish(alice)
        subscribe(bob, info.sid)
        await bob.wait_until(lambda: handles(bob))
        alice.send(SignalRequest(unpublish_data_track_request=UnpublishDataTrackRequest(pub_handle=1)))
        await bob.wait_until(lambda: handles(bob) == {})
        await bob.wait_until(lambda: not bob.participants["alice"].data_tracks)
        await alice.wait_until(lambda: sent(alice, "unpublish_data_track_response"))
        assert sent(alice, "unpublish_data_track_response")[0].info == info


async def test_who_leaves_takes_its_tracks_along(autojump_clock):
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        async with house.visitor("alice", single=True) as alice:
            await ready(alice, bob)
            subscribe(bob, (await publish(alice)).sid)
            await bob.wait_until(lambda: handles(bob))
        await bob.wait_until(lambda: handles(bob) == {})


async def test_nobody_gets_a_track_unasked(autojump_clock):
    async with open_call(single=True) as (_, alice, bob):
        await ready(alice, bob)
        await publish(alice)
        alice.data.send_bytes("_data_track", FRAME)
        alice.data.publish(b"after it")
        await bob.wait_until(lambda: bob.data.payloads == [b"after it"])
        assert handles(bob) is None


async def test_what_cannot_be_published_is_refused_with_the_request(autojump_clock):
    async with open_call(single=True) as (_, alice, _bob):
        await publish(alice)
        twice = PublishDataTrackRequest(pub_handle=2, name="sensor")
        alice.send(SignalRequest(publish_data_track_request=twice))
        unknown = UnpublishDataTrackRequest(pub_handle=9)
        alice.send(SignalRequest(unpublish_data_track_request=unknown))
        await alice.wait_until(lambda: len(sent(alice, "request_response")) == 2)
        first, second = sent(alice, "request_response")
        assert first == RequestResponse(
            reason="DUPLICATE_NAME",
            message="a data track with same name already exists",
            publish_data_track=twice,
        )
        assert (second.reason, second.unpublish_data_track) == (RequestResponse.NOT_FOUND, unknown)


async def test_data_tracks_are_refused_where_they_are_not_enabled(autojump_clock):
    async with (
        open_house(config={"enable_data_tracks": False}) as house,
        house.visitor("alice", single=True) as alice,
    ):
        request = PublishDataTrackRequest(pub_handle=0, name="sensor")
        alice.send(SignalRequest(publish_data_track_request=request))
        await alice.wait_until(lambda: sent(alice, "request_response"))
        assert sent(alice, "request_response")[0].reason == RequestResponse.NOT_ALLOWED


async def test_a_blob_is_kept_for_others_as_long_as_its_owner_stays(autojump_clock):
    blob = DataBlob(key=DataBlobKey(generic="schema"), contents=b"int32 x")
    ask = SignalRequest(
        get_data_blob_request=GetDataBlobRequest(request_id=2, participant_identity="alice", key=blob.key)
    )
    async with (
        open_house(config={"enable_participant_data_blob": True}) as house,
        house.visitor("bob", single=True) as bob,
    ):
        async with house.visitor("alice", single=False) as alice:
            alice.send(SignalRequest(store_data_blob_request=StoreDataBlobRequest(request_id=1, blob=blob)))
            await alice.wait_until(lambda: sent(alice, "store_data_blob_response"))
            assert sent(alice, "store_data_blob_response") == [StoreDataBlobResponse(request_id=1, key=blob.key)]
            bob.send(ask)
            await bob.wait_until(lambda: sent(bob, "get_data_blob_response"))
            assert sent(bob, "get_data_blob_response") == [GetDataBlobResponse(request_id=2, blob=blob)]
            set_permission(house.room(), house.participant("alice"), ParticipantPermission(hidden=True))
            bob.send(ask)
            alice.send(SignalRequest(store_data_blob_request=StoreDataBlobRequest(request_id=3, blob=blob)))
            await bob.wait_until(lambda: sent(bob, "request_response"))
            await alice.wait_until(lambda: sent(alice, "request_response"))
            assert sent(alice, "request_response")[0].reason == RequestResponse.NOT_ALLOWED
        bob.send(ask)
        await bob.wait_until(lambda: len(sent(bob, "request_response")) == 2)
        assert [(each.request_id, each.reason) for each in sent(bob, "request_response")] == [
            (2, RequestResponse.NOT_FOUND),
            (2, RequestResponse.NOT_FOUND),
        ]


async def test_data_blobs_are_refused_at_once(autojump_clock):
    async with open_call(single=True) as (_, alice, _bob):
        alice.send(SignalRequest(store_data_blob_request=StoreDataBlobRequest(request_id=7)))
        alice.send(SignalRequest(get_data_blob_request=GetDataBlobRequest(request_id=8)))
        await alice.wait_until(lambda: len(sent(alice, "request_response")) == 2)
        assert [(each.request_id, each.reason) for each in sent(alice, "request_response")] == [
            (7, RequestResponse.NOT_ALLOWED),
            (8, RequestResponse.NOT_ALLOWED),
        ]


def forbid_data(house: House, identity: str) -> None:
    permission = ParticipantPermission(can_subscribe=True, can_publish=True, can_publish_data=False)
    set_permission(house.room(), house.participant(identity), permission)


async def test_losing_the_permission_ends_the_tracks(autojump_clock):
    async with open_call(single=True) as (house, alice, bob):
        await ready(alice, bob)
        subscribe(bob, (await publish(alice)).sid)
        await bob.wait_until(lambda: handles(bob))
        forbid_data(house, "alice")
        await bob.wait_until(lambda: handles(bob) == {} and not bob.participants["alice"].data_tracks)
        await alice.wait_until(lambda: sent(alice, "unpublish_data_track_response"))


@each_layout
async def test_what_a_publisher_withholds_ends_and_what_it_gives_back_returns(autojump_clock, single):
    async with open_call(single=single) as (house, alice, bob):
        await ready(alice, bob)
        sensor, other = await publish(alice), await publish(alice, "other", 2)
        subscribe(bob, sensor.sid)
        subscribe(bob, other.sid)
        await bob.wait_until(lambda: set((handles(bob) or {}).values()) == {sensor.sid, other.sid})
        allow(alice)
        await bob.wait_until(lambda: handles(bob) == {})
        alice.data.send_bytes("_data_track", FRAME)
        await trio.sleep(1)
        allow(alice, TrackPermission(participant_identity="bob", track_sids=[sensor.sid]))
        await bob.wait_until(lambda: list(handles(bob).values()) == [sensor.sid])
        assert not bob.data.received
        assert len(bob.participants["alice"].data_tracks) == 2
        alice.data.send_bytes("_data_track", FRAME)
        await bob.wait_until(lambda: bob.data.received)
        allow(alice, TrackPermission(participant_sid=house.participant("bob").sid, all_tracks=True))
        await bob.wait_until(lambda: set(handles(bob).values()) == {sensor.sid, other.sid})


async def test_what_is_withheld_from_the_start_is_got_by_who_may_have_it(autojump_clock):
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        await ready(alice)
        allow(alice, TrackPermission(participant_identity="carol", all_tracks=True))
        async with (
            house.visitor("bob", single=True) as bob,
            house.visitor("carol", single=True) as carol,
            house.visitor("recorder", single=True, grant={"recorder": True, "hidden": True}) as recorder,
        ):
            info = await publish(alice)
            for reader in (bob, carol, recorder):
                await ready(reader)
                subscribe(reader, info.sid)
            for reader in (carol, recorder):
                await reader.wait_until(lambda reader=reader: list((handles(reader) or {}).values()) == [info.sid])
            assert handles(bob) is None


@pytest.mark.parametrize("known", [True, False])
async def test_who_resumes_is_told_its_handles_and_has_to_agree_on_its_tracks(autojump_clock, known):
    async with (
        open_house() as house,
        house.visitor("alice", single=True, resumes=True) as alice,
        house.visitor("bob", single=True) as bob,
    ):
        await ready(alice, bob)
        subscribe(alice, (await publish(bob)).sid)
        await alice.wait_until(lambda: handles(alice))
        info = await publish(alice)
        told = len(sent(alice, "data_track_subscriber_handles"))
        await alice.cut_signal()
        await alice.wait_until(lambda: alice.resumptions == 1)
        await alice.wait_until(lambda: len(sent(alice, "data_track_subscriber_handles")) == told + 1)
        believed = info if known else DataTrackInfo(sid="DTR_unknown")
        state = SyncState(publish_data_tracks=[PublishDataTrackResponse(info=believed)])
        alice.send(SignalRequest(sync_state=state))
        if known:
            alice.data.publish(b"still here")
            await bob.wait_until(lambda: bob.data.payloads)
        else:
            await alice.wait_over()
