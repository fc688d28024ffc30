"""A client's signal requests, made commands on its participant."""

import json
import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

import trio
from livekit.protocol import models, rtc

from rtp.errors import DecodeError, RemoteProtocolError
from rtp.ice.candidates import parse_candidate
from sfu.errors import (
    CloseReason,
    IdentityTakenError,
    LimitExceededError,
    RoomClosedError,
    RoomFullError,
    UnknownPresetError,
)
from sfu.media.simulcast import Quality, Wish
from sfu.model import ParticipantSid, TrackSid
from sfu.room.joining import Joining
from sfu.room.moderation import update_subscriptions
from sfu.room.outgoing import Outgoing
from sfu.room.participant import Participant
from sfu.room.profile import ProfileChange, change_profile
from sfu.room.projections import leave_request
from sfu.room.refusals import RefusedError
from sfu.room.room import Room
from sfu.room.rooms import Rooms
from sfu.room.subscriptions import TrackSettings
from sfu.room.track_updates import update_audio_track, update_video_track
from sfu.routing.router import MessageSink, MessageSource, SessionRefusedError
from sfu.routing.start import SessionStart
from signaling.frames import parse_frame
from signaling.http.errors import HttpError
from signaling.wishes import configured_wishes

logger = logging.getLogger(__name__)

_REFUSED: Final = "connection closed by media"
"""What LiveKit's server answers, with status 500, to a join or a resumption that the room itself refuses."""

_FAREWELLS: Final = {
    models.USER_UNAVAILABLE: CloseReason.USER_UNAVAILABLE,
    models.USER_REJECTED: CloseReason.USER_REJECTED,
    models.AGENT_ERROR: CloseReason.AGENT_ERROR,
}
"""Why a client may say that it leaves, so that others are told: a phone that is not answered, an agent that cannot go on."""

_QUALITIES: Final = {models.LOW: Quality.LOW, models.MEDIUM: Quality.MEDIUM, models.HIGH: Quality.HIGH}


