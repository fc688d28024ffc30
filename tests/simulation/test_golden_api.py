"""Every call of the server API that was recorded, made again: the same answers, but where the README says otherwise."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

import trio
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from livekit.protocol.models import DataPacket, RpcAck, RpcError, RpcResponse
from livekit.protocol.room import DESCRIPTOR

from tests.signaling.client import Answer
from tests.simulation.back_end import ALL_GRANTS, BackEnd, api_token
from tests.simulation.house import ROOM
from tests.simulation.recording import TRACES, filled
from tests.simulation.test_api import open_api
from triforium.visitor import Visitor

SERVICE: Final = DESCRIPTOR.services_by_name["RoomService"]
RECORDED_ROOM: Final = "s14-room-service"
RECORDED_TRACK: Final = "TR_AMhMadZfaNa8wW"
JSON, PROTOBUF = "application/json", "application/protobuf"

NO_RESPONSE: Final = "twirp error unknown: no response from servers"
NOT_KEPT: Final = {"version": "of a track: when it was changed last"}
"""What is null in our answers."""

NOT_IMPLEMENTED: Final = (500, "unknown", "twirp error unknown: not implemented")
"""What that server answered where this one does what it is asked: people are moved, and forwarded."""


class Exchange(NamedTuple):
    """A call and its answer. `body` is what to post, `fields` what an answer of 200 had, or the error."""

    at: int
    path: str
    method: str
    content_type: str
    body: bytes
    has_token: bool
    status: int
    fields: object


def exchanges() -> Iterator[Exchange]:
    """Yield what was recorded, in order."""
    lines = [json.loads(line) for line in (TRACES / "s14-room-service.raw.jsonl").read_text().splitlines()]
    calls = [line for line in lines if line["k"] == "http"]
    for call, answer in zip(calls[::2], calls[1::2], strict=True):
        body = answer.get("body", {})
        fields = body if isinstance(body, str) else body.get("json", body.get("protobuf", {}))
        path = call["path"].removeprefix("/twirp/livekit.")
        content_type = call["headers"].get("Content-Type", "")
        has_token = "Authorization" in call["headers"]
        content = request_body(path, call.get("body"))
        if isinstance(fields, dict) and (answer["status"], fields.get("code"), fields.get("msg")) == NOT_IMPLEMENTED:
            continue
        yield Exchange(call["t"], path, call["method"], content_type, content, has_token, answer["status"], fields)


def request_body(path: str, body: object) -> bytes:
    """Return what was posted, in the names of this house."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if "hex" in body:
        return bytes.fromhex(body["hex"])
    if "json" in body:
        return json.dumps(ours(body["json"])).encode()
    method = SERVICE.methods_by_name[path.rpartition("/")[2]]
    return ParseDict(ours(body["protobuf"]), GetMessageClass(method.input_type)()).SerializeToString()


def ours(value: object) -> object:
    """Put the house's room in the place of the recorded one, and the text in the place of what says how long it was."""
    return json.loads(json.dumps(filled(value)).replace(f'"{RECORDED_ROOM}"', f'"{ROOM}"'))


def expected_error(exchange: Exchange) -> tuple[int, str, str]:
    """Return how the call is to fail: as recorded, but at once where that server waited for one that was not there."""
    error = exchange.fields
    recorded = (exchange.status, error["code"], error["msg"])
    if error["msg"] == NO_RESPONSE:
        is_about_room = exchange.path.endswith("/SendData")
        what = "requested room" if is_about_room else "participant"
        return (404, "not_found", f"twirp error unknown: {what} does not exist")
    return recorded


def is_complete(ours: object, recorded: object) -> bool:
    """Say whether an answer has all that the recorded one had, and no more, in the same form. Lists may be shorter."""
    match recorded:
        case dict():
            return (
                isinstance(ours, dict)
                and ours.keys() == recorded.keys()
                and all(is_complete(ours[name], each) for name, each in recorded.items() if name not in NOT_KEPT)
            )
        case list():
            return isinstance(ours, list) and all(map(is_complete, ours, recorded))
        case str() if recorded.startswith("(same "):
            return True
    return type(ours) is type(recorded)


