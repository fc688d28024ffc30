"""Telling a publisher which qualities of its video anybody wants to see, so that it need not send the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from livekit.protocol import models, rtc

from rtp.sdp.codecs import MediaKind
from sfu.media.dynacast import LayerDemand
from sfu.media.simulcast import Quality
from sfu.media.track import MediaTrack
from sfu.model import TrackSid
from sfu.room.regression import regress

if TYPE_CHECKING:
    from sfu.room.participant import Participant

_QUALITIES: Final = {Quality.LOW: models.LOW, Quality.MEDIUM: models.MEDIUM, Quality.HIGH: models.HIGH}


@dataclass(slots=True)
class _Known:
    """What the publisher of a track knows, by codec, and whether the track was muted when we looked last."""

    demands: dict[str, LayerDemand]
    was_muted: bool

    def tell_again(self) -> None:
        """The publisher is to be told anew."""
        for demand in self.demands.values():
            demand.tell_again()


class Dynacast:
    """Follows what is wanted of one participant's video, and tells it what has changed."""

    def __init__(self, participant: "Participant") -> None:
        self._participant = participant
        self._publisher = participant.publisher
        self._known: dict[TrackSid, _Known] = {}

    def allowed(self, sid: TrackSid, mime: str) -> int:
        """Return the best quality that is to be sent of a track in a codec, or NOTHING."""
        known = self._known.get(sid)
        return Quality.HIGH if known is None or mime not in known.demands else known.demands[mime].allowed

    def tell_again(self) -> None:
        """The publisher has come back, and may have missed something."""
        for known in self._known.values():
            known.tell_again()
        self._publisher.demand.notify()

    async def run(self) -> NoReturn:
        """Look whenever what is wanted has changed, or a wait is over, until cancelled."""
        changes = self._publisher.demand
        while True:
            seen = changes.version
            now = trio.current_time()
            for publication in self._publisher.publications.values():
                if regress(publication, len(self._participant.room.participants)):
                    self._participant.room.reconcile_all()
            tracks = [each.media for each in self._publisher.publications.values()]
            videos = {track.sid: track for track in tracks if track.kind is MediaKind.VIDEO}
            self._known = {sid: self._known.get(sid) or _Known({}, track.muted) for sid, track in videos.items()}
            due = min((self._look(track, now) for track in videos.values()), default=float("inf"))
            with trio.move_on_at(due):
                await changes.wait_changed(seen)

    def _look(self, track: MediaTrack, now: float) -> float:
        """Tell the publisher of a track what is due; return when to look again.

        Nothing is told of a track that is muted. When it is unmuted, what is wanted then is told anew.
        """
        known = self._known[track.sid]
        for mime, wanted in track.wanted_qualities().items():
            if mime not in known.demands:
                known.demands[mime] = LayerDemand(now, begun=mime in track.receivers)
            known.demands[mime].want(wanted, now)
        if known.was_muted and not track.muted:
            known.tell_again()
        known.was_muted = track.muted
        if track.muted:
            return float("inf")
        before = {mime: demand.allowed for mime, demand in known.demands.items()}
        due = [demand for demand in known.demands.values() if demand.take_due(now)]
        if due:
            for mime, receiver in track.receivers.items():
                allowed = known.demands[mime].allowed
                receiver.layers.expect([quality for quality in Quality if before[mime] < quality <= allowed])
            self._participant.tell(_update(track, known.demands))
        times = (demand.next_timeout() for demand in known.demands.values())
        return min((time for time in times if time is not None), default=float("inf"))


def _update(track: MediaTrack, demands: Mapping[str, LayerDemand]) -> rtc.SignalResponse:
    """Return the message in both its forms: of the codec that came first, and of each that was ever wanted.

    Clients know codecs by their names alone, and begin to send one when it is first named so.
    """
    codecs = [
        rtc.SubscribedCodec(codec=mime.partition("/")[2].lower(), qualities=_qualities(demand.allowed))
        for mime, demand in demands.items()
        if mime in track.receivers or demand.is_told
    ]
    return rtc.SignalResponse(
        subscribed_quality_update=rtc.SubscribedQualityUpdate(
            track_sid=track.sid, subscribed_qualities=codecs[0].qualities, subscribed_codecs=codecs
        )
    )


def _qualities(allowed: int) -> list[rtc.SubscribedQuality]:
    return [rtc.SubscribedQuality(quality=named, enabled=quality <= allowed) for quality, named in _QUALITIES.items()]
