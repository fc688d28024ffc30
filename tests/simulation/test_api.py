"""The server API as a back end knows it: answers as LiveKit's server 1.13.4 gave them, recorded, and their effects."""

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from google.protobuf.descriptor import MethodDescriptor
from livekit.protocol import agent_dispatch, egress, ingress, room, sip
from livekit.protocol.models import DataPacket, DisconnectReason, Room, RpcAck, RpcError, RpcRequest, RpcResponse
from livekit.protocol.room import CreateRoomRequest, DeleteRoomRequest, DeleteRoomResponse

from sfu.model import SipGrant
from tests.simulation.back_end import BackEnd, CallError, api_token, open_back_end
from tests.simulation.house import ROOM, House, open_house, sent, wait_until
from tests.simulation.rawsocket import open_raw_client
from triforium.config import LimitConfig, RoomConfig, RoomPreset
from triforium.visitor import JoinRefusedError, Visitor

SERVICES = [
    *(module.DESCRIPTOR.services_by_name[name] for module, name in ((room, "RoomService"), (egress, "Egress"))),
    ingress.DESCRIPTOR.services_by_name["Ingress"],
    sip.DESCRIPTOR.services_by_name["SIP"],
    agent_dispatch.DESCRIPTOR.services_by_name["AgentDispatchService"],
]
METHODS = [method for service in SERVICES for method in service.methods]

GRANTS: dict[str, dict[str, object]] = {
    "nothing": {"can_publish": True},
    "join": {"room_join": True, "room": ROOM},
    "create": {"room_create": True},
    "list": {"room_list": True},
    "admin": {"room_admin": True, "room": ROOM},
    "admin of another room": {"room_admin": True, "room": "elsewhere"},
    "admin of no room": {"room_admin": True},
    "room without admin": {"room": ROOM, "destination_room": "dest"},
    "admin with destination": {"room_admin": True, "room": ROOM, "destination_room": "dest"},
    "admin with another destination": {"room_admin": True, "room": ROOM, "destination_room": "elsewhere"},
    "record": {"room_record": True},
    "ingress": {"ingress_admin": True},
    "sip admin": {"sip": SipGrant(admin=True), "can_publish": True},
    "sip call": {"sip": SipGrant(call=True), "can_publish": True},
    "sip call and admin": {"sip": SipGrant(call=True), "room_admin": True, "room": ROOM},
}
ADMINS = {"admin", "admin with destination", "admin with another destination", "sip call and admin"}
OPENS = {
    "CreateRoom": {"create"},
    "DeleteRoom": {"create"},
    "ListRooms": {"list"},
    "ForwardParticipant": {"admin with destination"},
    "MoveParticipant": {"admin with destination"},
    "CreateSIPParticipant": {"sip call", "sip call and admin"},
    "TransferSIPParticipant": {"sip call and admin"},
}
OPENS_SERVICE = {
    "RoomService": ADMINS,
    "Egress": {"record"},
    "Ingress": {"ingress"},
    "SIP": {"sip admin"},
    "AgentDispatchService": ADMINS,
}


@asynccontextmanager
async def open_api(**config: object):
    async with open_house(config=config) as house, open_back_end(house) as api:
        yield house, api
        for each in house.server.rooms:  # those that nobody came to would stay for five minutes
            await api.call("DeleteRoom", room=each.name)


def about(method: MethodDescriptor) -> bytes:
    """Return a request about the room of these tests, in whatever field it is named."""
    named = {"room": ROOM, "room_name": ROOM, "destination_room": "dest"}
    fields = {field.name for field in method.input_type.fields}
    return json.dumps({name: value for name, value in named.items() if name in fields}).encode()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
async def test_each_grant_opens_the_calls_that_it_is_for_and_no_other(autojump_clock, method) -> None:
    service = method.containing_service.name
    async with open_api() as (_house, api):
        opened = set()
        for name, grant in GRANTS.items():
            answer = await api.post(f"{service}/{method.name}", about(method), token=api_token(**grant))
            if answer.status == 401:
                assert json.loads(answer.body) == {"code": "unauthenticated", "msg": "permissions denied"}
            else:
                opened.add(name)
        assert opened == OPENS.get(method.name, OPENS_SERVICE[service])


