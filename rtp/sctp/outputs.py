"""What an association wants done, and what it tells of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from rtp.sctp.drops import Drop


@dataclass(slots=True)
class SendPacket:
    """A packet for the DTLS connection."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AssociationUp:
    """Both sides have agreed: what was sent before this leaves now."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A whole user message, in its turn if ordered. `protocol` is the payload protocol identifier."""

    stream: int
    protocol: int
    data: bytes
    ordered: bool


@dataclass(frozen=True, slots=True)
class StreamDrained:
    """What of this stream the peer has not acknowledged has fallen to the stream's threshold, or below it."""

    stream: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The peer started these streams of its own anew, which closes their channels; none named: all of them."""

    streams: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AssociationClosed:
    """It is over, for `reason`, in words for a log. Nothing comes after this."""

    reason: str


SctpOutput: TypeAlias = SendPacket | AssociationUp | MessageReceived | StreamDrained | StreamReset | AssociationClosed


class AssociationState(Enum):
    """Where an association is between its first INIT and its end."""

    CLOSED = auto()
    """Nothing has happened yet."""
    COOKIE_WAIT = auto()
    COOKIE_ECHOED = auto()
    ESTABLISHED = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class SctpStatistics:
    """A snapshot; the counts run from the beginning. Windows, queue and flight are bytes of user data."""

    state: AssociationState
    packets_received: int
    packets_sent: int
    retransmissions: int
    abandoned_messages: int
    congestion_window: int
    receive_window: int
    queued_bytes: int
    flight_bytes: int
    outstanding_chunks: int
    smoothed_round_trip_seconds: float | None
    drops: Mapping[Drop, int]
