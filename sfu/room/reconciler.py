"""What a participant wants of others, compared with what there is and what it may have, over and over."""

import logging
import math
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from livekit.protocol import models, rtc

from sfu.media.track import MediaTrack
from sfu.model import TrackSid
from sfu.notifier import Notifier
from sfu.room.subscriptions import TrackSettings, Wishes, plan
from sfu.room.watching import Watching

if TYPE_CHECKING:
    from sfu.room.participant import Participant
    from sfu.room.room import Room

logger = logging.getLogger(__name__)

SETTINGS_SECONDS: Final = 0.1
"""Settings of a track that come together are followed once: each may cost a key frame. Whoever scrolls, or resizes a
window, sends many."""


class Reconciler:
    """Begins and ends the subscriptions of one participant, and tells it why it does not get what it wants."""

    def __init__(self, room: "Room", participant: "Participant", watching: Watching, *, automatic: bool) -> None:
        self._room = room
        self._participant = participant
        self.watching = watching
        self._wishes = Wishes(automatic=automatic, settings=watching.settings)
        self._changed = Notifier()
        self._told_allowed: dict[TrackSid, bool] = {}
        self._settings_due: dict[TrackSid, float] = {}  # the earliest first; of subscriptions only

    def wake(self) -> None:
        """Look again, soon and in a task of this participant, so that a fault ends nobody else."""
        self._changed.notify()

    async def run(self) -> NoReturn:
        """Look whenever something has changed, until cancelled."""
        seen = 0
        while True:
            with trio.move_on_at(min(self._wishes.gives_up_at, next(iter(self._settings_due.values()), math.inf))):
                await self._changed.wait_changed(seen)
            seen = self._changed.version
            self._follow_settings(trio.current_time())
            self.reconcile()

    def reconcile(self) -> None:
        """Subscribe to what is wanted and to be had, and end the rest."""
        participant, subscriber = self._participant, self._participant.subscriber
        if not participant.grant.may_subscribe:
            tracks = {}
        else:
            everything = self._room.tracks_for(participant)
            tracks = {sid: track for sid, track in everything.items() if self.watching.includes(track)}
            self._give_up(tracks)
        if participant.has_signal:
            for track in tracks.values():
                if self._wishes.wants(track.sid):
                    self._tell_permission(track)
        available = {
            sid: track for sid, track in tracks.items() if self._room.may_have(participant, track.publisher, sid)
        }
        steps = plan(self._wishes, available, subscriber.subscriptions, self._room.environment.limits)
        for sid in steps.unsubscribe:
            subscriber.unsubscribe(sid)
        for track in steps.subscribe:
            subscriber.subscribe(track, self._wishes.settings(track.sid))
        subscriber.follow_codecs()
        subscriber.ask()

    def set_wanted(self, sid: TrackSid, *, wanted: bool) -> None:
        """Note whether the client wants a track, which need not exist yet; `reconcile` acts on it.

        How it wanted a track means nothing more once it does not, and if it wants it again it is told again whether it
        may have it: that is how LiveKit's server does it, recorded.
        """
        self._wishes.set_wanted(sid, wanted=wanted)
        if not wanted:
            self._wishes.forget_settings(sid)
            self._told_allowed.pop(sid, None)

    def set_settings(self, sid: TrackSid, settings: TrackSettings) -> None:
        """Send as much of a track as the client wants of it, soon or once it is subscribed; at once if it begins to."""
        was_disabled = self._wishes.settings(sid).is_disabled
        self._wishes.set_settings(sid, settings)
        if sid not in self._participant.subscriber.subscriptions:
            return
        if was_disabled and not settings.is_disabled:
            self._settings_due.pop(sid, None)
            self._participant.subscriber.set_settings(sid, settings)
        elif sid not in self._settings_due:
            self._settings_due[sid] = trio.current_time() + SETTINGS_SECONDS
            self.wake()

    def disable(self, sid: TrackSid) -> None:
        """Send nothing of a track for now, and leave what else is wanted of it."""
        self.set_settings(sid, replace(self._wishes.settings(sid), is_disabled=True))

    def forget(self, sid: TrackSid) -> None:
        """A track is gone for good: what was wished and told of it means nothing more."""
        self._wishes.forget(sid)
        self._settings_due.pop(sid, None)
        self._told_allowed.pop(sid, None)
        self.wake()

    def end(self, sid: TrackSid) -> None:
        """A track is in this room no longer: send nothing of it from now on. A fault ends this participant alone."""
        subscriber = self._participant.subscriber
        try:
            with subscriber.peer.connection.endpoint.batch():
                subscriber.unsubscribe(sid)
        except Exception as error:  # noqa: BLE001 - the fence: whoever takes the track away goes on
            subscriber.peer.connection.fail(error)
        self.forget(sid)

    def enter(self, room: "Room") -> None:
        """Look at another room from now on, of whose tracks nothing in particular was said."""
        self._room = room
        self._wishes.forget_all()
        self._settings_due.clear()
        self._told_allowed.clear()

    def cannot_decode(self, track: MediaTrack) -> None:
        """Tell the client that it does not get a track, and why; it is tried again only if the client asks for it."""
        logger.info("%s cannot decode %s: %s", self._participant.identity, list(track.codecs), track.sid)
        self._wishes.set_wanted(track.sid, wanted=False)
        self._tell_failure(track.sid, models.SE_CODEC_UNSUPPORTED)

    def _follow_settings(self, now: float) -> None:
        """Do what was last said of each track for which it is time."""
        for sid in [sid for sid, due in self._settings_due.items() if now >= due]:
            del self._settings_due[sid]
            self._participant.subscriber.set_settings(sid, self._wishes.settings(sid))

    def _give_up(self, existing: Collection[TrackSid]) -> None:
        """Tell of tracks that were asked for long ago, and are not there; see to it that the others are looked at."""
        due = self._wishes.gives_up_at
        for sid in self._wishes.give_up(existing, trio.current_time()):
            self._tell_failure(sid, models.SE_TRACK_NOTFOUND)
        if self._wishes.gives_up_at < due:
            self.wake()

    def _tell_failure(self, sid: TrackSid, error: models.SubscriptionError) -> None:
        response = rtc.SubscriptionResponse(track_sid=sid, err=error)
        self._participant.tell(rtc.SignalResponse(subscription_response=response))

    def _tell_permission(self, track: MediaTrack) -> None:
        """Say whether the participant may have a track that it wants: at first, and when that changes."""
        allowed = self._room.may_have(self._participant, track.publisher, track.sid)
        if self._told_allowed.get(track.sid) is not allowed:
            self._told_allowed[track.sid] = allowed
            update = rtc.SubscriptionPermissionUpdate(
                participant_sid=track.publisher_sid, track_sid=track.sid, allowed=allowed
            )
            self._participant.tell(rtc.SignalResponse(subscription_permission_update=update))
