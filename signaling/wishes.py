"""What a request, or a token, asks of the room that it may make."""

from google.protobuf.json_format import ParseDict, ParseError
from livekit.protocol.room import CreateRoomRequest, RoomConfiguration

from sfu.settings import RoomWishes
from signaling.http.errors import HttpError


def room_wishes(asked: CreateRoomRequest | RoomConfiguration) -> RoomWishes:
    """Return what of a request rooms know to do."""
    return RoomWishes(asked.empty_timeout, asked.departure_timeout, asked.max_participants, asked.metadata)


def configured_wishes(configuration: dict[str, object] | None) -> RoomWishes:
    """Read a RoomConfiguration in proto3 JSON, as a token has it. Raises HttpError (400) if it is none."""
    if not configuration:
        return RoomWishes()
    try:
        return room_wishes(ParseDict(configuration, RoomConfiguration(), ignore_unknown_fields=True))
    except ParseError as error:
        raise HttpError(400, "the token's room configuration cannot be read") from error
