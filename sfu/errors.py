"""Requests that cannot be granted, and why people leave: our own words, which signaling maps to the protocol's."""

from enum import Enum, auto
from typing import ClassVar


class CloseReason(Enum):
    """Why a participant's session, or a room, ended."""

    UNKNOWN = auto()
    CLIENT_LEFT = auto()
    DUPLICATE_IDENTITY = auto()
    SERVER_SHUTDOWN = auto()
    PARTICIPANT_REMOVED = auto()
    ROOM_DELETED = auto()
    ROOM_CLOSED = auto()
    JOIN_FAILED = auto()
    SIGNAL_CLOSED = auto()
    CONNECTION_LOST = auto()
    STATE_MISMATCH = auto()


class SfuError(Exception):
    """A request that cannot be granted; `reason` is what the client will be told."""

    reason: ClassVar[CloseReason] = CloseReason.UNKNOWN


class RoomClosedError(SfuError):
    """The room is closing: nobody can join it."""

    reason = CloseReason.ROOM_CLOSED


class PeerConnectionLostError(SfuError):
    """The media connection failed, or the peer stopped answering."""

    reason = CloseReason.CONNECTION_LOST


class NegotiationFailedError(SfuError):
    """A description could not be used, or an answer never came."""

    reason = CloseReason.STATE_MISMATCH
