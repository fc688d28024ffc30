"""A stretch of network before the server's HTTP port, which can be cut and mended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class Wire:
    """A stretch of network before the server's HTTP port, which can be cut and mended. Made by `open_wire`."""

    def __init__(self, nursery: trio.Nursery, server_port: int) -> None:
        self.port = 0
        self._nursery = nursery
        self._server_port = server_port
        self._scope = trio.CancelScope()
        self._is_silent = False

    async def mend(self) -> None:
        """Carry connections, at the same port as before."""
        self._scope = trio.CancelScope()
        self._is_silent = False
        await self._nursery.start(self._carry, self._scope)

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        self._scope.cancel("the wire was cut")

    def silence(self) -> None:
        """Lose what the server says, until the wire is cut and mended; nobody notices."""
        self._is_silent = True

    async def _carry(self, scope: trio.CancelScope, task_status: trio.TaskStatus[None]) -> None:
        with scope:
            listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started()  # they listen already
            await trio.serve_listeners(self._join, listeners)

    async def _join(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", self._server_port)
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, near, far, nursery.cancel_scope)
            nursery.start_soon(self._pump, far, near, nursery.cancel_scope)

    async def _pump(self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        from_server = source.socket.getpeername()[1] == self._server_port
        try:
            async for data in source:
                if not (from_server and self._is_silent):
                    await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # one end went; the other follows
        scope.cancel("one end was closed")


@asynccontextmanager
async def open_wire(server_port: int) -> AsyncIterator[Wire]:
    """Put a wire before the server for as long as the block lasts."""
    async with trio.open_nursery() as nursery:
        wire = Wire(nursery, server_port)
        await wire.mend()
        yield wire
        nursery.cancel_scope.cancel("the wire is not needed any more")
