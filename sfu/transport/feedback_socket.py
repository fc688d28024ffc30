"""A second socket on a port, for transport-wide feedback alone, which can wait and must not wake anybody.

Each subscriber tells some sixteen times a second what arrived and when. To be woken for that costs several times what it
takes to read it, and nobody is in a hurry to know. So the kernel is told by a few instructions, which it runs on each
datagram, to put those aside (SO_REUSEPORT and classic BPF, Linux 4.5): they are read now and then, many at once.
"""

import logging
import socket
import sys
from functools import cache
from typing import Final

from sfu.transport.packet_filter import AND, IF_EQUAL, LOAD_BYTE, RETURN, Instruction, attach

logger = logging.getLogger(__name__)

SELF_TEST_SECONDS: Final = 1.0

_SO_ATTACH_REUSEPORT_CBPF: Final = 51  # asm-generic/socket.h; the module has no name for it
_FIRST, _SECOND = 0, 1  # of the sockets on the port

# Datagrams that begin with transport-layer feedback (205) of format 15; SRTCP leaves these bytes in clear (RFC 3711 §3.4).
# Browsers send it alone (RFC 5506); where that was not agreed on a report comes first, and it wakes us.
_INSTRUCTIONS: Final[tuple[Instruction, ...]] = (
    (LOAD_BYTE, 0, 0, 0),
    (AND, 0, 0, 0b1101_1111),  # all but the padding bit
    (IF_EQUAL, 0, 3, 0b10 << 6 | 15),
    (LOAD_BYTE, 0, 0, 1),
    (IF_EQUAL, 0, 1, 205),
    (RETURN, 0, 0, _SECOND),
    (RETURN, 0, 0, _FIRST),
)


def open_feedback_socket(kernel_socket: socket.socket) -> socket.socket | None:
    """Return a socket that gets, from now on, the feedback which comes to the port of this one. Does not checkpoint.

    None: the kernel cannot do it, and all comes to this one. The port remains taken for anybody else: who does not ask
    to share it is refused, and nobody here does before he has it.
    """
    return _open(kernel_socket) if feedback_is_put_aside(kernel_socket.family) else None


@cache
def feedback_is_put_aside(family: int) -> bool:
    """Return whether feedback, and nothing else, reaches the second socket over loopback. Does not checkpoint.

    Tried once in a process for each family. Blocks for `SELF_TEST_SECONDS` where datagrams get lost, else not.
    """
    works = sys.platform == "linux" and _is_put_aside(family)
    if not works:
        logger.info("the kernel does not put feedback aside: each message wakes the server")
    return works


def _open(kernel_socket: socket.socket) -> socket.socket | None:
    aside = socket.socket(kernel_socket.family, socket.SOCK_DGRAM)
    try:
        aside.setblocking(False)
        if kernel_socket.family == socket.AF_INET6:
            aside.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for each in (kernel_socket, aside):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        aside.bind(kernel_socket.getsockname())
        attach(aside, _SO_ATTACH_REUSEPORT_CBPF, _INSTRUCTIONS)
    except OSError as error:
        logger.info("the kernel does not put feedback aside: %s", error.strerror)
        aside.close()
        return None
    return aside


def _is_put_aside(family: int) -> bool:
    feedback, others = [b"\x8f\xcd\x00", b"\xaf\xcd\x01"], [b"\x00\x01", b"\x8f\xc9", b"\x81\xcd", b"\x80", b"\x80\x60"]
    try:
        with (
            socket.socket(family, socket.SOCK_DGRAM) as here,
            socket.socket(family, socket.SOCK_DGRAM) as there,
        ):
            here.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
            aside = _open(here)
            if aside is None:
                return False
            with aside:
                here.settimeout(SELF_TEST_SECONDS)
                aside.settimeout(SELF_TEST_SECONDS)
                for datagram in (*feedback, *others):
                    there.sendto(datagram, here.getsockname())
                return [here.recv(9) for _ in others] == others and [aside.recv(9) for _ in feedback] == feedback
    except OSError:
        return False
