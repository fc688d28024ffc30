"""The composition root: opens what a server consists of, in the order of DESIGN section 3."""

import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from sfu.model import Claims, Identity, RoomName, VideoGrant
from sfu.routing.router import SessionStart
from signaling import tokens
from signaling.http.exchange import Exchange
from signaling.http.listener import serve_http
from signaling.http.routes import Routes
from signaling.rtc import SignalService
from triforium.config import Config
from triforium.page import front_page

DEFAULT_TOKEN_SECONDS: Final = 6 * 3600
"""As LiveKit's SDKs have it."""


class StartError(Exception):
    """The server cannot start; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs. `port` is where it listens, also if the configuration left that open."""

    config: Config
    port: int

    @property
    def url(self) -> str:
        """What clients connect to from this machine."""
        bound = next(iter(self.config.bind_addresses), "")
        host = "127.0.0.1" if bound in ("", "0.0.0.0", "::") else bound  # noqa: S104  # compared, not bound
        return f"ws://[{host}]:{self.port}" if ":" in host else f"ws://{host}:{self.port}"

    def token(self, room: str, identity: str, *, lifetime_seconds: float = DEFAULT_TOKEN_SECONDS) -> str:
        """Make a token with which `identity` can join `room`, and publish and subscribe there."""
        key, secret = next(iter(self.config.keys.items()))
        grant = VideoGrant(room_join=True, room=room)
        claims = Claims(identity=Identity(identity), video=grant)
        return tokens.mint(claims, key, secret, wall=time.time(), lifetime_seconds=lifetime_seconds)


@asynccontextmanager
async def serve(config: Config) -> AsyncIterator[Server]:
    """Run a whole server for as long as the block lasts.

    A crash of it cancels the block. It installs no signal handler, sets up no logging and leaves the garbage
    collector alone.

    Raises:
        StartError: if a port is taken, or an address is not ours.
    """
    listeners = await open_listeners(config)
    server = Server(config, listeners[0].socket.getsockname()[1])
    visitor_token = partial(_visitor_token, server) if config.development else None
    service = SignalService(
        config.keys, time.time, _NoRooms(), auto_create=config.room.auto_create, start_session=_refuse_session
    )
    routes = Routes({"/": front_page(visitor_token)} | service.handlers())
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_http, listeners, routes)
        yield server
        nursery.cancel_scope.cancel("the server's block was left")


async def run_until_signalled(config: Config, announce: Callable[[Server], None]) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartError."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with serve(config) as server:
            announce(server)
            await anext(signals)


async def open_listeners(config: Config) -> list[trio.SocketListener]:
    """Listen on one port of every configured address. Raises StartError."""
    listeners: list[trio.SocketListener] = []
    port = config.port
    for address in config.bind_addresses or (None,):
        try:
            listeners += await trio.open_tcp_listeners(port, host=address)
        except OSError as error:
            for listener in listeners:
                await trio.aclose_forcefully(listener)
            raise StartError(f"cannot listen on {address or '*'} port {port}: {error.strerror}") from error
        port = listeners[0].socket.getsockname()[1]  # if any free port was asked for: the same one on each address
    return listeners


def _visitor_token(server: Server, room: str) -> str:
    return server.token(room, f"visitor-{secrets.token_hex(3)}")


class _NoRooms:
    def is_open(self, name: RoomName) -> bool:  # noqa: ARG002  # there are none, whatever the name
        return False


async def _refuse_session(_start: SessionStart, exchange: Exchange) -> None:
    await exchange.respond(501, b"this server has no rooms yet")
