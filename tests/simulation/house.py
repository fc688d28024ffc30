"""A whole server in memory, and visitors sent to it: what the simulations share.

`open_house` is also the promise's test: when the visitors have gone and the rooms have closed, nothing is left of them,
neither in the endpoint's tables nor among trio's tasks, and nothing has crashed on the way.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from random import Random
from typing import Final

import trio

from rtp.units import Address
from sfu.model import Claims, Identity, RoomName, VideoGrant
from sfu.room.participant import Participant
from sfu.room.room import Room
from signaling import tokens
from signaling.webhooks import Post
from triforium.app import Server
from triforium.config import Config, RoomConfig
from triforium.testing import Link, Network, open_network
from triforium.testing.world import (
    HTTP_PORT,
    SERVER_HOST,
    post_nowhere,
    serve_in_memory,
    simulation_certificate,
    wall_clock,
)
from triforium.visitor import Visitor, VisitorWorld, memory_world, open_visitor

HTTP: Final[Address] = (SERVER_HOST, HTTP_PORT)
ROOM: Final = "lobby"
KEY: Final = "devkey"
SECRET: Final = "a secret of thirty-two characters"
HOME_LINK: Final = Link(delay_seconds=0.02)

HANG_SECONDS: Final = 86_400
"""Of virtual time, after which a simulation has hung."""

VIRTUAL_ROOMS_CLOSE_SECONDS: Final = 120
"""Consent lost, departure timeout, and some more."""


class House:
    """A server that runs in memory. `stop` makes it leave its block, while the network and its visitors go on.

    `errors` are the records that it logged as errors: a test that plants faults takes them out, and any that are left
    fail it.
    """

    def __init__(self, network: Network, server: Server, random: Random, stop: trio.Event) -> None:
        self.network = network
        self.server = server
        self.stop = stop.set
        self.errors: list[logging.LogRecord] = []
        self._random = random
        self._hosts = 0

    def room(self, name: str = ROOM) -> Room:
        """Return an open room."""
        return next(room for room in self.server.rooms if room.name == RoomName(name))

    def participant(self, identity: str, *, room: str = ROOM) -> Participant:
        """Return somebody who is in a room, as the server knows them."""
        return self.room(room).participants[Identity(identity)]

    def identities(self, room: str = ROOM) -> set[str]:
        """Return who is in a room; nobody if it is not open."""
        return {str(name) for each in self.server.rooms if each.name == RoomName(room) for name in each.participants}

    def new_host(self) -> str:
        """Return an address that nobody has had."""
        self._hosts += 1
        return f"10.0.{self._hosts >> 8}.{self._hosts & 0xFF}"

    def world(self, host: str | None = None) -> VisitorWorld:
        """Return the network as seen from `host`, a new one by default."""
        random = Random(self._random.getrandbits(64))
        host = host or self.new_host()
        return memory_world(self.network, host, random=random, wall=wall_clock, certificate=simulation_certificate())

    def token(
        self,
        identity: str,
        *,
        room: str = ROOM,
        lifetime_seconds: float = 3600,
        claims: dict[str, object] | None = None,
        **grant: object,
    ) -> str:
        """Make a token to join with; `grant` are fields of the video grant, `claims` others of the token's."""
        video = VideoGrant(**({"room_join": True, "room": room} | grant))
        said = Claims(identity=Identity(identity), video=video, **(claims or {}))
        return tokens.mint(said, KEY, SECRET, wall=wall_clock(), lifetime_seconds=lifetime_seconds)

    def visitor(
        self,
        identity: str,
        *,
        single: bool,
        room: str = ROOM,
        grant: dict[str, object] | None = None,
        claims: dict[str, object] | None = None,
        world: VisitorWorld | None = None,
        **options: object,
    ) -> AbstractAsyncContextManager[Visitor]:
        """Send a visitor to a room, for as long as the block lasts."""
        token = self.token(identity, room=room, claims=claims, **(grant or {}))
        return open_visitor(world or self.world(), HTTP, token, single_connection=single, **options)

    async def wait_empty(self) -> None:
        """Wait until every room has closed by itself, and check that nothing is left of what was in them."""
        with trio.fail_after(VIRTUAL_ROOMS_CLOSE_SECONDS):
            await trio.lowlevel.checkpoint()
            for room in self.server.rooms:
                await room.wait_closed()
        self.check_nothing_left()

    def check_nothing_left(self) -> None:
        """Check that the server is as if nobody had ever come."""
        statistics = self.server.endpoint.statistics()
        assert (list(self.server.rooms), statistics.connections, statistics.routes) == ([], 0, 0)
        assert not self.errors, [record.getMessage() for record in self.errors]

    def take_errors(self) -> list[str]:
        """Return what was logged as an error so far, one line each, and forget it: it was meant to happen."""
        errors = [f"{record.getMessage()}: {_text(record)}" for record in self.errors]
        self.errors.clear()
        return errors


