"""What a session begins with, wherever the room is that it asks for."""

from dataclasses import dataclass

from livekit.protocol.models import ClientInfo
from livekit.protocol.rtc import AddTrackRequest, SessionDescription

from sfu.model import Claims, ParticipantSid, RoomName


@dataclass(frozen=True, slots=True)
class SessionStart:
    """A client's wish to join a room, or to resume its session there; checked, and ready to be granted.

    `claims` are the token's, with what the request adds to them where the token allows it. `participant_sid` is the
    session to resume; nobody compares it, because a client may have missed its latest one. `single_connection` says
    which layout the client speaks, `publisher_offer` and `add_track_requests` what it publishes at once.
    """

    room: RoomName
    claims: Claims
    client_info: ClientInfo
    client_address: str
    auto_subscribe: bool
    auto_subscribe_data: bool
    adaptive_stream: bool
    reconnect: bool
    reconnect_reason: int
    participant_sid: ParticipantSid
    single_connection: bool
    publisher_offer: SessionDescription | None = None
    add_track_requests: tuple[AddTrackRequest, ...] = ()
