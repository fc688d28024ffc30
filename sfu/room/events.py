"""What happens in rooms and must not be missed: told at the moment of change, in order, none left out.

The room, the participant and the track in an event are the living ones. Whoever is told takes from them what it wants
before it returns; it neither waits nor raises, and keeps what it has to do in a bounded outbox of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from livekit.protocol.models import TrackInfo

if TYPE_CHECKING:
    from sfu.room.participant import Participant
    from sfu.room.room import Room


@dataclass(frozen=True, slots=True)
class RoomStarted:
    """A room is open. It is the first event of the room."""

    room: "Room"


@dataclass(frozen=True, slots=True)
class RoomFinished:
    """A room is closed, and everybody has left. It is the last event of the room."""

    room: "Room"


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    """Media can flow to and from a participant. Once in a session, however often that resumes."""

    room: "Room"
    participant: "Participant"


@dataclass(frozen=True, slots=True)
class ParticipantLeft:
    """A session is over; its tracks have been told of as unpublished."""

    room: "Room"
    participant: "Participant"


@dataclass(frozen=True, slots=True)
class ParticipantAborted:
    """A session is over in which media could never flow: nobody was told that it had begun."""

    room: "Room"
    participant: "Participant"


@dataclass(frozen=True, slots=True)
class TrackPublished:
    """Others can have a track."""

    room: "Room"
    participant: "Participant"
    track: TrackInfo


@dataclass(frozen=True, slots=True)
class TrackUnpublished:
    """A track is gone."""

    room: "Room"
    participant: "Participant"
    track: TrackInfo


RoomEvent: TypeAlias = (
    RoomStarted
    | RoomFinished
    | ParticipantJoined
    | ParticipantLeft
    | ParticipantAborted
    | TrackPublished
    | TrackUnpublished
)

Tell: TypeAlias = Callable[[RoomEvent], None]
