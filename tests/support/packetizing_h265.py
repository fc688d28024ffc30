"""Encoded frames of H.265 as RTP payloads, and back (RFC 7798): units alone, aggregated and in fragments."""

from collections.abc import Sequence
from typing import Final

PAYLOAD_BYTES: Final = 400
"""What a packet may hold: little, so that most frames take several."""

IDR_TYPES: Final = frozenset({19, 20})
PARAMETER_SETS: Final = frozenset({32, 33})
AGGREGATION, FRAGMENT = 48, 49
_STARTS, _ENDS = 0x80, 0x40


def pack(units: Sequence[bytes]) -> list[bytes]:
    """Put small neighbours into one packet, what fits into one of its own, and cut the rest."""
    payloads: list[bytes] = []
    together: list[bytes] = []
    for unit in units:
        if together and 2 + sum(2 + len(each) for each in (*together, unit)) > PAYLOAD_BYTES:
            payloads.append(_aggregate(together))
            together = []
        if len(unit) > PAYLOAD_BYTES:
            payloads += _fragment(unit)
        else:
            together.append(unit)
    return payloads + ([_aggregate(together)] if together else [])


def unpack(payloads: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the units of a frame from its payloads, all of them and in order. Raises AssertionError."""
    units: list[bytes] = []
    fragment: bytearray | None = None
    for payload in payloads:
        if unit_type(payload) != FRAGMENT:
            assert fragment is None, "a fragment without its end"
            units += _disaggregate(payload) if unit_type(payload) == AGGREGATION else [payload]
            continue
        if payload[2] & _STARTS:
            assert fragment is None, "a fragment in a fragment"
            fragment = bytearray((payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]))
        assert fragment is not None, "a fragment without its start"
        fragment += payload[3:]
        if payload[2] & _ENDS:
            units.append(bytes(fragment))
            fragment = None
    assert fragment is None, "a fragment without its end"
    return tuple(units)


def starts_key_frame(payload: bytes) -> bool:
    """Whether a key frame starts in this packet."""
    inner = payload[4:] if unit_type(payload) == AGGREGATION else payload
    return unit_type(inner) in PARAMETER_SETS


def unit_type(unit: bytes) -> int:
    """Return the type of a unit, or of a payload."""
    return unit[0] >> 1 & 0x3F if unit else 0


def _aggregate(units: list[bytes]) -> bytes:
    if len(units) == 1:
        return units[0]
    return bytes((AGGREGATION << 1, 1)) + b"".join(len(unit).to_bytes(2) + unit for unit in units)


def _disaggregate(payload: bytes) -> list[bytes]:
    units: list[bytes] = []
    at = 2
    while at < len(payload):
        end = at + 2 + int.from_bytes(payload[at : at + 2])
        units.append(payload[at + 2 : end])
        at = end
    return units


def _fragment(unit: bytes) -> list[bytes]:
    size = PAYLOAD_BYTES - 3
    parts = [unit[at : at + size] for at in range(2, len(unit), size)]
    payloads = []
    for at, part in enumerate(parts):
        flags = (_STARTS if at == 0 else 0) | (_ENDS if at == len(parts) - 1 else 0)
        payloads.append(bytes((unit[0] & 0x81 | FRAGMENT << 1, unit[1], flags | unit_type(unit))) + part)
    return payloads
