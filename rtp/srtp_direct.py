"""libsrtp's `srtp_protect` without the wrapping: what is called for each packet that goes out to each subscriber.

`pylibsrtp` allocates a length, checks a type and calls through twice for each packet, which costs more than the
cryptography of a short one. Its own library is called here with buffers that are used again. That is private to
`pylibsrtp`, so it is used only where it has proved, on the first session, to give the same bytes.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import pylibsrtp

logger = logging.getLogger(__name__)

_BUFFER_BYTES: Final = 1500
_MAX_PACKET_BYTES: Final = _BUFFER_BYTES - 144  # what libsrtp may add at the end (SRTP_MAX_TRAILER_LEN)
_KNOWN_PACKET: Final = bytes((0x80, 96, 0x12, 0x34, *range(8))) + b"what both have to make the same of"


def direct_protect(session: pylibsrtp.Session) -> Callable[[bytes], bytes]:
    """Return what protects an RTP packet by `session` (RFC 3711): the short way, or `session.protect` itself.

    It raises what that raises: whatever the short way does not take, the long one judges.
    """
    return _shortened(session) if _is_proved() else session.protect


def _shortened(session: pylibsrtp.Session) -> Callable[[bytes], bytes]:
    library, characters, buffer, length = _binding()
    srtp_protect, context, long_way = library.srtp_protect, session._srtp[0], session.protect  # noqa: SLF001 - proved

    def protect(packet: bytes) -> bytes:
        size = len(packet)
        if size > _MAX_PACKET_BYTES:
            return long_way(packet)
        length[0] = size
        buffer[:size] = packet
        if srtp_protect(context, characters, length):
            return long_way(packet)
        protected: bytes = buffer[: length[0]]
        return protected

    return protect


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
        policies = [
            pylibsrtp.Policy(
                key=bytes(range(28)),
                ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
                srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
            )
            for _ in range(2)
        ]
        long, short = (pylibsrtp.Session(policy) for policy in policies)
        is_same = _shortened(short)(_KNOWN_PACKET) == long.protect(_KNOWN_PACKET)
    except (ImportError, AttributeError, TypeError, pylibsrtp.Error) as error:
        logger.warning("packets are protected the long way: %s", error)
        return False
    if not is_same:
        logger.warning("packets are protected the long way: the short one gave other bytes")
    return is_same
