"""A room: who is in it, what they publish, and the tasks that keep it. When `run` returns nothing of it is alive."""

import contextvars
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import trio
from livekit.protocol import models, rtc

from sfu.data.packets import Person
from sfu.environment import Environment
from sfu.errors import CloseReason, IdentityTakenError, RoomClosedError, RoomFullError, SfuError
from sfu.media.track import MediaTrack
from sfu.model import Claims, Identity, ParticipantSid, RoomName, TrackSid, new_sid
from sfu.room.data import RoomData
from sfu.room.events import (
    ParticipantAborted,
    ParticipantJoined,
    ParticipantLeft,
    RoomFinished,
    RoomStarted,
    TrackPublished,
    TrackUnpublished,
)
from sfu.room.headcount import Headcount
from sfu.room.joining import Joining
from sfu.room.outgoing import Outgoing, SignalSink
from sfu.room.participant import Participant
from sfu.room.projections import room_moved, room_update
from sfu.room.publisher import Publication
from sfu.room.quality import Qualities
from sfu.room.supervision import Supervision
from sfu.room.updates import UPDATE_INTERVAL_SECONDS, ParticipantNews
from sfu.room.vacancy import Vacancy
from sfu.room.voices import Voices
from sfu.settings import RoomSettings

logger = logging.getLogger(__name__)

current_room: contextvars.ContextVar[str] = contextvars.ContextVar("room", default="")
"""Which room the running task works for; set at the top of `Room.run`, for log lines."""

COUNTS_INTERVAL_SECONDS: Final = 5.0
"""How often clients are told of changed numbers of participants and publishers."""


