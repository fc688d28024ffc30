"""What a socket relays, what leaves together, and what ends with what."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import trio
from livekit.protocol.rtc import JoinRequest
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from sfu.model import Claims, RoomName
from sfu.routing.router import Frame, MessageSink, MessageSource, SessionRefusedError
from sfu.routing.start import SessionStart
from signaling.http.exchange import Exchange
from signaling.http.routes import Routes
from signaling.http.websocket import WebSocketConnection
from signaling.relay import MAX_QUEUED_MESSAGES, TOGETHER_BYTES, Relay, Relays
from tests.signaling.client import UPGRADE, Client

START = SessionStart(RoomName("lobby"), Claims(), JoinRequest(), single_connection=False)


class Writes(trio.abc.Stream):
    """A stream that keeps each write, and counts how often it was read from."""

    def __init__(self) -> None:
        self.all: list[bytes] = []
        self.reads = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.all.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self.reads += 1
        return await trio.sleep_forever()

    async def aclose(self) -> None: ...


async def written(frames: list[Frame]) -> list[list[Frame]]:
    """What is written of frames that all wait: the messages of each write."""
    relay, stream = Relay(), Writes()
    for frame in frames:
        relay.send(frame)
    relay.close()
    await relay.write_to(WebSocketConnection(stream, None, b""))
    client = Connection(ConnectionType.CLIENT)
    writes: list[list[Frame]] = []
    for write in stream.all:
        client.receive_data(write)
        events = [event for event in client.events() if isinstance(event, BytesMessage | TextMessage)]
        writes.append([event.data if isinstance(event, TextMessage) else bytes(event.data) for event in events])
    return writes


async def test_messages_that_wait_leave_together_and_in_order(autojump_clock: MockClock) -> None:
    frames = [f"{number}" if number % 2 else f"{number}".encode() for number in range(100)]
    assert await written(frames) == [frames]


async def test_long_messages_leave_one_by_one(autojump_clock: MockClock) -> None:
    long = b"x" * TOGETHER_BYTES
    writes = await written([long, b"1", b"2", long, b"3"])
    assert [len(write) for write in writes] == [1, 3, 1]


async def test_a_client_that_does_not_read_gets_what_it_has_let_wait_and_no_more(autojump_clock: MockClock) -> None:
    writes = await written([b"x"] * (MAX_QUEUED_MESSAGES + 5))
    assert sum(map(len, writes)) == MAX_QUEUED_MESSAGES


async def test_of_a_socket_no_more_is_read_than_the_session_asks_for(nursery: trio.Nursery) -> None:
    relay, stream = Relay(), Writes()
    nursery.start_soon(relay.write_to, WebSocketConnection(stream, None, b""))
    await wait_all_tasks_blocked()
    assert stream.reads == 0
    nursery.start_soon(relay.receive)
    await wait_all_tasks_blocked()
    assert stream.reads == 1


@dataclass
class Host:
    """Stands for router and host: serves sessions by `session`, and knows whether one goes on, and how often one did."""

    session: Callable[[MessageSource, MessageSink], Awaitable[None]]
    heard: list[Frame] = field(default_factory=list)
    active: int = 0
    over: int = 0

    async def serve(
        self,
        start: SessionStart,
        source: MessageSource,
        sink: MessageSink,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self.active += 1
        try:
            task_status.started()
            await self.session(source, sink)
        finally:
            self.active -= 1
            self.over += 1


class Visit:
    """A client on a socket whose session a host serves."""

    def __init__(self, nursery: trio.Nursery, host: Host) -> None:
        self.host = host
        self.relays = Relays(host)
        self.client = Client(nursery, Routes({"/rtc": self._serve}))
        self._protocol = Connection(ConnectionType.CLIENT)

    async def _serve(self, exchange: Exchange) -> None:
        await self.relays.serve(START, exchange)

    async def come(self) -> None:
        assert (await self.client.get("/rtc", UPGRADE)).status == 101

    async def send(self, event: BytesMessage | TextMessage | CloseConnection) -> None:
        await self.client.stream.send_all(self._protocol.send(event))

    async def receive_all(self) -> list[object]:
        """Return what the server says until it closes the socket."""
        heard: list[object] = []
        while data := await self.client.stream.receive_some(65536):
            self._protocol.receive_data(bytes(data))
            for event in self._protocol.events():
                heard.append(event.code if isinstance(event, CloseConnection) else event.data)
                if isinstance(event, CloseConnection):
                    await self.client.stream.send_all(self._protocol.send(event.response()))
        return heard


async def echo(source: MessageSource, sink: MessageSink) -> None:
    """Answer what is said with the same, and say goodbye when the client has gone."""
    try:
        while True:
            sink.send(await source.receive())
    except trio.EndOfChannel:
        sink.close()


async def test_what_a_client_says_reaches_its_session_and_the_other_way_in_either_form(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def session(source: MessageSource, sink: MessageSink) -> None:
        sink.send(b"hello")
        for _ in range(2):
            sink.send(await source.receive())
        sink.close()
        await trio.sleep_forever()

    visit = Visit(nursery, Host(session))
    await visit.come()
    await visit.send(BytesMessage(data=b"one"))
    await visit.send(TextMessage(data="two"))
    assert await visit.receive_all() == [b"hello", b"one", "two", 1000]
    await visit.relays.wait_idle()
    assert visit.host.active == 0, "a session whose sink is closed does not outlive its socket"


@pytest.mark.parametrize("politely", [True, False])
async def test_a_socket_that_dies_ends_its_source(
    nursery: trio.Nursery, autojump_clock: MockClock, *, politely: bool
) -> None:
    visit = Visit(nursery, Host(echo))
    await visit.come()
    if politely:
        await visit.send(CloseConnection(code=1000))
    else:
        await visit.client.stream.aclose()
    await visit.relays.wait_idle()
    assert (visit.host.active, visit.host.over) == (0, 1)


async def test_a_refused_session_answers_the_upgrade(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    class Full:
        async def serve(self, start: SessionStart, source: MessageSource, sink: MessageSink, **_: object) -> None:
            await trio.lowlevel.checkpoint()
            raise SessionRefusedError(500, "connection closed by media")

    relays = Relays(Full())

    async def serve(exchange: Exchange) -> None:
        await relays.serve(START, exchange)

    answer = await Client(nursery, Routes({"/rtc": serve})).get("/rtc", UPGRADE)
    assert (answer.status, answer.text) == (500, "connection closed by media")
    await relays.wait_idle()