async def refused(api: BackEnd, method: str, /, **fields: object) -> CallError:
    with pytest.raises(CallError) as refusal:
        await api.call(method, **fields)
    return refusal.value


async def test_what_is_no_call_is_answered_as_twirp_has_it(autojump_clock) -> None:
    path = "/twirp/livekit.RoomService/ListRooms"
    malformed = {"code": "malformed", "msg": "the json request could not be decoded"}
    async with open_api() as (_house, api):
        answer = await api.get(path)
        assert (answer.status, json.loads(answer.body)) == (
            404,
            {
                "code": "bad_route",
                "msg": 'unsupported method "GET" (only POST is allowed)',
                "meta": {"twirp_invalid_route": f"GET {path}"},
            },
        )
        answer = await api.post("RoomService/NoSuchMethod", b"{}")
        assert json.loads(answer.body)["msg"] == 'no handler for path "/twirp/livekit.RoomService/NoSuchMethod"'
        answer = await api.post("NoSuchService/X", b"{}")
        assert (answer.status, answer.text) == (404, "404 page not found\n")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        for content_type in ("text/plain", ""):
            answer = await api.post("RoomService/ListRooms", b"{}", content_type)
            assert json.loads(answer.body)["msg"] == f'unexpected Content-Type: "{content_type}"'
        for body in (b"{malformed", b"", b'{"names": "not-a-list"}', b"\xff{}", b"[" * 100_000, b"9" * 5_000):
            answer = await api.post("RoomService/ListRooms", body)
            assert (answer.status, json.loads(answer.body)) == (400, malformed)
        answer = await api.post("RoomService/ListRooms", b"\xff\xff", "application/protobuf")
        assert json.loads(answer.body)["msg"] == "the protobuf request could not be decoded"
        for content_type in ("application/json; charset=utf-8", "Application/JSON"):
            answer = await api.post("RoomService/ListRooms", b'{"no_such_field": 1}', content_type)
            assert (answer.status, answer.body) == (200, b'{"rooms":[]}')
            assert answer.headers["Content-Type"] == "application/json"


async def test_a_bad_token_is_refused_in_plain_text_and_none_at_all_by_twirp(autojump_clock) -> None:
    async with open_api() as (_house, api):
        answer = await api.post("RoomService/ListRooms", b"{}", token="bad")
        assert (answer.status, answer.text) == (401, "invalid authorization token")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        answer = await api.post("RoomService/ListRooms", b"{malformed", token="")
        assert (answer.status, answer.text) == (401, '{"code":"unauthenticated","msg":"permissions denied"}')


async def test_a_room_made_by_the_api_is_as_asked_and_stays_as_it_is(autojump_clock) -> None:
    async with open_api() as (house, api):
        asked = {"name": ROOM, "empty_timeout": 60, "departure_timeout": 5, "max_participants": 10, "metadata": "m"}
        made = await api.call("CreateRoom", **asked)
        recorded = {  # every field, by the protocol's name, 64-bit numbers as text
            "sid": house.room().sid,
            "name": ROOM,
            "empty_timeout": 60,
            "departure_timeout": 5,
            "max_participants": 10,
            "creation_time": str(int(house.room().created_at)),
            "creation_time_ms": str(int(house.room().created_at * 1000)),
            "turn_password": house.room().secret,
            "enabled_codecs": made["enabled_codecs"],
            "metadata": "m",
            "num_participants": 0,
            "num_publishers": 0,
            "active_recording": False,
            "version": None,
        }
        assert made == recorded
        assert {"mime": "audio/opus", "fmtp_line": ""} in made["enabled_codecs"]
        again = await api.call_protobuf(
            "CreateRoom", CreateRoomRequest(name=ROOM, empty_timeout=999, metadata="changed"), Room
        )
        assert (again.sid, again.empty_timeout, again.metadata) == (made["sid"], 60, "m")
        camel = await api.call("CreateRoom", name="x", emptyTimeout=60, maxParticipants=7, tags={"a": "b"})
        assert (camel["empty_timeout"], camel["departure_timeout"], camel["max_participants"]) == (60, 20, 7)


