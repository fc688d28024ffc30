"""How participants, rooms and tracks look to clients: one function for each message, and nothing kept here."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from livekit.protocol import models, rtc

from rtp.sdp.transceiver import Capabilities
from sfu.errors import CloseReason
from sfu.media import capabilities
from sfu.model import Claims, ParticipantKind, VideoGrant

if TYPE_CHECKING:
    from sfu.room.participant import Participant
    from sfu.room.room import Room

PROTOCOL_VERSION: Final = 17
"""The newest signalling protocol that we speak."""

COMPATIBLE_VERSION: Final = "1.13.4"
"""The LiveKit server whose behaviour this is: clients compare it, and refuse what is no semantic version."""

AGENT_PROTOCOL: Final = 1

PING_INTERVAL_SECONDS: Final = 5
PING_TIMEOUT_SECONDS: Final = 15

MAX_UPDATE_BYTES: Final = 128 * 1024
"""Of people in one message, as LiveKit's server has it: what each says of itself may be long. One alone may be longer."""

_LENGTH_DELIMITED: Final = 2
"""The wire type of messages in messages."""

_KINDS: Final = {
    ParticipantKind.STANDARD: models.ParticipantInfo.STANDARD,
    ParticipantKind.INGRESS: models.ParticipantInfo.INGRESS,
    ParticipantKind.EGRESS: models.ParticipantInfo.EGRESS,
    ParticipantKind.SIP: models.ParticipantInfo.SIP,
    ParticipantKind.AGENT: models.ParticipantInfo.AGENT,
    ParticipantKind.CONNECTOR: models.ParticipantInfo.CONNECTOR,
    ParticipantKind.BRIDGE: models.ParticipantInfo.BRIDGE,
}

_KIND_DETAILS: Final = frozenset(models.ParticipantInfo.KindDetail.keys())

_DISCONNECT_REASONS: Final = {
    CloseReason.UNKNOWN: models.UNKNOWN_REASON,
    CloseReason.CLIENT_LEFT: models.CLIENT_INITIATED,
    CloseReason.USER_UNAVAILABLE: models.USER_UNAVAILABLE,
    CloseReason.USER_REJECTED: models.USER_REJECTED,
    CloseReason.AGENT_ERROR: models.AGENT_ERROR,
    CloseReason.DUPLICATE_IDENTITY: models.DUPLICATE_IDENTITY,
    CloseReason.SERVER_SHUTDOWN: models.SERVER_SHUTDOWN,
    CloseReason.PARTICIPANT_REMOVED: models.PARTICIPANT_REMOVED,
    CloseReason.ROOM_DELETED: models.ROOM_DELETED,
    CloseReason.ROOM_CLOSED: models.ROOM_CLOSED,
    CloseReason.JOIN_FAILED: models.JOIN_FAILURE,
    CloseReason.SIGNAL_CLOSED: models.SIGNAL_CLOSE,
    CloseReason.CONNECTION_LOST: models.CONNECTION_TIMEOUT,
    CloseReason.STATE_MISMATCH: models.STATE_MISMATCH,
    CloseReason.MIGRATED: models.MIGRATION,
    CloseReason.MOVED: models.MIGRATION,
}

RECOVERABLE: Final = frozenset({CloseReason.CONNECTION_LOST, CloseReason.STATE_MISMATCH, CloseReason.UNKNOWN})
"""After these the client had better come back, with a session of its own making."""


def disconnect_reason(reason: CloseReason) -> models.DisconnectReason:
    """Return the protocol's word for `reason`."""
    return _DISCONNECT_REASONS[reason]


def server_info(node_id: str) -> models.ServerInfo:
    """Say what server this is."""
    return models.ServerInfo(
        edition=models.ServerInfo.Standard,
        version=COMPATIBLE_VERSION,
        protocol=PROTOCOL_VERSION,
        node_id=node_id,
        agent_protocol=AGENT_PROTOCOL,
    )


def leave_request(reason: CloseReason) -> rtc.SignalResponse:
    """Tell a client that its session is over, and whether to come back."""
    action = rtc.LeaveRequest.RECONNECT if reason in RECOVERABLE else rtc.LeaveRequest.DISCONNECT
    return rtc.SignalResponse(
        leave=rtc.LeaveRequest(
            reason=disconnect_reason(reason), action=action, can_reconnect=action == rtc.LeaveRequest.RECONNECT
        )
    )


def resume_request() -> rtc.SignalResponse:
    """Tell a client whose media path is lost to come back and go on with its session."""
    return rtc.SignalResponse(
        leave=rtc.LeaveRequest(reason=models.CONNECTION_TIMEOUT, action=rtc.LeaveRequest.RESUME, can_reconnect=True)
    )


def reconnect_response(node_id: str, last_message_seq: int = 0) -> rtc.SignalResponse:
    """Return the first message of a session that is resumed.

    `last_message_seq` is the highest sequence of reliable data that has come from the client, which sends all above
    it again.
    """
    return rtc.SignalResponse(
        reconnect=rtc.ReconnectResponse(server_info=server_info(node_id), last_message_seq=last_message_seq)
    )


def updates(infos: Iterable[models.ParticipantInfo]) -> Iterator[rtc.SignalResponse]:
    """Tell how people are now: in several messages, if one would be long; in none, if nobody is told of."""
    together: list[models.ParticipantInfo] = []
    size = 0
    for info in infos:
        length = info.ByteSize()
        if together and size + length > MAX_UPDATE_BYTES:
            yield rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=together))
            together, size = [], 0
        together.append(info)
        size += length
    if together:
        yield rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=together))


