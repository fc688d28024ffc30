"""`livekit.RoomService`: rooms made, looked at, moderated and ended by an operator's back end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import trio
from livekit.protocol import models
from livekit.protocol.room import (
    DESCRIPTOR,
    CreateRoomRequest,
    DeleteRoomRequest,
    DeleteRoomResponse,
    ForwardParticipantRequest,
    ForwardParticipantResponse,
    ListParticipantsRequest,
    ListParticipantsResponse,
    ListRoomsRequest,
    ListRoomsResponse,
    MoveParticipantRequest,
    MoveParticipantResponse,
    MuteRoomTrackRequest,
    MuteRoomTrackResponse,
    PerformRpcRequest,
    PerformRpcResponse,
    RemoveParticipantResponse,
    RoomParticipantIdentity,
    SendDataRequest,
    SendDataResponse,
    UpdateParticipantRequest,
    UpdateRoomMetadataRequest,
    UpdateSubscriptionsRequest,
    UpdateSubscriptionsResponse,
)

from sfu.agents.worker import DeploymentError
from sfu.data.calls import RESPONSE_SECONDS, RpcError
from sfu.errors import (
    CloseReason,
    IdentityTakenError,
    LimitExceededError,
    NotMovableError,
    RoomClosedError,
    RoomFullError,
    UnknownPresetError,
)
from sfu.model import Identity, RoomName, TrackSid
from sfu.room.moderation import mute_track, set_permission, update_subscriptions
from sfu.room.moving import forward, move
from sfu.room.participant import Participant
from sfu.room.profile import ProfileChange, change_profile
from sfu.room.projections import participant_info, room_info
from sfu.room.room import Room
from sfu.room.rooms import Rooms
from signaling.api.grants import may_administer_room, may_create_rooms, may_list_rooms, may_send_to_room
from signaling.api.limits import too_long
from signaling.api.twirp import ArgumentError, ErrorCode, InnerError, Method, TwirpError, TwirpService
from signaling.wishes import room_wishes

_NONCE_BYTES: Final = 16

_RPC_ERRORS: Final = {
    1400: ErrorCode.INVALID_ARGUMENT,  # no such method
    1401: ErrorCode.NOT_FOUND,  # no such recipient
    1402: ErrorCode.INVALID_ARGUMENT,  # too long a request
    1403: ErrorCode.UNIMPLEMENTED,  # no such thing on this server, or in this version
    1404: ErrorCode.UNIMPLEMENTED,
    1500: ErrorCode.INTERNAL,  # the method failed
    1501: ErrorCode.CANCELED,  # no sign of the recipient, or no answer in time
    1502: ErrorCode.CANCELED,
    1503: ErrorCode.UNAVAILABLE,  # the recipient has gone
    1504: ErrorCode.MALFORMED,  # too long an answer
    1505: ErrorCode.INTERNAL,  # it could not be sent
}
"""What LiveKit's server makes of the codes of its RPC."""


