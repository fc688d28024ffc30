"""Which media section, and which encoding of it, an incoming SSRC carries (RFC 9143 §9.2, RFC 8852, RFC 8853).

Browsers name their SSRCs in the packets (MID, RID) and not in the description when they send simulcast. They stop as
soon as a receiver report tells them that an SSRC was heard. So a binding, once made, is kept for as long as its
section is, RTCP goodbyes notwithstanding: browsers say goodbye for an encoding that is only paused, and go on later
with the same SSRC, without names. And nothing may be reported of an SSRC that is not bound. SSRCs of retransmissions
are bound too, and known as such: left out of all reports, they go on naming what they repair (recorded from
Chromium 156).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from rtp.packet import RtpHeader
from rtp.units import Mid, Rid, Ssrc

MAX_SSRCS_PER_SECTION: Final = 32
"""Three encodings and their retransmissions need six; the rest is for senders that change SSRC now and then."""


@dataclass(frozen=True, slots=True)
class Section:
    """What a negotiated media section, on which the peer may send, says of its streams.

    `payload_types` are media, `rtx_payload_types` retransmissions. `ssrcs` and `rtx_ssrcs` (from `a=ssrc` and from FID
    groups) have the names of their encodings, as if they were RIDs, where a group tells them apart (SIM). They do not
    count if there are `rids`: Firefox signals both, and only RIDs tell which encoding is which. Extension ids are None where not negotiated. They are the same in all sections of a BUNDLE group (RFC 9143 §9.1).
    """

    mid: Mid
    payload_types: frozenset[int]
    rtx_payload_types: frozenset[int] = frozenset()
    rids: tuple[Rid, ...] = ()
    ssrcs: Mapping[Ssrc, Rid | None] = field(default_factory=dict)
    rtx_ssrcs: Mapping[Ssrc, Rid | None] = field(default_factory=dict)
    mid_extension: int | None = None
    rid_extension: int | None = None
    repaired_rid_extension: int | None = None

    @property
    def encodings(self) -> frozenset[Rid | None]:
        """The names of its encodings; None alone if there is one, without a name."""
        return frozenset(self.rids or self.ssrcs.values()) or frozenset({None})


@dataclass(frozen=True, slots=True)
class Binding:
    """What an SSRC carries. `rid` is None in a section of one encoding; if `is_rtx`, it repairs the stream of that RID."""

    mid: Mid
    rid: Rid | None
    is_rtx: bool


class Unbound(Enum):
    """Why a packet's SSRC was not bound."""

    PROBE = auto()
    """SSRC 0: libwebrtc probes the bandwidth with it before there is media."""
    UNKNOWN_MID = auto()
    """No such section, or none yet."""
    UNKNOWN_RID = auto()
    """No such encoding in the section."""
    NO_RID = auto()
    """In a section of several encodings, the packet does not say which it is of."""
    AMBIGUOUS = auto()
    """Nothing names the section, and the payload type is that of none or of several."""
    TOO_MANY = auto()
    """The section has had its share of SSRCs."""


class SsrcBinder:
    """Binds the SSRCs of one transport. What is unbound takes no memory; each section has room for so many SSRCs."""

    def __init__(self) -> None:
        self.unbound: Counter[Unbound] = Counter()
        """Packets that could not be bound, by cause."""
        self._sections: dict[bytes, Section] = {}  # by MID, as it stands in packets
        self._mid_extension: int | None = None
        self._bindings: dict[Ssrc, Binding] = {}
        self._taken: Counter[Mid] = Counter()  # bindings by section

    def declare(self, section: Section) -> None:
        """Take in a section, or what has become of one after another negotiation: its bindings stay, if they still can.

        An SSRC that it signals is bound at once, even if it was taken for another section's before.
        """
        self._sections[section.mid.encode()] = section
        if section.mid_extension is not None:
            self._mid_extension = section.mid_extension
        encodings = section.encodings
        self._keep({s: b for s, b in self._bindings.items() if b.mid != section.mid or b.rid in encodings})
        if not section.rids:
            signalled = {ssrc: Binding(section.mid, rid, is_rtx=False) for ssrc, rid in section.ssrcs.items()}
            signalled |= {ssrc: Binding(section.mid, rid, is_rtx=True) for ssrc, rid in section.rtx_ssrcs.items()}
            self._keep(self._bindings | signalled)

    def withdraw(self, mid: Mid) -> None:
        """Forget a section on which the peer no longer sends, and its bindings."""
        self._sections.pop(mid.encode(), None)
        self._keep({s: b for s, b in self._bindings.items() if b.mid != mid})

    def bound(self, ssrc: Ssrc) -> Binding | None:
        """Return what `ssrc` is bound to. A packet of a bound SSRC need not have its extensions read."""
        return self._bindings.get(ssrc)

    def bind(self, header: RtpHeader, extensions: Mapping[int, bytes]) -> Binding | None:
        """Return what the packet's SSRC carries, binding it if this packet tells; if not, count why and return None.

        A packet that was not bound can be dropped: names are in the first packets, and in all until we report on them.
        """
        known = self._bindings.get(header.ssrc)
        if known is not None:
            return known
        found = self._resolve(header, extensions)
        if isinstance(found, Binding) and self._taken[found.mid] >= MAX_SSRCS_PER_SECTION:
            found = Unbound.TOO_MANY
        if isinstance(found, Unbound):
            self.unbound[found] += 1
            return None
        self._bindings[header.ssrc] = found
        self._taken[found.mid] += 1
        return found

    def _keep(self, bindings: dict[Ssrc, Binding]) -> None:
        self._bindings = bindings
        self._taken = Counter(binding.mid for binding in bindings.values())

    def _resolve(self, header: RtpHeader, extensions: Mapping[int, bytes]) -> Binding | Unbound:
        if not header.ssrc:
            return Unbound.PROBE
        mid = None if self._mid_extension is None else extensions.get(self._mid_extension)
        if mid is not None:
            section = self._sections.get(mid)
            return Unbound.UNKNOWN_MID if section is None else _encoding(section, header, extensions)
        section = self._only_section_for(header.payload_type)
        return Unbound.AMBIGUOUS if section is None else _encoding(section, header, extensions)

    def _only_section_for(self, payload_type: int) -> Section | None:
        """Return the one section that can mean this payload type, of those without signalled SSRCs or else of all."""
        accepting = [s for s in self._sections.values() if payload_type in s.payload_types | s.rtx_payload_types]
        unsignalled = [section for section in accepting if not section.ssrcs]
        for candidates in (unsignalled, accepting):
            if len(candidates) == 1:
                return candidates[0]
        return None


def _encoding(section: Section, header: RtpHeader, extensions: Mapping[int, bytes]) -> Binding | Unbound:
    if section.encodings == {None}:
        return Binding(section.mid, None, is_rtx=header.payload_type in section.rtx_payload_types)
    for extension, is_rtx in ((section.rid_extension, False), (section.repaired_rid_extension, True)):
        name = None if extension is None else extensions.get(extension)
        if name is not None:
            rid = next((rid for rid in section.rids if rid.encode() == name), None)
            return Unbound.UNKNOWN_RID if rid is None else Binding(section.mid, rid, is_rtx)
    return Unbound.NO_RID
