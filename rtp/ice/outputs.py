"""What the ICE agents ask for, tell and count."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from rtp.units import Path


@dataclass(slots=True)
class Send:
    """A datagram for the network, to leave by the socket of `path.local` for `path.remote`."""

    data: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class Validated:
    """The peer has proved itself on this path for the first time: DTLS may be taken from here."""

    path: Path


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The path is validated no longer: nothing but STUN may be taken from here.

    Only the lite agent says so, for endpoints that tell peers apart by their addresses.
    """

    path: Path


@dataclass(frozen=True, slots=True)
class Nominated:
    """DTLS and media go there from now on. Said at every change of `selected`, so for the first validated path too."""

    path: Path


@dataclass(frozen=True, slots=True)
class ConsentLost:
    """The peer has been silent too long: send nothing more (RFC 7675 §5.1). Only a restart brings the agent back."""


IceOutput: TypeAlias = Send | Validated | Forgotten | Nominated | ConsentLost


class Drop(Enum):
    """Why nothing follows from a datagram; nor is it answered, but for `REPLAYED`."""

    MALFORMED = auto()
    """No STUN message, or a wrong FINGERPRINT."""
    UNEXPECTED = auto()
    """An indication, another method, or a response that nobody waits for."""
    UNKNOWN_USERNAME = auto()
    BAD_INTEGRITY = auto()
    REPLAYED = auto()
    """A check that had come before, on a path where no new one has come, or not of late."""
    CONSENT_LOST = auto()
    """It came after `ConsentLost`, before a restart."""


@dataclass(frozen=True, slots=True)
class IceStatistics:
    """An agent's counters since it was made, and where it stands."""

    requests_sent: int
    """Checks and their repeats; 0 in a lite agent."""
    requests_answered: int
    """Authenticated requests, refused ones among them."""
    responses_received: int
    """Authenticated responses to checks."""
    nominations: int
    """How often `selected` became another path."""
    validated_paths: int
    selected: Path | None
    dropped: Mapping[Drop, int]
