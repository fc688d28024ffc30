"""`/debug/rooms` and `/debug/agents`: who looks for a reason finds it there."""

import json

import pytest
from livekit.protocol.rtc import SignalRequest, UpdateTrackSettings

from tests.simulation.back_end import api_token, open_back_end
from tests.simulation.house import ROOM, flows, open_call, open_house, wait_until


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_a_room_is_shown_with_what_everybody_publishes_and_is_sent_and_why(autojump_clock, single) -> None:
    async with open_call(single=single) as (house, alice, bob):
        audio, video = await alice.publish_audio(), await alice.publish_video()
        for track in (audio, video):
            await bob.wait_until(flows(bob, track.sid))
        disabled = UpdateTrackSettings(track_sids=[video.sid], disabled=True)
        bob.send(SignalRequest(track_setting=disabled))
        await wait_until(lambda: not house.participant("bob").subscriber.subscriptions[video.sid].down_track.is_sending)
        async with open_back_end(house) as operator:
            answer = await operator.get("/debug/rooms")
        assert answer.headers["Content-Type"] == "application/json"
        (room,) = json.loads(answer.body)["rooms"]
        assert room["sid"] == alice.join.room.sid
        people = {person["identity"]: person for person in room["participants"]}
        assert set(people) == {"alice", "bob"}
        assert set(people["alice"]["connections"]) == ({"single"} if single else {"publisher", "subscriber"})
        published = people["alice"]["publishes"]
        assert {sid: (each["source"], each["codec"]) for sid, each in published.items()} == {
            audio.sid: ("MICROPHONE", "audio/opus"),
            video.sid: ("CAMERA", "video/VP8"),
        }
        (stream,) = published[audio.sid]["received"]["audio/opus"]["streams"].values()
        assert stream["reception"]["packets"] >= 5
        sent = people["bob"]["is_sent"]
        assert (sent[audio.sid]["publisher"], sent[audio.sid]["sent"]["paused"]) == ("alice", [])
        assert sent[video.sid]["sent"]["paused"] == ["DISABLED"]


@pytest.mark.parametrize(
    ("grant", "status"),
    [
        ({"room_list": True}, 200),
        ({"room_admin": True, "room": ROOM}, 200),
        ({"room_join": True, "room": ROOM}, 401),
        (None, 401),
    ],
    ids=["lists rooms", "administers", "joins", "nobody"],
)
async def test_only_operators_look_inside(autojump_clock, grant, status) -> None:
    async with open_house() as house, open_back_end(house) as operator:
        operator.token = api_token(**grant) if grant else ""
        for path in ("/debug/rooms", "/debug/agents"):
            assert (await operator.get(path)).status == status


async def test_who_administers_one_room_sees_no_other(autojump_clock) -> None:
    async with open_call(single=True) as (house, _alice, _bob), open_back_end(house) as operator:
        operator.token = api_token(room_create=True)
        await operator.call("CreateRoom", name="elsewhere")
        for grant, names in (
            ({"room_list": True}, [ROOM, "elsewhere"]),
            ({"room_admin": True, "room": "elsewhere"}, ["elsewhere"]),
            ({"room_admin": True, "room": "nowhere"}, []),
        ):
            operator.token = api_token(**grant)
            shown = json.loads((await operator.get("/debug/rooms")).body)["rooms"]
            assert [room["name"] for room in shown] == names
        operator.token = api_token(room_create=True)
        await operator.call("DeleteRoom", room="elsewhere")


async def test_who_is_in_a_room_sees_why_it_is_sent_what_it_is_sent(autojump_clock) -> None:
    async with open_call(single=True) as (house, alice, bob), open_back_end(house) as client:
        video = await alice.publish_simulcast()
        await bob.wait_until(flows(bob, video.sid))
        house.participant("bob").subscriber.peer.media.bandwidth.force(100)
        down_track = house.participant("bob").subscriber.subscriptions[video.sid].down_track
        await wait_until(lambda: down_track.statistics().layer == 0)
        client.token = bob.token
        answer = await client.get("/debug/subscriptions")
        assert json.loads(answer.body)["subscriptions"] == {
            video.sid: {
                "wanted": "f",
                "available": ["q", "h", "f"],
                "within": {"spatial": 1, "temporal": 1},
                "sent": {"layer": "q", "spatial": None, "temporal": None},
                "paused": [],
                "budget_bps": 100,
            }
        }


@pytest.mark.parametrize(
    ("grant", "status"),
    [
        (None, 401),
        ({"room_list": True}, 401),
        ({"room_join": True, "room": ROOM}, 404),
        ({"room_join": True, "room": "elsewhere"}, 404),
    ],
    ids=["nobody", "lists rooms", "is not in the room", "is in another room"],
)
async def test_subscriptions_are_shown_to_their_own_subscriber_only(autojump_clock, grant, status) -> None:
    async with open_call(single=True) as (house, _alice, _bob), open_back_end(house) as client:
        client.token = api_token(**grant) if grant else ""
        assert (await client.get("/debug/subscriptions")).status == status
