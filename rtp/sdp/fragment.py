"""Pieces of SDP that carry ICE alone: `application/trickle-ice-sdpfrag` (RFC 8840 §9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.ice.candidates import Candidate, IceCredentials, parse_candidate
from rtp.sdp.grammar import MAX_SECTIONS, Attribute, group
from rtp.units import Mid

MAX_FRAGMENT_CHARACTERS: Final = 1 << 16
MAX_FRAGMENT_CANDIDATES: Final = 64
"""What one fragment may hold: browsers gather some twenty candidates."""

_MAX_ICE_TEXT: Final = 256  # RFC 8839 §5.4
_PSEUDO_MEDIA: Final = "m=audio 9 UDP/TLS/RTP/SAVPF 0"
"""Stands before a mid to make a section of it, and means nothing (RFC 8840 §9)."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one side says of its ICE: for the first time in a generation, or more of it.

    `credentials` are those of the generation, None if the fragment does not say. `mids` are the sections that it speaks
    of; with BUNDLE all share one transport, so it does not matter which of them a candidate stands in. `is_complete`:
    no more candidates will come.
    """

    credentials: IceCredentials | None
    mids: tuple[Mid, ...]
    candidates: tuple[Candidate, ...]
    is_complete: bool

    def serialize(self) -> str:
        """Return the text as a lite agent says it, each line ended by CRLF. There is a section to name, and credentials."""
        assert self.credentials is not None, "what we say of our ICE begins with its name"
        lines = [
            "a=ice-lite",
            "a=ice-options:trickle",
            f"a=group:BUNDLE {' '.join(self.mids)}",
            _PSEUDO_MEDIA,
            f"a=mid:{self.mids[0]}",
            f"a=ice-ufrag:{self.credentials.ufrag}",
            f"a=ice-pwd:{self.credentials.password}",
            *(f"a={candidate.serialize()}" for candidate in self.candidates),
            *(["a=end-of-candidates"] if self.is_complete else []),
            "",
        ]
        return "\r\n".join(lines)


def parse_fragment(text: str) -> Fragment:
    """Read a fragment. Attributes that say nothing of ICE are skipped.

    Raises:
        DecodeError: if a line is neither an attribute nor a media line, if a candidate cannot be read, if the sections
            have different credentials, or half of them, or if there is more of anything than a fragment may hold.
    """
    if len(text) > MAX_FRAGMENT_CHARACTERS:
        raise DecodeError(f"a fragment of {len(text)} characters, more than {MAX_FRAGMENT_CHARACTERS}")
    blocks: list[list[Attribute]] = [[]]
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("m="):
            blocks.append([])
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            blocks[-1].append((name, value))
        elif line:
            raise DecodeError("a line of a fragment that is neither an attribute nor a media line")
    if len(blocks) - 1 > MAX_SECTIONS:
        raise DecodeError(f"a fragment of {len(blocks) - 1} sections, more than {MAX_SECTIONS}")
    grouped = [group(block) for block in blocks]
    candidates = [value for own in grouped for value in own.get("candidate", ())]
    if len(candidates) > MAX_FRAGMENT_CANDIDATES:
        raise DecodeError(f"a fragment of {len(candidates)} candidates, more than {MAX_FRAGMENT_CANDIDATES}")
    return Fragment(
        credentials=_credentials([said for own in grouped if (said := _said_credentials(own)) is not None]),
        mids=tuple(dict.fromkeys(Mid(own["mid"][0]) for own in grouped if "mid" in own)),
        candidates=tuple(parse_candidate(f"candidate:{value}") for value in candidates),
        is_complete=any("end-of-candidates" in own for own in grouped),
    )


def _said_credentials(own: dict[str, list[str]]) -> IceCredentials | None:
    """Return what one section says, or what is said before any."""
    if "ice-ufrag" not in own and "ice-pwd" not in own:
        return None
    ufrag, password = own.get("ice-ufrag", [""])[0], own.get("ice-pwd", [""])[0]
    if not (0 < len(ufrag) <= _MAX_ICE_TEXT and 0 < len(password) <= _MAX_ICE_TEXT):
        raise DecodeError("a fragment with half of its ICE credentials")
    return IceCredentials(ufrag, password)


def _credentials(said: Sequence[IceCredentials]) -> IceCredentials | None:
    if len(set(said)) > 1:
        raise DecodeError("a fragment whose sections have different ICE credentials")
    return said[0] if said else None
