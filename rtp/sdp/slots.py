"""The order of media sections, which both sides keep for the life of a connection (RFC 9429 §5.2.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rtp.sdp.description import Direction, NegotiationError, Section
from rtp.sdp.transceiver import Transceiver
from rtp.units import Mid


@dataclass(slots=True, eq=False)
class Slot:
    """A place in the order of sections. `transceiver` is None for data, and for what we do not understand.

    `is_active`: neither side has rejected or stopped the section. `is_offered`: our last offer had it active.
    """

    kind: str
    transceiver: Transceiver | None
    is_data: bool
    mid: Mid | None = None
    is_active: bool = True
    is_offered: bool = False


def check_order(slots: Sequence[Slot], sections: Sequence[Section]) -> None:
    """Hold an offer to the order of sections. A place that was rejected or stopped may be used for anything.

    Raises:
        NegotiationError: if a section is missing, or changed its kind or mid.
    """
    if len(sections) < len(slots):
        raise NegotiationError(f"{len(sections)} sections, where there were {len(slots)}")
    for slot, section in zip(slots, sections, strict=False):
        if slot.is_active:
            check_same(slot, section)


def check_same(slot: Slot, section: Section) -> None:
    """Hold a section to its place.

    Raises:
        NegotiationError: if it has another kind or mid; a rejected one may leave its mid out.
    """
    if section.kind != slot.kind:
        raise NegotiationError(f"section {slot.mid} is of kind {section.kind}, not {slot.kind}")
    if section.mid != slot.mid and (section.is_active or section.mid is not None):
        raise NegotiationError(f"section {section.mid} stands where {slot.mid} was")


def check_extensions(sections: Sequence[Section], understood: frozenset[str]) -> None:
    """Hold an offer to one meaning for each header extension id: a packet's MID is read before its section is known.

    Raises:
        NegotiationError: if an id means two URIs, of which we understand one.
    """
    known: dict[int, str] = {}
    for section in sections:
        if section.is_active and section.media is not None:
            for uri, number in section.extensions.items():
                other = known.setdefault(number, uri)
                if other != uri and not understood.isdisjoint((uri, other)):
                    raise NegotiationError(f"header extension {number} means both {other} and {uri}")


def slot_for(slots: list[Slot], index: int, section: Section, *, with_data: bool) -> Slot:
    """Return the slot of an offered section: the one there is, or a new one at the end or for a recycled section."""
    if index < len(slots):
        slot = slots[index]
        if slot.is_active or (slot.mid == section.mid and slot.kind == section.kind):
            return slot
    transceiver = None if section.media is None else Transceiver(section.media, Direction.SENDRECV)
    is_data = with_data and section.is_data and not any(slot.is_data and slot.is_active for slot in slots)
    slot = Slot(section.kind, transceiver, is_data=is_data)
    slots[index : index + 1] = [slot]
    return slot
