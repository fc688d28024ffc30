"""The dispatcher by itself, with a service of the test's own behind it."""

import json

import trio
from livekit.protocol.models import ParticipantInfo
from livekit.protocol.room import DESCRIPTOR, ListParticipantsRequest, ListParticipantsResponse

from sfu.model import Claims, VideoGrant
from signaling import tokens
from signaling.api.grants import may_administer_room
from signaling.api.twirp import Method, TwirpServer, TwirpService
from signaling.http.exchange import MAX_BODY_BYTES
from signaling.http.routes import Routes
from tests.signaling.client import Answer, Client

KEY, SECRET, NOW = "devkey", "a secret of more than thirty-two letters", 1_795_372_522.0
PATH = "/twirp/livekit.RoomService/ListParticipants"
PEOPLE = 200


def list_people(request: ListParticipantsRequest) -> ListParticipantsResponse:
    infos = [ParticipantInfo(identity=str(number), attributes={"a": "b"}) for number in range(PEOPLE)]
    return ListParticipantsResponse(participants=infos)


async def ask(nursery: trio.Nursery, body: bytes, content_type: str = "application/json") -> Answer:
    method = Method(may_administer_room, list_people)
    service = TwirpService(DESCRIPTOR.services_by_name["RoomService"], {"ListParticipants": method})
    routes = Routes(TwirpServer({KEY: SECRET}, lambda: NOW).handlers(service))
    claims = Claims(video=VideoGrant(room_admin=True, room="lobby"))
    token = tokens.mint(claims, KEY, SECRET, wall=NOW, lifetime_seconds=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
    return await Client(nursery, routes).ask("POST", PATH, headers, body)


async def test_a_long_answer_lets_others_work_while_it_is_written(nursery: trio.Nursery) -> None:
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    nursery.start_soon(work)
    answer = await ask(nursery, b'{"room": "lobby"}')
    nursery.cancel_scope.cancel()
    people = json.loads(answer.body)["participants"]
    assert [each["identity"] for each in people] == [str(number) for number in range(PEOPLE)]
    assert (people[0]["attributes"], people[0]["permission"], people[0]["tracks"]) == ({"a": "b"}, None, [])
    assert turns >= PEOPLE


async def test_a_call_without_a_body_is_an_empty_message(nursery: trio.Nursery) -> None:
    answer = await ask(nursery, b"", "application/protobuf")
    assert json.loads(answer.body)["code"] == "unauthenticated"  # of a room without a name


async def test_a_body_that_is_too_long_is_not_read(nursery: trio.Nursery) -> None:
    answer = await ask(nursery, b"x" * (MAX_BODY_BYTES + 1))
    assert (answer.status, answer.text) == (413, "request body too large")
