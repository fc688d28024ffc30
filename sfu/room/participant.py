"""One person's stay in a room, from the join response to the leave: what it publishes, what it is sent, what it is told."""

import contextvars
import logging
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from livekit.protocol import models, rtc

from rtp.datachannel import ChannelClosed, ChannelDrained, ChannelMessage, ChannelOpened
from rtp.ice.candidates import IceCredentials
from rtp.sdp.transceiver import LocalTransport
from sfu.environment import Environment
from sfu.errors import CloseReason
from sfu.media.speakers import Speaker
from sfu.media.track import MediaTrack
from sfu.model import Claims, Identity, ParticipantSid, RoomName, TrackSid, VideoGrant, new_sid
from sfu.notifier import Notifier
from sfu.room import projections
from sfu.room.arrival import Arrival
from sfu.room.comeback import Comeback
from sfu.room.descriptions import Descriptions
from sfu.room.dynacast import Dynacast
from sfu.room.joining import Joining
from sfu.room.outgoing import Outgoing, SignalSink
from sfu.room.peer import Peer
from sfu.room.permissions import SubscriptionPermissions
from sfu.room.publisher import Publication, Publisher
from sfu.room.reconciler import Reconciler
from sfu.room.refusals import RefusedError
from sfu.room.rejoining import Rejoining
from sfu.room.simulation import ResumeTrouble
from sfu.room.standing_in import follow
from sfu.room.subscriber import AnsweringSubscriber, OfferingSubscriber
from sfu.room.watching import SlotSubscriber, Watching
from sfu.transport.connection import PeerConnection

if TYPE_CHECKING:
    from sfu.room.room import Room

logger = logging.getLogger(__name__)

current_participant: contextvars.ContextVar[str] = contextvars.ContextVar("participant", default="")
"""Who the running task works for; set at the top of `Participant.run`, for log lines."""

TOKEN_REFRESH_SECONDS: Final = 300.0

MAX_FORMER_STAYS: Final = 8
"""So many moves to other rooms may be lost with a signal connection that has died unnoticed."""