def read(exchange: Exchange, answer: Answer) -> object:
    if answer.headers.get("Content-Type") != PROTOBUF:
        return json.loads(answer.body)
    method = SERVICE.methods_by_name[exchange.path.rpartition("/")[2]]
    message = GetMessageClass(method.output_type).FromString(answer.body)
    return MessageToDict(message, preserving_proto_field_name=True)


def has_more_packets(visitor: Visitor, number: int) -> bool:
    return len(visitor.data.packets) > number


async def answer_calls(visitor: Visitor) -> None:
    """Answer as Bob did: `echo` he knows, and no other method."""
    answered = 0
    while True:
        await visitor.wait_until(partial(has_more_packets, visitor, answered))
        packet = visitor.data.packets[answered]
        answered += 1
        if not packet.HasField("rpc_request"):
            continue
        request = packet.rpc_request
        response = RpcResponse(request_id=request.id, payload=f"echo:{request.payload}")
        if request.method != "echo":
            error = RpcError(code=1400, message="Method not supported at destination")
            response = RpcResponse(request_id=request.id, error=error)
        visitor.data.send(DataPacket(rpc_ack=RpcAck(request_id=request.id)))
        visitor.data.send(DataPacket(rpc_response=response))


async def repeat(api: BackEnd, exchange: Exchange, track: str) -> Answer:
    if exchange.method == "GET":
        return await api.get(f"/twirp/livekit.{exchange.path}")
    fields = json.loads(exchange.body) if exchange.body.startswith(b'{"') and exchange.content_type else {}
    grants = ALL_GRANTS | {"room": fields.get("room", ROOM), "destination_room": fields.get("destination_room", "")}
    is_known = exchange.has_token and exchange.status != 401
    token = api_token(**grants) if is_known else api_token(can_publish=True) if exchange.has_token else ""
    body = exchange.body.replace(RECORDED_TRACK.encode(), track.encode())
    return await api.post(exchange.path, body, exchange.content_type, token=token)


async def test_the_recorded_calls_have_the_recorded_answers(autojump_clock) -> None:
    recorded = list(exchanges())
    joined = next(at for at, each in enumerate(recorded) if each.path.endswith("ListRooms") and each.at > 10_000)
    ends = (each.path.endswith("DeleteRoom") and each.status == 200 for each in recorded)
    deleted = list(ends).index(True) + 1
    async with open_api() as (house, api):
        for exchange in recorded[:joined]:
            check(exchange, await repeat(api, exchange, ""))
        async with (
            house.visitor("alice", single=True) as alice,
            house.visitor("bob", single=True) as bob,
            trio.open_nursery() as nursery,
        ):
            await bob.wait_connected()
            track = await alice.publish_audio()
            nursery.start_soon(answer_calls, bob)
            for exchange in recorded[joined : deleted - 1]:
                check(exchange, await repeat(api, exchange, track.sid))
            nursery.cancel_scope.cancel("nobody calls any more")
        for exchange in recorded[deleted - 1 :]:
            check(exchange, await repeat(api, exchange, ""))


def check(exchange: Exchange, answer: Answer) -> None:
    is_egress = b'"egress"' in exchange.body
    if is_egress:  # there it took ten seconds and made a room without any recording
        assert (answer.status, json.loads(answer.body)["code"]) == (500, "internal")
    elif b'"room": "egress-room"' in exchange.body:
        assert answer.status == 404
    elif isinstance(exchange.fields, str):
        assert (answer.status, answer.text) == (exchange.status, exchange.fields)
    elif exchange.status == 200:
        assert answer.status == 200, (exchange, answer)
        if answer.headers["Content-Type"] == JSON:
            assert is_complete(read(exchange, answer), exchange.fields), (exchange, answer)
    else:
        error = json.loads(answer.body)
        assert (answer.status, error["code"], error["msg"]) == expected_error(exchange), exchange
        if (answer.status, error["code"]) == (exchange.status, exchange.fields["code"]):
            assert error.get("meta") == exchange.fields.get("meta")
