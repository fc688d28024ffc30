"""STUN messages as ICE uses them: Binding under short-term credentials (RFC 8489, RFC 8445 §7 and §16)."""

import hmac
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from rtp.errors import DecodeError
from rtp.units import Address

BINDING: Final = 0x001
"""The one method of STUN that ICE uses (RFC 8489 §18.2)."""

TRANSACTION_ID_BYTES: Final = 12
TRANSACTION_ID: Final = slice(8, 20)
"""Where it stands in a message."""

UNKNOWN_ATTRIBUTE: Final = 420
ROLE_CONFLICT: Final = 487
"""Error codes (RFC 8489 §14.8, RFC 8445 §16.2)."""

_COOKIE: Final = 0x2112A442
_COOKIE_BYTES: Final = _COOKIE.to_bytes(4, "big")
_FINGERPRINT_XOR: Final = 0x5354554E
_REQUIRED_LIMIT: Final = 0x8000  # types below it must be understood, those above may be skipped (RFC 8489 §14)
_MAX_ATTRIBUTES: Final = 64  # real checks carry about eight; nobody makes us walk thousands
_MAX_USERNAME_BYTES: Final = 513  # RFC 8445 §16.1 with two ufrags of 256 and a colon

#   0                   1                   2                   3
#   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |0 0|     STUN Message Type     |         Message Length        |
#  |                         Magic Cookie                          |
#  |                  Transaction ID (96 bits) ...                 |
_HEADER: Final = struct.Struct("!HHI12s")
_ATTRIBUTE: Final = struct.Struct("!HH")  # type, length without padding
_INTEGRITY_BYTES: Final = 20
_FINGERPRINT_BYTES: Final = 4
_FAMILIES: Final = {1: 4, 2: 16}  # XOR-MAPPED-ADDRESS family → bytes of address


class MessageClass(IntEnum):
    """What a message is to its transaction (RFC 8489 §5)."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class AttributeType(IntEnum):
    """The attributes that this module reads, writes or may skip unread (RFC 8489 §18.3, RFC 8445 §16.1)."""

    MAPPED_ADDRESS = 0x0001
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A


_UNDERSTOOD: Final = frozenset(AttributeType)


@dataclass(frozen=True, slots=True)
class StunMessage:
    """A message as received. Nothing in it is to be believed before `verify` has said yes.

    Attributes that were absent are None. `unknown_required` lists the types that RFC 8489 §14 forbids to skip and
    that we do not understand. `integrity_at` is where MESSAGE-INTEGRITY starts in `raw`; nothing but FINGERPRINT
    counts after it (RFC 8489 §14.5).
    """

    message_class: MessageClass
    method: int
    transaction_id: bytes
    username: str | None
    priority: int | None
    use_candidate: bool
    ice_controlling: int | None
    ice_controlled: int | None
    error_code: int | None
    xor_mapped_address: Address | None
    unknown_required: tuple[int, ...]
    integrity_at: int | None
    raw: bytes = field(repr=False)

    def verify(self, password: str) -> bool:
        """Say whether the sender knew `password` (RFC 8489 §9.1.3), in constant time; no integrity, no trust."""
        if self.integrity_at is None:
            return False
        start = self.integrity_at + _ATTRIBUTE.size
        return hmac.compare_digest(
            _integrity(self.raw[: self.integrity_at], password), self.raw[start : start + _INTEGRITY_BYTES]
        )


def is_stun(datagram: bytes) -> bool:
    """Say whether a datagram is STUN and not DTLS or media (RFC 7983 §7, RFC 8489 §5)."""
    return len(datagram) >= _HEADER.size and datagram[0] < 4 and datagram[4:8] == _COOKIE_BYTES


def ufrag_of_request(datagram: bytes) -> str | None:
    """Return whom of us a Binding request is for: USERNAME up to the colon. None if it does not say. Never raises.

    For an endpoint that many peers share; nothing is verified.
    """
    if not is_stun(datagram) or datagram[:2] != b"\x00\x01":
        return None
    try:
        for kind, start, end in _attributes(datagram):
            if kind == AttributeType.USERNAME:
                ufrag, colon, _ = _username(datagram[start:end]).partition(":")
                return ufrag if colon else None
    except DecodeError:
        pass  # whoever gets it will count it
    return None


def parse_message(data: bytes) -> StunMessage:
    """Read one whole STUN message, and check its FINGERPRINT if it has one.

    Raises:
        DecodeError: if it is cut short, badly framed, or its FINGERPRINT is wrong or not last.
    """
    if not is_stun(data):
        raise DecodeError("not a STUN message")
    message_type, _, _, transaction_id = _HEADER.unpack_from(data)
    values, integrity_at = _collect(data)
    return StunMessage(
        # The two bits of the class lie between those of the method (RFC 8489 §5, figure 3).
        message_class=MessageClass(message_type >> 7 & 2 | message_type >> 4 & 1),
        method=message_type & 0x000F | message_type >> 1 & 0x0070 | message_type >> 2 & 0x0F80,
        transaction_id=transaction_id,
        username=None if (name := values.get(AttributeType.USERNAME)) is None else _username(name),
        priority=_number(values, AttributeType.PRIORITY, 4),
        use_candidate=AttributeType.USE_CANDIDATE in values,
        ice_controlling=_number(values, AttributeType.ICE_CONTROLLING, 8),
        ice_controlled=_number(values, AttributeType.ICE_CONTROLLED, 8),
        error_code=_error_code(values),
        xor_mapped_address=_xor_mapped_address(values, transaction_id),
        unknown_required=tuple(kind for kind in values if kind < _REQUIRED_LIMIT and kind not in _UNDERSTOOD),
        integrity_at=integrity_at,
        raw=data,
    )


def binding_request(
    transaction_id: bytes, *, username: str, password: str, priority: int, tie_breaker: int, use_candidate: bool
) -> bytes:
    """Return a connectivity check of a controlling agent (RFC 8445 §7.1); `password` is the receiver's."""
    attributes = (
        _attribute(AttributeType.USERNAME, username.encode())
        + _attribute(AttributeType.ICE_CONTROLLING, tie_breaker.to_bytes(8, "big"))
        + _attribute(AttributeType.PRIORITY, priority.to_bytes(4, "big"))
    )
    if use_candidate:
        attributes += _attribute(AttributeType.USE_CANDIDATE, b"")
    return _seal(MessageClass.REQUEST, transaction_id, attributes, password)


