"""Where a visitor's network, time and chance come from."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from random import Random, SystemRandom

import trio

from rtp.certificate import Certificate
from rtp.dtls import DtlsContext
from rtp.units import Address
from sfu.transport.socket import DatagramSocket, open_udp_socket
from triforium.testing.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitorWorld:
    """What a visitor needs of the world.

    `connect` opens a stream to a server from `host`; `open_socket(host, 0)` binds a UDP socket to any free port
    of a local address. `wall` is Unix seconds. `random` also makes keys, so it is a seeded one in tests only.
    """

    host: str
    connect: Callable[[Address], Awaitable[trio.abc.Stream]]
    open_socket: Callable[[str, int], DatagramSocket]
    random: Random
    wall: Callable[[], float]
    certificate: Certificate
    dtls: DtlsContext


def real_world(host: str = "127.0.0.1") -> VisitorWorld:
    """Return the kernel's network, seen from the local address `host`."""
    certificate = _new_certificate()
    return VisitorWorld(
        host=host,
        connect=_connect_tcp,
        open_socket=partial(open_udp_socket, quiet=True),
        random=SystemRandom(),
        wall=time.time,
        certificate=certificate,
        dtls=DtlsContext(certificate),
    )


def memory_world(
    network: Network, host: str, *, random: Random, wall: Callable[[], float], certificate: Certificate
) -> VisitorWorld:
    """Return a network in memory, seen from its `host`."""

    async def connect(server: Address) -> trio.abc.Stream:
        return await network.connect_tcp(host, server)

    return VisitorWorld(
        host=host,
        connect=connect,
        open_socket=network.socket,
        random=random,
        wall=wall,
        certificate=certificate,
        dtls=DtlsContext(certificate),
    )


async def _connect_tcp(server: Address) -> trio.abc.Stream:
    return await trio.open_tcp_stream(*server)


@cache
def _new_certificate() -> Certificate:
    return Certificate.generate(not_before=datetime.now(UTC))
