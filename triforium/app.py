"""The composition root: opens what a server consists of, in the order of DESIGN section 3."""

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Final

import msgspec
import trio

from rtp.dtls import DtlsContext
from rtp.units import Address
from sfu.agents.agents import Agents
from sfu.environment import Environment
from sfu.model import Claims, Identity, VideoGrant, new_sid
from sfu.room.events import RoomEvent, Tell
from sfu.room.rooms import Rooms
from sfu.routing.local import LocalRouter
from sfu.transport.endpoint import UdpEndpoint
from signaling import tokens
from signaling.agents import AgentService
from signaling.api.absent import absent_services
from signaling.api.agent_dispatch import AgentDispatchService
from signaling.api.debug import DebugService
from signaling.api.metrics import Metrics
from signaling.api.room_service import RoomService
from signaling.api.twirp import TwirpServer
from signaling.door import Door
from signaling.http.exchange import Exchange
from signaling.http.listener import serve_http
from signaling.http.routes import Handler, Routes
from signaling.relay import Relays
from signaling.rtc import SignalService
from signaling.session import Sessions
from signaling.webhooks import Webhooks
from signaling.whep import WhepService
from signaling.whep_extensions import EventStreams
from signaling.whip import WhipService
from triforium.config import Config
from triforium.garbage import collect_when_idle
from triforium.https import LocalAuthority
from triforium.page import Visit, page_handlers
from triforium.surroundings import StartError, Surroundings, open_surroundings

__all__ = ["Server", "StartError", "run_until_signalled", "serve", "serve_on"]

AUTHORITY_PATH: Final = "/authority.crt"

DEFAULT_TOKEN_SECONDS: Final = 6 * 3600
"""As LiveKit's SDKs have it."""

MIN_REFRESHED_SECONDS: Final = 600
"""A participant's token to come back with lives this long, or as long as the one it came with if that is longer."""

AGENT_TOKEN_SECONDS: Final = 3600
"""For an agent to join, once its worker has the job."""

GOODBYE_SECONDS: Final = 3.0
"""For everybody to be told that the server stops."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs. `port` is where it listens, also if the configuration left that open."""

    config: Config
    port: int
    rooms: Rooms
    endpoint: UdpEndpoint
    wall: Callable[[], float]
    is_secure: bool = False
    authority: LocalAuthority | None = None

    @property
    def page_urls(self) -> tuple[str, ...]:
        """Where other machines find the page: the addresses that media is offered at, loopback left out."""
        scheme = "https" if self.is_secure else "http"
        hosts = dict.fromkeys(host for host, _ in self.media_addresses if not ip_address(host).is_loopback)
        return tuple(f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}/" for host in hosts)

    @property
    def media_addresses(self) -> tuple[Address, ...]:
        """Where clients are told to send media."""
        return tuple(candidate.address for candidate in self.rooms.environment.candidates)

    @property
    def url(self) -> str:
        """What clients connect to from this machine."""
        bound = next(iter(self.config.bind_addresses), "")
        host = "127.0.0.1" if bound in ("", "0.0.0.0", "::") else bound  # noqa: S104  # compared, not bound
        scheme = "wss" if self.is_secure else "ws"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"

    def token(self, room: str, identity: str, *, lifetime_seconds: float = DEFAULT_TOKEN_SECONDS) -> str:
        """Make a token with which `identity` can join `room`, and publish and subscribe there."""
        claims = Claims(identity=Identity(identity), video=VideoGrant(room_join=True, room=room))
        return _mint(self.config, self.wall(), claims, lifetime_seconds)


@asynccontextmanager
async def serve(config: Config) -> AsyncIterator[Server]:
    """Run a whole server on the kernel's network for as long as the block lasts.

    A crash of it cancels the block. When the block is left, everybody is told that the server stops. It installs no
    signal handler, sets up no logging and leaves the garbage collector alone.

    Raises:
        StartError: if a port is taken, or an address is not ours.
        ConfigError: if there is no address to offer for media.
    """
    async with serve_on(await open_surroundings(config), config) as server:
        yield server


