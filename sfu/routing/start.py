"""What a session begins with, wherever the room is that it asks for."""

from dataclasses import dataclass

import msgspec
from google.protobuf.message import DecodeError as ProtobufDecodeError
from livekit.protocol.rtc import JoinRequest

from rtp.errors import DecodeError
from sfu.model import Claims, RoomName
from sfu.routing import routing_pb2


@dataclass(frozen=True, slots=True)
class SessionStart:
    """A client's wish to join a room, or to resume its session there; checked, and ready to be granted.

    `claims` are the token's, with what the request adds to them where the token allows it. `join` says what the client is
    and wants, and what it publishes at once; the sid that it names to resume by is not compared, because a client may
    have missed its latest one. `single_connection` says which layout it speaks.
    """

    room: RoomName
    claims: Claims
    join: JoinRequest
    single_connection: bool

    def serialize(self) -> bytes:
        """Return what `parse_session_start` reads."""
        return routing_pb2.SessionStart(
            room=self.room,
            claims=msgspec.json.encode(self.claims),
            join_request=self.join.SerializeToString(),
            single_connection=self.single_connection,
        ).SerializeToString()


def parse_session_start(data: bytes) -> SessionStart:
    """Read what another part of the server wrote, which may be of another version. Raises DecodeError."""
    try:
        message = routing_pb2.SessionStart.FromString(data)
        return SessionStart(
            room=RoomName(message.room),
            claims=msgspec.json.decode(message.claims, type=Claims),
            join=JoinRequest.FromString(message.join_request),
            single_connection=message.single_connection,
        )
    except (ProtobufDecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("no start of a session") from error
