"""A visitor's socket, which can be moved to another address, or fall silent, under an endpoint that does not notice."""

from collections.abc import Callable, Sequence

import trio

from rtp.units import Address
from sfu.transport.socket import DatagramSocket


class MovableSocket:
    """A `DatagramSocket` whose address stays the same to its owner, wherever it really is.

    So moving it is what a NAT does that forgets its binding: only the peer sees it. While it `is_silent` it neither
    sends nor receives.
    """

    def __init__(self, host: str, open_socket: Callable[[str, int], DatagramSocket]) -> None:
        self._open_socket = open_socket
        self._inner = open_socket(host, 0)
        self._waiting = trio.CancelScope()
        self.is_silent = False
        self._is_closed = False
        self.address = self._inner.address

    @property
    def kernel_drops(self) -> int:
        """How many datagrams were dropped before we could receive them, since the last move."""
        return self._inner.kernel_drops

    def move(self, host: str) -> None:
        """Bind to a free port of `host`; what is under way to the old address arrives nowhere. Never blocks."""
        old, self._inner = self._inner, self._open_socket(host, 0)
        self._waiting.cancel("moved")
        old.close()

    async def wait_readable(self) -> None:
        """Return when there may be something to receive. A checkpoint."""
        while True:
            with trio.CancelScope() as self._waiting:
                await self._inner.wait_readable()
                return

    def receive_batch(self, limit: int) -> list[tuple[bytes, Address, float]]:
        """Return at most `limit` datagrams with their source and time of arrival, oldest first."""
        received = self._inner.receive_batch(limit)
        return [] if self.is_silent else received

    def send_batch(self, datagrams: Sequence[tuple[bytes, Address]]) -> int:
        """Send what can be sent at once; return how many were taken."""
        return len(datagrams) if self.is_silent else self._inner.send_batch(datagrams)

    def close(self) -> None:
        """Give the address back; what is sent later goes nowhere. Harmless the second time."""
        if not self._is_closed:
            self._is_closed = self.is_silent = True
            self._inner.close()
