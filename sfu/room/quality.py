"""How well media gets through to and from everybody in a room, told to those whom it concerns."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from livekit.protocol import models, rtc

from sfu.media.downtrack import DownTrack
from sfu.media.dynacast import NOTHING
from sfu.media.quality import BEST, WINDOW_SECONDS, Rating, TrackScore, mean_opinion, rate
from sfu.media.receiver import Receiver
from sfu.model import ParticipantSid

if TYPE_CHECKING:
    from sfu.room.participant import Participant

AT_ONCE: Final = 32
"""Participants between two checkpoints: packets are not to wait for statistics."""

FEWEST_PACKETS: Final = 5
"""Of so few in a window, some may be on their way to the subscriber, or its report to us: they say nothing."""

_RATINGS: Final = {
    Rating.LOST: models.LOST,
    Rating.POOR: models.POOR,
    Rating.GOOD: models.GOOD,
    Rating.EXCELLENT: models.EXCELLENT,
}


@dataclass(slots=True)
class _Subscribed:
    """The score of a track on its way to somebody, and how much had been sent and reported a window ago."""

    score: TrackScore
    packets: int = 0
    reports: int = 0


class Qualities:
    """The score of each participant of a room: that of the worst of its tracks, of those it sends and those it gets.

    Somebody is told its own, and of those whose tracks it gets: all of them whenever one is new to it, or is called
    otherwise than before.
    """

    def __init__(self, people: Callable[[], Iterable["Participant"]]) -> None:
        self._people = people
        self._published: dict[Receiver, TrackScore] = {}
        self._subscribed: dict[DownTrack, _Subscribed] = {}
        self._scores: dict[ParticipantSid, float] = {}
        self._told: dict[ParticipantSid, dict[ParticipantSid, Rating]] = {}

    def forget(self, participant: "Participant") -> None:
        """Tell somebody everything again, with the next words: it may have missed the last."""
        self._told.pop(participant.sid, None)

    async def run(self) -> NoReturn:
        """Measure and tell, once in each window, until cancelled."""
        due = trio.current_time()
        while True:
            due += WINDOW_SECONDS
            await trio.sleep_until(due)
            await self._measure()
            await self._for_everybody(self._tell)
            self._told = {sid: words for sid, words in self._told.items() if sid in self._scores}

    async def _for_everybody(self, step: Callable[["Participant"], None]) -> None:
        for number, person in enumerate(list(self._people()), 1):
            try:
                step(person)
            except Exception as error:  # noqa: BLE001 - the fence: what one's statistics break harms nobody else
                person.fail(error)
            if number % AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    async def _measure(self) -> None:
        published, subscribed = self._published, self._subscribed
        self._published, self._subscribed, self._scores = {}, {}, {}

        def measure(person: "Participant") -> None:
            if person.state == models.ParticipantInfo.ACTIVE:
                scores = [*self._look_at_published(person, published), *self._look_at_subscribed(person, subscribed)]
                self._scores[person.sid] = min(scores, default=BEST)

        await self._for_everybody(measure)

    def _look_at_published(self, person: "Participant", known: dict[Receiver, TrackScore]) -> Iterable[float]:
        sender = person.stands_for or person  # of whose media it is
        is_silent = trio.current_time() - sender.publisher.peer.heard_at > WINDOW_SECONDS
        for publication in person.publisher.publications.values():
            track = publication.media
            for mime, receiver in track.receivers.items():
                score = self._published[receiver] = known.get(receiver) or TrackScore(track.kind)
                allowed = sender.dynacast.allowed(track.sid, mime)
                counts = receiver.counts(allowed)
                if track.muted or allowed == NOTHING or not counts.expected:
                    score.rest(is_peer_silent=is_silent)
                else:
                    score.count(counts, is_peer_silent=is_silent)
                yield score.value

    def _look_at_subscribed(self, person: "Participant", known: dict[DownTrack, _Subscribed]) -> Iterable[float]:
        for subscription in person.subscriber.subscriptions.values():
            down_track = subscription.down_track
            seen = known.get(down_track) or _Subscribed(TrackScore(subscription.track.kind))
            packets, reports, counts = down_track.row.packets, down_track.reports, down_track.counts()
            if down_track.is_starved:
                seen.score.starve()
            elif packets < seen.packets + FEWEST_PACKETS or counts is None:
                seen.score.rest(is_peer_silent=False)
            elif reports == seen.reports:
                seen.score.miss()
            else:
                seen.score.count(counts, is_peer_silent=False)
            seen.packets, seen.reports = packets, reports
            self._subscribed[down_track] = seen
            yield seen.score.value

    def _tell(self, person: "Participant") -> None:
        if person.sid not in self._scores or not person.can_be_told:
            return
        sids = dict.fromkeys(
            [person.sid, *(each.track.publisher_sid for each in person.subscriber.subscriptions.values())]
        )
        told = self._told.get(person.sid, {})
        words = {sid: rate(self._scores[sid]) for sid in sids if sid in self._scores}
        if any(told.get(sid) is not rating for sid, rating in words.items()):
            self._told[person.sid] = words
            person.tell(self._update(words))

    def _update(self, words: dict[ParticipantSid, Rating]) -> rtc.SignalResponse:
        infos = [
            rtc.ConnectionQualityInfo(
                participant_sid=sid, quality=_RATINGS[rating], score=mean_opinion(self._scores[sid])
            )
            for sid, rating in words.items()
        ]
        return rtc.SignalResponse(connection_quality=rtc.ConnectionQualityUpdate(updates=infos))
