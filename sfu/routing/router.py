"""The seam between a client's socket and its session, which runs where the room runs: in this process or elsewhere.

A socket is only a relay. It is the session's source and its sink, and a router brings them to the session's host:

    client's socket ── MessageSource ─→ Router ─→ SessionHost: the session, a participant's
    client's socket ←─ MessageSink ───── Router ←─┘

Nobody waits for a slow client: its sink drops what is too much, and ends the socket. A slow session leaves in the source
what the client sends, and so the client waits. When the socket dies its source ends, and with it the session's use of
both; the participant may outlive them, and be resumed by another socket.
"""

from collections.abc import Awaitable
from typing import Protocol, TypeAlias

import trio

from sfu.errors import SfuError
from sfu.routing.start import SessionStart

Frame: TypeAlias = bytes | str
"""A message of the signalling protocol: protobuf, or JSON as text."""


class SessionRefusedError(SfuError):
    """There is no session: the client's request is answered with this HTTP status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class MessageSource(Protocol):
    """What a client sends, frame by frame. The receiving end of a memory channel is one, too."""

    async def receive(self) -> Frame:
        """Wait for the next frame. Raises trio.EndOfChannel once the socket is over."""


class MessageSink(Protocol):
    """Where frames for a client go. Never blocks."""

    def send(self, frame: Frame) -> None:
        """Queue one frame, in order. A sink that is full or closed drops it, and ends the socket."""

    def close(self) -> None:
        """End the socket once what is queued has been sent. Idempotent."""


class SessionHost(Protocol):
    """Where rooms are: starts sessions in them and carries out what clients ask for."""

    def serve(
        self,
        start: SessionStart,
        source: MessageSource,
        sink: MessageSink,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> Awaitable[None]:
        """Start a session, and serve it until its source ends or it is cancelled; the sink is closed then.

        Started once there is a session, whose first words are in the sink by then. The source is not asked for anything
        before.

        Raises:
            SessionRefusedError: there is none. What is in the sink is void.
        """


class Router(Protocol):
    """Knows where each room is, and brings sessions to their hosts."""

    def serve(
        self,
        start: SessionStart,
        source: MessageSource,
        sink: MessageSink,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> Awaitable[None]:
        """Have a session served by the host of its room: as `SessionHost.serve`, which may be in another process."""
