"""The parameters of INIT, INIT ACK and RE-CONFIG, and error causes, as bytes (RFC 9260 §3.2.1, RFC 6525 §4)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

from rtp.errors import DecodeError

_PARAMETER: Final = struct.Struct("!HH")  # type, length with these four bytes and without padding
_RESET: Final = struct.Struct("!III")  # request number, response number, last assigned TSN
_RESPONSE: Final = struct.Struct("!II")  # response number, result


class ParameterType(IntEnum):
    """Parameters of INIT, INIT ACK and RE-CONFIG that we know."""

    IPV4_ADDRESS = 5
    IPV6_ADDRESS = 6
    STATE_COOKIE = 7
    UNRECOGNIZED_PARAMETER = 8
    COOKIE_PRESERVATIVE = 9
    HOST_NAME_ADDRESS = 11
    SUPPORTED_ADDRESS_TYPES = 12
    OUTGOING_RESET_REQUEST = 13
    RECONFIG_RESPONSE = 16
    ZERO_CHECKSUM_ACCEPTABLE = 0x8001
    SUPPORTED_EXTENSIONS = 0x8008
    FORWARD_TSN_SUPPORTED = 0xC000


DTLS_DETECTS_ERRORS: Final = (1).to_bytes(4, "big")
"""The alternate error detection method of ZERO_CHECKSUM_ACCEPTABLE that means SCTP over DTLS (RFC 9653 §6)."""


class CauseCode(IntEnum):
    """Causes that we put into ABORT and ERROR (RFC 9260 §3.3.10)."""

    STALE_COOKIE = 3
    UNRECOGNIZED_CHUNK_TYPE = 6
    NO_USER_DATA = 9
    USER_INITIATED_ABORT = 12
    PROTOCOL_VIOLATION = 13


class ResetResult(IntEnum):
    """What became of a re-configuration request (RFC 6525 §4.4)."""

    NOTHING_TO_DO = 0
    PERFORMED = 1
    DENIED = 2
    WRONG_SSN = 3
    REQUEST_IN_PROGRESS = 4
    """Another request of the same side is being worked on."""
    BAD_SEQUENCE_NUMBER = 5
    IN_PROGRESS = 6
    """Data sent before the reset is still under way: ask again with the same number."""


@dataclass(slots=True)
class Parameter:
    """A type-length-value of INIT, INIT ACK or RE-CONFIG; error causes have the same form."""

    type: int
    value: bytes

    def serialize(self) -> bytes:
        """Return the parameter without padding."""
        return _PARAMETER.pack(self.type, _PARAMETER.size + len(self.value)) + self.value


@dataclass(slots=True)
class OutgoingResetRequest:
    """The sender's streams start anew after `last_tsn` (RFC 6525 §4.1). No streams: all of them."""

    request: int
    response: int
    last_tsn: int
    streams: list[int] = field(default_factory=list)

    def serialize(self) -> bytes:
        """Return the parameter without padding."""
        fixed = _RESET.pack(self.request, self.response, self.last_tsn)
        streams = struct.pack(f"!{len(self.streams)}H", *self.streams)
        return Parameter(ParameterType.OUTGOING_RESET_REQUEST, fixed + streams).serialize()


@dataclass(slots=True)
class ReconfigResponse:
    """What became of the request of that number (RFC 6525 §4.4). `result` may be none of ResetResult."""

    request: int
    result: int

    def serialize(self) -> bytes:
        """Return the parameter, which needs no padding."""
        return Parameter(ParameterType.RECONFIG_RESPONSE, _RESPONSE.pack(self.request, self.result)).serialize()


ReconfigParameter: TypeAlias = OutgoingResetRequest | ReconfigResponse | Parameter


def serialize_parameters(parameters: Sequence[ReconfigParameter]) -> bytes:
    """Return parameters laid end to end. The last has no padding: it is not counted in a chunk's length (§3.2)."""
    return b"".join(
        [*(padded(each.serialize()) for each in parameters[:-1]), *(p.serialize() for p in parameters[-1:])]
    )


def parse_parameters(data: bytes) -> list[Parameter]:
    """Read parameters, or error causes, laid end to end. The last one may lack its padding.

    Raises:
        DecodeError: if one is cut short.
    """
    parameters: list[Parameter] = []
    offset = 0
    while offset < len(data):
        if len(data) - offset < _PARAMETER.size:
            raise DecodeError("SCTP parameter header cut short")
        kind, length = _PARAMETER.unpack_from(data, offset)
        if length < _PARAMETER.size or offset + length > len(data):
            raise DecodeError(f"SCTP parameter of {length} bytes where {len(data) - offset} are left")
        parameters.append(Parameter(kind, data[offset + _PARAMETER.size : offset + length]))
        offset += length + -length % 4
    return parameters


def parse_reconfig_parameter(parameter: Parameter) -> ReconfigParameter:
    """Read what a RE-CONFIG holds; what is neither an outgoing reset nor a response stays as it is.

    Raises:
        DecodeError: if it is cut short.
    """
    value = parameter.value
    try:
        if parameter.type == ParameterType.OUTGOING_RESET_REQUEST:
            request, response, last_tsn = _RESET.unpack_from(value)
            return OutgoingResetRequest(request, response, last_tsn, list(words16(value[_RESET.size :])))
        if parameter.type == ParameterType.RECONFIG_RESPONSE:
            return ReconfigResponse(*_RESPONSE.unpack_from(value))
    except struct.error as error:
        raise DecodeError(f"RE-CONFIG parameter of type {parameter.type} cut short") from error
    return parameter


def words16(data: bytes) -> tuple[int, ...]:
    """Return as many 16-bit numbers as `data` holds."""
    return struct.unpack_from(f"!{len(data) // 2}H", data)


def padded(data: bytes) -> bytes:
    """Return `data`, filled up with zeros to a multiple of four bytes."""
    return data + bytes(-len(data) % 4)


def describe_causes(causes: bytes) -> str:
    """Return the causes of an ABORT as text for people: their numbers, and what the peer wrote to them."""
    try:
        read = parse_parameters(causes)
    except DecodeError:
        return "causes that cannot be read"
    words = [
        f"cause {cause.type} {cause.value.decode(errors='replace')!r}"
        if cause.type in {CauseCode.USER_INITIATED_ABORT, CauseCode.PROTOCOL_VIOLATION}
        else f"cause {cause.type}"
        for cause in read
    ]
    return ", ".join(words) or "no cause given"
