"""Wishes, mutes, stops, restarts and losses, as the dice have it, with a real decoder as the judge of every picture.

Alice publishes marked layers (`tests.support.encodings`); Bob and Carol each get what they wish for, and each is judged
by itself. Every now and then all is set right again, and then each must see the layer that it wished for last.
Run `python -m tests.simulation.trial KIND SEED CHANGES` to see one.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import trio
from livekit.protocol.models import VideoQuality
from trio.testing import MockClock

from rtp.units import Rid
from tests.simulation.house import HOME_LINK, House, open_house
from tests.support.judging import Reference, TrackJudge, switches
from tests.support.productions import PRODUCTIONS
from triforium.testing import Link, deterministic_scheduling
from triforium.visitor import Habits, Layer, Publication, ReceivedPacket, ReceivedTrack, Visitor

QUALITIES: Final = (VideoQuality.LOW, VideoQuality.MEDIUM, VideoQuality.HIGH)
RIDS: Final = (Rid("q"), Rid("h"), Rid("f"))

CHANGES: Final = (
    *("wish",) * 8,
    *("thin",) * 4,
    *("loss",) * 3,
    *("disable", "resubscribe", "mute", "stop", "silence", "start", "restart", "republish", "clear"),
)

PAUSE_SECONDS: Final = (0.2, 1.6)
"""Between two changes: some come before the last has had its effect."""

FRAME_RATES: Final = (3, 6, 0)
"""What is wished for, in frames a second, for a picture in four, in two, or each; 0: not said."""

CHANGES_UNTIL_SETTLED: Final = 5

SETTLING_SECONDS: Final = 20.0
"""Of virtual time, for all to be as it should be again, though a tenth of all packets is lost. A layer that has stopped,
and whose goodbye was lost, is not believed in for ten seconds after it has come back."""

STEADY_SECONDS: Final = 0.5
"""For so long all must have had the time to go wrong again."""

MAX_STRETCH_FRAMES: Final = 90
"""Of incomparable pictures: six seconds. By then a key frame has been asked for several times."""


class Watcher:
    """A subscriber: its wish, and a judge for each SSRC on which it ever got the track.

    `wish` is a layer, and `temporal` the highest temporal layer within.
    """

    def __init__(self, wish: int, reference: Reference) -> None:
        self.wish = wish
        self._reference = reference
        self.temporal = 2
        self.is_disabled = False
        self.judges: dict[ReceivedTrack, TrackJudge] = {}
        self.visitor: Visitor | None = None

    def watch(self, track: ReceivedTrack, packet: ReceivedPacket) -> None:
        """Let the judge of this track look at a packet."""
        judge = self.judges.get(track)
        if judge is None:
            judge = self.judges[track] = TrackJudge(track.mime, self._reference)
        judge.receive(packet)
        if judge.wants_key_frame:
            track.request_key_frame()

    def judge_of(self, sid: str) -> TrackJudge | None:
        """Return the judge of what comes now of a track."""
        assert self.visitor is not None, "it is in the room"
        track = self.visitor.received.get(sid)
        return None if track is None else self.judges.get(track)


@dataclass(slots=True)
class Outcome:
    """What came of a trial: what was done, by name, all that was wrong, and the judges with their counts."""

    done: Counter[str]
    faults: list[str]
    judges: list[TrackJudge]

    @property
    def switches(self) -> int:
        """How often a subscriber's pictures changed their layer."""
        return sum(map(switches, self.judges))

    def total(self, name: str) -> int:
        """Sum one count of the judges up."""
        return sum(getattr(judge, name) for judge in self.judges)