def everybody(room: "Room", participant: "Participant") -> Iterator[rtc.SignalResponse]:
    """Tell of all whom the participant may know of, itself included."""
    return updates(each.news for each in room.participants.values() if each is participant or not each.is_hidden)


def room_update(room: "Room") -> rtc.SignalResponse:
    """Return news of the room, which is always the whole of it."""
    return rtc.SignalResponse(room_update=rtc.RoomUpdate(room=room_info(room)))


def permission(claims: Claims) -> models.ParticipantPermission:
    """Return what a participant may do, third states resolved."""
    grant = claims.video or VideoGrant()
    return models.ParticipantPermission(
        can_subscribe=grant.may_subscribe,
        can_publish=grant.may_publish,
        can_publish_data=grant.may_publish_data,
        can_publish_sources=[source.upper() for source in grant.can_publish_sources],
        hidden=grant.hidden,
        recorder=grant.recorder,
        can_update_metadata=grant.may_update_own_metadata,
        agent=grant.agent,
        can_subscribe_metrics=grant.can_subscribe_metrics is True,
        can_manage_agent_session=grant.can_manage_agent_session is True,
    )


def participant_info(participant: "Participant") -> models.ParticipantInfo:
    """Return one participant as others see it, at its present version."""
    claims = participant.claims
    return models.ParticipantInfo(
        sid=participant.sid,
        identity=participant.identity,
        name=claims.name,
        state=participant.state,
        metadata=claims.metadata,
        attributes=claims.attributes,
        permission=permission(claims),
        kind=_KINDS[claims.participant_kind],
        kind_details=[name.upper() for name in claims.kind_details if name.upper() in _KIND_DETAILS],
        joined_at=int(participant.joined_at),
        joined_at_ms=int(participant.joined_at * 1000),
        version=participant.version,
        is_publisher=participant.is_publisher,
        tracks=[publication.info for publication in participant.publisher.publications.values()],
        data_tracks=participant.data.tracks,
        client_protocol=participant.client_info.client_protocol,
        capabilities=participant.client_info.capabilities,
        disconnect_reason=disconnect_reason(participant.close_reason) if participant.close_reason else None,
    )


def room_info(room: "Room") -> models.Room:
    """Return the room with its counts as of now; dependent participants do not count."""
    return models.Room(
        sid=room.sid,
        name=room.name,
        empty_timeout=room.settings.empty_timeout_seconds,
        departure_timeout=room.settings.departure_timeout_seconds,
        max_participants=room.settings.max_participants,
        metadata=room.metadata,
        creation_time=int(room.created_at),
        creation_time_ms=int(room.created_at * 1000),
        turn_password=room.secret,
        enabled_codecs=_named(capabilities.RECEIVE),
        num_participants=len(room.headcount.independent),
        num_publishers=len(room.headcount.publishers),
        active_recording=bool(room.headcount.recorders),
    )


def _named(enabled: Capabilities) -> list[models.Codec]:
    """Name the codecs that can be published: video first, best first."""
    mimes = dict.fromkeys(codec.mime for codec in (*enabled.video, *enabled.audio))
    return [models.Codec(mime=mime) for mime in mimes]


def as_element(info: models.ParticipantInfo) -> bytes:
    """Return how a repeated field holds somebody, after the tag of that field: the length, and then the message."""
    return rtc.ParticipantUpdate(participants=[info]).SerializeToString()[1:]


def _add_others(to: rtc.JoinResponse | rtc.RoomMovedResponse, room: "Room", participant: "Participant") -> None:
    """Say whom somebody finds in a room.

    Of a thousand people it takes 3 ms to go to each and copy what is told of it. They are kept serialised instead: a
    repeated field is a tag and an element for each, and messages are merged by joining what they serialise to.
    """
    elements = [element for identity, element in room.news.shown.items() if identity != participant.identity]
    if elements:
        tag = bytes([to.OTHER_PARTICIPANTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])
        to.MergeFromString(tag + tag.join(elements))


def room_moved(room: "Room", participant: "Participant") -> rtc.SignalResponse:
    """Tell a client that it is in another room: this one, where it finds these people."""
    response = rtc.SignalResponse(
        room_moved=rtc.RoomMovedResponse(
            room=room_info(room),
            token=room.environment.mint_token(participant.claims),
            participant=participant_info(participant),
        )
    )
    _add_others(response.room_moved, room, participant)
    return response


def join_response(room: "Room", participant: "Participant") -> rtc.SignalResponse:
    """Return the first message of a session."""
    grant = participant.claims.video or VideoGrant()
    info = participant_info(participant)
    response = rtc.SignalResponse(
        join=rtc.JoinResponse(
            room=room_info(room),
            participant=info,
            server_version=COMPATIBLE_VERSION,
            server_info=server_info(room.environment.node_id),
            subscriber_primary=participant.subscriber_is_primary,
            ping_interval=PING_INTERVAL_SECONDS,
            ping_timeout=PING_TIMEOUT_SECONDS,
            sif_trailer=room.secret.encode(),
            enabled_publish_codecs=_named(participant.publisher.peer.receives),
            fast_publish=grant.may_publish,
        )
    )
    _add_others(response.join, room, participant)
    return response
