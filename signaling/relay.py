"""A participant's messages on their way to its socket: a bounded queue, and the task that empties it."""

import logging
from typing import Final

import trio

from sfu.room.outgoing import Outgoing
from signaling.http.websocket import WebSocketClosedError, WebSocketConnection

logger = logging.getLogger(__name__)

MAX_QUEUED_MESSAGES: Final = 1000
"""A client that lets this many wait does not read. Its socket is ended: it can come back and be told how things are."""

TOGETHER_BYTES: Final = 4096
"""Messages that wait leave together until they are as long as this: clients send two pings at a time, and a write costs
more than all that is done for one."""


class Relay:
    """The `SignalSink` of one socket. `speaks_text` is set by whoever reads: clients are answered in their own form."""

    def __init__(self) -> None:
        self.speaks_text = False
        self._is_first = True
        self._sender, self._receiver = trio.open_memory_channel[Outgoing](MAX_QUEUED_MESSAGES)

    def send(self, outgoing: Outgoing) -> None:
        """Queue one message, in order. Never blocks."""
        try:
            self._sender.send_nowait(outgoing)
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
        try:
            async for outgoing in self._receiver:
                messages = [self._form(outgoing)]
                while sum(map(len, messages)) < TOGETHER_BYTES:
                    try:
                        messages.append(self._form(self._receiver.receive_nowait()))
                    except (trio.WouldBlock, trio.EndOfChannel):
                        break
                await websocket.send(*messages)
        except WebSocketClosedError as closed:
            logger.debug("the socket went while we wrote: %s", closed)

    def _form(self, outgoing: Outgoing) -> bytes | str:
        text = self.speaks_text and not self._is_first  # the first frame is binary whatever the client speaks
        self._is_first = False
        return outgoing.text if text else outgoing.binary
