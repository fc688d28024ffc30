"""Twenty visitors in one room, none of them patient: the whole product under one seed.

They come in either layout, publish thin media, lose 5 % of their packets, mute, change address, leave or vanish, and
come back, each when its dice say so. Run `python -m tests.simulation.crowd SEED` for the digest of one seed's trace, and
with `--lines` for the trace itself.
"""

import sys
from collections import Counter
from random import Random
from typing import Final

import trio
from trio.testing import MockClock

from tests.simulation.house import House, open_house
from tests.simulation.trace import Trace
from triforium.testing import Link, deterministic_scheduling
from triforium.visitor import Publication, Visitor

VISITORS: Final = 20
POOR_LINK: Final = Link(delay_seconds=0.02, jitter_seconds=0.01, loss=0.05, reorder=0.01, duplicate=0.01)

ARRIVAL_SECONDS: Final = 7.0
"""All have come for the first time by then."""

STAY_SECONDS: Final = (0.8, 3.0)


class Guest:
    """One of the crowd: who it is, and what its dice make it do. `done` counts what it did, by name."""

    def __init__(self, house: House, number: int, trace: Trace, done: Counter[str], seed: int) -> None:
        self.identity = f"guest-{number}"
        self._house = house
        self._trace = trace
        self._done = done
        self._dice = Random(seed)

    async def run(self) -> None:
        """Come, once or twice; return after the last goodbye."""
        await trio.sleep(self._dice.uniform(0, ARRIVAL_SECONDS))
        await self._visit()
        if self._dice.random() < 0.25:
            self._done["come back"] += 1
            await trio.sleep(self._dice.uniform(0, 1))
            await self._visit()

    async def _visit(self) -> None:
        single = self._dice.random() < 0.5
        self._done["join single" if single else "join dual"] += 1
        async with self._house.visitor(self.identity, single=single) as visitor:
            await visitor.wait_connected()
            await self._stay(visitor)
        self._trace.add_messages(self.identity, visitor.messages)
        assert visitor.left is not None or visitor.signal_code is None, "only by its own wish does anybody leave"
        assert not visitor.connection_errors

    async def _stay(self, visitor: Visitor) -> None:
        publications: list[Publication] = []
        for publish in (visitor.publish_audio, visitor.publish_video):
            if self._dice.random() < 0.4:
                publications.append(await publish())
                self._done["publish"] += 1
        until = trio.current_time() + self._dice.uniform(*STAY_SECONDS)
        while trio.current_time() < until:
            await trio.sleep(self._dice.uniform(0.1, 1))
            self._act(visitor, publications)
        if self._dice.random() < 0.15:
            self._done["vanish"] += 1
            visitor.vanish()

    def _act(self, visitor: Visitor, publications: list[Publication]) -> None:
        what = self._dice.choice(("mute", "mute", "unpublish", "rebind", "migrate", "unsubscribe", "nothing"))
        if what in {"mute", "unpublish"} and publications:
            publication = self._dice.choice(publications)
            if what == "mute":
                publication.mute(not publication.is_muted)
            else:
                publications.remove(publication)
                publication.unpublish()
        elif what == "rebind":
            visitor.rebind(self._house.new_host())
        elif what == "migrate":
            visitor.migrate(self._house.new_host())
        elif what == "unsubscribe" and visitor.subscribed:
            visitor.subscribe(self._dice.choice(sorted(visitor.subscribed)), wanted=False)
        else:
            return
        self._done[what] += 1


def run_crowd(seed: int) -> tuple[Trace, Counter[str]]:
    """Let the crowd of `seed` come and go, and see that nothing of it is left; return the trace, and what they did."""
    trace, done = Trace(), Counter[str]()
    with deterministic_scheduling(seed), trace.reading():
        trio.run(_host, seed, trace, done, clock=MockClock(autojump_threshold=0))
    return trace, done


async def _host(seed: int, trace: Trace, done: Counter[str]) -> None:
    dice = Random(seed)
    async with open_house(seed=dice.getrandbits(64), link=POOR_LINK) as house:
        house.network.tap = trace.tap
        async with trio.open_nursery() as nursery:
            for number in range(VISITORS):
                nursery.start_soon(Guest(house, number, trace, done, dice.getrandbits(64)).run)


if __name__ == "__main__":
    story, _ = run_crowd(int(sys.argv[1]))
    print("\n".join(story.lines) if "--lines" in sys.argv else story.digest)  # noqa: T201 - the output of a command
