"""What participants say of themselves and may do, changed while they are in a room: by themselves and by the API."""

import jwt
import pytest
import trio
from livekit.protocol.models import ParticipantInfo, TrackSource
from livekit.protocol.room import MuteRoomTrackRequest, MuteRoomTrackResponse
from livekit.protocol.rtc import RequestResponse, SignalRequest, UpdateParticipantMetadata

from tests.simulation.back_end import CallError
from tests.simulation.house import ROOM, flows, open_house, sent, wait_until
from tests.simulation.test_api import open_api, refused
from triforium.config import LimitConfig, RoomConfig
from triforium.visitor import PublishRefusedError, Visitor

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])

IN_FLIGHT_SECONDS = 0.2
EVERYTHING = {"can_subscribe": True, "can_publish": True, "can_publish_data": True}


def told_of(visitor: Visitor, identity: str) -> list[ParticipantInfo]:
    return [info for update in sent(visitor, "update") for info in update.participants if info.identity == identity]


def told_token(visitor: Visitor) -> dict[str, object]:
    """Return what the newest token that a visitor was given says."""
    return jwt.decode(visitor.token, options={"verify_signature": False})


def kinds_since(visitor: Visitor, start: int, *kinds: str) -> list[str]:
    """Return which messages of these kinds the server has sent, from the `start`-th message on."""
    return [each.kind for each in list(visitor.messages)[start:] if not each.is_sent and each.kind in kinds]


async def update_own(visitor: Visitor, **fields: object) -> RequestResponse:
    """Ask for a change of the visitor's own metadata; return the answer."""
    answers = len(sent(visitor, "request_response"))
    visitor.send(SignalRequest(update_metadata=UpdateParticipantMetadata(**fields)))
    await visitor.wait_until(lambda: len(sent(visitor, "request_response")) > answers)
    return sent(visitor, "request_response")[-1]


MAY_UPDATE = {"can_update_own_metadata": True}


async def test_who_may_changes_its_own_name_metadata_and_attributes(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("bob", single=True) as bob,
        house.visitor("alice", single=True, grant=MAY_UPDATE, claims={"attributes": {"a": "1"}}) as alice,
    ):
        await alice.wait_connected()
        start = len(alice.messages)
        answer = await update_own(alice, name="Alice", metadata="m1", attributes={"b": "2"}, request_id=7)
        assert (answer.request_id, answer.reason) == (7, RequestResponse.OK)
        assert answer.update_metadata.metadata == "m1"
        order = kinds_since(alice, start, "update", "refresh_token", "request_response")
        assert order == ["update", "refresh_token"] * 3 + ["request_response"]
        said = told_of(alice, "alice")[-1]
        assert (said.name, said.metadata, dict(said.attributes)) == ("Alice", "m1", {"a": "1", "b": "2"})
        token = told_token(alice)
        assert (token["name"], token["metadata"], token["attributes"]) == ("Alice", "m1", {"a": "1", "b": "2"})
        await bob.wait_until(lambda: bob.participants["alice"].metadata == "m1")

        await update_own(alice, attributes={"a": ""}, request_id=8)
        assert dict(told_of(alice, "alice")[-1].attributes) == {"b": "2"}
        versions = [info.version for info in told_of(alice, "alice")]
        assert versions == sorted(set(versions))


async def test_a_change_that_changes_nothing_is_only_answered(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True, grant=MAY_UPDATE) as alice:
        await update_own(alice, metadata="m1", request_id=1)
        start = len(alice.messages)
        await update_own(alice, metadata="m1", request_id=2)
        assert kinds_since(alice, start, "update", "refresh_token", "request_response") == ["request_response"]


async def test_a_change_without_a_request_id_is_not_answered(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True, grant=MAY_UPDATE) as alice:
        alice.send(SignalRequest(update_metadata=UpdateParticipantMetadata(metadata="m1")))
        await alice.wait_until(lambda: told_token(alice).get("metadata") == "m1")
        await trio.sleep(IN_FLIGHT_SECONDS)
        assert not sent(alice, "request_response")


async def test_who_may_not_change_itself_is_told_so(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        answer = await update_own(alice, metadata="x", request_id=3)
        assert (answer.reason, answer.request_id) == (RequestResponse.NOT_ALLOWED, 3)
        assert answer.message == "does not have permission to update own metadata"
        assert answer.update_metadata.metadata == "x"
        assert house.participant("alice").claims.metadata == ""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metadata": "m" * 11}, "exceeds metadata size limit"),
        ({"name": "n" * 12}, "exceeds name length limit"),
        ({"attributes": {"k": "v" * 13}}, "exceeds attributes size limit"),
        ({"attributes": {"k": "v" * 6, "l": "v" * 6}}, "exceeds attributes size limit"),
    ],
)
async def test_what_is_too_long_changes_nothing(autojump_clock, fields, message) -> None:
    limits = LimitConfig(max_metadata_size=10, max_participant_name_length=11, max_attributes_size=13)
    async with (
        open_house(config={"limit": limits}) as house,
        house.visitor("alice", single=True, grant=MAY_UPDATE) as alice,
    ):
        claims = house.participant("alice").claims
        answer = await update_own(alice, **({"name": "Alice"} | fields), request_id=1)
        assert (answer.reason, answer.message) == (RequestResponse.LIMIT_EXCEEDED, message)
        assert house.participant("alice").claims == claims