async def test_what_cannot_be_made_is_refused(autojump_clock) -> None:
    async with open_api() as (_house, api):
        refusal = await refused(api, "CreateRoom", name="n" * 257)
        assert (refusal.code, refusal.message) == (
            "invalid_argument",
            "twirp error unknown: room name length exceeds limits: max length 256",
        )
        refusal = await refused(api, "CreateRoom", name="x", room_preset="nosuch")
        assert (refusal.code, refusal.message) == (
            "invalid_argument",
            "twirp error unknown: unknown room configuration in create room request",
        )
        refusal = await refused(api, "CreateRoom", name="x", metadata="m" * (512 * 1024 + 1))
        assert (refusal.code, refusal.message, refusal.meta) == (
            "invalid_argument",
            "metadata size exceeds limits 524288",
            {"argument": "metadata size exceeds limits"},
        )
        refusal = await refused(api, "CreateRoom", name="x", egress={"room": {"room_name": "x"}})
        assert (refusal.status, refusal.message) == (500, "twirp error unknown: egress not connected (redis required)")
        assert await api.call("ListRooms") == {"rooms": []}


async def test_a_preset_holds_where_the_request_says_nothing(autojump_clock) -> None:
    presets = {"short": RoomPreset(empty_timeout=7, max_participants=2, metadata="preset")}
    async with open_api(room=RoomConfig(room_configurations=presets)) as (_house, api):
        made = await api.call("CreateRoom", name=ROOM, room_preset="short", max_participants=3)
        assert (made["empty_timeout"], made["departure_timeout"]) == (7, 20)
        assert (made["max_participants"], made["metadata"]) == (3, "preset")


async def test_a_room_made_by_the_api_waits_for_its_people_as_long_as_it_was_told_to(autojump_clock) -> None:
    async with open_api() as (house, api):
        await api.call("CreateRoom", name=ROOM, empty_timeout=60)
        await trio.sleep(59)
        assert (await api.call("ListRooms", names=[ROOM]))["rooms"]
        await trio.sleep(1)
        assert await api.call("ListRooms") == {"rooms": []}
        await api.call("CreateRoom", name=ROOM, departure_timeout=1)
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
        await trio.sleep(2)
        assert await api.call("ListRooms") == {"rooms": []}


async def test_rooms_and_people_are_listed_as_they_are_now(autojump_clock) -> None:
    async with open_api() as (house, api):
        await api.call("CreateRoom", name="other")
        async with house.visitor("alice", single=True) as alice, house.visitor("bob", single=False):
            audio = await alice.publish_audio()
            [listed] = (await api.call("ListRooms", names=[ROOM, "nosuch"]))["rooms"]
            assert (listed["name"], listed["num_participants"], listed["num_publishers"]) == (ROOM, 2, 1)
            assert {each["name"] for each in (await api.call("ListRooms"))["rooms"]} == {ROOM, "other"}
            people = (await api.call("ListParticipants", room=ROOM))["participants"]
            assert {each["identity"] for each in people} == {"alice", "bob"}
            found = await api.call("GetParticipant", room=ROOM, identity="alice")
            assert found in people
            assert (found["state"], [track["sid"] for track in found["tracks"]]) == ("ACTIVE", [audio.sid])
            assert (found["kind"], found["permission"]["can_publish"]) == ("STANDARD", True)
        assert await api.call("ListParticipants", room=ROOM) == {"participants": []}


NO_ROOM = (404, "not_found", "twirp error unknown: requested room does not exist")
NO_PARTICIPANT = (404, "not_found", "twirp error unknown: participant does not exist")


