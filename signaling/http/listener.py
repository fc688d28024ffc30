"""Accepts connections and serves the requests on them."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

import trio

from signaling.http.admission import Admission
from signaling.http.errors import HttpError
from signaling.http.exchange import TEXT, Exchange, HttpConnection
from signaling.http.routes import Routes

logger = logging.getLogger(__name__)


async def serve_http(
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
    routes: Routes,
    *,
    admission: Admission | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve HTTP on all `listeners` until cancelled; they are closed then. Started once they accept.

    `admission` limits what the unauthenticated may hold together; the default has the product's limits.
    """
    house = admission or Admission()
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, partial(serve_stream, routes, house), listeners)
        task_status.started()
    raise AssertionError("listeners run until cancelled")


async def serve_stream(routes: Routes, admission: Admission, stream: trio.abc.Stream) -> None:
    """Serve one accepted connection, and close it."""
    with trio.CancelScope() as scope:
        async with stream:
            guest = admission.enter(scope)
            try:
                await _serve_requests(routes, HttpConnection(stream, guest, _peer_of(stream)))
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the client went away
            except* Exception as failures:  # the fence: a bug here ends this connection only
                logger.exception("a connection failed", exc_info=failures)
            finally:
                guest.leave()


async def _serve_requests(routes: Routes, connection: HttpConnection) -> None:
    refusal: HttpError | None = None
    try:
        is_going_on = True
        while is_going_on:
            if (request := await connection.next_request()) is None:
                return
            await routes.answer(Exchange(connection, request))
            is_going_on = connection.start_next()
    except HttpError as error:  # not a request, or none that we can take
        refusal = error
    if refusal is not None:
        body = refusal.body.encode()
        headers = {"Connection": "close", "Content-Type": TEXT, "Content-Length": str(len(body))}
        await connection.respond(refusal.status, headers, body)
    await connection.linger()


def _peer_of(stream: trio.abc.Stream) -> str:
    if isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream):
        return ""
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:  # it hung up before we could look
        return ""
