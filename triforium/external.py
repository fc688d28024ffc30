"""The address that a NAT has for us, asked of STUN servers (RFC 8489): for `rtc.use_external_ip`.

A server starts without waiting for it. Until there is an answer, our own address is offered.
"""

import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import trio

from rtp.errors import DecodeError
from rtp.stun import TRANSACTION_ID_BYTES, MessageClass, address_request, parse_message
from rtp.units import Address
from sfu.environment import Offered
from sfu.transport.socket import DatagramSocket

logger = logging.getLogger(__name__)

STUN_SERVERS: Final = ("stun.l.google.com:19302", "stun1.l.google.com:19302", "global.stun.twilio.com:3478")
"""LiveKit's default."""

REPEAT_SECONDS: Final = (0.5, 0.5, 1.0)
"""Between requests, and from the last on: datagrams get lost."""

RESOLVE_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 60.0
"""Between one round of requests that nobody answered and the next: the network may come up after us."""

MAX_ANSWERS: Final = 64
"""Datagrams taken at a time: anybody can send us some."""


async def resolve(host: str, port: int) -> list[Address]:
    """Return the IPv4 addresses of a name; none if there is none, or nobody says in time."""
    try:
        with trio.move_on_after(RESOLVE_SECONDS):
            found = await trio.socket.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
            return [(str(address[0]), int(address[1])) for *_, address in found]
    except (OSError, UnicodeError) as error:  # the latter if it cannot even be spelled in IDNA
        logger.debug("%s has no address: %s", host, error)
    return []


@dataclass(frozen=True, slots=True)
class ExternalLookup:
    """Finds what `own` addresses are called outside, and offers that in their place, at the same ports.

    IPv6 addresses, and those that the whole world can reach, are offered as they are.

    Args:
        offered: What is to be changed.
        own: Our addresses that are offered as they are.
        servers: The STUN servers, as `host:port`. All are asked, and the first answer holds.
        open_socket: Binds any free port of an address of ours. Raises OSError.
        resolve: Returns the addresses of a host name and a port.
        random: Makes transaction ids, by which answers are known that only who read a request can give.
    """

    offered: Offered
    own: Sequence[str]
    servers: Sequence[str]
    open_socket: Callable[[str], DatagramSocket]
    resolve: Callable[[str, int], Awaitable[Collection[Address]]]
    random: Random

    async def run(self) -> None:
        """Ask until each address has an answer."""
        async with trio.open_nursery() as nursery:
            for address in self.own:
                ip = ipaddress.ip_address(address)
                if ip.version == 4 and not ip.is_global and not ip.is_loopback:
                    nursery.start_soon(self._look_up, address)

    async def _look_up(self, own: str) -> None:
        has_warned = False
        while (external := await self._ask(own)) is None:
            if not has_warned:
                servers = ", ".join(self.servers)
                logger.warning("rtc.use_external_ip: no answer from %s: %s is offered as it is", servers, own)
                has_warned = True
            await trio.sleep(AGAIN_SECONDS)
        logger.info("media for %s is asked for at %s", own, external)
        self.offered.replace(own, external)

    async def _ask(self, own: str) -> str | None:
        """Ask every server; return the first answer, None if there is none."""
        servers: set[Address] = set()
        for server in self.servers:
            host, _, port = server.partition(":")
            servers.update(await self.resolve(host, int(port)))
        try:
            here = self.open_socket(own)
        except OSError as error:
            logger.debug("%s cannot be asked from: %s", own, error)
            return None
        transaction_id = self.random.randbytes(TRANSACTION_ID_BYTES)
        try:
            for seconds in REPEAT_SECONDS:
                here.send_batch([(address_request(transaction_id), server) for server in sorted(servers)])
                with trio.move_on_after(seconds):
                    return await _answer(here, servers, transaction_id)
        finally:
            here.close()
        return None


async def _answer(here: DatagramSocket, servers: Collection[Address], transaction_id: bytes) -> str:
    while True:
        await here.wait_readable()
        for datagram, source, _ in here.receive_batch(MAX_ANSWERS):
            mapped = mapped_address(datagram, transaction_id) if source in servers else None
            if mapped is not None:
                return mapped


def mapped_address(datagram: bytes, transaction_id: bytes) -> str | None:
    """Return the address that a server saw our request come from; None if this is no such answer."""
    try:
        message = parse_message(datagram)
    except DecodeError:
        return None
    is_ours = message.transaction_id == transaction_id and message.message_class is MessageClass.SUCCESS
    return message.xor_mapped_address[0] if is_ours and message.xor_mapped_address is not None else None
