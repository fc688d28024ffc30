"""Which handler answers which path."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import trio

from signaling.http.cors import METHODS, is_preflight
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Exchange], Awaitable[None]]
"""Answers one request. What it raises as HttpError becomes the answer."""


class Routes:
    """A table of paths. A path that ends in a slash, other than `/` itself, stands for all below it."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._exact = dict(handlers)
        self._below = {path: handler for path, handler in handlers.items() if path.endswith("/") and path != "/"}

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request, whatever its handler does: the fence round each request."""
        try:
            await self._dispatch(exchange)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            logger.debug("the client of %s went away", exchange.request.path)
        except* Exception as failures:
            logger.exception("%s %s failed", exchange.request.method, exchange.request.path, exc_info=failures)
        if not exchange.is_answered:
            await exchange.respond(500, b"internal server error")

    async def _dispatch(self, exchange: Exchange) -> None:
        if is_preflight(exchange.request):  # before any authentication: browsers send no credentials with it
            await exchange.respond(204)
            return
        refusal: HttpError | None = None
        try:
            _check_method(exchange)
            await self._find(exchange.request.path)(exchange)
        except HttpError as error:
            refusal = error
        if refusal is not None:
            await exchange.respond(refusal.status, refusal.body.encode(), headers=refusal.headers)

    def _find(self, path: str) -> Handler:
        if path in self._exact:
            return self._exact[path]
        return next((handler for prefix, handler in self._below.items() if path.startswith(prefix)), not_found)


def _check_method(exchange: Exchange) -> None:
    """Raise HttpError (405) for CONNECT, which names no path: an answer of 200 would make a tunnel of the connection."""
    if exchange.request.method == "CONNECT":
        raise HttpError(405, "this is no proxy", {"Allow": ", ".join(METHODS)})


async def not_found(exchange: Exchange) -> None:
    """Answer for a path that stands for nothing."""
    await exchange.respond(404, b"404 page not found\n", headers={"X-Content-Type-Options": "nosniff"})