@pytest.mark.parametrize(
    ("method", "fields", "refusal"),
    [
        ("DeleteRoom", {}, NO_ROOM),
        ("SendData", {"data": "aGk="}, NO_ROOM),
        ("MutePublishedTrack", {"identity": "x", "track_sid": "TR_x", "muted": True}, NO_PARTICIPANT),
        ("UpdateParticipant", {"identity": "x", "name": "x"}, NO_PARTICIPANT),
        ("UpdateSubscriptions", {"identity": "x", "track_sids": ["TR_x"]}, NO_PARTICIPANT),
        ("MoveParticipant", {"identity": "x", "destination_room": "dest"}, NO_PARTICIPANT),
        ("UpdateRoomMetadata", {"metadata": "m"}, NO_ROOM),
        ("GetParticipant", {"identity": "x"}, NO_PARTICIPANT),
        ("RemoveParticipant", {"identity": "x"}, NO_PARTICIPANT),
    ],
)
async def test_what_is_not_there_is_not_found(autojump_clock, method, fields, refusal) -> None:
    async with open_api() as (_house, api):
        error = await refused(api, method, room=ROOM, **fields)
        assert (error.status, error.code, error.message) == refusal
        assert await api.call("ListParticipants", room=ROOM) == {"participants": []}
        if refusal is NO_PARTICIPANT:
            await api.call("CreateRoom", name=ROOM)
            assert (await refused(api, method, room=ROOM, **fields)).message == refusal[2]


async def test_whoever_is_removed_is_gone_when_the_answer_comes_and_may_come_back(autojump_clock) -> None:
    async with open_api() as (house, api), house.visitor("bob", single=True) as bob:
        async with house.visitor("alice", single=True) as alice:
            await alice.publish_audio()
            assert await api.call("RemoveParticipant", room=ROOM, identity="alice") == {}
            assert house.identities() == {"bob"}
            await wait_until(lambda: alice.left is not None)
            assert alice.left.reason == DisconnectReason.PARTICIPANT_REMOVED
        await bob.wait_until(lambda: "alice" not in bob.participants)
        assert (await refused(api, "RemoveParticipant", room=ROOM, identity="alice")).code == "not_found"
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()


async def test_a_deleted_room_is_gone_when_the_answer_comes_and_can_be_joined_anew(autojump_clock) -> None:
    async with open_api() as (house, api):
        async with house.visitor("alice", single=False) as alice:
            await alice.wait_connected()
            response = await api.call_protobuf("DeleteRoom", DeleteRoomRequest(room=ROOM), DeleteRoomResponse)
            assert response == DeleteRoomResponse()
            assert list(house.server.rooms) == []
            await wait_until(lambda: alice.left is not None)
            assert alice.left.reason == DisconnectReason.ROOM_DELETED
        assert (await refused(api, "DeleteRoom", room=ROOM)).code == "not_found"
        async with house.visitor("alice", single=False) as alice:
            await alice.wait_connected()


async def test_a_rooms_metadata_is_told_to_everybody_before_the_answer(autojump_clock) -> None:
    async with open_api() as (house, api), house.visitor("alice", single=True) as alice:
        changed = await api.call("UpdateRoomMetadata", room=ROOM, metadata="rm")
        assert (changed["metadata"], changed["num_participants"]) == ("rm", 1)
        await alice.wait_until(lambda: any(each.room.metadata == "rm" for each in sent(alice, "room_update")))
        refusal = await refused(api, "UpdateRoomMetadata", room=ROOM, metadata="m" * (512 * 1024 + 1))
        assert refusal.code == "invalid_argument"
        async with house.visitor("bob", single=True) as bob:
            assert bob.join.room.metadata == "rm"


