"""Clients that have a token and mean no good, or say what none says by mistake: it is their own session that suffers."""

import json

import trio
from livekit.protocol import models, rtc
from livekit.protocol.models import ClientInfo
from livekit.protocol.rtc import JoinRequest, SignalRequest

from sfu.room.publisher import MAX_ANNOUNCEMENT_BYTES
from signaling.frames import MAX_JSON_PARTS
from tests.signaling.client import packed
from tests.simulation.back_end import open_back_end
from tests.simulation.house import open_house, sent
from tests.simulation.rawsocket import open_raw_client
from triforium.visitor.errors import JoinRefusedError


async def test_requests_behind_a_leave_change_nothing_any_more(autojump_clock) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        token = house.token("mallory", can_update_own_metadata=True)
        async with open_raw_client(house, token) as mallory:
            await mallory.receive("join")
            await bob.wait_until(lambda: "mallory" in bob.participants)
            await mallory.send_together(
                SignalRequest(leave=rtc.LeaveRequest()),
                SignalRequest(update_metadata=rtc.UpdateParticipantMetadata(name="ghost")),
                SignalRequest(add_track=rtc.AddTrackRequest(cid="ghost", type=models.AUDIO)),
            )
            assert await mallory.close_code() == 1000
            await trio.sleep(5)
        told = [info for update in sent(bob, "update") for info in update.participants if info.identity == "mallory"]
        assert told[-1].state == models.ParticipantInfo.DISCONNECTED
        assert {info.name for info in told} == {""}


async def test_a_token_whose_room_configuration_is_none_is_refused_with_a_reason(autojump_clock) -> None:
    async with open_house() as house:
        refusal = None
        try:
            async with open_raw_client(house, house.token("alice", claims={"room_config": {"emptyTimeout": -1}})):
                pass
        except JoinRefusedError as error:
            refusal = error
        assert str(refusal) == "400 the token's room configuration cannot be read"


async def test_a_track_that_is_described_at_too_great_length_is_refused(autojump_clock) -> None:
    async with open_house() as house, open_raw_client(house, house.token("mallory")) as mallory:
        await mallory.receive("join")
        for kind, name in (("track_published", "song"), ("request_response", "n" * MAX_ANNOUNCEMENT_BYTES)):
            request = rtc.AddTrackRequest(cid=name, name=name, type=models.AUDIO)
            await mallory.send(SignalRequest(add_track=request))
            answer = await mallory.receive(kind)
        assert answer.request_response.reason == rtc.RequestResponse.LIMIT_EXCEEDED


async def test_others_are_told_of_each_known_capability_once(autojump_clock) -> None:
    known = ClientInfo.Capability.CAP_PACKET_TRAILER
    request = JoinRequest(client_info=ClientInfo(capabilities=[known, 999, known] * 10_000))
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        path = f"/rtc/v1?join_request={packed(request)}"
        async with open_raw_client(house, house.token("mallory"), path) as mallory:
            await mallory.receive("join")
            await bob.wait_until(lambda: "mallory" in bob.participants)
            assert list(bob.participants["mallory"].capabilities) == [known]


async def test_json_of_very_many_parts_is_not_read(autojump_clock) -> None:
    text = '{"subscription":{"participantTracks":[' + ",".join(["{}"] * MAX_JSON_PARTS) + "]}}"
    async with open_house() as house, open_back_end(house) as api:
        async with open_raw_client(house, house.token("mallory")) as mallory:
            await mallory.receive("join")
            await mallory.socket.send(text)
            assert await mallory.close_code() == 1000
        answer = await api.post("RoomService/UpdateSubscriptions", text.encode())
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "malformed")