async def test_the_api_changes_what_is_said_of_somebody(autojump_clock) -> None:
    async with open_api() as (house, api), house.visitor("alice", single=True) as alice:
        await alice.wait_connected()
        start = len(alice.messages)
        changed = await api.call(
            "UpdateParticipant", room=ROOM, identity="alice", name="Alice", metadata="am", attributes={"a": "1"}
        )
        assert (changed["name"], changed["metadata"], changed["attributes"]) == ("Alice", "am", {"a": "1"})
        await alice.wait_until(lambda: "attributes" in told_token(alice))
        assert kinds_since(alice, start, "update", "refresh_token") == ["update", "refresh_token"] * 3
        changed = await api.call("UpdateParticipant", room=ROOM, identity="alice", attributes={"a": ""})
        assert (changed["name"], changed["attributes"]) == ("Alice", {})
        for fields, message in (
            ({"name": "n" * 257}, "name length exceeds limits 256"),
            ({"attributes": {"k": "v" * 65536}}, "attribute size exceeds limits 65536"),
        ):
            refusal = await refused(api, "UpdateParticipant", room=ROOM, identity="alice", **fields)
            assert (refusal.code, refusal.message) == ("invalid_argument", message)
            assert refusal.meta == {"argument": message.rpartition(" ")[0]}
        with pytest.raises(CallError, match="participant does not exist"):
            await api.call("UpdateParticipant", room=ROOM, identity="nosuch", name="x")


@both_layouts
async def test_a_source_that_is_no_longer_allowed_ends_its_tracks(autojump_clock, single) -> None:
    async with (
        open_api() as (house, api),
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single) as bob,
    ):
        audio, video = await alice.publish_audio(), await alice.publish_video()
        for publication in (audio, video):
            await bob.wait_until(flows(bob, publication.sid))
        start = len(alice.messages)
        permission = EVERYTHING | {"can_publish_sources": ["MICROPHONE"]}
        changed = await api.call("UpdateParticipant", room=ROOM, identity="alice", permission=permission)
        assert [track["sid"] for track in changed["tracks"]] == [audio.sid]
        assert changed["permission"]["can_publish_sources"] == ["MICROPHONE"]
        await bob.wait_until(lambda: bob.subscribed == {audio.sid})
        await alice.wait_until(lambda: "canPublishSources" in told_token(alice)["video"])
        kinds = kinds_since(alice, start, "update", "track_unpublished", "refresh_token")
        assert kinds == ["update", "track_unpublished", "update", "refresh_token"]
        assert [each.track_sid for each in sent(alice, "track_unpublished")] == [video.sid]
        first = told_of(alice, "alice")[-2]
        assert ([track.sid for track in first.tracks], list(first.permission.can_publish_sources)) == (
            [audio.sid],
            [TrackSource.MICROPHONE],
        )
        await bob.wait_until(flows(bob, audio.sid))
        with pytest.raises(PublishRefusedError, match="NOT_ALLOWED"):
            await alice.publish_video()

        await api.call("UpdateParticipant", room=ROOM, identity="alice", permission=EVERYTHING)
        again = await alice.publish_video()
        await bob.wait_until(flows(bob, again.sid))


@both_layouts
async def test_who_may_no_longer_subscribe_gets_nothing_until_it_may_again(autojump_clock, single) -> None:
    async with (
        open_api() as (house, api),
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single) as bob,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        told = len(sent(bob, "subscription_permission_update"))
        await api.call("UpdateParticipant", room=ROOM, identity="bob", permission=EVERYTHING | {"can_subscribe": False})
        await bob.wait_until(lambda: not bob.subscribed)
        assert len(sent(bob, "subscription_permission_update")) == told
        await api.call("UpdateParticipant", room=ROOM, identity="bob", permission=EVERYTHING)
        await bob.wait_until(flows(bob, audio.sid))


@both_layouts
async def test_who_joined_without_may_be_allowed_to_subscribe(autojump_clock, single) -> None:
    async with (
        open_api() as (house, api),
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single, grant={"can_subscribe": False}) as bob,
    ):
        audio = await alice.publish_audio()
        await bob.publish_audio()
        await trio.sleep(2)
        assert not bob.subscribed
        await api.call("UpdateParticipant", room=ROOM, identity="bob", permission=EVERYTHING)
        await bob.wait_until(flows(bob, audio.sid))


