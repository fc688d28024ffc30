"""Routing within one process: every room is here."""

from collections.abc import Awaitable

import trio

from sfu.routing.router import MessageSink, MessageSource, SessionHost
from sfu.routing.start import SessionStart, parse_session_start


class LocalRouter:
    """Brings every session to the one host that there is.

    The start is written and read again, so that a session never has more from its socket's end than it could have from
    another process. Frames are handed over as they are: one that goes to everybody is there once.
    """

    def __init__(self, host: SessionHost) -> None:
        self._host = host

    def serve(
        self,
        start: SessionStart,
        source: MessageSource,
        sink: MessageSink,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> Awaitable[None]:
        """Have a session served by the host, as `Router.serve` says."""
        # No `async def`: its frame would keep the start, and an offer is a good part of what an idle participant costs.
        return self._host.serve(parse_session_start(start.serialize()), source, sink, task_status=task_status)
