"""The State Cookie: what an INIT taught us, kept by the peer and signed by us (RFC 9260 §5.1.3).

Until it comes back we hold nothing, so INITs from anybody cost no memory.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.sctp.chunks import ChunkType, Init
from rtp.sctp.parameters import DTLS_DETECTS_ERRORS, Parameter, ParameterType

COOKIE_LIFETIME_SECONDS: Final = 60.0
"""Valid.Cookie.Life (RFC 9260 §16)."""

_STATE: Final = struct.Struct("!dIIII???")  # made at; our tag; peer's tag, initial TSN, a_rwnd, extensions


@dataclass(frozen=True, slots=True)
class PeerState:
    """What the peer said of itself in INIT or INIT ACK."""

    tag: int
    initial_tsn: int
    a_rwnd: int
    takes_forward_tsn: bool
    takes_stream_resets: bool
    takes_zero_checksum: bool


@dataclass(frozen=True, slots=True)
class StateCookie:
    """A cookie of ours. `made_at` is on the clock of `now`."""

    made_at: float
    own_tag: int
    peer: PeerState

    def serialize(self, secret: bytes) -> bytes:
        """Return the cookie with its signature."""
        peer = self.peer
        state = _STATE.pack(
            self.made_at,
            self.own_tag,
            peer.tag,
            peer.initial_tsn,
            peer.a_rwnd,
            peer.takes_forward_tsn,
            peer.takes_stream_resets,
            peer.takes_zero_checksum,
        )
        return state + _sign(state, secret)


def parse_cookie(cookie: bytes, secret: bytes) -> StateCookie:
    """Read a cookie back. Its age is for the caller to judge.

    Raises:
        DecodeError: if it is not one that was signed with `secret`.
    """
    state, signature = cookie[: _STATE.size], cookie[_STATE.size :]
    if len(state) != _STATE.size or not hmac.compare_digest(signature, _sign(state, secret)):
        raise DecodeError("State Cookie that is not ours")
    made_at, own_tag, *peer = _STATE.unpack(state)
    return StateCookie(made_at, own_tag, PeerState(*peer))


def peer_state(init: Init) -> PeerState:
    """Return what an INIT or INIT ACK says of its sender (RFC 3758 §3.1, RFC 5061 §4.2.7, RFC 9653 §4)."""
    kinds = {parameter.type for parameter in init.parameters}
    extensions = b"".join(p.value for p in init.parameters if p.type == ParameterType.SUPPORTED_EXTENSIONS)
    return PeerState(
        tag=init.tag,
        initial_tsn=init.initial_tsn,
        a_rwnd=init.a_rwnd,
        takes_forward_tsn=ParameterType.FORWARD_TSN_SUPPORTED in kinds or ChunkType.FORWARD_TSN in extensions,
        takes_stream_resets=ChunkType.RE_CONFIG in extensions,
        takes_zero_checksum=Parameter(ParameterType.ZERO_CHECKSUM_ACCEPTABLE, DTLS_DETECTS_ERRORS) in init.parameters,
    )


def _sign(state: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, state, hashlib.sha256)
