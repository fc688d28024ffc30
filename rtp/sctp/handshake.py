"""What the four packets that set up an association say, and their timer (RFC 9260 §5.1; T1-init, T1-cookie)."""

from typing import Final

from rtp.errors import DecodeError
from rtp.sctp.chunks import ChunkType, CookieEcho, Error, Init
from rtp.sctp.congestion import INITIAL_RTO_SECONDS, MAX_RTO_SECONDS
from rtp.sctp.cookie import COOKIE_LIFETIME_SECONDS, PeerState, StateCookie, parse_cookie
from rtp.sctp.inbound import RECEIVE_WINDOW_BYTES
from rtp.sctp.packet import MAX_CHUNK_BYTES, serialize_packet
from rtp.sctp.parameters import DTLS_DETECTS_ERRORS, CauseCode, Parameter, ParameterType, padded

MAX_INIT_RETRANSMITS: Final = 8
"""Max.Init.Retransmits (RFC 9260 §16)."""

_ALL_STREAMS: Final = 0xFFFF
_KNOWN: Final = frozenset(ParameterType)
_EXTENSIONS: Final = [
    Parameter(ParameterType.ZERO_CHECKSUM_ACCEPTABLE, DTLS_DETECTS_ERRORS),
    Parameter(ParameterType.FORWARD_TSN_SUPPORTED, b""),
    Parameter(ParameterType.SUPPORTED_EXTENSIONS, bytes((ChunkType.RE_CONFIG, ChunkType.FORWARD_TSN))),
]


class Handshake:
    """Makes and reads INIT, INIT ACK and cookies for one tag; repeats what must be answered.

    `next_timeout_at` is when the packet under way is to be sent again; None: none is.
    """

    def __init__(self, *, tag: int, initial_tsn: int, cookie_secret: bytes) -> None:
        self.next_timeout_at: float | None = None
        self._tag = tag
        self._initial_tsn = initial_tsn
        self._secret = cookie_secret
        self._packet = b""
        self._retransmits = 0
        self._rto_seconds = INITIAL_RTO_SECONDS

    def start(self, now: float) -> bytes:
        """Return the packet with our INIT, and repeat it until `echo` or `stop`."""
        return self._repeat(serialize_packet(0, [self._init(_EXTENSIONS, is_ack=False).serialize()]), now)

    def echo(self, init_ack: Init, peer_tag: int, now: float) -> bytes:
        """Return the packet with the cookie of an INIT ACK, and repeat it until `stop`.

        Raises:
            DecodeError: if there is no cookie, or one that does not fit into a packet of ours.
        """
        cookies = [p.value for p in init_ack.parameters if p.type == ParameterType.STATE_COOKIE]
        if not cookies or len(cookies[0]) > MAX_CHUNK_BYTES - 4:
            raise DecodeError("INIT ACK without a usable State Cookie")
        return self._repeat(serialize_packet(peer_tag, [CookieEcho(cookies[0]).serialize()]), now)

    def stop(self) -> None:
        """Repeat nothing more."""
        self.next_timeout_at = None

    def retry(self, now: float) -> bytes | None:
        """Return the packet under way for another time; None if it has been sent often enough."""
        if self._retransmits >= MAX_INIT_RETRANSMITS:
            return None
        self._retransmits += 1
        self._rto_seconds = min(2 * self._rto_seconds, MAX_RTO_SECONDS)
        self.next_timeout_at = now + self._rto_seconds
        return self._packet

    def answer(self, init: Init, peer: PeerState, now: float) -> bytes:
        """Return the packet with the INIT ACK to `init`. Nothing is remembered: the cookie holds it all."""
        cookie = StateCookie(now, self._tag, peer).serialize(self._secret)
        parameters = [Parameter(ParameterType.STATE_COOKIE, cookie), *_EXTENSIONS]
        size = len(self._init(parameters, is_ack=True).serialize())
        for parameter in _reports(init.parameters):
            size += len(padded(parameter.serialize()))
            if size > MAX_CHUNK_BYTES:
                break
            parameters.append(parameter)
        return serialize_packet(init.tag, [self._init(parameters, is_ack=True).serialize()])

    def read_cookie(self, cookie: bytes) -> StateCookie:
        """Read a cookie that came back.

        Raises:
            DecodeError: if it is not of ours, and for this association.
        """
        read = parse_cookie(cookie, self._secret)
        if read.own_tag != self._tag:
            raise DecodeError("State Cookie of another association")
        return read

    def complain_if_stale(self, cookie: StateCookie, now: float) -> bytes | None:
        """Return the ERROR for a cookie that is too old (RFC 9260 §5.2.6); None if it is not."""
        excess_seconds = now - cookie.made_at - COOKIE_LIFETIME_SECONDS
        if excess_seconds <= 0:
            return None
        microseconds = min(int(excess_seconds * 1_000_000), 0xFFFF_FFFF)
        cause = Parameter(CauseCode.STALE_COOKIE, microseconds.to_bytes(4, "big"))
        return serialize_packet(cookie.peer.tag, [Error(cause.serialize()).serialize()])

    def _init(self, parameters: list[Parameter], *, is_ack: bool) -> Init:
        return Init(
            self._tag, RECEIVE_WINDOW_BYTES, _ALL_STREAMS, _ALL_STREAMS, self._initial_tsn, parameters, is_ack=is_ack
        )

    def _repeat(self, packet: bytes, now: float) -> bytes:
        self._packet = packet
        self._retransmits = 0
        self._rto_seconds = INITIAL_RTO_SECONDS
        self.next_timeout_at = now + INITIAL_RTO_SECONDS
        return packet


def _reports(parameters: list[Parameter]) -> list[Parameter]:
    """Return what must be reported of parameters that we do not know, by their two high bits (RFC 9260 §3.2.1)."""
    reports = []
    for parameter in parameters:
        if parameter.type in _KNOWN:
            continue
        if parameter.type & 0x4000:
            reports.append(Parameter(ParameterType.UNRECOGNIZED_PARAMETER, parameter.serialize()))
        if not parameter.type & 0x8000:
            break  # what is behind it must not be looked at
    return reports
