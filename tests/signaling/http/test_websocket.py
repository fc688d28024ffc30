"""A WebSocket on an accepted stream, talked to by wsproto's own client half."""

from collections.abc import Awaitable, Callable

import h11
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

from signaling.http import websocket
from signaling.http.exchange import Exchange
from signaling.http.websocket import WebSocketClosedError, WebSocketConnection
from tests.signaling.client import UPGRADE, Client

DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}

Talk = Callable[[WebSocketConnection], Awaitable[None]]


def serving(talk: Talk) -> Callable[[Exchange], Awaitable[None]]:
    async def handler(exchange: Exchange) -> None:
        await talk(await exchange.upgrade())

    return handler


class Peer:
    """The client's end of a WebSocket that is open."""

    def __init__(self, client: Client, extensions: str | None) -> None:
        deflate = PerMessageDeflate()
        if extensions is not None:
            deflate.finalize(extensions)
        self.stream = client.stream
        self._protocol = Connection(ConnectionType.CLIENT, [] if extensions is None else [deflate])

    async def send(self, event: Event) -> None:
        await self.stream.send_all(self._protocol.send(event))

    async def receive(self) -> Event:
        while True:
            for event in self._protocol.events():
                return event
            data = await self.stream.receive_some(65536)
            assert data, "the server closed the stream"
            self._protocol.receive_data(bytes(data))


async def opened(nursery: trio.Nursery, talk: Talk, extra: dict[str, str] | None = None) -> Peer:
    client = Client(nursery, serving(talk))
    answer = await client.get("/", UPGRADE | (extra or {}))
    assert answer.status == 101
    return Peer(client, answer.headers.get("Sec-WebSocket-Extensions"))


async def echo(connection: WebSocketConnection) -> None:
    while True:
        try:
            message = await connection.receive()
        except WebSocketClosedError:
            return
        await connection.send(message)


async def test_the_handshake_is_answered_as_the_rfc_says(nursery: trio.Nursery) -> None:
    answer = await Client(nursery, serving(echo)).get("/", UPGRADE)
    assert answer.status == 101
    assert answer.headers == {
        "Upgrade": "WebSocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",  # RFC 6455 §1.3
    }


@pytest.mark.parametrize("extra", [{}, DEFLATE])
async def test_messages_come_back_as_they_were_sent(nursery: trio.Nursery, extra: dict[str, str]) -> None:
    peer = await opened(nursery, echo, extra)
    for message in (BytesMessage(data=b"\x00\x01"), TextMessage(data="ä€"), BytesMessage(data=b"x" * 100_000)):
        await peer.send(message)
        parts = [await peer.receive()]
        while isinstance(parts[-1], Message) and not parts[-1].message_finished:
            parts.append(await peer.receive())
        assert message.data[:0].join(part.data for part in parts) == message.data


async def test_compression_keeps_nothing_between_messages(nursery: trio.Nursery) -> None:
    answer = await Client(nursery, serving(echo)).get("/", UPGRADE | DEFLATE)
    agreed = {part.strip() for part in answer.headers["Sec-WebSocket-Extensions"].split(";")}
    assert {"permessage-deflate", "client_no_context_takeover", "server_no_context_takeover"} <= agreed


@pytest.mark.parametrize("offer", ["permessage-deflate; client_max_window_bits=x", "other"])
async def test_an_offer_that_cannot_be_read_means_no_compression(nursery: trio.Nursery, offer: str) -> None:
    answer = await Client(nursery, serving(echo)).get("/", UPGRADE | {"Sec-WebSocket-Extensions": offer})
    assert answer.status == 101
    assert "Sec-WebSocket-Extensions" not in answer.headers


async def test_frames_that_came_with_the_handshake_are_not_lost(nursery: trio.Nursery) -> None:
    client = Client(nursery, serving(echo))
    http = h11.Connection(h11.CLIENT)
    head = http.send(h11.Request(method="GET", target="/", headers=[("Host", "h"), *UPGRADE.items()]))
    assert head is not None
    await client.stream.send_all(head + Connection(ConnectionType.CLIENT).send(BytesMessage(data=b"early")))
    http.send(h11.EndOfMessage())
    received = b""
    while not received.endswith(b"early"):
        received += await client.stream.receive_some()


async def test_messages_in_fragments_are_joined(nursery: trio.Nursery) -> None:
    peer = await opened(nursery, echo)
    await peer.send(TextMessage(data="a", message_finished=False))
    await peer.send(Ping(payload=b"between"))
    await peer.send(TextMessage(data="b"))
    assert await peer.receive() == Pong(payload=bytearray(b"between"))
    assert await peer.receive() == TextMessage(data="ab")


