"""The client's end of a WebSocket (RFC 6455) on any stream."""

from typing import Final

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from triforium.visitor.errors import JoinRefusedError, SignalLostError

_READ_BYTES: Final = 65_536
_NORMAL, _PROTOCOL_ERROR, _ABNORMAL = 1000, 1002, 1006  # RFC 6455 §7.4.1


class WebSocket:
    """Messages both ways, in order. One task may receive while one other sends."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._events = self._protocol.events()
        self._sending = trio.Lock()  # frames must not be mixed: those of `send` and the pongs of `receive`

    async def open(self, host: str, target: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Shake hands.

        Raises:
            JoinRefusedError: if the answer is not 101.
            SignalLostError: if there is none.
        """
        await self._send(Request(host=host, target=target, extra_headers=headers))
        status = 0
        body = b""
        while True:
            match await self._next_event():
                case AcceptConnection():
                    return
                case RejectConnection() as rejection:
                    status = rejection.status_code
                    if not rejection.has_body:
                        raise JoinRefusedError(status, "")
                case RejectData() as rejection:
                    body += bytes(rejection.data)
                    if rejection.body_finished:
                        raise JoinRefusedError(status, body.decode(errors="replace"))
                case _:
                    pass

    async def receive(self) -> bytes | str:
        """Wait for the next message. Pings are answered meanwhile.

        Raises:
            SignalLostError: if the server has closed, is gone, or broke the protocol.
        """
        parts: list[bytes] = []
        while True:
            match event := await self._next_event():
                case BytesMessage() | TextMessage():
                    is_text = isinstance(event, TextMessage)
                    parts.append(event.data.encode() if isinstance(event, TextMessage) else bytes(event.data))
                    if event.message_finished:
                        whole = b"".join(parts)
                        return whole.decode() if is_text else whole
                case Ping():
                    await self._send(event.response())
                case CloseConnection():
                    if self._protocol.state is ConnectionState.REMOTE_CLOSING:
                        await self._send(event.response())
                    raise SignalLostError(event.code)
                case _:
                    pass  # pongs to pings that we never sent

    async def send(self, message: bytes | str) -> None:
        """Send one message. Raises SignalLostError if the connection is over."""
        event = TextMessage(data=message) if isinstance(message, str) else BytesMessage(data=message)
        await self._send(event)

    async def close(self) -> None:
        """Say goodbye, unless somebody has. Who is in `receive` gets the answer. Raises SignalLostError."""
        if self._protocol.state is ConnectionState.OPEN:
            await self._send(CloseConnection(code=_NORMAL))

    async def _next_event(self) -> Event:
        while True:
            for event in self._events:
                return event
            try:
                received = await self._stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise SignalLostError(_ABNORMAL) from error
            if not received:
                raise SignalLostError(_ABNORMAL)
            try:
                self._protocol.receive_data(bytes(received))
            except RemoteProtocolError as error:
                raise SignalLostError(_PROTOCOL_ERROR) from error
            self._events = self._protocol.events()

    async def _send(self, event: Event) -> None:
        async with self._sending:
            try:
                data = self._protocol.send(event)
                await self._stream.send_all(data)
            except (LocalProtocolError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise SignalLostError(_ABNORMAL) from error