def address_request(transaction_id: bytes) -> bytes:
    """Return a request that asks a server which address it comes from, and says nothing else (RFC 8489 §2)."""
    return _HEADER.pack(BINDING, 0, _COOKIE, transaction_id)


def success_response(transaction_id: bytes, mapped: Address, password: str) -> bytes:
    """Return the answer to a check that came from `mapped`; `password` is the answerer's (RFC 8445 §7.3)."""
    ip = ip_address(mapped[0])
    attributes = _attribute(
        AttributeType.XOR_MAPPED_ADDRESS,
        struct.pack("!HH", 1 if ip.version == 4 else 2, mapped[1] ^ _COOKIE >> 16)
        + _xor_address(ip.packed, transaction_id),
    )
    return _seal(MessageClass.SUCCESS, transaction_id, attributes, password)


def error_response(transaction_id: bytes, code: int, password: str, *, unknown: tuple[int, ...] = ()) -> bytes:
    """Return the refusal of a request; `unknown` are the attributes that a 420 names (RFC 8489 §6.3.1, §14.13)."""
    attributes = _attribute(AttributeType.ERROR_CODE, struct.pack("!HBB", 0, *divmod(code, 100)))
    if unknown:
        attributes += _attribute(AttributeType.UNKNOWN_ATTRIBUTES, struct.pack(f"!{len(unknown)}H", *unknown))
    return _seal(MessageClass.ERROR, transaction_id, attributes, password)


def fingerprint(before: bytes) -> bytes:
    """Return the FINGERPRINT of what precedes the attribute in a whole message (RFC 8489 §14.7)."""
    return (zlib.crc32(before) ^ _FINGERPRINT_XOR).to_bytes(_FINGERPRINT_BYTES, "big")


