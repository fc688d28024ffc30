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

MAX_GROWN: Final = {"objects": 5, "blocks": 1000, "heap_kib": 1024, "kib": 4096}
"""Of objects that the collector watches (it forgets a tuple now and then that it need not); of blocks of Python's memory,
where a leak would be one for each visit; of what is taken of C's heap; and of what is resident. That goes up and down by
two mebibytes while all the others stand still: the bound is for what none of them sees.
"""

Visit = Callable[[Network, str, str], Awaitable[None]]


async def main(visit: Visit, visits: int) -> None:
    spent, taken = 0.0, list[dict[str, float]]()
    async with open_house() as (network, server):
        for tenth in range(TENTHS):
            before = time.process_time()
            for number in range(visits // TENTHS):
                await visit(network, f"room-{tenth}-{number // VISITS_OF_A_ROOM}", f"person-{number}")
            spent += time.process_time() - before
            await wait_empty(server)
            taken.append(in_use())
    grown = {name: growth([each[name] for each in taken]) for name in MAX_GROWN}
    figures = {"cpu_ms": spent / visits * 1e3} | {f"grown_{name}": count for name, count in grown.items()}
    sys.stdout.write(json.dumps(figures) + "\n")
    if left := {name: [each[name] for each in taken] for name in MAX_GROWN if grown[name] > MAX_GROWN[name]}:
        raise SystemExit(f"something was left behind: {left}")


def growth(counts: Sequence[float]) -> float:
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


class HeapStatistics(ctypes.Structure):
    """What glibc says of its heap (malloc.h, mallinfo2): `taken` is what the program has, `mapped` beside the heap."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("arena", "free_chunks", "fast_chunks", "mappings", "mapped")),
        *((name, ctypes.c_size_t) for name in ("unused", "fast_free", "taken", "free", "on_top")),
    )


def in_use() -> dict[str, float]:
    """Return how much is in use, by the names in `MAX_GROWN`.

    The kernel is given back what is free, before we ask what is resident: how much of that is kept is a matter of luck.
    """
    libc = ctypes.CDLL(None)
    libc.malloc_trim(0)
    libc.mallinfo2.restype = HeapStatistics
    heap = libc.mallinfo2()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "heap_kib": (heap.taken + heap.mapped) / 2**10,
        "kib": pages * os.sysconf("SC_PAGE_SIZE") / 2**10,
    }


if __name__ == "__main__":
    KINDS = {"full": visit_fully, "signal": visit_by_signal}
    trio.run(main, KINDS[sys.argv[1]], int(sys.argv[2]), clock=MockClock(autojump_threshold=0))
