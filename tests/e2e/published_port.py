"""A published UDP port, as a container's: datagrams to one address are sent on to another, and back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import NamedTuple

import trio

from triforium.testing.links import Link, Route

DATAGRAM_BYTES = 2048
UNDER_WAY_DATAGRAMS = 1024

_Address = tuple[str, int]


class _Flow(NamedTuple):
    """The port inside of one sender outside, for as long as its scope is not cancelled."""

    socket: trio.socket.SocketType
    scope: trio.CancelScope


class PublishedPort:
    """Made by `open_published_port`. `forwarded` counts datagrams in both directions.

    `link` is the way back to each sender: its conditions hold for what comes from inside from now on.
    """

    def __init__(self, outside: trio.socket.SocketType, inside: str, nursery: trio.Nursery) -> None:
        self.number = outside.getsockname()[1]
        self.forwarded = 0
        self.link = Link()
        self._outside = outside
        self._inside = inside
        self._nursery = nursery
        self._flows: dict[_Address, _Flow] = {}

    def rebind(self) -> None:
        """Forget all flows, as a device does that translates addresses: senders get other ports inside."""
        for flow in self._flows.values():
            flow.scope.cancel()
        self._flows.clear()

    async def run(self) -> None:
        """Carry what comes from outside. Each sender gets a port of its own inside, as address translation does."""
        while True:
            datagram, sender = await self._outside.recvfrom(DATAGRAM_BYTES)
            flow = self._flows.get(sender)
            if flow is None:
                flow = self._flows[sender] = _Flow(trio.socket.socket(type=trio.socket.SOCK_DGRAM), trio.CancelScope())
                await flow.socket.connect((self._inside, self.number))
                self._nursery.start_soon(self._carry_back, flow, sender)
            self.forwarded += 1
            await flow.socket.send(datagram)

    async def _carry_back(self, flow: _Flow, sender: _Address) -> None:
        route = Route(Random(1))
        on_the_way, arriving = trio.open_memory_channel[tuple[float, bytes]](UNDER_WAY_DATAGRAMS)
        self._nursery.start_soon(self._deliver, arriving, sender)
        with flow.scope, flow.socket, on_the_way:
            while True:
                datagram = await flow.socket.recv(DATAGRAM_BYTES)
                self.forwarded += 1
                for arrival in route.carry(self.link, len(datagram), trio.current_time()) or ():
                    await on_the_way.send((arrival, datagram))

    async def _deliver(self, arriving: trio.MemoryReceiveChannel[tuple[float, bytes]], sender: _Address) -> None:
        async for arrival, datagram in arriving:
            await trio.sleep_until(arrival)
            await self._outside.sendto(datagram, sender)


@asynccontextmanager
async def open_published_port(outside: str, inside: str) -> AsyncIterator[PublishedPort]:
    """Forward a free port of the address `outside` to the same port of `inside`, for as long as the block lasts."""
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as socket:
        await socket.bind((outside, 0))
        async with trio.open_nursery() as nursery:
            port = PublishedPort(socket, inside, nursery)
            nursery.start_soon(port.run)
            yield port
            nursery.cancel_scope.cancel()
