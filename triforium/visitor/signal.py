"""LiveKit's signal messages on a WebSocket, from the client's end."""

from dataclasses import dataclass
from typing import Final

import trio
from google.protobuf.json_format import MessageToJson, Parse
from livekit.protocol.rtc import SignalRequest, SignalResponse

from rtp.units import Address
from triforium.visitor.websocket import WebSocket

HEADER: Final = b"Authorization"


@dataclass(frozen=True, slots=True)
class SignalMessage:
    """A signal message sent or received, at `time` in seconds on the monotonic clock; `kind` is its oneof's name."""

    time: float
    is_sent: bool
    kind: str
    content: SignalRequest | SignalResponse


class SignalConnection:
    """Requests out, responses in, each one message; as JSON text frames if `use_json`, else binary.

    Responses are read in either form: the server's first is binary whatever we send.
    """

    def __init__(self, stream: trio.abc.Stream, *, use_json: bool) -> None:
        self._stream = stream
        self._socket = WebSocket(stream)
        self._use_json = use_json

    async def open(self, server: Address, path: str, token: str) -> None:
        """Shake hands. Raises JoinRefusedError if the server says no, SignalLostError if it says nothing."""
        host, port = server
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        await self._socket.open(name, path, [(HEADER, f"Bearer {token}".encode())])

    async def receive(self) -> SignalResponse:
        """Wait for the server's next message. Raises SignalLostError."""
        frame = await self._socket.receive()
        if isinstance(frame, str):
            return Parse(frame, SignalResponse(), ignore_unknown_fields=True)
        return SignalResponse.FromString(frame)

    async def send(self, request: SignalRequest) -> None:
        """Send one message. Raises SignalLostError."""
        await self._socket.send(MessageToJson(request) if self._use_json else request.SerializeToString())

    async def abandon(self) -> None:
        """Drop the connection without a word."""
        await trio.aclose_forcefully(self._stream)

    async def close(self) -> None:
        """Say goodbye. Raises SignalLostError if the connection is over already."""
        await self._socket.close()