@asynccontextmanager
async def serve_on(surroundings: Surroundings, config: Config) -> AsyncIterator[Server]:
    """Run a whole server on sockets, clocks and dice of the caller's, which it closes; else as `serve`."""
    endpoint = UdpEndpoint(surroundings.sockets, surroundings.feedback_sockets)
    webhooks = _webhooks(surroundings, config)
    listeners = [webhooks.tell]
    environment = Environment(
        endpoint=endpoint,
        offered=surroundings.offered,
        certificate=surroundings.certificate,
        dtls=DtlsContext(surroundings.certificate),
        wall=surroundings.wall,
        random=surroundings.random,
        mint_token=lambda claims: _refreshed_token(config, surroundings.wall(), claims),
        node_id=new_sid("ND_", surroundings.random),
        settings=config.room.settings,
        limits=config.limit.limits,
        data=config.data,
        congestion=config.rtc.congestion_control.settings,
        patience=config.patience,
        presets=config.room.presets,
        tell=partial(_tell_all, listeners),
    )
    rooms = Rooms(environment)
    metrics = Metrics(rooms, username=config.prometheus.username, password=config.prometheus.password)
    agents = Agents(partial(_agent_token, config, surroundings.wall), surroundings.wall, surroundings.random)
    listeners += [metrics.hear, agents.hear]
    relays = Relays(LocalRouter(Sessions(rooms, surroundings.wall)))
    server = Server(
        config,
        surroundings.port,
        rooms,
        endpoint,
        surroundings.wall,
        surroundings.is_secure,
        surroundings.authority,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(endpoint.run)
        await nursery.start(webhooks.run)
        await nursery.start(agents.run)
        await nursery.start(rooms.run)
        for worker in surroundings.workers:
            nursery.start_soon(worker)
        routes = _routes(server, relays, agents, metrics)
        nursery.start_soon(metrics.run)
        await nursery.start(serve_http, surroundings.listeners, routes)
        if surroundings.metrics_listeners:
            await nursery.start(serve_http, surroundings.metrics_listeners, Routes(metrics.handlers()))
        try:
            yield server
        finally:
            rooms.close()
            with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                await rooms.wait_closed()
                await relays.wait_idle()
                await webhooks.wait_idle()
        nursery.cancel_scope.cancel("the server's block was left")


async def run_until_signalled(config: Config, announce: Callable[[Server], None]) -> None:
    """Serve until SIGTERM or SIGINT, as a process of its own. Raises StartError, ConfigError."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with serve(config) as server, trio.open_nursery() as nursery:
            nursery.start_soon(collect_when_idle)
            announce(server)
            await anext(signals)
            nursery.cancel_scope.cancel("the process was told to stop")


def _routes(server: Server, relays: Relays, agents: Agents, metrics: Metrics) -> Routes:
    """Lay out what is served under which path of the one HTTP port."""
    config, rooms, wall = server.config, server.rooms, server.wall
    door = Door(config.keys, wall, rooms, config.room.auto_create, config.limit.limits)
    workers = AgentService(door, agents, rooms.environment.node_id)
    debug = DebugService(rooms, agents, config.keys, wall, is_public=config.development)
    api = TwirpServer(config.keys, wall).handlers(
        RoomService(
            rooms, config.room.enable_remote_unmute, config.room.removal_revokes, config.room.auto_create
        ).service(),
        AgentDispatchService(agents, rooms, config.room.auto_create).service(),
        *absent_services(rooms),
    )
    return Routes(
        {
            **page_handlers(partial(_visitor_token, server) if config.development else None),
            **SignalService(door, relays.serve).handlers(),
            **workers.handlers(),
            **WhipService(door, rooms).handlers(),
            **WhepService(door, rooms, EventStreams(rooms.environment.random)).handlers(),
            **api,
            **debug.handlers(),
            **(metrics.handlers() if config.development else {}),
            **_authority_handlers(server.authority),
        }
    )


def _authority_handlers(authority: LocalAuthority | None) -> dict[str, Handler]:
    """Let phones fetch the authority that they are to trust, if it is our own."""
    if authority is None:
        return {}
    content = authority.file.read_bytes()

    async def answer(exchange: Exchange) -> None:
        await exchange.respond(200, content, content_type="application/x-x509-ca-cert")

    return {AUTHORITY_PATH: answer}


def _tell_all(listeners: Sequence[Tell], event: RoomEvent) -> None:
    for listener in listeners:
        listener(event)


def _webhooks(surroundings: Surroundings, config: Config) -> Webhooks:
    key = config.webhook.api_key

    def sign(body: bytes) -> str:
        return tokens.mint_for_body(body, key, config.keys[key], wall=surroundings.wall())

    return Webhooks(
        config.webhook.urls,
        sign=sign,
        post=surroundings.post,
        wall=surroundings.wall,
        new_id=lambda: new_sid("EV_", surroundings.random),
        full_room=config.room.enable_full_room_in_webhooks,
    )


def _refreshed_token(config: Config, wall: float, claims: Claims) -> str:
    # it is for coming back, and opens nothing else
    claims = msgspec.structs.replace(claims, sip=None, is_refreshed=True)
    return _mint(config, wall, claims, max(MIN_REFRESHED_SECONDS, claims.expires_at - wall))


def _agent_token(config: Config, wall: Callable[[], float], claims: Claims) -> str:
    key = claims.api_key
    return tokens.mint(claims, key, config.keys[key], wall=wall(), lifetime_seconds=AGENT_TOKEN_SECONDS)


def _mint(config: Config, wall: float, claims: Claims, lifetime_seconds: float) -> str:
    key, secret = next(iter(config.keys.items()))
    return tokens.mint(claims, key, secret, wall=wall, lifetime_seconds=lifetime_seconds)


def _visitor_token(server: Server, visit: Visit) -> str:
    grant = VideoGrant(room_join=True, room=visit.room)
    claims = Claims(identity=Identity(visit.identity), name=visit.name, video=grant)
    return _mint(server.config, server.wall(), claims, DEFAULT_TOKEN_SECONDS)
