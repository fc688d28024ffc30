"""Telling a publisher which qualities of its video anybody wants to see, so that it need not send the others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

import trio
from livekit.protocol import models, rtc

from rtp.sdp.codecs import MediaKind
from sfu.media.dynacast import LayerDemand
from sfu.media.simulcast import Quality
from sfu.media.track import MediaTrack
from sfu.model import TrackSid
from sfu.room.publisher import Publisher

_QUALITIES: Final = {Quality.LOW: models.LOW, Quality.MEDIUM: models.MEDIUM, Quality.HIGH: models.HIGH}


@dataclass(slots=True)
class _Known:
    """What one track's publisher knows, and whether it was muted when we looked last."""

    demand: LayerDemand
    was_muted: bool


class Dynacast:
    """Follows what is wanted of one participant's video, and tells it what has changed."""

    def __init__(self, publisher: Publisher, tell: Callable[[rtc.SignalResponse], None]) -> None:
        self._publisher = publisher
        self._tell = tell
        self._known: dict[TrackSid, _Known] = {}

    def allowed(self, sid: TrackSid) -> int:
        """Return the best quality that is to be sent of a track, or NOTHING."""
        known = self._known.get(sid)
        return Quality.HIGH if known is None else known.demand.allowed

    def tell_again(self) -> None:
        """The publisher has come back, and may have missed something."""
        for known in self._known.values():
            known.demand.tell_again()
        self._publisher.demand.notify()

    async def run(self) -> NoReturn:
        """Look whenever what is wanted has changed, or a wait is over, until cancelled."""
        changes = self._publisher.demand
        while True:
            seen = changes.version
            now = trio.current_time()
            tracks = [each.media for each in self._publisher.publications.values()]
            videos = {track.sid: track for track in tracks if track.kind is MediaKind.VIDEO}
            self._known = {sid: self._known.get(sid) or _new(track, now) for sid, track in videos.items()}
            due = min((self._look(track, now) for track in videos.values()), default=float("inf"))
            with trio.move_on_at(due):
                await changes.wait_changed(seen)

    def _look(self, track: MediaTrack, now: float) -> float:
        """Tell the publisher of a track what is due; return when to look again.

        Nothing is told of a track that is muted. When it is unmuted, what is wanted then is told anew.
        """
        known = self._known[track.sid]
        demand = known.demand
        demand.want(track.wanted_quality(), now)
        if known.was_muted and not track.muted:
            demand.tell_again()
        known.was_muted = track.muted
        if track.muted:
            return float("inf")
        before = demand.allowed
        if demand.take_due(now):
            track.receiver.layers.expect([quality for quality in Quality if before < quality <= demand.allowed])
            self._tell(_update(track, demand.allowed))
        due = demand.next_timeout()
        return float("inf") if due is None else due


def _new(track: MediaTrack, now: float) -> _Known:
    return _Known(LayerDemand(now), was_muted=track.muted)


def _update(track: MediaTrack, allowed: int) -> rtc.SignalResponse:
    """Return the message in both its forms: of the track, and of its codec by the name that clients give it."""
    qualities = [
        rtc.SubscribedQuality(quality=named, enabled=quality <= allowed) for quality, named in _QUALITIES.items()
    ]
    codec = track.codec.mime.partition("/")[2].lower()
    return rtc.SignalResponse(
        subscribed_quality_update=rtc.SubscribedQualityUpdate(
            track_sid=track.sid,
            subscribed_qualities=qualities,
            subscribed_codecs=[rtc.SubscribedCodec(codec=codec, qualities=qualities)],
        )
    )
