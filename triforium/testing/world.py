"""A whole server on a network in memory, on whatever clock trio has: for tests that own time, chance and packets."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Final

import trio

from rtp.certificate import Certificate
from rtp.ice.candidates import host_candidate
from sfu.environment import Offered
from signaling.webhooks import Post, UnreachableError
from triforium.app import Server, serve_on
from triforium.config import Config
from triforium.surroundings import Surroundings
from triforium.testing.network import Network

SERVER_HOST: Final = "192.0.2.1"
HTTP_PORT: Final = 7880
MEDIA_PORT: Final = 7882

EPOCH: Final = 1_800_000_000.0
"""What the wall clock shows when trio's clock shows zero."""


def wall_clock() -> float:
    """Return Unix seconds that go with trio's clock."""
    return EPOCH + trio.current_time()


@cache
def simulation_certificate() -> Certificate:
    """Return one RSA certificate for all simulations of this process: its signatures always have the same length."""
    return Certificate.generate(not_before=datetime.fromtimestamp(EPOCH - 86400, UTC), use_rsa=True)


async def post_nowhere(url: str, body: bytes, headers: Mapping[str, str]) -> int:  # noqa: ARG001 - a callable's
    """Reach no receiver of webhooks."""
    await trio.lowlevel.checkpoint()
    raise UnreachableError("nobody takes webhooks here")


@asynccontextmanager
async def serve_in_memory(
    network: Network,
    random: Random,
    *,
    config: Config | None = None,
    wall: Callable[[], float] = wall_clock,
    post: Post = post_nowhere,
) -> AsyncIterator[Server]:
    """Run a server at `SERVER_HOST` of `network`; everything it draws by chance comes from `random`.

    `post` takes its webhooks.
    """
    socket = network.socket(SERVER_HOST, MEDIA_PORT)
    surroundings = Surroundings(
        listeners=[network.listen_tcp(SERVER_HOST, HTTP_PORT)],
        sockets=[socket],
        offered=Offered((host_candidate(socket.address, 0),)),
        certificate=simulation_certificate(),
        wall=wall,
        random=random,
        post=post,
        port=HTTP_PORT,
    )
    chosen = config or Config(keys={"devkey": "a secret of thirty-two characters"})
    async with serve_on(surroundings, chosen) as server:
        yield server