class Room:
    """The people of one room, and what they publish."""

    def __init__(self, name: RoomName, environment: Environment, settings: RoomSettings) -> None:
        self.name = name
        self.environment = environment
        self.settings = settings
        self.metadata = settings.metadata
        self.sid = new_sid("RM_", environment.random)
        self.secret = environment.random.randbytes(24).hex()
        self.created_at = environment.wall()
        self.participants: dict[Identity, Participant] = {}
        self.headcount = Headcount()
        self.close_reason: CloseReason | None = None
        self.news = ParticipantNews(self)
        self.data = RoomData(self, environment.data, environment.random)
        self._tracks: dict[TrackSid, MediaTrack] = {}
        self._flowing: set[TrackSid] = set()
        self._vacancy = Vacancy(settings, self.headcount)
        self._told = room_update(self)
        self._closing = trio.Event()
        self._open = trio.Event()
        self._closed = trio.Event()
        self._voices = Voices(self._tracks, self.participants.values)
        self.qualities = Qualities(self.participants.values)
        self._supervision = Supervision(self.participants.values)
        self._nursery: trio.Nursery | None = None

    @property
    def closed(self) -> bool:
        """Whether nobody can join any more."""
        return self._closing.is_set()

    async def run(self) -> None:
        """Be open; return once the room is closed and every task in it has ended."""
        current_room.set(self.name)
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._close_when_empty)
                self._nursery.start_soon(self._tell_news)
                self._nursery.start_soon(self.data.run)
                self._nursery.start_soon(self._tell_counts)
                self._nursery.start_soon(self._voices.run)
                self._nursery.start_soon(self.qualities.run)
                self._nursery.start_soon(self._supervision.run)
                self.environment.tell(RoomStarted(self))
                self._open.set()
                await self._closing.wait()
                self._nursery.cancel_scope.cancel(f"room closed: {self.close_reason}")
        finally:
            self.close(CloseReason.SERVER_SHUTDOWN)  # a no-op unless we were cancelled from outside
            self._open.set()  # nobody is left waiting for what will not come: joining is refused
            self.environment.tell(RoomFinished(self))
            self._closed.set()

    def close(self, reason: CloseReason) -> None:
        """Begin to close: any task may call it, any number of times; the first reason stands."""
        if self.close_reason is None:
            self.close_reason = reason
            for participant in list(self.participants.values()):
                participant.close(reason)
            self._closing.set()

    def held(self) -> AbstractContextManager[None]:
        """Keep the room from closing for want of people: somebody is on the way in."""
        return self._vacancy.held()

    async def wait_open(self) -> None:
        """Return once people can join. A checkpoint if they cannot yet."""
        await self._open.wait()

    async def wait_closed(self) -> None:
        """Return once nothing of the room is alive."""
        await self._closed.wait()

    def join(self, joining: Joining, sink: SignalSink) -> Participant:
        """Admit somebody, who replaces an earlier session of the same identity.

        Raises:
            RoomClosedError: the room is closing.
            RoomFullError: it has as many participants as it may have.
            IdentityTakenError: somebody of this identity is in it, and is not to be replaced.
            LimitExceededError: the token says too much about its bearer.
            DecodeError, NegotiationError, RefusedError: what came with the join could not be used.
        """
        claims = joining.claims
        self.environment.limits.check_profile(claims.name, claims.metadata, claims.attributes)
        self.make_place_for(claims)
        participant = Participant(self, self.environment, joining, sink)
        self._enter(participant)  # no await since the check: no race
        has_joined = False
        try:
            participant.join(joining)
            has_joined = True
        finally:
            if not has_joined:  # nobody has heard of it, and nobody shall
                self._forget(participant)
                participant.close(CloseReason.JOIN_FAILED)
                participant.leave()
        self._settle(participant)
        return participant

    def make_place_for(self, claims: Claims) -> None:
        """See that somebody can come in, now. An earlier session of the same identity ends.

        Raises:
            RoomClosedError, RoomFullError, IdentityTakenError: as `join`.
        """
        if self.closed or self._nursery is None:
            raise RoomClosedError(self.name)
        if not claims.is_dependent:
            self._check_has_place_for(claims.identity)
        if (earlier := self.participants.get(claims.identity)) is not None:
            if not self.settings.replaces_duplicates and earlier.stands_for is None:
                raise IdentityTakenError(claims.identity)
            self.remove(earlier, CloseReason.DUPLICATE_IDENTITY)

    def release(self, participant: Participant) -> None:
        """Let somebody go on to another room. The others are told that it has left, with all that it published."""
        publications = list(participant.publisher.publications.values())
        logger.info("%s goes on from %s: %s", participant.identity, self.name, participant.summary())
        participant.depart()
        self._see_off(participant, publications, media_goes_on=True)

    def receive(self, participant: Participant, claims: Claims) -> None:
        """Take in somebody whom another room has released, with all that it publishes. `make_place_for` comes before."""
        has_arrived = False
        try:
            participant.arrive(self, claims)
            self._enter(participant)
            participant.tell(room_moved(self, participant))
            has_arrived = True
        finally:
            if not has_arrived:  # no room has it, and nobody else would close its connections
                self._forget(participant)
                participant.close(CloseReason.UNKNOWN)
                participant.leave()
        self._settle(participant)
        if participant.has_been_active:
            self.environment.tell(ParticipantJoined(self, participant))
        for publication in list(participant.publisher.publications.values()):
            self.track_published(participant, publication)
        self.data.tracks_changed()
        participant.reconciler.reconcile()

    def remove(self, participant: Participant, reason: CloseReason, *, silently: bool = False) -> None:
        """End a session: when this returns it is gone, and the others are told; its tasks end soon after. Idempotent.

        `silently` spares the client the leave message, as if its server had failed.
        """
        participant.close(reason)
        if participant.has_left:
            return
        publications = list(participant.publisher.publications.values())
        with self._fence(participant):
            logger.info("%s left %s: %s", participant.identity, self.name, participant.summary())
        with self._fence(participant):
            participant.leave(silently=silently)
        self._see_off(participant, publications, media_goes_on=participant.stands_for is not None)

    def _enter(self, participant: Participant) -> None:
        self.participants[participant.identity] = participant
        self.headcount.note(participant)

    def _forget(self, participant: Participant) -> None:
        if self.participants.get(participant.identity) is participant:  # it may have been replaced
            del self.participants[participant.identity]
            self.headcount.forget(participant.identity)
            self.news.forget(participant.identity)

    def _see_off(self, participant: Participant, publications: list[Publication], *, media_goes_on: bool) -> None:
        """Forget somebody who has gone, and tell of it."""
        self._forget(participant)
        self._vacancy.left()
        self.news.changed(participant)
        for publication in publications:
            if media_goes_on:  # elsewhere
                self._take_away(publication.media)
            else:
                self._withdraw(publication.media)
                publication.media.close()
            self.environment.tell(TrackUnpublished(self, participant, publication.info))
        left = ParticipantLeft if participant.has_been_active else ParticipantAborted
        self.environment.tell(left(self, participant))

    def set_metadata(self, metadata: str) -> None:
        """Change what the room says about itself, and tell everybody at once. Raises LimitExceededError."""
        self.environment.limits.check_metadata(metadata)
        self.metadata = metadata
        self._tell_room()

    def permission_changed(self, participant: Participant, *, was_hidden: bool) -> None:
        """Let who now appears or vanishes do so with its tracks. What it may do itself is told by its own news."""
        self._vacancy.changed()  # it may keep the room open now, or no longer
        if participant.is_hidden != was_hidden:
            if participant.is_hidden:
                self.news.vanished(participant)
            self.reconcile_all()

    def tracks_for(self, subscriber: Participant) -> dict[TrackSid, MediaTrack]:
        """Return what others publish."""
        return {
            sid: track
            for sid, track in self._tracks.items()
            if track.publisher_sid != subscriber.sid and not self._is_hidden(track.publisher)
        }

    def may_have(self, subscriber: Person, identity: Identity, track: TrackSid) -> bool:
        """Say whether the publisher of this identity lets somebody have a track; recorders need not be named."""
        publisher = self.participants.get(identity)
        return subscriber.claims.is_recorder or (
            publisher is not None and publisher.permissions.allow(subscriber.identity, subscriber.sid, track)
        )

    def set_permissions(self, publisher: Participant, request: rtc.SubscriptionPermission) -> None:
        """Take a publisher's word on who may have its tracks."""
        if publisher.permissions.set(request):
            self.reconcile_all()
            self.data.tracks_changed()
            publisher.changes.notify()

    def reconcile_all(self) -> None:
        """Let everybody's subscriptions follow what has changed."""
        for person in self.participants.values():
            person.reconciler.wake()

    def simulate_speaking(self, participant: Participant, seconds: float) -> None:
        """Tell everybody that somebody speaks, and after `seconds` that it does not."""
        assert self._nursery is not None, "who is in a room finds it open"
        self._voices.pretend(participant.sid, seconds, self._nursery)

    def participant_active(self, participant: Participant) -> None:
        """Tell of somebody to and from whom media can flow now."""
        self.news.changed(participant, knows=True)
        self.environment.tell(ParticipantJoined(self, participant))

    def track_published(self, publisher: Participant, publication: Publication) -> None:
        """Tell of it, and let everybody who wants it have it."""
        self._tracks[publication.media.sid] = publication.media
        self._voices.wake()
        self.news.changed(publisher)
        self.reconcile_all()
        self.environment.tell(TrackPublished(self, publisher, publication.info))

    def track_unpublished(self, publisher: Participant, publication: Publication) -> None:
        """Tell of it, and end what everybody had of it."""
        self.news.changed(publisher)
        self._withdraw(publication.media)
        self.environment.tell(TrackUnpublished(self, publisher, publication.info))

    def send_data(self, packet: models.DataPacket, kind: models.DataPacket.Kind) -> None:
        """Send a data packet of the server's own to those whom it names, or to everybody. Never blocks.

        It goes out as it is, so that it has the sender that it names, or none; only its kind is filled in, and its two
        lists of destinations are made equal. A user packet whose nonce was sent before is dropped.
        """
        self.data.relay.send(packet, kind)

    def track_flows(self, track: MediaTrack, subscriber: Participant) -> None:
        """Tell the publisher of a track, once, that somebody gets it; and tell that somebody if it is a voice just now."""
        if (speaker := self._voices.speaker(track.publisher_sid)) is not None:
            subscriber.tell_speakers([speaker])
        publisher = self.participants.get(track.publisher)
        if publisher is None or subscriber.is_hidden or track.sid in self._flowing:
            return
        self._flowing.add(track.sid)
        publisher.tell(rtc.SignalResponse(track_subscribed=rtc.TrackSubscribed(track_sid=track.sid)))

    def _is_hidden(self, identity: Identity) -> bool:
        person = self.participants.get(identity)
        return person is not None and person.is_hidden

    def _withdraw(self, track: MediaTrack) -> None:
        self._tracks.pop(track.sid, None)
        self._flowing.discard(track.sid)
        for person in self.participants.values():
            person.reconciler.forget(track.sid)

    def _take_away(self, track: MediaTrack) -> None:
        """End what everybody has of a track that others go on to have: at once, for it may be back here any moment."""
        self._withdraw(track)
        for person in list(self.participants.values()):
            person.reconciler.end(track.sid)

    def _settle(self, participant: Participant) -> None:
        """Run the tasks of somebody who has come in, and tell of it."""
        assert self._nursery is not None, "there was place in it, so the room is open"
        self._nursery.start_soon(self._host, participant, participant.sid)
        self._vacancy.entered(is_dependent=participant.claims.is_dependent)
        self.news.changed(participant, knows=True)
        if participant.claims.is_recorder:
            self._tell_room()  # at once: people are to know that they are recorded

    @contextmanager
    def _fence(self, participant: Participant) -> Iterator[None]:
        """Let nothing out: who cannot even leave in order is gone all the same, and the room goes on."""
        try:
            yield
        except Exception:
            logger.exception("%s: %s did not leave in order", self.name, participant.identity)

    async def _host(self, participant: Participant, stay: ParticipantSid) -> None:
        try:
            await participant.run(stay)
        except* SfuError as failures:
            for failure in _leaves(failures):
                participant.close(failure.reason)
                logger.info("%s: %s: %s", self.name, participant.identity, failure)
        except* Exception as failures:  # the fence: a bug here ends this participant only
            logger.exception("%s: %s crashed", self.name, participant.identity, exc_info=failures)
        finally:
            if participant.sid == stay:  # else it has moved, and is another room's
                self.remove(participant, participant.close_reason or CloseReason.UNKNOWN)

    async def _tell_news(self) -> None:
        due = trio.current_time()
        while True:
            due += UPDATE_INTERVAL_SECONDS
            await trio.sleep_until(due)
            self.news.flush()

    def _check_has_place_for(self, identity: Identity) -> None:
        limit = self.settings.max_participants
        present = self.headcount.independent
        if limit and len(present) - (identity in present) >= limit:
            raise RoomFullError(f"{self.name} has its {limit} participants")

    def _tell_room(self) -> None:
        """Tell everybody how the room is, if it is not as it was when they were told last."""
        if (update := room_update(self)) != self._told:
            self._told = update
            outgoing = Outgoing(update)
            for person in self.participants.values():
                person.tell_all(outgoing)

    async def _tell_counts(self) -> None:
        due = trio.current_time()
        while True:
            due += COUNTS_INTERVAL_SECONDS
            await trio.sleep_until(due)
            self._tell_room()

    async def _close_when_empty(self) -> None:
        await self._vacancy.wait_over()
        self.close(CloseReason.ROOM_CLOSED)


def _leaves(group: BaseExceptionGroup[SfuError]) -> Iterator[SfuError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