async def test_data_of_the_api_comes_from_nobody_and_goes_to_whom_it_names(autojump_clock) -> None:
    async with (
        open_api() as (house, api),
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=False) as bob,
    ):
        await alice.wait_connected()
        await bob.wait_connected()
        to_all = {"data": "aGk=", "topic": "t", "nonce": "eHh4eHh4eHh4eHh4eHh4eA=="}
        assert await api.call("SendData", room=ROOM, **to_all) == {}
        for visitor in (alice, bob):
            await visitor.wait_until(lambda visitor=visitor: visitor.data.packets)
            [packet] = visitor.data.packets
            assert (packet.user.payload, packet.user.topic) == (b"hi", "t")
            assert (packet.participant_identity, packet.participant_sid, packet.sequence) == ("", "", 0)
        for destination in (
            {"destination_identities": ["bob", "nosuch"]},
            {"destination_sids": [house.participant("bob").sid]},
        ):
            await api.call("SendData", room=ROOM, data="aGk=", kind="LOSSY", **destination)
        await bob.wait_until(lambda: len(bob.data.packets) == 3)
        assert len(alice.data.packets) == 1
        refusal = await refused(api, "SendData", room=ROOM, data="aGk=", nonce="eHh4eHh4eHh4eHh4eHh4")
        assert refusal.message == "nonce should be 16-bytes or not present, got: 15 bytes"


async def answer_calls(visitor: Visitor, *answers: DataPacket) -> RpcRequest:
    """Wait for a call to a visitor, and send answers to it; return what was called."""
    await visitor.wait_until(lambda: any(packet.HasField("rpc_request") for packet in visitor.data.packets))
    packet = visitor.data.packets[-1]
    assert packet.participant_identity == packet.rpc_request.id
    for answer in answers:
        sent_answer = DataPacket()
        sent_answer.CopyFrom(answer)
        getattr(sent_answer, answer.WhichOneof("value")).request_id = packet.rpc_request.id
        visitor.data.send(sent_answer)
    return packet.rpc_request


ACK = DataPacket(rpc_ack=RpcAck())
ECHO = {"room": ROOM, "destination_identity": "bob", "method": "echo", "payload": "p"}


async def test_a_participant_answers_a_call_of_the_api(autojump_clock) -> None:
    async with (
        open_api() as (house, api),
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True) as bob,
    ):
        await alice.wait_connected()
        await bob.wait_connected()
        responses = []

        async def call() -> None:
            responses.append(await api.call("PerformRpc", **ECHO))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            called = await answer_calls(bob, ACK, DataPacket(rpc_response=RpcResponse(payload="echo:p")))
        assert (called.method, called.payload, called.version) == ("echo", "p", 1)
        assert called.response_timeout_ms == 10_000
        assert responses == [{"payload": "echo:p"}]
        await trio.sleep(1)
        assert not alice.data.packets


@pytest.mark.parametrize(
    ("answers", "seconds", "refusal"),
    [
        ([], 2, (408, "canceled", "RpcError 1501: Connection timeout")),
        ([ACK], 10, (408, "canceled", "RpcError 1502: Response timeout")),
        (
            [DataPacket(rpc_response=RpcResponse(error=RpcError(code=1400, message="Method not supported")))],
            0,
            (400, "invalid_argument", "RpcError 1400: Method not supported"),
        ),
        (
            [ACK, DataPacket(rpc_response=RpcResponse(error=RpcError(code=7, message="mine")))],
            0,
            (500, "unknown", "RpcError 7: mine"),
        ),
    ],
)
async def test_a_call_that_fails_says_how(autojump_clock, answers, seconds, refusal) -> None:
    async with open_api() as (house, api), house.visitor("bob", single=True) as bob:
        await bob.wait_connected()
        errors = []

        async def call() -> None:
            errors.append(await refused(api, "PerformRpc", **ECHO))

        async with trio.open_nursery() as nursery:
            called_at = trio.current_time()
            nursery.start_soon(call)
            await answer_calls(bob, *answers)
        assert [(each.status, each.code, each.message) for each in errors] == [
            (refusal[0], refusal[1], f"twirp error unknown: {refusal[2]}")
        ]
        assert trio.current_time() - called_at == pytest.approx(seconds, abs=0.5)


