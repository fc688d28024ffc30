"""Where datagrams come from and go to: the protocol that the endpoint speaks, and the kernel's sockets behind it."""

import logging
import socket
import struct
from collections.abc import Sequence
from typing import Final, Protocol

import trio

from rtp.units import Address
from sfu.transport.batched import PlainSender, SegmentingSender, segmentation_works
from sfu.transport.feedback_socket import open_feedback_socket

logger = logging.getLogger(__name__)

MAX_DATAGRAM_BYTES: Final = 2048
"""Longer datagrams are cut short by the kernel, and then fail their authentication."""

SOCKET_BUFFER_BYTES: Final = 8 * 1024 * 1024
"""Asked of the kernel, each way: the default holds some 90 packets, less than one burst of a busy room."""

SO_RXQ_OVFL: Final = getattr(socket, "SO_RXQ_OVFL", 40)
"""Linux: tell with each datagram how many were dropped for want of room. The module does not name it."""

_COUNTER = struct.Struct("=I")


class DatagramSocket(Protocol):
    """A bound UDP socket, of the kernel or of a network in memory. Only `wait_readable` checkpoints."""

    @property
    def address(self) -> Address:
        """The local address that it is bound to."""

    @property
    def kernel_drops(self) -> int:
        """How many datagrams were dropped before we could receive them."""

    async def wait_readable(self) -> None:
        """Return when there may be something to receive."""

    def receive_batch(self, limit: int) -> list[tuple[bytes, Address, float]]:
        """Return at most `limit` datagrams with their source and time of arrival, oldest first."""

    def send_batch(self, datagrams: Sequence[tuple[bytes, Address]]) -> int:
        """Send what can be sent at once; return how many were taken. What was not taken is lost."""

    def close(self) -> None:
        """Give the address back."""


class UdpSocket:
    """A `DatagramSocket` of the kernel.

    Args:
        kernel_socket: bound, and not blocking.
        segmentation: whether several datagrams for one peer may leave as one message.
    """

    def __init__(self, kernel_socket: socket.socket, *, segmentation: bool = False) -> None:
        self._socket = kernel_socket
        self._receive = kernel_socket.recvmsg
        sender = SegmentingSender(kernel_socket) if segmentation else PlainSender(kernel_socket)
        self.send_batch = sender.send_batch
        host, port = kernel_socket.getsockname()[:2]
        self.address: Address = (host, port)
        self.kernel_drops = 0

    async def wait_readable(self) -> None:
        """Return when there may be something to receive. A checkpoint."""
        await trio.lowlevel.wait_readable(self._socket)

    def receive_batch(self, limit: int) -> list[tuple[bytes, Address, float]]:
        """Receive until the kernel has no more, or `limit` is reached."""
        now = trio.current_time()
        received: list[tuple[bytes, Address, float]] = []
        receive = self._receive
        try:
            while len(received) < limit:
                data, ancillary, _, source = receive(MAX_DATAGRAM_BYTES, 64)
                if ancillary:
                    self._count_kernel_drops(ancillary)
                received.append((data, source[:2], now))
        except BlockingIOError:
            pass
        except ConnectionError:
            pass  # an ICMP error for something sent earlier: whoever is gone will be missed by their timers
        return received

    def open_feedback_socket(self) -> "UdpSocket | None":
        """Put transport-wide feedback aside, for the socket that is returned; None: it keeps coming here."""
        aside = open_feedback_socket(self._socket)
        if aside is None:
            return None
        aside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        _count_drops(aside)
        return UdpSocket(aside)

    def close(self) -> None:
        """Close the kernel's socket."""
        self._socket.close()

    def _count_kernel_drops(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                (self.kernel_drops,) = _COUNTER.unpack(data[: _COUNTER.size])


def open_udp_socket(host: str, port: int, *, quiet: bool = False) -> UdpSocket:
    """Bind a socket to one local address and ask for large buffers. Does not checkpoint.

    Args:
        host: an IP literal of either family.
        port: 0 for any free one.
        quiet: whether small buffers are a debug line only, as on a developer's machine.

    Raises:
        OSError: the address is in use, or is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kernel_socket = socket.socket(family, socket.SOCK_DGRAM)
    try:
        kernel_socket.setblocking(False)
        if family == socket.AF_INET6:
            kernel_socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option, sysctl in ((socket.SO_RCVBUF, "net.core.rmem_max"), (socket.SO_SNDBUF, "net.core.wmem_max")):
            kernel_socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
            granted = kernel_socket.getsockopt(socket.SOL_SOCKET, option) // 2  # Linux reports twice what it gives
            if granted < SOCKET_BUFFER_BYTES:
                level = logging.DEBUG if quiet else logging.WARNING
                text = "%s grants only %d bytes of socket buffer; set it to %d"
                logger.log(level, text, sysctl, granted, SOCKET_BUFFER_BYTES)
        _count_drops(kernel_socket)
        kernel_socket.bind((host, port))
    except OSError:
        kernel_socket.close()
        raise
    return UdpSocket(kernel_socket, segmentation=segmentation_works(family))


def _count_drops(kernel_socket: socket.socket) -> None:
    try:
        kernel_socket.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    except OSError:
        logger.debug("the kernel does not count dropped datagrams")