async def test_pings_go_out_while_we_wait(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    peer = await opened(nursery, echo)
    for ping in (1, 2, 3):
        assert isinstance(await peer.receive(), Ping)
        assert trio.current_time() == ping * websocket.PING_SECONDS


@pytest.mark.parametrize("extra", [{}, DEFLATE])
async def test_a_message_may_have_two_mebibytes_after_inflation(
    nursery: trio.Nursery, autojump_clock: MockClock, extra: dict[str, str]
) -> None:
    sizes = []

    async def measure(connection: WebSocketConnection) -> None:
        try:
            while True:
                sizes.append(len(await connection.receive()))
        except WebSocketClosedError as closed:
            sizes.append(closed.code)

    peer = await opened(nursery, measure, extra)
    await peer.send(BytesMessage(data=bytes(websocket.MAX_MESSAGE_BYTES)))
    await peer.send(BytesMessage(data=bytes(websocket.MAX_MESSAGE_BYTES + 1)))
    assert await peer.receive() == CloseConnection(code=1009, reason="")
    await wait_all_tasks_blocked()
    assert sizes == [websocket.MAX_MESSAGE_BYTES, 1009]


@pytest.mark.parametrize(
    ("frame", "code"),
    [(b"\x81\x01a", 1002), (b"\xff\x80\x00\x00\x00\x00", 1002), (b"\x81\x81\x00\x00\x00\x00\xff", 1007)],
)
async def test_a_peer_that_breaks_the_protocol_is_told_why(nursery: trio.Nursery, frame: bytes, code: int) -> None:
    ends: list[int] = []
    peer = await opened(nursery, ending(ends))
    await peer.stream.send_all(frame)
    closing = await peer.receive()
    assert isinstance(closing, CloseConnection)
    await wait_all_tasks_blocked()
    assert (closing.code, ends) == (code, [code])


def ending(ends: list[int]) -> Talk:
    async def talk(connection: WebSocketConnection) -> None:
        with pytest.raises(WebSocketClosedError) as closed:
            await connection.receive()
        ends.append(closed.value.code)
        with pytest.raises(WebSocketClosedError):
            await connection.send(b"too late")
        await connection.aclose()

    return talk


async def test_the_peers_goodbye_is_answered(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    ends: list[int] = []
    peer = await opened(nursery, ending(ends))
    await peer.send(CloseConnection(code=1000))
    assert isinstance(await peer.receive(), CloseConnection)
    assert await peer.stream.receive_some() == b""
    await wait_all_tasks_blocked()
    assert ends == [1000]


async def test_a_peer_that_vanishes_leaves_with_1006(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    ends: list[int] = []
    peer = await opened(nursery, ending(ends))
    await peer.stream.aclose()
    await trio.sleep(1)
    assert ends == [1006]


async def test_our_goodbye_waits_for_the_peers(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def talk(connection: WebSocketConnection) -> None:
        await connection.aclose()

    peer = await opened(nursery, talk)
    assert await peer.receive() == CloseConnection(code=1000, reason="")
    await peer.send(CloseConnection(code=1000))
    assert await peer.stream.receive_some() == b""
    assert trio.current_time() == 0


async def test_our_goodbye_waits_only_so_long(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def talk(connection: WebSocketConnection) -> None:
        await connection.aclose(1001)

    peer = await opened(nursery, talk)
    assert await peer.receive() == CloseConnection(code=1001, reason="")
    assert await peer.stream.receive_some() == b""
    assert trio.current_time() == websocket.CLOSE_SECONDS


async def test_a_peer_that_does_not_read_is_given_up(autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    connection = WebSocketConnection(ours, None, b"")
    with pytest.raises(WebSocketClosedError):
        await connection.send(b"nobody reads this")
    assert trio.current_time() == websocket.SEND_SECONDS
    with pytest.raises(WebSocketClosedError):
        await connection.send(b"nor this")
    await theirs.aclose()


async def test_a_send_that_was_cancelled_half_way_ends_the_socket(autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    connection = WebSocketConnection(ours, None, b"")
    with trio.move_on_after(1):
        await connection.send(b"cut")
    with pytest.raises(WebSocketClosedError):
        await connection.send(b"after half a frame")
    await theirs.aclose()


@pytest.mark.parametrize("wrong", [{"Sec-WebSocket-Version": "12"}, {"Sec-WebSocket-Key": ""}, {"Upgrade": "h2c"}])
async def test_a_handshake_that_is_none_is_refused(nursery: trio.Nursery, wrong: dict[str, str]) -> None:
    assert (await Client(nursery, serving(echo)).get("/", UPGRADE | wrong)).status == 400


@pytest.mark.parametrize("wrong", [b"HTTP/1.1\r\nContent-Length: 5", b"HTTP/1.1\r\nContent-Length: 1", b"HTTP/1.0"])
async def test_a_handshake_with_a_body_or_of_the_old_protocol_is_refused(
    nursery: trio.Nursery, autojump_clock: MockClock, wrong: bytes
) -> None:
    client = Client(nursery, serving(echo))
    headers = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items()).encode()
    await client.stream.send_all(b"GET / " + wrong + b"\r\nHost: h\r\n" + headers + b"\r\nx")
    assert (await client.closed()).startswith(b"HTTP/1.1 400 ")


async def test_a_refused_upgrade_leaves_the_connection_usable(nursery: trio.Nursery) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.respond(401, b"no")

    client = Client(nursery, refuse)
    for _ in range(2):
        assert (await client.get("/", UPGRADE)).text == "no"