async def test_a_call_to_somebody_who_leaves_fails_at_once(autojump_clock) -> None:
    async with open_api() as (house, api), open_back_end(house) as other:
        async with house.visitor("bob", single=True) as bob:
            await bob.wait_connected()
            errors = []

            async def call() -> None:
                errors.append(await refused(api, "PerformRpc", **ECHO))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await answer_calls(bob, ACK)
                await trio.sleep(0.1)
                await other.call("RemoveParticipant", room=ROOM, identity="bob")
            assert (errors[0].status, errors[0].code) == (503, "unavailable")
        assert trio.current_time() < 5


async def test_a_call_that_cannot_be_made_is_refused(autojump_clock) -> None:
    async with open_api() as (house, api), house.visitor("bob", single=True):
        refusal = await refused(api, "PerformRpc", room=ROOM, method="echo")
        assert (refusal.code, refusal.message) == (
            "invalid_argument",
            "twirp error unknown: destination identity is required",
        )
        refusal = await refused(api, "PerformRpc", **(ECHO | {"destination_identity": "nosuch"}))
        assert refusal.code == "not_found"
        refusal = await refused(api, "PerformRpc", **(ECHO | {"payload": "p" * 15_361}))
        assert (refusal.code, refusal.message) == (
            "invalid_argument",
            "twirp error unknown: RpcError 1402: Request payload too large",
        )


async def test_nobody_is_moved_to_where_they_are(autojump_clock) -> None:
    async with open_api() as (house, api), house.visitor("alice", single=True):
        for method in ("ForwardParticipant", "MoveParticipant"):
            token = api_token(room_admin=True, room=ROOM, destination_room=ROOM)
            body = json.dumps({"room": ROOM, "identity": "alice", "destination_room": ROOM}).encode()
            answer = await api.post(f"RoomService/{method}", body, token=token)
            assert json.loads(answer.body) == {
                "code": "invalid_argument",
                "msg": "destination room cannot be the same as source room ",
                "meta": {"argument": "destination room cannot be the same as source room"},
            }


FULL = (500, "connection closed by media")


async def test_a_full_room_takes_only_those_who_count_for_nothing_or_were_there(autojump_clock) -> None:
    async with open_api() as (house, api):
        await api.call("CreateRoom", name=ROOM, max_participants=1)
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
            assert await status_of_joining(house, "bob") == FULL
            assert house.identities() == {"alice"}
            async with (
                house.visitor("recorder", single=True, grant={"recorder": True}),
                house.visitor("alice", single=True) as again,
            ):
                await again.wait_connected()
        async with house.visitor("bob", single=True) as bob:
            await bob.wait_connected()


async def status_of_joining(house: House, identity: str, **options: object) -> tuple[int, str]:
    with pytest.raises(JoinRefusedError) as refusal:
        async with house.visitor(identity, single=True, **options):
            raise AssertionError("this cannot be joined")
    return refusal.value.status, refusal.value.body


async def test_a_token_makes_the_room_that_its_join_needs(autojump_clock) -> None:
    async with open_api() as (house, _api):
        made = {"emptyTimeout": 30, "departureTimeout": 3, "maxParticipants": 5, "metadata": "by alice", "new": 1}
        token = house.token("alice", claims={"room_config": made})
        async with open_raw_client(house, token) as alice:
            told = (await alice.receive("join")).join.room
            assert (told.empty_timeout, told.departure_timeout) == (30, 3)
            assert (told.max_participants, told.metadata) == (5, "by alice")
        late = house.token("bob", claims={"room_config": {"metadata": "by bob"}})
        async with open_raw_client(house, late) as bob:
            assert (await bob.receive("join")).join.room.metadata == "by alice"


@pytest.mark.parametrize(
    "claims",
    [
        {"room_preset": "nosuch"},
        {"room_config": {"metadata": "m" * 11}},
        {"metadata": "m" * 11},
        {"name": "n" * 12},
        {"attributes": {"k": "v" * 13}},
    ],
)
async def test_a_token_that_asks_for_too_much_is_refused_as_a_full_room_is(autojump_clock, claims) -> None:
    limits = LimitConfig(max_metadata_size=10, max_participant_name_length=11, max_attributes_size=13)
    async with open_api(limit=limits) as (house, _api):
        assert await status_of_joining(house, "alice", claims=claims) == FULL
        assert house.identities() == set()


