"""A network of hosts in one process: UDP sockets and TCP connections over links of any quality, all from one seed.

Time is `trio.current_time`: virtual under `trio.testing.MockClock`, where hours of traffic pass in seconds and every
arrival is exact; real otherwise. For a run to repeat exactly, run it in `deterministic_scheduling` too.
"""

import errno
import itertools
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Container, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache, partial
from heapq import heappop, heappush
from ipaddress import ip_address
from random import Random
from typing import Final, NoReturn

import trio

from rtp.units import Address
from triforium.testing.links import Link, Route
from triforium.testing.streams import MemoryListener, MemoryStream, connect

INBOX_DATAGRAMS: Final = 4_096
"""How many datagrams wait at a socket to be received; what comes on top is dropped, as by a kernel."""

EPHEMERAL_PORTS: Final = range(49_152, 65_536)
"""Where port 0 is taken from (RFC 6335 §6)."""


class Fate(Enum):
    """What became of a datagram, or of a copy of it."""

    DELIVERED = auto()
    DUPLICATED = auto()  # delivered once more
    LOST = auto()  # by the link's `loss`
    QUEUE_FULL = auto()  # at the link's bottleneck
    PARTITIONED = auto()
    UNREACHABLE = auto()  # no socket there when it arrived
    OVERFLOWED = auto()  # the socket's inbox was full


@dataclass(frozen=True, slots=True)
class TracedDatagram:
    """One datagram's end, at `time` in `trio.current_time` seconds."""

    time: float
    source: Address
    destination: Address
    data: bytes
    fate: Fate


class MemoryDatagramSocket:
    """A UDP socket of the in-memory network, bound to `address`. Made by `Network.socket`.

    `kernel_drops` counts what was dropped for want of room in the inbox, as a kernel's socket tells.
    """

    def __init__(self, network: "Network", address: Address) -> None:
        self.address = address
        self.kernel_drops = 0
        self._network = network
        self._inbox = deque[tuple[bytes, Address, float]]()
        self._readable = trio.Event()
        self._closed = False

    async def wait_readable(self) -> None:
        """Return when something can be received. A checkpoint.

        Raises:
            trio.ClosedResourceError: if the socket is closed, or becomes so.
        """
        self._check_open()
        await self._readable.wait()
        self._check_open()

    def receive_batch(self, limit: int) -> list[tuple[bytes, Address, float]]:
        """Return up to `limit` datagrams, each with its source and its time of arrival. Never blocks.

        Raises:
            trio.ClosedResourceError: if the socket is closed.
        """
        self._check_open()
        batch = [self._inbox.popleft() for _ in range(min(limit, len(self._inbox)))]
        if not self._inbox and self._readable.is_set():
            self._readable = trio.Event()
        return batch

    def send_batch(self, datagrams: Sequence[tuple[bytes, Address]]) -> int:
        """Send each datagram to its address; return how many were taken, which is all. Never blocks.

        Raises:
            trio.ClosedResourceError: if the socket is closed.
        """
        self._check_open()
        for data, destination in datagrams:
            self._network.send(data, self.address, destination)
        return len(datagrams)

    def rebind(self, host: str, port: int = 0) -> None:
        """Move to another address, as when a phone changes networks or a NAT forgets its binding. Never blocks.

        What was received stays; what is sent to the old address, or under way to it, arrives nowhere.

        Raises:
            OSError: EADDRINUSE, if another socket has the address.
            trio.ClosedResourceError: if the socket is closed.
        """
        self._check_open()
        self.address = self._network.move(self, host, port)

    def close(self) -> None:
        """Free the address and wake who waits. Never blocks; harmless the second time."""
        if not self._closed:
            self._closed = True
            self._network.forget(self)
            self._readable.set()

    def deliver(self, data: bytes, source: Address, arrived_at: float) -> bool:
        """Put a datagram into the inbox: the network's verb. Returns False if that is full."""
        if len(self._inbox) >= INBOX_DATAGRAMS:
            self.kernel_drops += 1
            return False
        self._inbox.append((data, source, arrived_at))
        self._readable.set()
        return True

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this socket was closed")


