"""What leaves together, and in which form."""

import trio
from livekit.protocol import rtc
from trio.testing import MockClock
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, TextMessage

from sfu.room.outgoing import Outgoing
from signaling.http.websocket import WebSocketConnection
from signaling.relay import MAX_QUEUED_MESSAGES, TOGETHER_BYTES, Relay


class Writes(trio.abc.Stream):
    """A stream that keeps each write."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.all.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await trio.sleep_forever()

    async def aclose(self) -> None: ...


def pong(number: int) -> rtc.SignalResponse:
    return rtc.SignalResponse(pong=number)


async def written(messages: list[rtc.SignalResponse], *, speaks_text: bool = False) -> list[list[bytes | str]]:
    """What is written of messages that all wait: the messages of each write."""
    relay, stream = Relay(), Writes()
    relay.speaks_text = speaks_text
    for message in messages:
        relay.send(Outgoing(message))
    relay.close()
    await relay.write_to(WebSocketConnection(stream, None, b""))
    client = Connection(ConnectionType.CLIENT)
    writes: list[list[bytes | str]] = []
    for write in stream.all:
        client.receive_data(write)
        events = [event for event in client.events() if isinstance(event, BytesMessage | TextMessage)]
        writes.append([event.data if isinstance(event, TextMessage) else bytes(event.data) for event in events])
    return writes


async def test_messages_that_wait_leave_together_and_in_order(autojump_clock: MockClock) -> None:
    [together] = await written([pong(number) for number in range(1, 100)])
    assert [rtc.SignalResponse.FromString(each).pong for each in together if isinstance(each, bytes)] == [
        *range(1, 100)
    ]


async def test_long_messages_leave_one_by_one(autojump_clock: MockClock) -> None:
    long = rtc.SignalResponse(refresh_token="x" * TOGETHER_BYTES)
    writes = await written([long, pong(1), pong(2), long, pong(3)])
    assert [len(write) for write in writes] == [1, 3, 1]


async def test_the_first_message_is_binary_whatever_the_client_speaks(autojump_clock: MockClock) -> None:
    [[first, *others]] = await written([pong(1), pong(2), pong(3)], speaks_text=True)
    assert first == pong(1).SerializeToString()
    assert others == ['{"pong": "2"}', '{"pong": "3"}']


async def test_a_client_that_does_not_read_gets_what_it_has_let_wait_and_no_more(autojump_clock: MockClock) -> None:
    writes = await written([pong(number) for number in range(MAX_QUEUED_MESSAGES + 5)])
    assert sum(map(len, writes)) == MAX_QUEUED_MESSAGES
