"""When what a client wishes of a track is followed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from sfu.media.downtrack import DownTrackStatistics
from sfu.media.simulcast import DEFAULT_WISH, Quality, Wish
from sfu.model import TrackSid
from sfu.room.participant import Participant
from sfu.room.reconciler import SETTINGS_SECONDS
from sfu.room.subscriptions import TrackSettings
from tests.simulation.house import flows, open_call

LOW, MEDIUM = TrackSettings(wish=Wish(Quality.LOW)), TrackSettings(wish=Wish(Quality.MEDIUM))
BEST, OFF = TrackSettings(wish=DEFAULT_WISH), TrackSettings(is_disabled=True)
HALF = SETTINGS_SECONDS / 2
MOMENT = 0.001


@dataclass
class Watcher:
    """Somebody who watches a simulcast video."""

    participant: Participant
    sid: TrackSid

    def wish(self, settings: TrackSettings) -> None:
        self.participant.reconciler.set_settings(self.sid, settings)

    @property
    def wished(self) -> int:
        """The layer that is aimed at."""
        return self._statistics.wished

    @property
    def is_disabled(self) -> bool:
        return "DISABLED" in self._statistics.paused

    @property
    def _statistics(self) -> DownTrackStatistics:
        return self.participant.subscriber.subscriptions[self.sid].down_track.statistics()


@asynccontextmanager
async def open_watcher() -> AsyncIterator[Watcher]:
    async with open_call(single=True) as (house, alice, bob):
        camera = await alice.publish_simulcast()
        await bob.wait_until(flows(bob, camera.sid))
        yield Watcher(house.participant("bob"), TrackSid(camera.sid))


async def test_of_wishes_that_come_together_the_last_is_followed(autojump_clock) -> None:
    async with open_watcher() as bob:
        assert bob.wished == 2
        bob.wish(LOW)
        await trio.sleep(HALF)
        bob.wish(MEDIUM)
        await trio.sleep(HALF - MOMENT)
        assert bob.wished == 2
        await trio.sleep(2 * MOMENT)
        assert bob.wished == 1
        await trio.sleep(1)
        assert bob.wished == 1


async def test_who_never_stops_to_wish_is_followed_nevertheless(autojump_clock) -> None:
    async with open_watcher() as bob:
        followed = set()
        for step in range(10):
            bob.wish(LOW if step % 2 else MEDIUM)
            await trio.sleep(HALF * 0.9)
            followed.add(bob.wished)
        assert len(followed) > 1


async def test_what_is_hidden_stops_a_little_later_and_comes_back_at_once(autojump_clock) -> None:
    async with open_watcher() as bob:
        bob.wish(OFF)
        assert not bob.is_disabled
        await trio.sleep(SETTINGS_SECONDS + MOMENT)
        assert bob.is_disabled
        bob.wish(LOW)
        assert (bob.is_disabled, bob.wished) == (False, 0)


async def test_what_is_hidden_for_a_moment_never_stops(autojump_clock) -> None:
    async with open_watcher() as bob:
        bob.wish(OFF)
        await trio.sleep(HALF)
        bob.wish(BEST)
        for _ in range(3):
            assert not bob.is_disabled
            await trio.sleep(HALF)
