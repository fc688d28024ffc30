"""Opening a data channel (RFC 8832), and the payload protocol identifiers of RFC 8831 §8."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from rtp.errors import DecodeError, LocalProtocolError

_OPEN_HEAD = struct.Struct("!BBHIHH")  # 3, channel type, priority, reliability, label length, protocol length
MESSAGE_ACK: Final = 2
_MESSAGE_OPEN = 3
_UNORDERED = 0x80
_RELIABLE, _LIMITED_RETRANSMITS, _LIMITED_LIFETIME = 0, 1, 2  # the channel type's other bits (RFC 8832 §5.1)
_NORMAL_PRIORITY = 256
_MAX_U16 = 0xFFFF
_MAX_U32 = 0xFFFF_FFFF


class PayloadProtocol(IntEnum):
    """Payload protocol identifiers (RFC 8831 §8). The deprecated partial ones, 52 and 54, are in nobody's use."""

    DCEP = 50
    STRING = 51
    BINARY = 53
    STRING_EMPTY = 56
    BINARY_EMPTY = 57


@dataclass(frozen=True, slots=True)
class ChannelParameters:
    """What a channel was opened with (RFC 8832 §5.1).

    At most one of `max_retransmits` and `max_lifetime` (in milliseconds, as on the wire) is not None.
    """

    label: str
    ordered: bool = True
    max_retransmits: int | None = None
    max_lifetime: int | None = None
    protocol: str = ""

    def serialize_open(self) -> bytes:
        """Return the DATA_CHANNEL_OPEN message.

        Raises:
            LocalProtocolError: if these can be no channel's parameters.
        """
        label, protocol = self.label.encode(), self.protocol.encode()
        limits = [limit for limit in (self.max_retransmits, self.max_lifetime) if limit is not None]
        reliability = limits[0] if limits else 0
        if len(limits) > 1 or not 0 <= reliability <= _MAX_U32 or max(len(label), len(protocol)) > _MAX_U16:
            raise LocalProtocolError(f"no data channel can be {self}")
        kind = _RELIABLE
        if self.max_retransmits is not None:
            kind = _LIMITED_RETRANSMITS
        elif self.max_lifetime is not None:
            kind = _LIMITED_LIFETIME
        if not self.ordered:
            kind |= _UNORDERED
        head = _OPEN_HEAD.pack(_MESSAGE_OPEN, kind, _NORMAL_PRIORITY, reliability, len(label), len(protocol))
        return head + label + protocol


def parse_open(message: bytes) -> ChannelParameters:
    """Read a DATA_CHANNEL_OPEN message (RFC 8832 §5.1). The priority is not kept.

    Raises:
        DecodeError: if it is none, or of an unknown channel type, or its lengths are not its own.
    """
    try:
        kind, channel_type, _priority, reliability, label_size, protocol_size = _OPEN_HEAD.unpack_from(message)
        if kind != _MESSAGE_OPEN or len(message) != _OPEN_HEAD.size + label_size + protocol_size:
            raise DecodeError(f"{len(message)} bytes are no DATA_CHANNEL_OPEN")
        label = message[_OPEN_HEAD.size :][:label_size].decode()
        protocol = message[_OPEN_HEAD.size + label_size :].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise DecodeError("DATA_CHANNEL_OPEN cut short, or not UTF-8") from error
    reliable_type = channel_type & ~_UNORDERED
    if reliable_type not in {_RELIABLE, _LIMITED_RETRANSMITS, _LIMITED_LIFETIME}:
        raise DecodeError(f"data channel of unknown type {channel_type:#x}")
    return ChannelParameters(
        label,
        ordered=not channel_type & _UNORDERED,
        max_retransmits=reliability if reliable_type == _LIMITED_RETRANSMITS else None,
        max_lifetime=reliability if reliable_type == _LIMITED_LIFETIME else None,
        protocol=protocol,
    )
