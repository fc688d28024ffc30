"""libsrtp's functions without the wrapping: what is called for each packet, on its way in and to each subscriber.

`pylibsrtp` allocates a length, checks a type and calls through twice for each packet, which costs more than the
cryptography of a short one. Its own library is called here with buffers that are used again. That is private to
`pylibsrtp`, so it is used only where it has proved, before the first session, to give the same bytes.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal, TypeAlias

import pylibsrtp

logger = logging.getLogger(__name__)

Step: TypeAlias = Literal["protect", "unprotect", "protect_rtcp", "unprotect_rtcp"]
"""What can be done with a packet, as `pylibsrtp.Session` calls it; libsrtp puts `srtp_` in front."""

MAX_PACKET_BYTES: Final = 1436
"""The longest packet that goes the short way: with the longest tag (16) and the headers of IPv6 and UDP (48) it fills an
Ethernet frame (1500). GStreamer sends 1400, and some is added on the way; the long way out ends at 1356."""

_BUFFER_BYTES: Final = MAX_PACKET_BYTES + 148  # what libsrtp may add at the end (SRTP_MAX_SRTCP_TRAILER_LEN)
_KNOWN_RTP: Final = bytes((0x80, 96, 0x12, 0x34, *range(8))) + b"what both have to make the same of"
_KNOWN_RTCP: Final = bytes((0x80, 201, 0, 1, *range(4)))


def direct(session: pylibsrtp.Session, step: Step, long_way: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what does `step` with a packet by `session` (RFC 3711): the short way, or `long_way` itself.

    It raises what `long_way` raises, which is given whatever the short way does not take.
    """
    return _shortened(session, step, long_way) if _is_proved() else long_way


def _shortened(session: pylibsrtp.Session, step: Step, long_way: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    library, characters, buffer, length = _binding()
    function = getattr(library, f"srtp_{step}")
    handle = session._srtp  # noqa: SLF001 - proved; whoever holds it keeps libsrtp's session

    def short_way(packet: bytes) -> bytes:
        size = len(packet)
        if size > MAX_PACKET_BYTES:
            return long_way(packet)
        length[0] = size
        buffer[:size] = packet
        if function(handle[0], characters, length):
            return long_way(packet)
        result: bytes = buffer[: length[0]]
        return result

    return short_way


@cache
def _binding() -> tuple[Any, Any, Any, Any]:
    """Return libsrtp, and the buffers of the process: nothing runs between filling and emptying them."""
    from pylibsrtp._binding import ffi, lib  # noqa: PLC0415 - private, and not to be had in every release

    characters = ffi.new("char[]", _BUFFER_BYTES)
    return lib, characters, ffi.buffer(characters), ffi.new("int *")


@cache
def _is_proved() -> bool:
    """Try the short way against the long one, once."""
    try:
        is_same = _agree("protect", "unprotect", _KNOWN_RTP) and _agree("protect_rtcp", "unprotect_rtcp", _KNOWN_RTCP)
    except (ImportError, AttributeError, TypeError, pylibsrtp.Error) as error:
        logger.warning("packets are protected the long way: %s", error)
        return False
    if not is_same:
        logger.warning("packets are protected the long way: the short one gave other bytes")
    return is_same


def _agree(out: Step, back: Step, known: bytes) -> bool:
    sender, other_sender = (_known_session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND) for _ in range(2))
    receiver = _known_session(pylibsrtp.Policy.SSRC_ANY_INBOUND)
    protected = _shortened(sender, out, bytes)(known)
    return protected == getattr(other_sender, out)(known) and _shortened(receiver, back, bytes)(protected) == known


def _known_session(direction: int) -> pylibsrtp.Session:
    profile = pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    return pylibsrtp.Session(pylibsrtp.Policy(key=bytes(range(28)), ssrc_type=direction, srtp_profile=profile))
