"""People who come and go one after the other, with all of theirs and the server's work done in this process.

The network is in memory and the clock virtual, so that nothing is waited for. Prints one JSON line: what a visit cost, and
what was more in memory after the last tenths of them than after the first, with every room closed each time. It fails
if that was too much.
"""

import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

import trio
from livekit.protocol.rtc import LeaveRequest, SignalRequest, SignalResponse
from trio.testing import MockClock

from bench.crowd import HTTP, make_token, world
from triforium.app import Server
from triforium.config import DEVELOPMENT_KEYS, Config
from triforium.testing import Network, open_network
from triforium.testing.world import serve_in_memory
from triforium.visitor import open_visitor
from triforium.visitor.errors import SignalLostError
from triforium.visitor.joining import dual_path
from triforium.visitor.websocket import WebSocket

VISITS_OF_A_ROOM: Final = 10
TENTHS: Final = 10

FORGETTING_SECONDS: Final = 3_600.0
"""Of virtual time: trio keeps up to a thousand deadlines of what is over until they have passed."""

MAX_GROWN_KIB: Final = 4096
"""Of resident memory, which the same run has left with 1.7 MiB more and with 0.9 MiB less: what lives in it is counted."""

MAX_GROWN_BLOCKS: Final = 1000
"""Of Python's memory, whether the collector watches what is in them or not; a leak would be one for each visit."""

MAX_GROWN_OBJECTS: Final = 5
"""The collector forgets a tuple now and then that it need not watch."""

Visit = Callable[[Network, str, str], Awaitable[None]]


async def main(visit: Visit, visits: int) -> None:
    spent, resident, blocks, objects = 0.0, list[int](), list[int](), list[int]()
    async with open_house() as (network, server):
        for tenth in range(TENTHS):
            before = time.process_time()
            for number in range(visits // TENTHS):
                await visit(network, f"room-{tenth}-{number // VISITS_OF_A_ROOM}", f"person-{number}")
            spent += time.process_time() - before
            await wait_empty(server)
            resident.append(resident_bytes())
            blocks.append(sys.getallocatedblocks())
            objects.append(len(gc.get_objects()))
    figures = {
        "cpu_ms": spent / visits * 1e3,
        "grown_kib": grown(resident) / 2**10,
        "grown_blocks": grown(blocks),
        "grown_objects": grown(objects),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    is_too_much = (
        figures["grown_kib"] > MAX_GROWN_KIB
        or figures["grown_blocks"] > MAX_GROWN_BLOCKS
        or figures["grown_objects"] > MAX_GROWN_OBJECTS
    )
    if is_too_much:
        raise SystemExit(f"something was left behind: bytes {resident}, blocks {blocks}, objects {objects}")


def grown(counts: Sequence[int]) -> float:
    """Return by how much the last are more than the first: no one tenth says what is normal."""
    return median(counts[-3:]) - median(counts[:3])


@asynccontextmanager
async def open_house() -> AsyncIterator[tuple[Network, Server]]:
    async with (
        open_network(Random(2)) as network,
        serve_in_memory(network, Random(1), config=Config(keys=DEVELOPMENT_KEYS)) as server,
    ):
        yield network, server


async def visit_fully(network: Network, room: str, identity: str) -> None:
    """Join, be connected for media, leave."""
    async with open_visitor(world(network, 1), HTTP, make_token(room, identity), single_connection=True) as visitor:
        await visitor.wait_connected()


async def visit_by_signal(network: Network, room: str, identity: str) -> None:
    """Join and leave, without a connection for media."""
    async with await network.connect_tcp("10.0.0.1", HTTP) as stream:
        socket = WebSocket(stream)
        token = make_token(room, identity).encode()
        await socket.open("server", dual_path(auto_subscribe=True), [(b"Authorization", b"Bearer " + token)])
        frame = await socket.receive()
        assert isinstance(frame, bytes)
        assert SignalResponse.FromString(frame).HasField("join")
        await socket.send(SignalRequest(leave=LeaveRequest()).SerializeToString())
        try:
            while True:
                await socket.receive()
        except SignalLostError:
            pass


async def wait_empty(server: Server) -> None:
    """Return once every room has closed and everything of it is forgotten."""
    for room in server.rooms:
        await room.wait_closed()
    await trio.sleep(FORGETTING_SECONDS)
    await trio.testing.wait_all_tasks_blocked()
    gc.collect()


def resident_bytes() -> int:
    """Return what is resident, having given the kernel back what is free: how much of that is kept is a matter of luck."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    KINDS = {"full": visit_fully, "signal": visit_by_signal}
    trio.run(main, KINDS[sys.argv[1]], int(sys.argv[2]), clock=MockClock(autojump_threshold=0))