class Participant:
    """A session of one identity. Its connections and workers run in `run`; ending that ends all of it."""

    def __init__(self, room: "Room", environment: Environment, joining: Joining, sink: SignalSink) -> None:
        self.room = room
        self._environment = environment
        self._sink: SignalSink | None = sink
        self.claims = joining.claims
        self.identity: Identity = joining.claims.identity
        stands_for = joining.stands_for
        self.sid: ParticipantSid = stands_for.sid if stands_for else ParticipantSid(new_sid("PA_", environment.random))
        self.client_info = joining.client_info
        self.joined_at = environment.wall()
        self.state: models.ParticipantInfo.State = models.ParticipantInfo.JOINING
        self.version = 0
        self.news = models.ParticipantInfo()
        """What others are told of the participant: kept by the room's news, since each who joins is told of everybody."""
        self.is_publisher = False
        self.close_reason: CloseReason | None = None
        self.has_left = False
        self.heard_at = trio.current_time()
        self.permissions = SubscriptionPermissions()
        self.resume_trouble = ResumeTrouble()
        watching = joining.watching or Watching()
        self.reconciler = Reconciler(room, self, watching, automatic=joining.auto_subscribe)
        self.is_single = joining.single_connection
        self.has_signal = joining.has_signal
        self.stands_for = stands_for
        self.changes = Notifier()
        """Something may have changed of what others see of it, or may have of it."""
        self.former_stays: dict[ParticipantSid, RoomName] = {}
        """Who it was in the rooms from which it was moved."""
        self.subscriber_is_primary = not self.is_single and self.grant.may_subscribe
        """Whether the connection that makes the participant active is the one that we offer: settled by the join."""
        self._closing = trio.Event()
        self._staying = trio.Lock()
        """Held from the first task of a stay in a room to the last: those of the next stay wait for it."""
        self._arrival = Arrival(self)
        self._rejoining = Rejoining(joining.claims, joining.client_info)
        self._descriptions = Descriptions(self.tell, environment.candidates)
        syncs, delay = room.settings.sync_streams, room.settings.playout_delay
        open_peer = partial(Peer, environment, self, self.client_info, syncs_streams=syncs, playout_delay=delay)
        peer = open_peer(takes_media=True, has_trickle=self.has_signal)
        self.publisher = Publisher(peer, self.sid, self.identity, environment.random, self)
        self.dynacast = Dynacast(self)
        self.subscriber: AnsweringSubscriber | OfferingSubscriber | SlotSubscriber
        if joining.watching is not None:
            self.subscriber = SlotSubscriber(peer, self, self.sid)
        elif self.is_single:
            self.subscriber = AnsweringSubscriber(peer, self)
        else:
            self.subscriber = OfferingSubscriber(
                open_peer(takes_media=False),
                self,
                first_offer_id=environment.random.randint(1, 256),
                send_offer=self._descriptions.send_offer,
            )
        if joining.may_pause is not None:
            self.subscriber.peer.media.bandwidth.may_pause = joining.may_pause
        self._comeback = Comeback(
            lambda: self._primary.connection.connected, resume_seconds=environment.patience.resume_seconds
        )
        # Clients read data on the primary connection: our channels are there, or theirs.
        self.data = room.data.join(self, self._primary.connection, automatic=joining.auto_subscribe_data)

    # Queries

    @property
    def grant(self) -> VideoGrant:
        """What the participant may do."""
        return self.claims.video or VideoGrant()

    @property
    def is_hidden(self) -> bool:
        """Whether nobody is told of it."""
        return self.grant.hidden

    @property
    def has_been_active(self) -> bool:
        """Whether media could flow at some time of the session."""
        return self._arrival.is_over

    @property
    def is_in_touch(self) -> bool:
        """Whether there is a signal connection, or else a media path."""
        return self._sink is not None or self._primary.connection.connected

    @property
    def can_be_told(self) -> bool:
        """Whether there is somebody at the other end of a signal connection."""
        return self.has_signal and self._sink is not None

    def explain_missing_media(self) -> str:
        """Say for the log what came of the connection that is to make the participant active."""
        return self._primary.explain_missing_media()

    def summary(self) -> str:
        """Say in one line, for the log, how the session went."""
        incoming, outgoing = self.publisher.totals(), self.subscriber.totals()
        seconds = self._environment.wall() - self.joined_at
        return (
            f"{self.close_reason.name if self.close_reason else 'still here'} after {seconds:.0f} s; "
            f"published {incoming.packets} packets ({incoming.octets} bytes, {incoming.lost} lost), "
            f"was sent {outgoing.packets} packets ({outgoing.octets} bytes, {outgoing.lost} lost)"
        )

    # Verbs of the room

    def join(self, joining: Joining) -> None:
        """Send what a session begins with, in the order that clients expect.

        What there is to subscribe to comes with the first description: `livekit-client` (2.23), which joins anew, may
        lose tracks that come once it is connected.
        """
        if self.has_signal:
            self.tell(projections.join_response(self.room, self))
        self.state = models.ParticipantInfo.JOINED
        self._tell_token()
        for request in joining.add_tracks:
            self.add_track(request)
        self.reconciler.reconcile()
        if isinstance(self.subscriber, OfferingSubscriber) and self.subscriber_is_primary:
            self.subscriber.peer.open_channels()
            self.subscriber.offer()
        self.data.reconcile()
        if joining.offer is not None:
            self.receive_offer(joining.offer)

    def can_resume(self, *, single_connection: bool) -> bool:
        """Whether a client that speaks this layout can go on with the session."""
        return self.close_reason is None and self.has_signal and self.is_single == single_connection

    def resume(self, sink: SignalSink, believed_room: RoomName, believed_sid: ParticipantSid) -> None:
        """Go on with another signal connection, and tell the client all that it may have missed.

        What follows is in the order that clients expect: they heed nothing before the first message. Nor do they heed
        what is said of a room before they know that they are in it: one that they believe to be in may be left behind.
        """
        self.room.news.flush()  # all of it is in what follows, and nothing is to be told twice
        if self._sink is not None:
            self._sink.close()
        self._sink = sink
        self._comeback.resumed()
        self.tell(projections.reconnect_response(self._environment.node_id, self.data.last_sequence))
        has_been_away = self.former_stays.get(believed_sid) == believed_room
        if believed_room != self.room.name or has_been_away:
            self.tell(projections.room_moved(self.room, self))
        for update in projections.updates(self.room.news.departed_since(self.heard_at)):
            self.tell(update)
        for update in projections.everybody(self.room, self):
            self.tell(update)
        self.tell(projections.room_update(self.room))
        if self.resume_trouble.takes_cut():
            sink.close()
            return
        self._tell_token()
        self.data.resumed()
        self.dynacast.tell_again()
        self.room.qualities.forget(self)
        self.subscriber.resume()

    def sync(self, state: rtc.SyncState) -> None:
        """Compare what the client believes with what is so, after it has resumed; put right what differs."""
        knows_tracks = all(self.publisher.knows(TrackSid(each.track.sid)) for each in state.publish_tracks)
        if not knows_tracks or not all(map(self.data.knows, state.publish_data_tracks)):
            self.close(CloseReason.STATE_MISMATCH)
            return
        for sid in state.track_sids_disabled:
            self.reconciler.disable(TrackSid(sid))

    def set_claims(self, claims: Claims) -> None:
        """Take changed claims: everybody is told at once, and the client gets a token that says them."""
        self.claims = claims
        self.room.news.changed(self, immediately=True)
        self._tell_token()

    def tell(self, response: rtc.SignalResponse) -> None:
        """Queue a message for the client alone."""
        if not self._rejoining.holds(response):
            self.tell_all(Outgoing(response))

    def tell_all(self, outgoing: Outgoing) -> None:
        """Queue a message that others get too."""
        if self._sink is not None:
            self._sink.send(outgoing)

    def tell_speakers(self, speakers: Sequence[Speaker[ParticipantSid]]) -> None:
        """Tell the client who speaks, of those whose tracks it gets, and of itself."""
        known = {self.sid} | {each.track.publisher_sid for each in self.subscriber.subscriptions.values()}
        infos = [
            models.SpeakerInfo(sid=speaker.participant, level=speaker.level, active=speaker.active)
            for speaker in speakers
            if speaker.participant in known
        ]
        if infos:
            self.tell(rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=infos)))

    def close(self, reason: CloseReason) -> None:
        """Begin to leave: any task may call it, any number of times; the first reason stands."""
        if self.close_reason is None:
            self.close_reason = reason
            self._closing.set()

    def fail(self, error: Exception) -> None:
        """Take the blame for an exception that others let out: `run` raises it."""
        self.publisher.peer.connection.fail(error)

    async def run(self, stay: ParticipantSid) -> None:
        """Be in the room, as long as this `stay` lasts; return once every task of it has ended.

        The connections outlive it: whoever moves takes them along, and `leave` closes them.

        Raises:
            ExceptionGroup: of what ended a connection or a worker.
        """
        current_participant.set(self.identity)
        async with self._staying:
            if self.sid == stay:  # else it has moved on before it could begin
                await self._stay()

    async def _stay(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.publisher.peer.connection.keep_time)
            if isinstance(self.subscriber, OfferingSubscriber):
                nursery.start_soon(self.subscriber.peer.connection.keep_time)
                nursery.start_soon(self.subscriber.run)
            nursery.start_soon(self._comeback.run)
            nursery.start_soon(self.reconciler.run)
            if self.has_signal:
                nursery.start_soon(self.dynacast.run)
            nursery.start_soon(self._refresh_token)
            if not self._rejoining.is_over:
                nursery.start_soon(self._rejoining.run, self.tell)
            nursery.start_soon(self._arrival.run)
            if self.stands_for is not None:
                nursery.start_soon(follow, self, self.stands_for)
            await self._closing.wait()
            nursery.cancel_scope.cancel(f"leaving: {self.close_reason}")

    def leave(self, *, silently: bool = False) -> None:
        """Say goodbye, unless `silently`, and let go of what keeps others busy. Never blocks. Once only."""
        assert self.close_reason is not None, "whoever leaves has a reason"
        self.has_left = True
        self.state = models.ParticipantInfo.DISCONNECTED
        # Whatever may be wrong with a track, or with one of the connections, the endpoint is to forget them both.
        with closing(self.publisher.peer.connection), closing(self.subscriber.peer.connection):
            if not silently:
                self.tell(projections.leave_request(self.close_reason))
            if self._sink is not None:
                self._sink.close()
            self.data.leave()
            self.publisher.withdraw()
            self.subscriber.close()

    def depart(self) -> None:
        """Be out of the room, but for the connections: in the same breath comes `arrive` in another."""
        self.close_reason = CloseReason.MOVED
        self.has_left = True
        self.state = models.ParticipantInfo.DISCONNECTED
        self.former_stays[self.sid] = self.room.name
        if len(self.former_stays) > MAX_FORMER_STAYS:
            del self.former_stays[next(iter(self.former_stays))]
        self._closing.set()  # its tasks end with the stay, and begin again with the next
        self.subscriber.depart()
        self.data.depart()
        self.publisher.depart()

    def arrive(self, room: "Room", claims: Claims) -> None:
        """Be in another room, as somebody who is new there; the room tells of it, and of what is published."""
        self.room, self.claims = room, claims
        self.sid = ParticipantSid(new_sid("PA_", self._environment.random))
        self.joined_at = self._environment.wall()
        self.version = 0
        self.close_reason = None
        self.has_left = False
        self._closing = trio.Event()
        self.state = models.ParticipantInfo.ACTIVE if self.has_been_active else models.ParticipantInfo.JOINED
        self.subscriber.arrive()
        self.publisher.arrive(self.sid)
        self.data.arrive(room)
        self.reconciler.enter(room)

    def become_active(self) -> None:
        """Media can flow from now on."""
        self.state = models.ParticipantInfo.ACTIVE
        self._arrival.connected()
        self.room.participant_active(self)

    # Verbs of the client

    def receive_offer(self, offer: rtc.SessionDescription) -> None:
        """Answer a description of the connection that the client offers. Raises DecodeError, NegotiationError."""
        peer = self.publisher.peer
        answer = peer.answer(offer.sdp, self._prepare_answer)
        self._descriptions.send_answer(peer, answer, offer.id, is_single=self.is_single)
        self.publisher.follow_description()
        if not isinstance(self.subscriber, OfferingSubscriber):
            self.subscriber.answered()
            self.reconciler.reconcile()  # there may be room now for more

    def restart_ice(self, credentials: IceCredentials) -> LocalTransport:
        """Begin a new generation of ICE, as a client has that only says so; return what it is to know of ours."""
        self._comeback.resumed()
        return self.publisher.peer.take_restart(credentials)

    def receive_answer(self, answer: rtc.SessionDescription) -> None:
        """Take the answer to an offer of ours. Raises DecodeError, NegotiationError."""
        if isinstance(self.subscriber, OfferingSubscriber):
            self.subscriber.receive_answer(answer)

    def add_track(self, request: rtc.AddTrackRequest) -> None:
        """Take the announcement of a track, or say why not; its media may have been described already."""
        try:
            info = self.publisher.add_track(request, self.grant)
        except RefusedError as refusal:
            self.tell(refusal.response(rtc.SignalRequest(add_track=request)))
            return
        self.tell(rtc.SignalResponse(track_published=rtc.TrackPublishedResponse(cid=request.cid, track=info)))
        self.publisher.follow_description()

    def set_muted(self, request: rtc.MuteTrackRequest) -> None:
        """Mute or unmute an own track. Raises RefusedError: there is none."""
        sid = TrackSid(request.sid)
        with self._environment.endpoint.batch():
            self.publisher.set_muted(sid, muted=request.muted)
        if sid in self.publisher.publications:
            self.room.news.changed(self)

    def signal_lost(self, sink: SignalSink) -> None:
        """The socket behind `sink` has died without a leave; the media path decides whether the person is gone."""
        if self._sink is not sink:
            return
        self._sink = None
        if not self.has_been_active:
            self.close(CloseReason.SIGNAL_CLOSED)

    # What the connections, the publisher and the subscriber tell

    def connection_established(self, connection: PeerConnection) -> None:
        """Become active with the primary connection."""
        if connection is self.subscriber.peer.connection:
            self.subscriber.connection_established()
        if connection is self._primary.connection and self.state == models.ParticipantInfo.JOINED:
            self.become_active()

    def connection_lost(self, connection: PeerConnection, reason: str) -> None:  # noqa: ARG002 - a protocol's
        """Let the client come back by a new signal connection: its network may only have changed."""
        logger.info("%s in %s has lost its media path: %s", self.identity, self.room.name, reason)
        self._comeback.lost()
        self.tell(projections.resume_request())
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def connection_closed(self, connection: PeerConnection) -> None:  # noqa: ARG002 - a protocol's
        """Leave, if there is no other way to say so: browsers send this from `close()`, and others with a leave."""
        if not self.has_signal:
            self.close(CloseReason.CLIENT_LEFT)

    def channel_opened(self, connection: PeerConnection, channel: ChannelOpened) -> None:
        """Send data on it, if the client reads there."""
        self.data.channel_opened(connection, channel)

    def channel_message(self, connection: PeerConnection, message: ChannelMessage) -> None:
        """Pass it on."""
        self.data.channel_message(connection, message)

    def channel_closed(self, connection: PeerConnection, channel: ChannelClosed) -> None:
        """Send no more data on it."""
        self.data.channel_closed(connection, channel)

    def channel_drained(self, connection: PeerConnection, channel: ChannelDrained) -> None:
        """Let those go on who have waited for the client to read."""
        self.data.channel_drained(connection, channel)

    def track_published(self, publication: Publication) -> None:
        """Tell everybody, and let them have it."""
        self.is_publisher = True
        self.room.track_published(self, publication)

    def track_unpublished(self, publication: Publication) -> None:
        """Tell everybody, and end their subscriptions."""
        self.room.track_unpublished(self, publication)

    def track_changed(self, publication: Publication) -> None:  # noqa: ARG002 - a protocol's
        """Tell everybody, and let them have it in the codec that is best now."""
        self.room.news.changed(self)
        self.room.reconcile_all()

    def cannot_decode(self, track: MediaTrack) -> None:
        """Have the client told that it does not get a track."""
        self.reconciler.cannot_decode(track)

    def track_flows(self, track: MediaTrack) -> None:
        """Let the publisher know that somebody hears or sees it."""
        self.room.track_flows(track, self)

    # Privates

    @property
    def _primary(self) -> Peer:
        """The side whose connection makes the participant active."""
        return self.subscriber.peer if self.subscriber_is_primary else self.publisher.peer

    def _prepare_answer(self) -> None:
        self.publisher.prepare_answer()
        if not isinstance(self.subscriber, OfferingSubscriber):
            self.subscriber.prepare_answer()

    def _tell_token(self) -> None:
        if self.has_signal:
            self.tell(rtc.SignalResponse(refresh_token=self._environment.mint_token(self.claims)))

    async def _refresh_token(self) -> None:
        while True:
            await trio.sleep(TOKEN_REFRESH_SECONDS)
            self._tell_token()