class Sessions:
    """The `SessionHost` of the rooms of this process."""

    def __init__(self, rooms: Rooms, wall: Callable[[], float]) -> None:
        self._rooms = rooms
        self._wall = wall

    async def serve(
        self,
        start: SessionStart,
        source: MessageSource,
        sink: MessageSink,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Start a session, or go on with one, and carry out its requests until the source ends.

        The participant may outlive that.

        Raises:
            SessionRefusedError: the session could not be started.
        """
        responses = ResponseSink(sink)
        session = self._resume(start, responses) if start.join.reconnect else await self._join(start, responses)
        if session is None:  # what was to be resumed is over: the client is to make a new one
            responses.send(Outgoing(leave_request(CloseReason.STATE_MISMATCH)))
            responses.close()
            task_status.started()
            return
        del start  # the offer in it is a good part of what an idle participant would cost
        try:
            task_status.started()
            await session.read_from(source)
        finally:
            responses.close()
            session.participant.signal_lost(responses)

    def _resume(self, start: SessionStart, responses: "ResponseSink") -> "SignalSession | None":
        """Go on with a session; None if it is over."""
        sid = ParticipantSid(start.join.participant_sid)
        participant = self._rooms.find_session(start.room, start.claims.identity, sid)
        if participant is None or not participant.can_resume(single_connection=start.single_connection):
            return None
        if participant.resume_trouble.takes_refusal():
            raise SessionRefusedError(500, _REFUSED)
        participant.resume(responses, start.room, sid)
        return SignalSession(participant, self._wall, responses)

    async def _join(self, start: SessionStart, responses: "ResponseSink") -> "SignalSession":
        try:
            wishes = configured_wishes(start.claims.room_config)
            room = await self._rooms.open(start.room, wishes, preset=start.claims.room_preset)
            return SignalSession(room.join(_joining(start), responses), self._wall, responses)
        except RoomClosedError as error:
            raise SessionRefusedError(503, "the room is closing") from error
        except (RoomFullError, IdentityTakenError, UnknownPresetError, LimitExceededError) as error:
            logger.info("%s cannot join %s: %s", start.claims.identity, start.room, error)
            raise SessionRefusedError(500, _REFUSED) from error
        except HttpError as error:
            raise SessionRefusedError(error.status, error.body) from error
        except RemoteProtocolError as error:
            raise SessionRefusedError(400, f"the offer cannot be used: {error}") from error


class ResponseSink:
    """The `SignalSink` of one socket. Until whoever reads sets `speaks_text` nothing goes out but protobuf.

    So a session begins in protobuf, as clients expect, whatever they speak themselves.
    """

    def __init__(self, sink: MessageSink) -> None:
        self.speaks_text = False
        self._sink = sink

    def send(self, outgoing: Outgoing) -> None:
        """Queue one message, in order, in the form that the client speaks. Never blocks."""
        self._sink.send(outgoing.text if self.speaks_text else outgoing.binary)

    def close(self) -> None:
        """End the socket once what is queued has been sent."""
        self._sink.close()


class SignalSession:
    """One socket's requests. A fault in one of them is the client's business; a bug ends the socket and no more."""

    def __init__(self, participant: Participant, wall: Callable[[], float], responses: ResponseSink) -> None:
        self.participant = participant
        self._wall = wall
        self._responses = responses
        self.skipped: Counter[str] = Counter()
        """Requests that this server does not serve, by name."""

    @property
    def _room(self) -> Room:
        """Where the participant is now: it may be moved at any time."""
        return self.participant.room

    async def read_from(self, source: MessageSource) -> None:
        """Carry out requests in order until the source ends, or has what is no request."""
        try:
            while True:
                frame = await source.receive()
                self._responses.speaks_text = isinstance(frame, str)
                self.receive(parse_frame(frame, rtc.SignalRequest))
        except trio.EndOfChannel:
            pass  # the participant's media path, or another socket, says what becomes of it
        except DecodeError as error:
            logger.info("%s sent what is no signal request: %s", self.participant.identity, error)

    def receive(self, request: rtc.SignalRequest) -> None:
        """Carry out one request; refusals and faults are answered as the protocol says.

        What comes after the end of the session, on a socket that is still to be closed, changes nothing any more.
        """
        if self.participant.has_left:
            return
        self.participant.heard_at = trio.current_time()
        kind = request.WhichOneof("message")
        try:
            match kind:
                case "offer":
                    self.participant.receive_offer(request.offer)
                case "answer":
                    self.participant.receive_answer(request.answer)
                case "trickle":
                    self._receive_trickle(request.trickle)
                case "add_track":
                    self.participant.add_track(request.add_track)
                case "mute":
                    self.participant.set_muted(request.mute)
                case "update_audio_track":
                    update_audio_track(self.participant, request.update_audio_track)
                case "update_video_track":
                    update_video_track(self.participant, request.update_video_track)
                case "subscription":
                    self._receive_subscription(request.subscription)
                case "track_setting":
                    self._receive_track_setting(request.track_setting)
                case "publish_data_track_request":
                    self.participant.data.publish_track(request.publish_data_track_request)
                case "unpublish_data_track_request":
                    self.participant.data.unpublish_track(request.unpublish_data_track_request)
                case "update_data_subscription":
                    self.participant.data.subscribe(request.update_data_subscription)
                case "store_data_blob_request":
                    self.participant.data.store_blob(request.store_data_blob_request)
                case "get_data_blob_request":
                    self.participant.data.get_blob(request.get_data_blob_request)
                case "subscription_permission":
                    self._room.set_permissions(self.participant, request.subscription_permission)
                case "simulate":
                    self._simulate(request.simulate)
                case "sync_state":
                    self._receive_sync_state(request.sync_state)
                case "update_metadata":
                    self._receive_update_metadata(request.update_metadata)
                case "leave":
                    reason = _FAREWELLS.get(request.leave.reason, CloseReason.CLIENT_LEFT)
                    self._room.remove(self.participant, reason)
                case "ping":
                    self.participant.tell(rtc.SignalResponse(pong=self._now_ms()))
                case "ping_req":
                    self.participant.tell(
                        rtc.SignalResponse(
                            pong_resp=rtc.Pong(last_ping_timestamp=request.ping_req.timestamp, timestamp=self._now_ms())
                        )
                    )
                case _:
                    self.skipped[kind or "unknown"] += 1
        except RefusedError as refusal:
            self.participant.tell(refusal.response(request))
        except RemoteProtocolError as error:
            # Nothing in the protocol answers a bad description: the client runs into its own deadline.
            logger.info("%s: %s refused: %s", self.participant.identity, kind, error)

    def _receive_trickle(self, trickle: rtc.TrickleRequest) -> None:
        """Check a candidate, which is all there is to do with it: we answer checks and never send any.

        Raises:
            RefusedError: it is none.
        """
        try:
            init = json.loads(trickle.candidateInit)
            text = init["candidate"] if isinstance(init, dict) and "candidate" in init else None
            if not isinstance(text, str):
                raise DecodeError("no RTCIceCandidateInit")  # noqa: TRY301 - one answer to all that is unreadable
            if text:
                parse_candidate(text)
        except (ValueError, RecursionError, DecodeError) as error:
            reason = rtc.RequestResponse.UNCLASSIFIED_ERROR
            raise RefusedError(reason, "a candidate that cannot be read") from error

    def _receive_subscription(self, subscription: rtc.UpdateSubscription) -> None:
        update_subscriptions(
            self.participant,
            subscription.track_sids,
            subscription.participant_tracks,
            wanted=subscription.subscribe,
        )

    def _simulate(self, scenario: rtc.SimulateScenario) -> None:
        """Do to the client what it asks for, to see how it bears that."""
        kind = scenario.WhichOneof("scenario")
        match kind:
            case "speaker_update":
                self._room.simulate_speaking(self.participant, scenario.speaker_update)
            case "node_failure":
                self._room.remove(self.participant, CloseReason.SERVER_SHUTDOWN, silently=True)
            case "migration":
                self._room.remove(self.participant, CloseReason.MIGRATED, silently=True)
            case "server_leave":
                self._room.remove(self.participant, CloseReason.SERVER_SHUTDOWN)
            case "disconnect_signal_on_resume":
                self.participant.resume_trouble.cut_next()
            case "disconnect_signal_on_resume_no_messages":
                self.participant.resume_trouble.refuse_next()
            case "subscriber_bandwidth":
                self.participant.subscriber.force_bandwidth(scenario.subscriber_bandwidth or None)
            case "leave_request_full_reconnect":
                pass  # LiveKit's server takes it and does nothing
            case _:
                self.skipped[f"simulate {kind}"] += 1

    def _receive_sync_state(self, state: rtc.SyncState) -> None:
        self.participant.sync(state)
        if state.HasField("subscription"):
            self._receive_subscription(state.subscription)

    def _receive_update_metadata(self, update: rtc.UpdateParticipantMetadata) -> None:
        self._update_metadata(ProfileChange(update.name, update.metadata, update.attributes))
        if update.request_id:
            response = rtc.RequestResponse(request_id=update.request_id, update_metadata=update)
            self.participant.tell(rtc.SignalResponse(request_response=response))

    def _update_metadata(self, change: ProfileChange) -> None:
        if not self.participant.grant.may_update_own_metadata:
            reason = rtc.RequestResponse.NOT_ALLOWED
            raise RefusedError(reason, "does not have permission to update own metadata")
        try:
            change_profile(self.participant, change, self._room.environment.limits)
        except LimitExceededError as error:
            raise RefusedError(rtc.RequestResponse.LIMIT_EXCEEDED, f"exceeds {error.what.value} limit") from error

    def _receive_track_setting(self, setting: rtc.UpdateTrackSettings) -> None:
        settings = _track_settings(setting)
        for sid in setting.track_sids:
            self.participant.reconciler.set_settings(TrackSid(sid), settings)

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)


def _joining(start: SessionStart) -> Joining:
    join = start.join
    return Joining(
        claims=start.claims,
        client_info=join.client_info,
        auto_subscribe=join.connection_settings.auto_subscribe,
        auto_subscribe_data=join.connection_settings.auto_subscribe_data_track,
        may_pause=join.connection_settings.subscriber_allow_pause
        if join.connection_settings.HasField("subscriber_allow_pause")
        else None,
        single_connection=start.single_connection,
        offer=join.publisher_offer if join.HasField("publisher_offer") else None,
        add_tracks=tuple(join.add_track_requests),
    )


def _track_settings(setting: rtc.UpdateTrackSettings) -> TrackSettings:
    """Read what a client wants of tracks. A quality that we have no name for is the best."""
    quality = _QUALITIES.get(setting.quality, Quality.HIGH)
    wish = Wish(quality, setting.width, setting.height, setting.fps, setting.priority)
    return TrackSettings(setting.disabled or setting.quality == models.OFF, wish)
