"""Frames of NAL units as RTP payloads, and back: H.264 in packetization mode 1 (RFC 6184), and H.265 (RFC 7798)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.support.encodings import PAYLOAD_BYTES, EncodedFrame

_FRAGMENT_STARTS: Final = 0x80
_FRAGMENT_ENDS: Final = 0x40
_PARAMETER_SETS: Final = frozenset({7, 8})  # of H.264
_IMPORTANCE: Final = 0x60  # NRI of H.264; in H.265 the type, which an aggregation does not keep


@dataclass(frozen=True, slots=True)
class NalFormat:
    """One of the two codecs. `parameter_sets` begin a key frame, which is one if there are `idr_slices` in it.

    The type is in the first of `header_bytes`, under `type_mask`. `aggregation` and `fragment` are the types of payloads
    that hold several units, and a part of one.
    """

    header_bytes: int
    type_mask: int
    type_shift: int
    aggregation: int
    fragment: int
    parameter_sets: frozenset[int]
    idr_slices: frozenset[int]

    def pack(self, frame: EncodedFrame) -> list[bytes]:
        """Put small neighbours into one packet, what fits into one of its own, and cut the rest."""
        payloads: list[bytes] = []
        together: list[bytes] = []
        for unit in frame.units:
            if together and self.header_bytes + sum(2 + len(each) for each in (*together, unit)) > PAYLOAD_BYTES:
                payloads.append(self._aggregate(together))
                together = []
            if len(unit) > PAYLOAD_BYTES:
                payloads += self._fragment(unit)
            else:
                together.append(unit)
                if len(unit) > PAYLOAD_BYTES // 2:  # alone, as most slices are
                    payloads.append(self._aggregate(together))
                    together = []
        return payloads + ([self._aggregate(together)] if together else [])

    def assemble(self, payloads: Sequence[bytes]) -> tuple[bytes, ...]:
        """Return the units of a frame from its payloads, all of them and in order. Raises AssertionError."""
        size = self.header_bytes
        units: list[bytes] = []
        fragment: bytearray | None = None
        for payload in payloads:
            if self.unit_type(payload) != self.fragment:
                assert fragment is None, "a fragment without its end"
                units += self._disaggregate(payload) if self.unit_type(payload) == self.aggregation else [payload]
                continue
            flags = payload[size]
            if flags & _FRAGMENT_STARTS:
                assert fragment is None, "a fragment in a fragment"
                fragment = bytearray(self._header(payload, flags & self.type_mask >> self.type_shift))
            assert fragment is not None, "a fragment without its start"
            fragment += payload[size + 1 :]
            if flags & _FRAGMENT_ENDS:
                units.append(bytes(fragment))
                fragment = None
        assert fragment is None, "a fragment without its end"
        return tuple(units)

    def starts_frame(self, payload: bytes) -> bool:
        """Whether a frame is known to start in this packet: only a key frame says so."""
        if self.unit_type(payload) == self.aggregation:
            payload = payload[self.header_bytes + 2 :]
        return self.unit_type(payload) in self.parameter_sets

    def is_key_frame(self, units: Sequence[bytes]) -> bool:
        """Whether a decoder can start at this frame."""
        return any(self.unit_type(unit) in self.idr_slices for unit in units)

    def unit_type(self, unit: bytes) -> int:
        """Return the type of a unit, or of a payload."""
        return (unit[0] & self.type_mask) >> self.type_shift if unit else 0

    def _header(self, unit: bytes, kind: int) -> bytes:
        """Return the header of a unit with another type in it."""
        return bytes((unit[0] & ~self.type_mask | kind << self.type_shift,)) + unit[1 : self.header_bytes]

    def _aggregate(self, units: list[bytes]) -> bytes:
        if len(units) == 1:
            return units[0]
        most_important = max(units, key=lambda unit: unit[0] & _IMPORTANCE)
        parts = b"".join(len(unit).to_bytes(2) + unit for unit in units)
        return self._header(most_important, self.aggregation) + parts

    def _disaggregate(self, payload: bytes) -> list[bytes]:
        units: list[bytes] = []
        at = self.header_bytes
        while at < len(payload):
            end = at + 2 + int.from_bytes(payload[at : at + 2])
            units.append(payload[at + 2 : end])
            at = end
        return units

    def _fragment(self, unit: bytes) -> list[bytes]:
        header, size = self._header(unit, self.fragment), PAYLOAD_BYTES - self.header_bytes - 1
        parts = [unit[at : at + size] for at in range(self.header_bytes, len(unit), size)]
        payloads = []
        for at, part in enumerate(parts):
            flags = (_FRAGMENT_STARTS if at == 0 else 0) | (_FRAGMENT_ENDS if at == len(parts) - 1 else 0)
            payloads.append(header + bytes((flags | self.unit_type(unit),)) + part)
        return payloads


H264_FORMAT: Final = NalFormat(
    header_bytes=1,
    type_mask=0x1F,
    type_shift=0,
    aggregation=24,
    fragment=28,
    parameter_sets=frozenset({7}),
    idr_slices=frozenset({5}),
)
H265_FORMAT: Final = NalFormat(
    header_bytes=2,
    type_mask=0x7E,
    type_shift=1,
    aggregation=48,
    fragment=49,
    parameter_sets=frozenset({32, 33}),
    idr_slices=frozenset({19, 20}),
)


class BareH264Packetizer:
    """Sends parameter sets once, with the first frame that has them, as some hardware does."""

    def __init__(self) -> None:
        self._is_told = False

    def __call__(self, frame: EncodedFrame) -> list[bytes]:
        """Pack a frame, which has something in it besides."""
        sets = [unit for unit in frame.units if H264_FORMAT.unit_type(unit) in _PARAMETER_SETS]
        if not self._is_told:
            self._is_told = bool(sets)
            return H264_FORMAT.pack(frame)
        return H264_FORMAT.pack(replace(frame, units=tuple(unit for unit in frame.units if unit not in sets)))