@dataclass(frozen=True, slots=True)
class RoomService:
    """Carries out what is asked of the rooms of this process. Each effect is there when its call returns.

    `remote_unmute` says whether a track that was muted can be unmuted for its publisher, whose microphone it may be,
    `removal_revokes` whether whoever is removed needs another token to come back, `auto_create` whether somebody can be
    brought into a room that is not open yet.
    """

    rooms: Rooms
    remote_unmute: bool
    removal_revokes: bool
    auto_create: bool

    def service(self) -> TwirpService:
        """Return the calls that are served, with who may make them."""
        return TwirpService(
            DESCRIPTOR.services_by_name["RoomService"],
            {
                "CreateRoom": Method(may_create_rooms, self.create_room),
                "ListRooms": Method(may_list_rooms, self.list_rooms),
                "DeleteRoom": Method(may_create_rooms, self.delete_room),
                "ListParticipants": Method(may_administer_room, self.list_participants),
                "GetParticipant": Method(may_administer_room, self.get_participant),
                "RemoveParticipant": Method(may_administer_room, self.remove_participant),
                "MutePublishedTrack": Method(may_administer_room, self.mute_published_track),
                "UpdateParticipant": Method(may_administer_room, self.update_participant),
                "UpdateSubscriptions": Method(may_administer_room, self.update_subscriptions),
                "SendData": Method(may_administer_room, self.send_data),
                "PerformRpc": Method(may_administer_room, self.perform_rpc),
                "ForwardParticipant": Method(may_send_to_room, self.forward_participant),
                "MoveParticipant": Method(may_send_to_room, self.move_participant),
                "UpdateRoomMetadata": Method(may_administer_room, self.update_room_metadata),
            },
        )

    async def create_room(self, request: CreateRoomRequest) -> models.Room:
        """Open a room, or return the one that is open as it is. Raises TwirpError."""
        limit = self.rooms.environment.limits.room_name_bytes
        if 0 < limit < len(request.name.encode()):
            raise InnerError(ErrorCode.INVALID_ARGUMENT, f"room name length exceeds limits: max length {limit}")
        if request.HasField("egress"):
            raise InnerError(ErrorCode.INTERNAL, "egress not connected (redis required)")
        try:
            room = await self.rooms.open(RoomName(request.name), room_wishes(request), preset=request.room_preset)
        except DeploymentError as error:
            raise InnerError(ErrorCode.INVALID_ARGUMENT, str(error)) from error
        except UnknownPresetError as error:
            raise InnerError(ErrorCode.INVALID_ARGUMENT, "unknown room configuration in create room request") from error
        except LimitExceededError as error:
            raise too_long(error) from error
        except RoomClosedError as error:
            raise InnerError(ErrorCode.UNAVAILABLE, str(error)) from error
        return room_info(room)

    async def list_rooms(self, request: ListRoomsRequest) -> ListRoomsResponse:
        """Return the rooms that are open: those of the names given, or all."""
        names = set(request.names)
        response = ListRoomsResponse()
        for room in self.rooms:
            if not room.closed and (not names or room.name in names):
                response.rooms.append(room_info(room))
            await trio.lowlevel.checkpoint()  # media goes first: one at a time
        return response

    async def delete_room(self, request: DeleteRoomRequest) -> DeleteRoomResponse:
        """Close a room; everybody in it has been told when this returns. Raises TwirpError."""
        room = self._room(request.room)
        room.close(CloseReason.ROOM_DELETED)
        await room.wait_closed()
        return DeleteRoomResponse()

    async def list_participants(self, request: ListParticipantsRequest) -> ListParticipantsResponse:
        """Return who is in a room; nobody, if there is no such room."""
        room = self.rooms.find(RoomName(request.room))
        response = ListParticipantsResponse()
        for participant in list(room.participants.values()) if room is not None else ():
            if not participant.has_left:
                response.participants.append(participant_info(participant))
            await trio.lowlevel.checkpoint()  # media goes first: one at a time
        return response

    def get_participant(self, request: RoomParticipantIdentity) -> models.ParticipantInfo:
        """Return somebody. Raises TwirpError."""
        _, participant = self._participant(request.room, request.identity)
        return participant_info(participant)

    def remove_participant(self, request: RoomParticipantIdentity) -> RemoveParticipantResponse:
        """End somebody's session; their token lets them in again if it is not revoked, by request or always.

        Who is not there cannot be removed, but can be kept out. Raises TwirpError.
        """
        revoked_at = request.revoke_token_ts or (self.rooms.environment.wall() if self.removal_revokes else 0)
        if revoked_at:
            self.rooms.revocations.revoke(RoomName(request.room), Identity(request.identity), revoked_at)
        room, participant = self._participant(request.room, request.identity)
        room.remove(participant, CloseReason.PARTICIPANT_REMOVED)
        return RemoveParticipantResponse()

    def mute_published_track(self, request: MuteRoomTrackRequest) -> MuteRoomTrackResponse:
        """Mute or unmute somebody's track; there is none in the response if it is not published. Raises TwirpError."""
        if not request.muted and not self.remote_unmute:
            raise InnerError(ErrorCode.FAILED_PRECONDITION, "remote unmute not enabled")
        room, participant = self._original(request.room, request.identity)
        track = mute_track(room, participant, TrackSid(request.track_sid), muted=request.muted)
        return MuteRoomTrackResponse(track=track)

    def update_participant(self, request: UpdateParticipantRequest) -> models.ParticipantInfo:
        """Change what is said of somebody, and what they may do. Raises TwirpError."""
        room, participant = self._original(request.room, request.identity)
        change = ProfileChange(request.name, request.metadata, request.attributes)
        try:
            change_profile(participant, change, self.rooms.environment.limits)
        except LimitExceededError as error:
            raise too_long(error) from error
        if request.HasField("permission"):
            set_permission(room, participant, request.permission)
        return participant_info(participant)

    def update_subscriptions(self, request: UpdateSubscriptionsRequest) -> UpdateSubscriptionsResponse:
        """Choose what somebody gets; tracks that are not there yet are noted. Raises TwirpError."""
        _, participant = self._original(request.room, request.identity)
        update_subscriptions(participant, request.track_sids, request.participant_tracks, wanted=request.subscribe)
        return UpdateSubscriptionsResponse()

    def send_data(self, request: SendDataRequest) -> SendDataResponse:
        """Send a packet to those named, or to everybody; it comes from nobody. Raises TwirpError."""
        if len(request.nonce) not in (0, _NONCE_BYTES):
            message = f"nonce should be 16-bytes or not present, got: {len(request.nonce)} bytes"
            raise TwirpError(ErrorCode.INVALID_ARGUMENT, message)
        user = models.UserPacket(
            payload=request.data,
            destination_sids=request.destination_sids,
            destination_identities=request.destination_identities,
            topic=request.topic,
            nonce=request.nonce,
        )
        packet = models.DataPacket(destination_identities=request.destination_identities, user=user)
        self._room(request.room).send_data(packet, request.kind)
        return SendDataResponse()

    async def perform_rpc(self, request: PerformRpcRequest) -> PerformRpcResponse:
        """Call a method of somebody's. Raises TwirpError."""
        if not request.destination_identity:
            raise InnerError(ErrorCode.INVALID_ARGUMENT, "destination identity is required")
        room, participant = self._participant(request.room, request.destination_identity)
        call_id = str(UUID(int=self.rooms.environment.random.getrandbits(128), version=4))
        seconds = request.response_timeout_ms / 1000 or RESPONSE_SECONDS
        try:
            payload = await room.data.relay.calls.perform(
                call_id, participant.identity, request.method, request.payload, seconds
            )
        except RpcError as error:
            raise InnerError(_RPC_ERRORS.get(error.code, ErrorCode.UNKNOWN), str(error)) from error
        return PerformRpcResponse(payload=payload)

    async def move_participant(self, request: MoveParticipantRequest) -> MoveParticipantResponse:
        """Bring somebody into another room, who keeps its connections. Raises TwirpError."""
        await self._send(request, move)
        return MoveParticipantResponse()

    async def forward_participant(self, request: ForwardParticipantRequest) -> ForwardParticipantResponse:
        """Show what somebody publishes in another room too, for as long as it stays. Raises TwirpError."""
        await self._send(request, forward)
        return ForwardParticipantResponse()

    def update_room_metadata(self, request: UpdateRoomMetadataRequest) -> models.Room:
        """Change a room's metadata; everybody in it is told. Raises TwirpError."""
        room = self._room(request.room)
        try:
            room.set_metadata(request.metadata)
        except LimitExceededError as error:
            raise too_long(error) from error
        return room_info(room)

    async def _send(
        self,
        request: ForwardParticipantRequest | MoveParticipantRequest,
        send: Callable[[Participant, Room], None],
    ) -> None:
        """Bring somebody, in one way or the other, into the other room that a request names. Raises TwirpError."""
        if request.room == request.destination_room:
            raise ArgumentError("destination room cannot be the same as source room")
        self._original(request.room, request.identity)  # before a room is opened for nothing
        name = RoomName(request.destination_room)
        if not (self.auto_create or self.rooms.is_open(name)):
            raise InnerError(ErrorCode.NOT_FOUND, "requested room does not exist")
        try:
            destination = await self.rooms.open(name)
            _, participant = self._original(request.room, request.identity)  # it may have left meanwhile
            send(participant, destination)
        except NotMovableError as error:
            raise InnerError(ErrorCode.FAILED_PRECONDITION, str(error)) from error
        except IdentityTakenError as error:
            message = "a participant with the same identity is already in the room"
            raise InnerError(ErrorCode.ALREADY_EXISTS, message) from error
        except RoomFullError as error:
            raise InnerError(ErrorCode.RESOURCE_EXHAUSTED, "room has exceeded its max participants") from error
        except RoomClosedError as error:
            raise InnerError(ErrorCode.UNAVAILABLE, "the room is closing") from error

    def _room(self, name: str) -> Room:
        if (room := self.rooms.find(RoomName(name))) is None:
            raise InnerError(ErrorCode.NOT_FOUND, "requested room does not exist")
        return room

    def _participant(self, room_name: str, identity: str) -> tuple[Room, Participant]:
        room = self.rooms.find(RoomName(room_name))
        participant = room.participants.get(Identity(identity)) if room is not None else None
        if room is None or participant is None:
            raise InnerError(ErrorCode.NOT_FOUND, "participant does not exist")
        return room, participant

    def _original(self, room_name: str, identity: str) -> tuple[Room, Participant]:
        """Return somebody who is there in person."""
        room, participant = self._participant(room_name, identity)
        if participant.stands_for is not None:
            raise InnerError(ErrorCode.FAILED_PRECONDITION, "the participant is forwarded: ask in the room where it is")
        return room, participant
