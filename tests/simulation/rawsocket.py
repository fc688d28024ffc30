"""A client by hand: one WebSocket on which a test says what no visitor would."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from livekit.protocol.rtc import SignalRequest, SignalResponse
from wsproto.events import BytesMessage

from tests.simulation.house import HTTP, House
from triforium.visitor.errors import SignalLostError
from triforium.visitor.joining import dual_path
from triforium.visitor.websocket import WebSocket


class RawClient:
    """Sends and receives frames of a signal connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.socket = WebSocket(stream)

    async def send(self, request: SignalRequest) -> None:
        await self.socket.send(request.SerializeToString())

    async def send_together(self, *requests: SignalRequest) -> None:
        """Send requests that the server reads in one go."""
        messages = (BytesMessage(data=request.SerializeToString()) for request in requests)
        await self.stream.send_all(b"".join(map(self.socket._protocol.send, messages)))

    async def receive(self, kind: str) -> SignalResponse:
        """Return the next message of `kind`; others before it are skipped."""
        while True:
            frame = await self.socket.receive()
            assert isinstance(frame, bytes)
            message = SignalResponse.FromString(frame)
            if message.WhichOneof("message") == kind:
                return message

    async def close_code(self) -> int:
        """Read until the server closes; return its code."""
        try:
            while True:
                await self.socket.receive()
        except SignalLostError as lost:
            return lost.code


@asynccontextmanager
async def open_raw_client(
    house: House, token: str, path: str | None = None, host: str | None = None
) -> AsyncIterator[RawClient]:
    """Join without any media, by hand, in the layout of two connections."""
    async with await house.network.connect_tcp(host or house.new_host(), HTTP) as stream:
        client = RawClient(stream)
        target = path or dual_path(auto_subscribe=True)
        await client.socket.open("server", target, [(b"Authorization", f"Bearer {token}".encode())])
        yield client
