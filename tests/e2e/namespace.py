"""A host of the test's own: a network namespace, joined to this one by a veth pair."""

import itertools
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

import trio

IP: Final = Path("/usr/sbin/ip")

_RANGE: Final = IPv4Network("198.18.0.0/15")
"""For networks made for tests (RFC 2544 appendix C.2.2): nobody else's."""


MOST_PER_PROCESS: Final = 100

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Namespace:
    """Made by `open_namespace`. `outside` are our addresses on the pair: two, as there are two on the other side."""

    name: str
    outside: tuple[str, str]

    @property
    def command(self) -> tuple[str | Path, ...]:
        """What to put before a command for it to run inside."""
        return (IP, "netns", "exec", self.name)


@asynccontextmanager
async def open_namespace() -> AsyncIterator[Namespace]:
    """Have a network namespace for as long as the block lasts. What still runs inside then is killed.

    Its addresses are complete when it comes, and all of it is gone when it goes: Chromium, inside or outside, drops what
    it loads whenever it sees an address come or go. So nothing else should run Chromium meanwhile.

    Raises:
        PermissionError: if we are not root.
        FileNotFoundError: without Debian's iproute2.
    """
    if os.geteuid() != 0:
        raise PermissionError("a network namespace is made for this test, which takes root")
    number = os.getpid() * MOST_PER_PROCESS + next(_numbers)
    name, outer, inner = f"triforium-{number}", f"t{number}o", f"t{number}i"
    first = _RANGE[8 * (number % (_RANGE.num_addresses // 8))]
    hosts = [str(first + offset) for offset in range(1, 5)]
    pair = ("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
    async with (
        _having(("netns", "add", name), until=("netns", "del", name)),
        _having(pair, until=("link", "del", outer)),  # it would go with the namespace, but only some time later
    ):
        # No IPv6 address of their own: it would be there only seconds later, once nobody else turned out to have it.
        await _ip("link", "set", outer, "addrgenmode", "none")
        await _ip("-netns", name, "link", "set", inner, "addrgenmode", "none")
        for host in hosts[:2]:
            await _ip("addr", "add", f"{host}/29", "dev", outer)
        for host in hosts[2:]:
            await _ip("-netns", name, "addr", "add", f"{host}/29", "dev", inner)
        await _ip("link", "set", outer, "up")
        await _ip("-netns", name, "link", "set", inner, "up")
        await _ip("-netns", name, "link", "set", "lo", "up")
        await _ip("-netns", name, "route", "add", "default", "via", hosts[0])
        try:
            yield Namespace(name, (hosts[0], hosts[1]))
        finally:
            with trio.CancelScope(shield=True):
                await _kill_all(name)


@asynccontextmanager
async def _having(made: Sequence[str], *, until: Sequence[str]) -> AsyncIterator[None]:
    await _ip(*made)
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await _ip(*until)


async def _kill_all(name: str) -> None:
    """End what a killed driver has left behind: its browser."""
    for number in (await _ip("netns", "pids", name)).split():
        with suppress(ProcessLookupError):
            os.kill(int(number), signal.SIGKILL)


async def _ip(*arguments: str) -> str:
    try:
        done = await trio.run_process([IP, *arguments], capture_stdout=True, capture_stderr=True)
    except subprocess.CalledProcessError as error:
        raise OSError(f"ip {' '.join(arguments)}: {error.stderr.decode().strip()}") from error
    return done.stdout.decode()