class Network:
    """Hosts, known by their IP literals, and what lies between them. Run by one task: see `open_network`.

    `default_link` holds in every direction that `set_link` was not called for. `tap`, if set, is called with the end of
    each datagram, in order; it neither raises nor waits. `fates` counts the same.
    """

    def __init__(self, random: Random) -> None:
        self.default_link = Link()
        self.tap: Callable[[TracedDatagram], None] | None = None
        self.fates = Counter[Fate]()
        self._random = random
        self._links: dict[tuple[str, str], Link] = {}
        self._routes: dict[tuple[str, str], Route] = {}
        self._partitions: set[frozenset[str]] = set()
        self._held: dict[tuple[str, str], list[Callable[[], None]]] = {}  # streams' arrivals, until healed
        self._sockets: dict[Address, MemoryDatagramSocket] = {}
        self._listeners: dict[Address, MemoryListener] = {}
        self._ports = (port for _ in itertools.count() for port in EPHEMERAL_PORTS)  # a `cycle` would keep them all
        self._numbers = itertools.count()  # what is due at the same time happens in the order of its scheduling
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._alarm = trio.CancelScope()

    async def run(self) -> NoReturn:
        """Deliver all that is sent, each at its time, until cancelled."""
        while True:
            self._alarm.deadline = self._due[0][0] if self._due else math.inf
            with self._alarm:
                await trio.sleep_forever()
            self._alarm = trio.CancelScope()
            now = trio.current_time()
            while self._due and self._due[0][0] <= now:
                heappop(self._due)[2]()

    def socket(self, host: str, port: int = 0) -> MemoryDatagramSocket:
        """Return a UDP socket bound at `host`, an IP literal; port 0 takes a free one. Never blocks.

        Raises:
            OSError: EADDRINUSE, if another socket has the address.
            ValueError: if `host` is not the literal of one address.
        """
        address = self._free_address(host, port, self._sockets)
        socket = self._sockets[address] = MemoryDatagramSocket(self, address)
        return socket

    def listen_tcp(self, host: str, port: int = 0) -> MemoryListener:
        """Return a listener at `host`, an IP literal; port 0 takes a free one. Never blocks; raises as `socket`."""
        address = self._free_address(host, port, self._listeners)
        listener = self._listeners[address] = MemoryListener(address, partial(self._listeners.__delitem__, address))
        return listener

    async def connect_tcp(self, source_host: str, destination: Address) -> MemoryStream:
        """Return a connection from a free port at `source_host` to `destination`, one round trip later. A checkpoint.

        Raises:
            ConnectionRefusedError: if nobody listens there, or too many connections wait to be accepted.
            ValueError: if a host is not the literal of one address.
        """
        local = (_canonical(source_host), next(self._ports))
        peer = (_canonical(destination[0]), destination[1])
        outward = partial(self._carry, local[0], peer[0])
        homeward = partial(self._carry, peer[0], local[0])
        return await connect(local, peer, outward, homeward, lambda: self._listeners.get(peer))

    def set_link(self, source_host: str, destination_host: str, link: Link) -> None:
        """Set the conditions in one direction for all that is sent from now on."""
        self._links[_canonical(source_host), _canonical(destination_host)] = link

    def partition(self, a: str, b: str) -> None:
        """Cut two hosts off from each other: datagrams vanish, also those under way; streams wait for `heal`."""
        self._partitions.add(frozenset((_canonical(a), _canonical(b))))

    def heal(self, a: str, b: str) -> None:
        """End a partition. What streams were sent meanwhile sets out again now."""
        a, b = _canonical(a), _canonical(b)
        self._partitions.discard(frozenset((a, b)))
        for source, destination in ((a, b), (b, a)):
            for arrive in self._held.pop((source, destination), []):
                self._carry(source, destination, 0, arrive)

    def send(self, data: bytes, source: Address, destination: Address) -> None:
        """Send a datagram: a socket's verb. Never blocks."""
        now = trio.current_time()
        destination = (_canonical(destination[0]), destination[1])
        if self._is_cut(source[0], destination[0]):
            self._record(TracedDatagram(now, source, destination, data, Fate.PARTITIONED))
            return
        route, link = self._direction(source[0], destination[0])
        arrivals = route.carry(link, len(data), now)
        if not arrivals:
            fate = Fate.QUEUE_FULL if arrivals is None else Fate.LOST
            self._record(TracedDatagram(now, source, destination, data, fate))
            return
        for due, fate in zip(arrivals, (Fate.DELIVERED, Fate.DUPLICATED), strict=False):
            self._schedule(due, partial(self._deliver, TracedDatagram(due, source, destination, data, fate)))

    def move(self, socket: MemoryDatagramSocket, host: str, port: int) -> Address:
        """Bind a socket to another address and return that: a socket's verb."""
        address = self._free_address(host, port, self._sockets)
        self.forget(socket)
        self._sockets[address] = socket
        return address

    def forget(self, socket: MemoryDatagramSocket) -> None:
        """Free a socket's address: a socket's verb."""
        del self._sockets[socket.address]

    def _deliver(self, datagram: TracedDatagram) -> None:
        socket = self._sockets.get(datagram.destination)
        fate = datagram.fate
        if self._is_cut(datagram.source[0], datagram.destination[0]):
            fate = Fate.PARTITIONED
        elif socket is None:
            fate = Fate.UNREACHABLE
        elif not socket.deliver(datagram.data, datagram.source, datagram.time):
            fate = Fate.OVERFLOWED
        self._record(replace(datagram, fate=fate))

    def _record(self, datagram: TracedDatagram) -> None:
        self.fates[datagram.fate] += 1
        if self.tap is not None:
            self.tap(datagram)

    def _carry(self, source_host: str, destination_host: str, size: int, arrive: Callable[[], None]) -> None:
        """Carry a stream's bytes: never lost, and not turned away by a full queue, for their window bounds them."""
        route, link = self._direction(source_host, destination_host)
        due = route.arrive(link, route.depart(link, size, trio.current_time()))
        self._schedule(due, partial(self._arrive, source_host, destination_host, arrive))

    def _arrive(self, source_host: str, destination_host: str, arrive: Callable[[], None]) -> None:
        if self._is_cut(source_host, destination_host):
            self._held.setdefault((source_host, destination_host), []).append(arrive)
        else:
            arrive()

    def _schedule(self, due: float, what: Callable[[], None]) -> None:
        heappush(self._due, (due, next(self._numbers), what))
        if due < self._alarm.deadline:  # noqa: PLR1730  # to set it is to move it, which costs even if it is the same
            self._alarm.deadline = due

    def _direction(self, source_host: str, destination_host: str) -> tuple[Route, Link]:
        pair = (source_host, destination_host)
        route = self._routes.get(pair)
        if route is None:
            route = self._routes[pair] = Route(self._random)
        return route, self._links.get(pair, self.default_link)

    def _is_cut(self, a: str, b: str) -> bool:
        return bool(self._partitions) and frozenset((a, b)) in self._partitions

    def _free_address(self, host: str, port: int, taken: Container[Address]) -> Address:
        host = _canonical(host)
        candidates = (port,) if port else itertools.islice(self._ports, len(EPHEMERAL_PORTS))
        for candidate in candidates:
            if (host, candidate) not in taken:
                return host, candidate
        raise OSError(errno.EADDRINUSE, f"no free address at {host} port {port}")


@asynccontextmanager
async def open_network(random: Random) -> AsyncIterator[Network]:
    """Run a network for as long as the block lasts. `random` decides losses, jitter and the like."""
    network = Network(random)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.run)
        yield network
        nursery.cancel_scope.cancel("the network's block has ended")


@lru_cache(maxsize=4_096)
def _canonical(host: str) -> str:
    """Return the one spelling of an IP literal, so that two of them compare as their addresses do."""
    address = ip_address(host)
    if address.is_unspecified:
        raise ValueError(f"{host} stands for every address; a host of this network has one")
    return str(address)
