"""Credentials and candidates: what the two ends tell each other in SDP (RFC 8839 §5)."""

import zlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from rtp.errors import DecodeError
from rtp.units import Address

RTP_COMPONENT: Final = 1
"""The only component there is, because RTCP shares it (RFC 5761)."""

HOST_PREFERENCE: Final = 126
PEER_REFLEXIVE_PREFERENCE: Final = 110
"""Type preferences (RFC 8445 §5.1.2.2)."""

MAX_LOCAL_PREFERENCE: Final = 0xFFFF

_MAX_CHARACTERS: Final = 1024
_MANDATORY_WORDS: Final = 8


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """One end's ufrag and password for one generation, both of ice-chars: `[A-Za-z0-9+/]` (RFC 8839 §5.4)."""

    ufrag: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address at which an agent may be reached (RFC 8839 §5.1).

    `transport` ("udp", "tcp", …), `type` ("host", "srflx", "prflx", "relay", …) and `tcptype` are in lower case. The
    address is an IP literal in its normal form or, from browsers that hide theirs, a name.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    address: Address
    type: str
    tcptype: str | None = None

    @property
    def is_usable(self) -> bool:
        """Whether a check could be sent to it.

        False for names (`.local`: multicast DNS is not ours to ask), for active TCP ends, which only dial, for
        other components than RTP's and for unknown transports.
        """
        host, port = self.address
        return (
            self.component == RTP_COMPONENT
            and self.transport in {"udp", "tcp"}
            and self.tcptype != "active"
            and port > 0
            and _literal(host) is not None
        )

    def serialize(self) -> str:
        """Return the value of the SDP attribute, with `candidate:` in front."""
        host, port = self.address
        text = (
            f"candidate:{self.foundation} {self.component} {self.transport} {self.priority} {host} {port}"
            f" typ {self.type}"
        )
        return text if self.tcptype is None else f"{text} tcptype {self.tcptype}"


def new_credentials(random_bytes: Callable[[int], bytes]) -> IceCredentials:
    """Draw a ufrag of 16 and a password of 32 ice-chars; `random_bytes(n)` must be fit for keys."""
    # base64's alphabet is ice-char exactly, and multiples of three bytes need no padding.
    return IceCredentials(b64encode(random_bytes(12)).decode(), b64encode(random_bytes(24)).decode())


def candidate_priority(type_preference: int, local_preference: int) -> int:
    """Return a candidate's priority by RFC 8445 §5.1.2.1, for the RTP component."""
    return type_preference << 24 | local_preference << 8 | 256 - RTP_COMPONENT


def host_candidate(address: Address, index: int) -> Candidate:
    """Return the UDP candidate for the `index`th of our own addresses, best first."""
    return Candidate(
        # Candidates of one base address share a foundation, others do not (RFC 8445 §5.1.1.3).
        foundation=str(zlib.crc32(address[0].encode())),
        component=RTP_COMPONENT,
        transport="udp",
        priority=candidate_priority(HOST_PREFERENCE, MAX_LOCAL_PREFERENCE - index),
        address=address,
        type="host",
    )


def parse_candidate(text: str) -> Candidate:
    """Read a candidate as it stands in SDP or in a trickled message, with or without `a=` and `candidate:`.

    Related addresses and unknown extensions are skipped.

    Raises:
        DecodeError: if it does not follow the grammar; the empty text, which ends trickling, does not.
    """
    if len(text) > _MAX_CHARACTERS or not text.isascii():
        raise DecodeError("ICE candidate too long, or not ASCII")
    words = text.strip().removeprefix("a=").removeprefix("candidate:").split()
    if len(words) < _MANDATORY_WORDS or words[6].lower() != "typ" or not text.strip().isprintable():
        raise DecodeError("ICE candidate without its mandatory parts")
    foundation, component, transport, priority, host, port, _, kind, *rest = words
    extensions = dict(zip(rest[::2], rest[1::2], strict=False))
    return Candidate(
        foundation=foundation,
        component=_number(component, 256),
        transport=transport.lower(),
        priority=_number(priority, 0xFFFF_FFFF),
        address=(_literal(host) or host, _number(port, 0xFFFF)),
        type=kind.lower(),
        tcptype=tcptype.lower() if (tcptype := extensions.get("tcptype")) else None,
    )


def _number(word: str, limit: int) -> int:
    if not word.isdigit() or len(word) > 10 or int(word) > limit:
        raise DecodeError(f"ICE candidate with a number not from 0 to {limit}")
    return int(word)


def _literal(host: str) -> str | None:
    """Return the normal form of an IP literal, None for anything else."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None