SIP = "twirp error unknown: sip not connected (redis required)"
INGRESS = "twirp error unknown: ingress not connected (redis required)"
EGRESS = "twirp error unknown: egress not connected (redis required)"


@pytest.mark.parametrize(
    ("method", "fields", "refusal"),
    [
        ("Egress/StartRoomCompositeEgress", {"room_name": "nosuch"}, NO_ROOM),
        (
            "Egress/StartRoomCompositeEgress",
            {"room_name": ROOM},
            (503, "unavailable", "twirp error unknown: no response from servers"),
        ),
        ("Egress/StartWebEgress", {}, (503, "unavailable", "twirp error unknown: no response from servers")),
        ("Egress/ListEgress", {}, (500, "internal", EGRESS)),
        ("Egress/StopEgress", {"egress_id": "EG_x"}, (500, "internal", EGRESS)),
        ("Ingress/CreateIngress", {"name": "i"}, (500, "internal", INGRESS)),
        ("SIP/ListSIPTrunk", {}, (500, "internal", SIP)),
        ("SIP/CreateSIPParticipant", {"room_name": ROOM}, (500, "internal", SIP)),
        ("SIP/TransferSIPParticipant", {"room_name": ROOM, "participant_identity": "x"}, NO_PARTICIPANT),
    ],
)
async def test_what_needs_other_workers_is_refused_at_once(autojump_clock, method, fields, refusal) -> None:
    async with open_api() as (_house, api):
        await api.call("CreateRoom", name=ROOM)
        service, _, name = method.partition("/")
        asked_at = trio.current_time()
        error = await refused(api, name, service=service, **fields)
        assert (error.status, error.code, error.message) == refusal
        assert trio.current_time() - asked_at < 1


ODD_VALUES = [
    None,
    True,
    -1,
    2**32,
    2**64,
    1.5,
    "",
    "x",
    "x" * 70_000,
    "\0\U0010ffff",
    [],
    [None],
    ["x" * 300] * 300,
    [{}],
    {},
    {"a": 1},
    {"a": ""},
]
"""What a field may be given that it is not made for."""


def odd_requests(method: MethodDescriptor) -> Iterator[dict[str, object]]:
    """Yield requests about Alice in the room of these tests, with each field in turn absent and odd."""
    known = {"room": ROOM, "identity": "alice", "destination_identity": "alice", "name": ROOM, "method": "m"}
    names = [field.name for field in method.input_type.fields]
    whole = {name: known[name] for name in names if name in known}
    yield {}
    for name in names:
        yield {each: value for each, value in whole.items() if each != name}
        for value in ODD_VALUES:
            yield whole | {name: value}


@pytest.mark.parametrize("method", list(SERVICES[0].methods), ids=lambda method: method.name)
async def test_odd_requests_are_answered_and_harm_nobody_else(autojump_clock, method) -> None:
    path = f"RoomService/{method.name}"
    async with open_api() as (house, api), house.visitor("bob", single=True) as bob:
        await bob.wait_connected()
        for number, fields in enumerate(odd_requests(method)):
            alice = f"alice {number}"  # another one each time: some do not come back from this
            body = json.dumps(fields).replace('"alice"', f'"{alice}"').encode()
            async with AsyncExitStack() as visit:
                if alice.encode() in body:
                    client = await visit.enter_async_context(open_raw_client(house, house.token(alice)))
                    await client.receive("join")
                answer = await api.post(path, body)
            assert answer.headers["Content-Type"] == "application/json", fields
            assert answer.status == 200 or json.loads(answer.body)["code"] != "internal" or b"redis" in answer.body
        if method.name != "DeleteRoom":
            assert "bob" in house.identities()
