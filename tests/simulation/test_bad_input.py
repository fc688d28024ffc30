"""Every request that clients and back ends can make, from the descriptors, with its fields empty, maximal and unknown.

What comes back is an answer or nothing; whoever else is there notices nothing, and no fault is logged.
"""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from livekit.protocol.rtc import Ping, SignalRequest

from tests.simulation.back_end import open_back_end
from tests.simulation.house import ROOM, flows, open_house, wait_until
from tests.simulation.rawsocket import open_raw_client
from tests.simulation.test_api import METHODS

REQUESTS = [field.name for field in SignalRequest.DESCRIPTOR.oneofs_by_name["message"].fields]
DEPTH = 4
FAREWELLS = {"leave"}

_NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: 2**31 - 1,
    FieldDescriptor.CPPTYPE_INT64: 2**63 - 1,
    FieldDescriptor.CPPTYPE_UINT32: 2**32 - 1,
    FieldDescriptor.CPPTYPE_UINT64: 2**64 - 1,
    FieldDescriptor.CPPTYPE_FLOAT: float("inf"),
    FieldDescriptor.CPPTYPE_DOUBLE: float("nan"),
    FieldDescriptor.CPPTYPE_BOOL: True,
    FieldDescriptor.CPPTYPE_ENUM: 12_345,  # which nobody has given a name
    FieldDescriptor.CPPTYPE_STRING: "\0\U0010ffff" * 500,
}


def fill(message: Message, depth: int = DEPTH) -> None:
    """Give each field the most that it can hold, and three of each in lists; of a choice the last stands."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        is_list = field.is_repeated
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            for _ in range(3 if is_list else 1) if depth else ():
                inner = getattr(message, field.name)
                inner = inner.add() if is_list else inner
                inner.SetInParent() if not is_list else None
                fill(inner, depth - 1)
            continue
        value = b"\xff" * 1000 if field.type == FieldDescriptor.TYPE_BYTES else _NUMBERS[field.cpp_type]
        if is_list:
            getattr(message, field.name).extend([value] * 3)
        else:
            setattr(message, field.name, value)


def variants(kind: str) -> Iterator[SignalRequest]:
    """Yield a request empty, and with everything in it."""
    field = SignalRequest.DESCRIPTOR.fields_by_name[kind]
    for is_full in (False, True):
        request = SignalRequest()
        if field.message_type is None:
            setattr(request, kind, 2**63 - 1 if is_full else 0)
        else:
            getattr(request, kind).SetInParent()
            if is_full:
                fill(getattr(request, kind))
        yield request


async def test_no_signal_request_harms_anybody_else(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True) as bob,
    ):
        song = await alice.publish_audio()
        await wait_until(flows(bob, song.sid))
        for number, kind in enumerate(REQUESTS):
            async with open_raw_client(house, house.token(f"stranger-{number}")) as stranger:
                await stranger.receive("join")
                for request in variants(kind):
                    await stranger.send(request)
                if kind in FAREWELLS:
                    assert await stranger.close_code() == 1000
                else:
                    await stranger.send(SignalRequest(ping_req=Ping(timestamp=7)))
                    answer = await stranger.receive("pong_resp")
                    while answer.pong_resp.last_ping_timestamp != 7:
                        answer = await stranger.receive("pong_resp")
            async with open_back_end(house) as api:
                assert (await api.get(f"/debug/rooms?room={ROOM}")).status == 200
        await wait_until(flows(bob, song.sid))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
async def test_no_call_of_the_api_is_answered_by_a_fault(autojump_clock, method) -> None:
    async with open_house() as house, open_back_end(house) as api:
        path = f"{method.containing_service.name}/{method.name}"
        for is_full in (False, True):
            request = GetMessageClass(method.input_type)()
            if is_full:
                fill(request)
            answer = await api.post(path, request.SerializeToString(), "application/protobuf")
            assert answer.status < 600
            assert b"internal error" not in answer.body
        for each in house.server.rooms:
            await api.call("DeleteRoom", room=each.name)
