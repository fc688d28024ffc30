"""A WebSocket (RFC 6455) on a stream whose request has been read and answered with 101.

wsproto frames and inflates; this is the shell round it. Messages are read in small pieces, because a piece is
inflated in one go: 4 KiB become 4 MiB at most, and the limit on a message ends the rest.
"""

from typing import Final, NoReturn

import trio
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.handshake import server_extensions_handshake
from wsproto.utilities import LocalProtocolError, generate_accept_token

from signaling.http.errors import HttpError
from signaling.http.request import Request

MAX_MESSAGE_BYTES: Final = 2 * 1024 * 1024
"""After inflation."""

PING_SECONDS: Final = 10.0
"""After so long without a word from the client it is asked for one, so that no proxy takes the socket for dead."""
SEND_SECONDS: Final = 10.0
"""How long a peer may leave what we send unread."""

CLOSE_SECONDS: Final = 1.0
"""How long we wait for the peer's half of the closing handshake."""

_READ_BYTES: Final = 4096
_VERSION: Final = "13"

_NORMAL, _TOO_BIG, _ABNORMAL = 1000, 1009, 1006  # RFC 6455 §7.4.1


class WebSocketClosedError(Exception):
    """The WebSocket is over; `code` is the peer's, or 1006 if it left without one."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with code {code}")
        self.code = code


class WebSocketConnection:
    """Messages both ways, in order. One task may receive while others send.

    The server's pings go out, and the client's are answered, while somebody waits in `receive`. `heard_at` is when
    anything came from the client last.
    """

    def __init__(self, stream: trio.abc.Stream, deflate: PerMessageDeflate | None, received: bytes) -> None:
        self._stream = stream
        self._protocol = Connection(ConnectionType.SERVER, [deflate] if deflate else [], received)
        self._sending = trio.Lock()  # frames must not be mixed: those of `send` and the pongs of `receive`
        self._torn = False  # half a frame went out, and nothing can follow it
        self._message = bytearray()
        self._ping_at = trio.current_time() + PING_SECONDS
        self.heard_at = trio.current_time()

    async def receive(self) -> bytes | str:
        """Wait for the next message.

        Raises:
            WebSocketClosedError: if the peer has closed, is gone, broke the protocol or sent too much.
        """
        while True:
            for event in self._protocol.events():
                if (message := await self._handle(event)) is not None:
                    return message
            await self._read()

    async def send(self, *messages: bytes | str) -> None:
        """Send messages, in one write.

        Raises:
            WebSocketClosedError: if the peer is gone or does not read.
        """
        await self._send(
            *(TextMessage(data=each) if isinstance(each, str) else BytesMessage(data=each) for each in messages)
        )

    async def aclose(self, code: int = _NORMAL) -> None:
        """Say goodbye, give the peer a moment to do the same, and close the stream. Nobody may be in `receive`."""
        try:
            if self._protocol.state is ConnectionState.OPEN:
                with trio.move_on_after(CLOSE_SECONDS):
                    await self._send(CloseConnection(code=code))
                    while not any(isinstance(event, CloseConnection) for event in self._protocol.events()):
                        await self._read()
        except WebSocketClosedError:
            pass  # it is gone already
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _handle(self, event: Event) -> bytes | str | None:
        match event:
            case BytesMessage() | TextMessage():
                return await self._collect(event)
            case Ping():
                await self._send(event.response())
            case Pong():
                pass  # a client that answers no ping is not punished: its media path says whether it is alive
            case CloseConnection():
                await self._end(event.code)
            case _:
                raise AssertionError(f"no part of an open WebSocket: {event}")
        return None

    async def _collect(self, event: BytesMessage | TextMessage) -> bytes | str | None:
        self._message += event.data.encode() if isinstance(event, TextMessage) else event.data
        if len(self._message) > MAX_MESSAGE_BYTES:
            await self._end(_TOO_BIG)
        if not event.message_finished:
            return None
        message, self._message = self._message, bytearray()
        return message.decode() if isinstance(event, TextMessage) else bytes(message)

    async def _end(self, code: int) -> NoReturn:
        await self._send(CloseConnection(code=code))
        await trio.aclose_forcefully(self._stream)
        raise WebSocketClosedError(code)

    async def _read(self) -> None:
        while True:
            with trio.move_on_at(self._ping_at):
                try:
                    received = await self._stream.receive_some(_READ_BYTES)
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    raise WebSocketClosedError(_ABNORMAL) from error
                if not received:
                    raise WebSocketClosedError(_ABNORMAL)
                self._protocol.receive_data(bytes(received))
                self.heard_at = trio.current_time()
                self._ping_at = self.heard_at + PING_SECONDS
                return
            self._ping_at = trio.current_time() + PING_SECONDS
            if not self._sending.locked():  # else frames are flowing, which does as well
                await self._send(Ping())

    async def _send(self, *events: Event) -> None:
        async with self._sending:
            if self._torn:
                raise WebSocketClosedError(_ABNORMAL)
            try:
                frames = b"".join(map(self._protocol.send, events))
            except LocalProtocolError as error:  # one of us has said goodbye
                raise WebSocketClosedError(_NORMAL) from error
            self._torn = True
            with trio.move_on_after(SEND_SECONDS):
                try:
                    await self._stream.send_all(frames)
                    self._torn = False
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    raise WebSocketClosedError(_ABNORMAL) from error
            if self._torn:
                await trio.aclose_forcefully(self._stream)
                raise WebSocketClosedError(_ABNORMAL)


def check_handshake(request: Request) -> None:
    """Check that we can answer this opening handshake (RFC 6455 §4.2.1). Raises HttpError (400)."""
    if not request.wants_websocket:
        raise HttpError(400, "Bad Request\nwebsocket: not a handshake")
    if request.header("Sec-WebSocket-Version") != _VERSION:
        raise HttpError(400, f"Bad Request\nwebsocket: unsupported version: {_VERSION} not found in header")
    if not request.header("Sec-WebSocket-Key"):
        raise HttpError(400, "Bad Request\nwebsocket: Sec-WebSocket-Key is missing")


def accept_handshake(request: Request) -> tuple[list[tuple[str, str]], PerMessageDeflate | None]:
    """Answer an opening handshake: the headers of the 101, and the compression agreed on.

    Compression keeps nothing from one message to the next, on either side: 300 KiB of zlib state for each socket
    would be most of what an idle participant costs.
    """
    token = generate_accept_token(request.header("Sec-WebSocket-Key").encode("latin-1"))
    headers = [("Upgrade", "WebSocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", token.decode("ascii"))]
    deflate = PerMessageDeflate(client_no_context_takeover=True, server_no_context_takeover=True)
    offers = [offer.strip() for offer in request.header("Sec-WebSocket-Extensions").split(",")]
    try:
        agreed = server_extensions_handshake(offers, [deflate])
    except ValueError:  # a parameter that is no number: do without
        agreed = None
    if agreed is None:
        return headers, None
    return [*headers, ("Sec-WebSocket-Extensions", agreed.decode("ascii"))], deflate