class Trial:
    """One run. Its dice also say the layout, who numbers what, and how much is lost."""

    def __init__(self, house: House, kind: str, dice: Random) -> None:
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self.watchers: list[Watcher] = []
        self._house = house
        self._production = PRODUCTIONS[kind]
        self._dice = dice
        self._alice: Visitor | None = None
        self._publication: Publication | None = None

    async def run(self, changes: int) -> None:
        """Let everybody come, make so many changes, and see that all comes right between and after them."""
        single = self._dice.random() < 0.5
        self.watchers = [Watcher(2, self._production.reference) for _ in range(2)]
        bob, carol = self.watchers
        habits = self._dice.choice(list(Habits))
        async with (
            self._house.visitor("alice", single=single, habits=habits) as self._alice,
            self._house.visitor("bob", single=single, habits=habits, watch=bob.watch) as bob.visitor,
            self._house.visitor("carol", single=not single, watch=carol.watch) as carol.visitor,
        ):
            for visitor in (self._alice, bob.visitor, carol.visitor):
                await visitor.wait_connected()
            await self._publish()
            await self._settle()
            for change in range(1, changes + 1):
                await self._change()
                await trio.sleep(self._dice.uniform(*PAUSE_SECONDS))
                if change % CHANGES_UNTIL_SETTLED == 0:
                    await self._settle()
            await self._settle()
            for visitor in (bob.visitor, carol.visitor):
                for track in visitor.received.values():
                    statistics = track.statistics()
                    if statistics.suspects or statistics.restarts:
                        self.faults.append(f"{track.ssrc} is not one stream: {statistics}")

    async def _publish(self) -> None:
        assert self._alice is not None, "she is in the room"
        sources = self._production.new_sources(self._dice)
        places = list(zip(RIDS, self._production.sizes, strict=True))[-len(sources) :]
        layers = [
            Layer(rid=rid, width=width, height=height, bitrate_bps=800 * width, media=source)
            for (rid, (width, height)), source in zip(places, sources, strict=True)
        ]
        by_ssrc = len(sources) == 1 or self._dice.random() < 0.3
        self._publication = await self._alice.publish_simulcast(layers=layers, by_ssrc=by_ssrc)
        for watcher in self.watchers:
            watcher.is_disabled = False
            self._wish(watcher, watcher.wish)

    def _wish(self, watcher: Watcher, layer: int) -> None:
        assert watcher.visitor is not None, "it is in the room"
        watcher.wish = layer
        size = self._production.sizes[layer] if self._dice.random() < 0.5 else (0, 0)
        watcher.visitor.set_track(
            self._sid,
            disabled=watcher.is_disabled,
            quality=QUALITIES[layer],
            width=size[0],
            height=size[1],
            frame_rate=FRAME_RATES[watcher.temporal],
        )

    async def _change(self) -> None:
        assert self._publication is not None, "something is published"
        publication, dice = self._publication, self._dice
        watcher = dice.choice(self.watchers)
        layer = dice.randrange(len(publication.senders))
        what = dice.choice(CHANGES)
        match what:
            case "wish":
                self._wish(watcher, dice.choice([each for each in range(3) if each != watcher.wish]))
            case "thin":
                watcher.temporal = dice.choice([each for each in range(3) if each != watcher.temporal])
                self._wish(watcher, watcher.wish)
            case "disable":
                watcher.is_disabled = not watcher.is_disabled
                self._wish(watcher, watcher.wish)
            case "resubscribe":
                assert watcher.visitor is not None, "it is in the room"
                watcher.visitor.subscribe(self._sid, wanted=False)
                await trio.sleep(dice.uniform(0, 0.3))
                watcher.visitor.subscribe(self._sid)
                self._wish(watcher, watcher.wish)  # which was forgotten with the subscription
            case "mute":
                publication.mute(not publication.is_muted)
            case "stop":
                publication.stop_layer(layer)
            case "silence":
                publication.senders[layer].stop_layer()
            case "start":
                publication.start_layer(layer)
            case "restart":
                publication.restart(*dice.choice([(), (layer,)]))
            case "republish":
                publication.unpublish()
                await self._publish()
            case "loss":
                loss = dice.uniform(0.01, 0.1)
                self._house.network.default_link = Link(delay_seconds=0.02, loss=loss, reorder=loss / 4)
            case "clear":
                self._house.network.default_link = HOME_LINK
        self.done[what] += 1

    async def _settle(self) -> None:
        """Set right all but the losses; then each gets what it wished for."""
        assert self._publication is not None, "something is published"
        if self._publication.is_muted:
            self._publication.mute(False)
        for layer, sender in enumerate(self._publication.senders):
            if sender.is_stopped:
                self._publication.start_layer(layer)
        for watcher in self.watchers:
            if watcher.is_disabled:
                watcher.is_disabled = False
                self._wish(watcher, watcher.wish)
        since = trio.current_time()
        for watcher in self.watchers:
            assert watcher.visitor is not None, "it is in the room"
            with trio.move_on_after(SETTLING_SECONDS) as patience:
                await watcher.visitor.wait_until(self._sees_its_wish(watcher, since))
            if patience.cancelled_caught:
                self.faults.append(self._story())
        self.done["settle"] += 1

    def _sees_its_wish(self, watcher: Watcher, since: float) -> Callable[[], bool]:
        def sees() -> bool:
            judge = watcher.judge_of(self._sid)
            if judge is None or judge.layer != watcher.wish or judge.seen_at <= since + STEADY_SECONDS:
                return False
            return self._production.temporal_layers == 1 or judge.temporal == watcher.temporal

        return sees

    @property
    def _sid(self) -> str:
        assert self._publication is not None, "something is published"
        return self._publication.sid

    def _story(self) -> str:
        parts = []
        for watcher in self.watchers:
            judge = watcher.judge_of(self._sid)
            saw = (
                "nothing"
                if judge is None
                else f"{judge.layers[-5:]} {judge.temporal}, last at {judge.seen_at:.3f}, {judge.faults[:3]}"
            )
            parts.append(f"wished for {watcher.wish} {watcher.temporal}, saw {saw}")
        return f"not settled at {trio.current_time():.3f} after {dict(self.done)}: " + "; ".join(parts)


def run_trial(kind: str, seed: int, changes: int) -> Outcome:
    """Run one trial on a virtual clock, all of it from one seed."""
    with deterministic_scheduling(seed):
        return trio.run(_host, kind, seed, changes, clock=MockClock(autojump_threshold=0))


async def _host(kind: str, seed: int, changes: int) -> Outcome:
    dice = Random(f"{kind} {seed}")
    async with open_house(seed=dice.getrandbits(64)) as house:
        trial = Trial(house, kind, dice)
        await trial.run(changes)
    judges = [judge for watcher in trial.watchers for judge in watcher.judges.values()]
    faults = [fault for judge in judges for fault in judge.faults]
    faults += [
        f"{max(each.stretches)} frames without a key frame"
        for each in judges
        if max(each.stretches) > MAX_STRETCH_FRAMES
    ]
    return Outcome(trial.done, faults + trial.faults, judges)


if __name__ == "__main__":
    outcome = run_trial(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(*outcome.faults or ["no fault"], outcome.done, sep="\n")  # noqa: T201 - the output of a command
