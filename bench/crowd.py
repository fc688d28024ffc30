"""People who come to one room and publish nothing, with all of theirs and the server's work done in this process.

The network is in memory and the clock virtual, so that nothing is waited for. Prints its figures as one JSON line, once
everybody knows everybody.
"""

import gc
import json
import sys
import time
from functools import partial
from random import Random
from typing import Final

import trio
from trio.testing import MockClock

from rtp.units import Address
from sfu.model import Claims, Identity, VideoGrant
from signaling import tokens
from triforium.config import DEVELOPMENT_KEYS, Config
from triforium.testing import Network, open_network
from triforium.testing.world import HTTP_PORT, SERVER_HOST, serve_in_memory, simulation_certificate, wall_clock
from triforium.visitor import Visitor, VisitorWorld, memory_world, open_visitor

ARRIVALS_PER_SECOND: Final = 50
HTTP: Final[Address] = (SERVER_HOST, HTTP_PORT)


async def main(people: int) -> None:
    random = Random(1)
    async with (
        open_network(Random(2)) as network,
        serve_in_memory(network, random, config=Config(keys=DEVELOPMENT_KEYS)),
        trio.open_nursery() as nursery,
    ):
        before = time.process_time()
        visitors: list[Visitor] = []
        async with trio.open_nursery() as arrivals:
            for number in range(people):
                arrivals.start_soon(arrive, network, number, people, visitors, nursery)
        last_arrival = (people - 1) / ARRIVALS_PER_SECOND
        figures = {
            "cpu_seconds": time.process_time() - before,
            "kilobytes": sum(each.content.ByteSize() for visitor in visitors for each in visitor.messages)
            / people
            / 1e3,
            "known_after_seconds": trio.current_time() - last_arrival,
        }
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()
        nursery.cancel_scope.cancel("all is measured")


async def arrive(network: Network, number: int, people: int, visitors: list[Visitor], nursery: trio.Nursery) -> None:
    """Come when it is time, and return when everybody is known."""
    await trio.sleep(number / ARRIVALS_PER_SECOND)
    visitor: Visitor = await nursery.start(visit, network, number)
    visitors.append(visitor)
    await visitor.wait_connected()
    await visitor.wait_until(partial(knows, visitor, people - 1))


async def visit(network: Network, number: int, *, task_status: trio.TaskStatus[Visitor]) -> None:
    token = make_token("crowd", f"person-{number}")
    async with open_visitor(world(network, number), HTTP, token, single_connection=True) as visitor:
        task_status.started(visitor)
        await trio.sleep_forever()


def knows(visitor: Visitor, others: int) -> bool:
    return len(visitor.roster.others) == others


def world(network: Network, number: int) -> VisitorWorld:
    """Return the network as a host of its own sees it."""
    host = f"10.0.{number >> 8}.{number & 0xFF}"
    return memory_world(network, host, random=Random(number), wall=wall_clock, certificate=simulation_certificate())


def make_token(room: str, identity: str) -> str:
    """Return a token to join a room of a server with the keys for development."""
    key, secret = next(iter(DEVELOPMENT_KEYS.items()))
    claims = Claims(identity=Identity(identity), video=VideoGrant(room_join=True, room=room))
    return tokens.mint(claims, key, secret, wall=wall_clock(), lifetime_seconds=3600)


if __name__ == "__main__":
    gc.disable()  # the command collects only when it is idle, and here nothing ever is
    trio.run(main, int(sys.argv[1]), clock=MockClock(autojump_threshold=0))
