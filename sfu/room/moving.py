"""Bringing somebody into another room, wholly or as a stand-in: LiveKit's MoveParticipant and ForwardParticipant."""

import msgspec

from sfu.errors import IdentityTakenError, NotMovableError
from sfu.room.joining import Joining
from sfu.room.participant import Participant
from sfu.room.room import Room
from sfu.room.standing_in import StandInSink, mirror, stand_in_claims


def move(participant: Participant, destination: Room) -> None:
    """Let somebody leave its room and be in `destination`, all of it before this returns.

    Its media goes on, and its tracks keep their ids; in `destination` it is a new participant, of a new sid. It may there
    what it might before, and gets a token that says so. What it wanted of single tracks is forgotten.

    Raises:
        NotMovableError: its client could never be told of it.
        RoomClosedError, RoomFullError, IdentityTakenError: it cannot come in. It stays where it is then.
    """
    if not participant.has_signal or participant.close_reason is not None:
        raise NotMovableError("the participant came without signalling")
    grant = msgspec.structs.replace(participant.grant, room=destination.name)
    claims = msgspec.structs.replace(participant.claims, video=grant, room_config=None, room_preset="")
    destination.make_place_for(claims)
    participant.room.release(participant)
    destination.receive(participant, claims)


def forward(participant: Participant, destination: Room) -> None:
    """Let what somebody publishes be in `destination` too, until it leaves its room; all of it before this returns.

    There it has a stand-in: a participant of the same identity and sid, marked as forwarded, which counts as any other
    and ends if it is removed. It publishes the original's media tracks, which are the same in both rooms, and no data.
    Who is forwarded already to this room stays so.

    Raises:
        NotMovableError: it is a stand-in itself, or about to leave.
        IdentityTakenError, RoomClosedError, RoomFullError: there is no place for it.
    """
    if participant.stands_for is not None or participant.close_reason is not None:
        raise NotMovableError("the participant is leaving, or is in another room and forwarded from there")
    if (present := destination.participants.get(participant.identity)) is not None:
        if present.stands_for is participant:
            return
        raise IdentityTakenError(participant.identity)
    joining = Joining(
        stand_in_claims(participant.claims, destination.name),
        participant.client_info,
        auto_subscribe=False,
        auto_subscribe_data=False,
        single_connection=True,
        has_signal=False,
        stands_for=participant,
    )
    stand_in = destination.join(joining, StandInSink(participant))
    stand_in.permissions = participant.permissions
    stand_in.become_active()
    mirror(stand_in, participant)
