"""How datagrams leave a socket of the kernel: each in a call of its own, or several for one peer in one call.

A fan-out is queued packet by packet, each for all subscribers; here it is sorted by peer, and a peer's run of equal
sizes goes down the network stack once, as one message that the kernel or the card cuts up (UDP segmentation offload,
Linux 4.18). Bursts of four or five cost less than half of what separate calls do. `sendmmsg` on top of it was measured
too: it saves only entries into the kernel, 2 to 8 % of what is left, and is slower than this for a few datagrams.
"""

import errno
import logging
import socket
import struct
import sys
from collections.abc import Sequence
from functools import cache
from typing import Final

from rtp.units import Address

logger = logging.getLogger(__name__)

MAX_SEGMENT_BYTES: Final = 1232
"""Longer datagrams go alone: segments must fit the path, and all paths of IPv6 carry these (RFC 8200 §5)."""

MAX_SEGMENTS: Final = 53
"""In one message: 65,507 bytes is what IPv4's length field leaves for it, and Linux's own limit is 64."""

MAX_REFUSALS: Final = 1024
"""Peers remembered for refusing segmentation."""

SELF_TEST_SECONDS: Final = 1.0

# From linux/udp.h; the module does not name them.
_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_SEGMENT_SIZE = struct.Struct("=H")
_SEGMENTS_OF = [((_SOL_UDP, _UDP_SEGMENT, _SEGMENT_SIZE.pack(size)),) for size in range(MAX_SEGMENT_BYTES + 1)]

_REFUSALS = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE})
"""What segmentation answers where a path or its device cannot have it: no checksums, IPsec, a small MTU."""


class PlainSender:
    """Sends datagram by datagram, in the order given: the definition of right."""

    def __init__(self, kernel_socket: socket.socket) -> None:
        self._send = kernel_socket.sendto

    def send_batch(self, datagrams: Sequence[tuple[bytes, Address]]) -> int:
        """Send each datagram; stop when the kernel's buffer is full, as a router would drop."""
        sent = 0
        send = self._send
        for data, to in datagrams:
            try:
                send(data, to)
            except BlockingIOError:
                break
            except OSError as error:
                _log_loss(error)
                continue
            sent += 1
        return sent


class SegmentingSender:
    """Sends what `PlainSender` would, and to each peer in the same order, but peer by peer and in fewer calls.

    A peer whose path refuses segmentation is sent its datagrams one by one from then on. That is kept by peer, not for
    the whole socket: a path's MTU is in the hands of whoever is at its end, who must not slow down all others.
    """

    def __init__(self, kernel_socket: socket.socket) -> None:
        self._send = kernel_socket.sendto
        self._send_message = kernel_socket.sendmsg
        self._plain = PlainSender(kernel_socket)
        self._refusals: set[Address] = set()

    def send_batch(self, datagrams: Sequence[tuple[bytes, Address]]) -> int:
        """Send each datagram; stop when the kernel's buffer is full, as a router would drop."""
        by_peer: dict[Address, list[bytes]] = {}
        for data, to in datagrams:
            if to in by_peer:
                by_peer[to].append(data)
            else:
                by_peer[to] = [data]
        if len(by_peer) == len(datagrams):
            return self._plain.send_batch(datagrams)
        sent = 0
        send, send_message, refusals = self._send, self._send_message, self._refusals
        for to, queued in by_peer.items():
            sizes = [*map(len, queued)]
            segmented = to not in refusals
            start, count = 0, len(queued)
            while start < count:
                size = sizes[start]
                end = start + 1
                if segmented and end < count and 0 < sizes[end] <= size <= MAX_SEGMENT_BYTES:
                    limit = count if count <= MAX_SEGMENTS else min(count, start + MAX_SEGMENTS)
                    while end < limit and sizes[end] == size:
                        end += 1
                    if end < limit and 0 < sizes[end] < size:
                        end += 1  # only the last segment may be shorter
                try:
                    if end - start > 1:
                        send_message(queued[start:end], _SEGMENTS_OF[size], 0, to)
                    else:
                        send(queued[start], to)
                except BlockingIOError:
                    return sent
                except OSError as error:
                    if end - start > 1:  # nothing of it has left: let each datagram have its own answer
                        segmented = False
                        self._remember(to, error)
                        continue
                    _log_loss(error)
                else:
                    sent += end - start
                start = end
        return sent

    def _remember(self, to: Address, error: OSError) -> None:
        if error.errno not in _REFUSALS:
            return
        if len(self._refusals) >= MAX_REFUSALS:
            self._refusals.clear()
        self._refusals.add(to)


@cache
def segmentation_works(family: socket.AddressFamily) -> bool:
    """Return whether known datagrams, sent as one message over loopback, arrive as they should. Does not checkpoint.

    Tried once in a process for each family. Blocks for `SELF_TEST_SECONDS` where datagrams get lost, else not.
    """
    known = [b"a" * 1200, b"b" * 1200, b"c" * 1200, b"the shorter last"]
    works = sys.platform == "linux" and _arrive(known, family)
    if not works:
        logger.info("UDP segmentation does not work here for %s: datagrams leave one by one", family.name)
    return works


def _arrive(known: list[bytes], family: socket.AddressFamily) -> bool:
    loopback = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as here, socket.socket(family, socket.SOCK_DGRAM) as there:
            here.bind((loopback, 0))
            there.bind((loopback, 0))
            here.settimeout(SELF_TEST_SECONDS)
            there.sendmsg(known, _SEGMENTS_OF[len(known[0])], 0, here.getsockname())
            return [here.recv(1 << 16) for _ in known] == known
    except OSError:
        return False


def _log_loss(error: OSError) -> None:
    # Unreachable networks, and ICMP errors left over from other peers: this datagram's loss alone.
    logger.debug("a datagram was not sent: %s", errno.errorcode.get(error.errno or 0, error))
