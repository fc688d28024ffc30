"""Requests that cannot be granted, and why people leave: our own words, which signaling maps to the protocol's."""

from enum import Enum, auto
from typing import ClassVar


class CloseReason(Enum):
    """Why a participant's session, or a room, ended."""

    UNKNOWN = auto()
    CLIENT_LEFT = auto()
    USER_UNAVAILABLE = auto()
    USER_REJECTED = auto()
    AGENT_ERROR = auto()
    DUPLICATE_IDENTITY = auto()
    SERVER_SHUTDOWN = auto()
    PARTICIPANT_REMOVED = auto()
    ROOM_DELETED = auto()
    ROOM_CLOSED = auto()
    JOIN_FAILED = auto()
    SIGNAL_CLOSED = auto()
    CONNECTION_LOST = auto()
    STATE_MISMATCH = auto()
    MIGRATED = auto()
    MOVED = auto()


class SfuError(Exception):
    """A request that cannot be granted; `reason` is what the client will be told."""

    reason: ClassVar[CloseReason] = CloseReason.UNKNOWN


class RoomClosedError(SfuError):
    """The room is closing: nobody can join it."""

    reason = CloseReason.ROOM_CLOSED


class PeerConnectionLostError(SfuError):
    """The media connection failed, or the peer stopped answering."""

    reason = CloseReason.CONNECTION_LOST


class NeverConnectedError(SfuError):
    """Somebody joined, and no media connection came about."""

    reason = CloseReason.JOIN_FAILED


class NegotiationFailedError(SfuError):
    """A description could not be used, or an answer never came."""

    reason = CloseReason.STATE_MISMATCH


class RoomFullError(SfuError):
    """The room has as many participants as it may have."""

    reason = CloseReason.JOIN_FAILED


class IdentityTakenError(SfuError):
    """Somebody of this identity is in the room, and whoever comes later is turned away."""

    reason = CloseReason.JOIN_FAILED


class NotMovableError(SfuError):
    """Somebody cannot be brought into another room: its client could not be told, or it is not there itself."""


class UnknownPresetError(SfuError):
    """A room is to be made after a pattern that is not configured."""

    reason = CloseReason.JOIN_FAILED


class Limited(Enum):
    """What has a limit, by the names that LiveKit's server has for its length."""

    NAME = "name length"
    METADATA = "metadata size"
    ATTRIBUTES = "attributes size"


class LimitExceededError(SfuError):
    """A text that is too long: `what` it is, and its `limit` in bytes."""

    reason = CloseReason.JOIN_FAILED

    def __init__(self, what: Limited, limit: int) -> None:
        super().__init__(f"{what.value} exceeds {limit} bytes")
        self.what = what
        self.limit = limit
