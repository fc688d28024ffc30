"""AV1 as RTP payloads, and back (AV1 RTP payload specification §4)."""

from collections.abc import Iterator, Sequence
from typing import Final

from tests.support.encodings import PAYLOAD_BYTES, EncodedFrame
from tests.support.obus import SEQUENCE_HEADER, obu_type, read_size, write_size

_CONTINUES: Final = 0x80  # Z
_GOES_ON: Final = 0x40  # Y
_NEW_SEQUENCE: Final = 0x08  # N
_COUNT_SHIFT: Final = 4  # of W
_MAX_COUNT: Final = 3
_SIZE_BYTES: Final = 2  # of an element, at most


def packetize_av1(frame: EncodedFrame) -> list[bytes]:
    """Fill each packet with OBUs, the last of which goes on in the next if there is no room."""
    packets: list[list[bytes]] = [[]]
    cuts = set()  # the packets whose last element goes on
    room = PAYLOAD_BYTES
    for unit in frame.units:
        rest = unit
        while rest:
            if room <= _SIZE_BYTES:
                packets.append([])
                room = PAYLOAD_BYTES
            part, rest = rest[: room - _SIZE_BYTES], rest[room - _SIZE_BYTES :]
            packets[-1].append(part)
            room -= _SIZE_BYTES + len(part)
            if rest:
                cuts.add(len(packets) - 1)
    payloads = []
    for at, parts in enumerate(packets):
        flags = (_CONTINUES if at - 1 in cuts else 0) | (_GOES_ON if at in cuts else 0)
        flags |= _NEW_SEQUENCE if frame.is_key and at == 0 else 0
        payloads.append(_aggregate(flags, parts))
    return payloads


def assemble_av1(payloads: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the OBUs of a temporal unit from its payloads, all of them and in order. Raises AssertionError or IndexError."""
    units: list[bytes] = []
    fragment: bytes | None = None
    for payload in payloads:
        assert (fragment is not None) == bool(payload[0] & _CONTINUES), "a fragment without its start, or its end"
        for part, is_whole in _elements(payload):
            whole = (fragment or b"") + part
            fragment = None if is_whole else whole
            if is_whole:
                units.append(whole)
    assert fragment is None, "a fragment without its end"
    return tuple(units)


def starts_av1(payload: bytes) -> bool:
    """Whether a frame is known to start in this packet: only a key frame says so."""
    return bool(payload[0] & _NEW_SEQUENCE)


def is_av1_key_frame(units: Sequence[bytes]) -> bool:
    """Whether a decoder can start at this temporal unit."""
    return any(obu_type(unit) == SEQUENCE_HEADER for unit in units)


def _aggregate(flags: int, parts: list[bytes]) -> bytes:
    """Put elements into a payload: up to three of them are counted, and then the last needs no size."""
    count = len(parts) if len(parts) <= _MAX_COUNT else 0
    sized = parts[:-1] if count else parts
    payload = bytes((flags | count << _COUNT_SHIFT,)) + b"".join(write_size(len(part)) + part for part in sized)
    return payload + parts[-1] if count else payload


def _elements(payload: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield the elements of a payload, and whether each ends here."""
    count, at, index = payload[0] >> _COUNT_SHIFT & _MAX_COUNT, 1, 0
    while at < len(payload):
        index += 1
        size, at = (len(payload) - at, at) if index == count else read_size(payload, at)
        part, at = payload[at : at + size], at + size
        yield part, at < len(payload) or not payload[0] & _GOES_ON
