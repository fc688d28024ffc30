"""Clients' signal sockets: each is a relay between its client and a session, wherever that is served."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from sfu.routing.router import Frame, Router, SessionRefusedError
from sfu.routing.start import SessionStart
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.websocket import WebSocketClosedError, WebSocketConnection

logger = logging.getLogger(__name__)

MAX_QUEUED_MESSAGES: Final = 1000
"""A client that lets this many wait does not read. Its socket is ended: it can come back and be told how things are."""

TOGETHER_BYTES: Final = 4096
"""Messages that wait leave together until they are as long as this: clients send two pings at a time, and a write costs
more than all that is done for one."""

FLUSH_SECONDS: Final = 2.0
"""For a client to read what is still queued when its session ends."""


class Relays:
    """The sockets of this server, and the router to their sessions."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._served = 0
        self._idle = trio.Event()
        self._idle.set()

    async def serve(self, start: SessionStart, exchange: Exchange) -> None:
        """Have a session started and relay what it and its client say; return when the socket is over.

        Raises:
            HttpError: the session was refused; the socket was not accepted.
        """
        relay = Relay()
        refusal: SessionRefusedError | None = None
        with self._counted():
            async with trio.open_nursery() as nursery:
                try:
                    await nursery.start(self._router.serve, start, relay, relay)
                except SessionRefusedError as error:
                    refusal = error
                else:
                    del start  # the offer in it is a good part of what an idle participant would cost
                    await relay.write_to(await exchange.upgrade())
                nursery.cancel_scope.cancel("the socket is over")
            if refusal is not None:
                raise HttpError(refusal.status, refusal.text) from refusal
            await relay.aclose()

    async def wait_idle(self) -> None:
        """Return once no socket is served."""
        await self._idle.wait()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._served += 1
        self._idle = trio.Event()
        try:
            yield
        finally:
            self._served -= 1
            if not self._served:
                self._idle.set()


class Relay:
    """The `MessageSource` and the `MessageSink` of one session: a bounded queue out, and the socket itself in."""

    def __init__(self) -> None:
        self._websocket: WebSocketConnection | None = None
        self._accepted = trio.Event()
        self._sender, self._receiver = trio.open_memory_channel[Frame](MAX_QUEUED_MESSAGES)

    async def receive(self) -> Frame:
        """Wait for what the client says next. Raises trio.EndOfChannel once the socket is over."""
        while self._websocket is None:
            await self._accepted.wait()
        try:
            return await self._websocket.receive()
        except WebSocketClosedError as closed:
            logger.debug("the socket is over: %s", closed)
            raise trio.EndOfChannel from closed

    def send(self, frame: Frame) -> None:
        """Queue one frame, in order. Never blocks."""
        try:
            self._sender.send_nowait(frame)
        except trio.WouldBlock:
            logger.warning("a client has let %d messages wait: its socket is closed", MAX_QUEUED_MESSAGES)
            self._sender.close()
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            pass  # the socket is ending, and the client will be told anew how things are

    def close(self) -> None:
        """End the socket once what is queued has been sent."""
        self._sender.close()

    async def write_to(self, websocket: WebSocketConnection) -> None:
        """Send what is queued, as it comes; return once the queue was closed and is empty, or the peer is gone."""
        self._websocket = websocket
        self._accepted.set()
        try:
            async for first in self._receiver:
                frames = [first]
                while sum(map(len, frames)) < TOGETHER_BYTES:
                    try:
                        frames.append(self._receiver.receive_nowait())
                    except (trio.WouldBlock, trio.EndOfChannel):
                        break
                await websocket.send(*frames)
        except WebSocketClosedError as closed:
            logger.debug("the socket went while we wrote: %s", closed)

    async def aclose(self) -> None:
        """Say goodbye to the client, for a moment. Nobody may be in `receive`."""
        if self._websocket is not None:
            with trio.move_on_after(FLUSH_SECONDS):
                await self._websocket.aclose()