def _attributes(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (type, start, end) of each attribute's value in a message whose header is known to be whole."""
    (length,) = struct.unpack_from("!H", data, 2)
    if length % 4 or length != len(data) - _HEADER.size:
        raise DecodeError(f"STUN length {length} in a datagram of {len(data)} bytes")
    at = _HEADER.size
    for _ in range(_MAX_ATTRIBUTES):
        if at == len(data):
            return
        kind, size = _ATTRIBUTE.unpack_from(data, at)  # whole: `at` and the length are multiples of four
        start = at + _ATTRIBUTE.size
        at = start + size + -size % 4
        if at > len(data):
            raise DecodeError(f"STUN attribute {kind:#06x} cut short")
        yield kind, start, start + size
    if at != len(data):
        raise DecodeError(f"more than {_MAX_ATTRIBUTES} STUN attributes")


def _collect(data: bytes) -> tuple[dict[int, bytes], int | None]:
    """Return the values that integrity can cover, by type, and where MESSAGE-INTEGRITY starts."""
    values: dict[int, bytes] = {}
    integrity_at: int | None = None
    ended = False
    for kind, start, end in _attributes(data):
        at = start - _ATTRIBUTE.size
        if ended:
            raise DecodeError("STUN attribute after FINGERPRINT")
        if kind == AttributeType.FINGERPRINT:
            if data[start:end] != fingerprint(data[:at]):
                raise DecodeError("wrong STUN FINGERPRINT")
            ended = True
        elif integrity_at is not None:
            continue
        elif kind == AttributeType.MESSAGE_INTEGRITY:
            if end - start != _INTEGRITY_BYTES:
                raise DecodeError(f"MESSAGE-INTEGRITY of {end - start} bytes")
            integrity_at = at
        else:
            values.setdefault(kind, data[start:end])  # of repeated attributes only the first counts (§14)
    return values, integrity_at


def _username(value: bytes) -> str:
    if len(value) > _MAX_USERNAME_BYTES:
        raise DecodeError(f"USERNAME of {len(value)} bytes")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise DecodeError("USERNAME is not UTF-8") from error


def _number(values: Mapping[int, bytes], kind: AttributeType, size: int) -> int | None:
    value = values.get(kind)
    if value is None:
        return None
    if len(value) != size:
        raise DecodeError(f"{kind.name} of {len(value)} bytes, not {size}")
    return int.from_bytes(value, "big")


def _error_code(values: Mapping[int, bytes]) -> int | None:
    value = values.get(AttributeType.ERROR_CODE)
    if value is None:
        return None
    if len(value) < 4 or not 3 <= (hundreds := value[2] & 7) <= 6 or value[3] > 99:
        raise DecodeError("ERROR-CODE is not from 300 to 699")
    return hundreds * 100 + value[3]


def _xor_mapped_address(values: Mapping[int, bytes], transaction_id: bytes) -> Address | None:
    value = values.get(AttributeType.XOR_MAPPED_ADDRESS)
    if value is None:
        return None
    if len(value) < 4 or len(value) - 4 != _FAMILIES.get(value[1]):
        raise DecodeError(f"XOR-MAPPED-ADDRESS of {len(value)} bytes")
    packed = _xor_address(value[4:], transaction_id)
    ip = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
    return str(ip), int.from_bytes(value[2:4], "big") ^ _COOKIE >> 16


def _xor_address(packed: bytes, transaction_id: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(packed, _COOKIE_BYTES + transaction_id, strict=False))


def _attribute(kind: AttributeType, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4)


def _seal(message_class: MessageClass, transaction_id: bytes, attributes: bytes, password: str) -> bytes:
    """Put header, MESSAGE-INTEGRITY and FINGERPRINT round `attributes`."""
    assert len(transaction_id) == TRANSACTION_ID_BYTES, "a transaction id has 96 bits"
    message_type = BINDING | (message_class & 1) << 4 | (message_class & 2) << 7
    tail_bytes = 2 * _ATTRIBUTE.size + _INTEGRITY_BYTES + _FINGERPRINT_BYTES
    message = _HEADER.pack(message_type, len(attributes) + tail_bytes, _COOKIE, transaction_id) + attributes
    message += _attribute(AttributeType.MESSAGE_INTEGRITY, _integrity(message, password))
    return message + _attribute(AttributeType.FINGERPRINT, fingerprint(message))


def _integrity(before: bytes, password: str) -> bytes:
    """HMAC-SHA1 of what precedes the attribute, the length field set as if the attribute were last (§14.5)."""
    length = len(before) + _ATTRIBUTE.size + _INTEGRITY_BYTES - _HEADER.size
    return hmac.digest(password.encode(), before[:2] + length.to_bytes(2, "big") + before[4:], "sha1")