async def test_a_permission_is_replaced_as_a_whole_and_the_same_one_says_nothing(autojump_clock) -> None:
    async with open_api() as (house, api), house.visitor("alice", single=True) as alice:
        await alice.wait_connected()
        changed = await api.call("UpdateParticipant", room=ROOM, identity="alice", permission={"can_subscribe": True})
        assert {name for name, allowed in changed["permission"].items() if allowed} == {"can_subscribe"}
        await alice.wait_until(lambda: told_token(alice)["video"].get("canPublishData") is False)
        assert told_token(alice)["video"]["roomJoin"]
        start = len(alice.messages)
        await api.call("UpdateParticipant", room=ROOM, identity="alice", permission={"canSubscribe": True})
        await trio.sleep(IN_FLIGHT_SECONDS)
        assert not kinds_since(alice, start, "update", "refresh_token")


async def test_who_becomes_hidden_vanishes_for_others_and_comes_back_when_shown(autojump_clock) -> None:
    async with (
        open_api() as (house, api),
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True) as bob,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        await api.call("UpdateParticipant", room=ROOM, identity="alice", permission=EVERYTHING | {"hidden": True})
        await bob.wait_until(lambda: "alice" not in bob.participants and not bob.subscribed)
        await api.call("UpdateParticipant", room=ROOM, identity="alice", permission=EVERYTHING)
        await bob.wait_until(lambda: "alice" in bob.participants)
        await bob.wait_until(flows(bob, audio.sid))


@both_layouts
async def test_the_api_mutes_a_track_for_everybody(autojump_clock, single) -> None:
    async with (
        open_api() as (house, api),
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single) as bob,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        muted = await api.call("MutePublishedTrack", room=ROOM, identity="alice", track_sid=audio.sid, muted=True)
        assert (muted["track"]["sid"], muted["track"]["muted"]) == (audio.sid, True)
        await bob.wait_until(lambda: bob.participants["alice"].tracks[0].muted)
        await wait_until(lambda: bool(sent(alice, "mute")))
        assert (sent(alice, "mute")[0].sid, sent(alice, "mute")[0].muted) == (audio.sid, True)

        unmute = {"room": ROOM, "identity": "alice", "track_sid": audio.sid, "muted": False}
        refusal = await refused(api, "MutePublishedTrack", **unmute)
        assert (refusal.status, refusal.code) == (412, "failed_precondition")
        assert refusal.message == "twirp error unknown: remote unmute not enabled"
        unknown = await api.call("MutePublishedTrack", room=ROOM, identity="alice", track_sid="TR_x", muted=True)
        assert unknown == {"track": None}
        request = MuteRoomTrackRequest(room=ROOM, identity="alice", track_sid="TR_x", muted=True)
        response = await api.call_protobuf("MutePublishedTrack", request, MuteRoomTrackResponse)
        assert not response.HasField("track")


async def test_the_api_unmutes_a_track_where_that_is_allowed(autojump_clock) -> None:
    async with (
        open_api(room=RoomConfig(enable_remote_unmute=True)) as (house, api),
        house.visitor("alice", single=True) as alice,
    ):
        audio = await alice.publish_audio()
        for muted in (True, False):
            track = {"room": ROOM, "identity": "alice", "track_sid": audio.sid, "muted": muted}
            assert (await api.call("MutePublishedTrack", **track))["track"]["muted"] is muted


async def test_the_api_chooses_what_somebody_gets(autojump_clock) -> None:
    async with (
        open_api() as (house, api),
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True) as bob,
    ):
        audio, video = await alice.publish_audio(), await alice.publish_video()
        await bob.wait_until(lambda: bob.subscribed == {audio.sid, video.sid})
        subscription = {"room": ROOM, "identity": "bob", "track_sids": [audio.sid], "subscribe": False}
        assert await api.call("UpdateSubscriptions", **subscription) == {}
        await bob.wait_until(lambda: bob.subscribed == {video.sid})
        by_participant = [{"participant_sid": house.participant("alice").sid, "track_sids": [audio.sid]}]
        await api.call(
            "UpdateSubscriptions", room=ROOM, identity="bob", participant_tracks=by_participant, subscribe=True
        )
        await bob.wait_until(lambda: bob.subscribed == {audio.sid, video.sid})
        unknown = {"room": ROOM, "identity": "bob", "track_sids": ["TR_nosuch"], "subscribe": True}
        assert await api.call("UpdateSubscriptions", **unknown) == {}
        assert (await refused(api, "UpdateSubscriptions", room=ROOM, identity="nosuch")).code == "not_found"