@asynccontextmanager
async def open_house(
    *,
    seed: int = 1,
    link: Link = HOME_LINK,
    room: RoomConfig | None = None,
    config: dict[str, object] | None = None,
    post: Post = post_nowhere,
) -> AsyncIterator[House]:
    """Run a server in memory. When the block is left, see that everybody who was there has left nothing behind.

    `room`, and the sections in `config`, stand for the defaults of the configuration. `post` takes the server's webhooks.
    """
    random = Random(seed)
    tasks = trio.lowlevel.current_statistics().tasks_living
    chosen = Config(**({"keys": {KEY: SECRET}, "room": room or RoomConfig()} | (config or {})))
    handler = _ErrorCollector(level=logging.ERROR)
    logging.getLogger().addHandler(handler)
    try:
        with trio.fail_after(HANG_SECONDS):
            async with open_network(Random(random.getrandbits(64))) as network, trio.open_nursery() as nursery:
                network.default_link = link
                stop = trio.Event()
                server = await nursery.start(_serve, network, Random(random.getrandbits(64)), chosen, stop, post)
                house = House(network, server, random, stop)
                handler.collect = house.errors.append
                yield house
                await house.wait_empty()
                stop.set()
    finally:
        logging.getLogger().removeHandler(handler)
    house.check_nothing_left()
    assert trio.lowlevel.current_statistics().tasks_living == tasks, "a task was left behind"


async def _serve(
    network: Network,
    random: Random,
    config: Config,
    stop: trio.Event,
    post: Post,
    *,
    task_status: trio.TaskStatus[Server],
) -> None:
    async with serve_in_memory(network, random, config=config, post=post) as server:
        task_status.started(server)
        await stop.wait()


@asynccontextmanager
async def open_call(*, single: bool, link: Link = HOME_LINK) -> AsyncIterator[tuple[House, Visitor, Visitor]]:
    """Run a house with Alice and Bob in it, both in the layout given."""
    async with (
        open_house(link=link) as house,
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single) as bob,
    ):
        yield house, alice, bob


def set_silent(visitor: Visitor, *, silent: bool) -> None:
    """Cut off its media, and leave the signal connection alone."""
    for link in visitor._connections.links:
        link.socket.is_silent = silent


async def wait_until(condition: Callable[[], bool], *, every: float = 0.01) -> None:
    """Look at something in the server that tells nobody of its changes, until it holds; by the virtual clock."""
    while not condition():  # noqa: ASYNC110 - no event to wait for, and the clock is virtual
        await trio.sleep(every)


def sent(visitor: Visitor, kind: str) -> list[object]:
    """Return the contents of the messages of `kind` that the server sent to a visitor."""
    return [getattr(each.content, kind) for each in visitor.messages if not each.is_sent and each.kind == kind]


def flows(visitor: Visitor, sid: str, packets: int = 5) -> Callable[[], bool]:
    """Return a condition: so many more packets of a track have come to a visitor since now."""
    known = visitor.received.get(sid)
    start = known.packets if known is not None else 0
    return partial(_has_packets, visitor, sid, start + packets)


def _has_packets(visitor: Visitor, sid: str, packets: int) -> bool:
    track = visitor.received.get(sid)
    return track is not None and track.packets >= packets


class _ErrorCollector(logging.Handler):
    collect: Callable[[logging.LogRecord], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.collect is not None:
            self.collect(record)


def _text(record: logging.LogRecord) -> str:
    return repr(record.exc_info[1]) if record.exc_info else ""
