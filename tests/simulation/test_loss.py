"""A tenth of all packets is lost, both ways, and what is published arrives all the same."""

from dataclasses import dataclass
from typing import Final

import pytest
import trio

from tests.simulation.house import HOME_LINK, open_house
from triforium.testing import Link
from triforium.visitor import CALL_PLAN, Visitor
from triforium.visitor.connections import Habits
from triforium.visitor.publication import Publication

LOSSY_LINK = Link(delay_seconds=0.02, loss=0.1)
CALL_SECONDS = 10.0
RECOVERY_SECONDS = 2.0
"""More than the last packet is asked for."""

SEEDS: Final = range(1, 6)
"""One call is too short for a tenth to be a tenth."""

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
with_and_without_rtx = pytest.mark.parametrize("habits", list(Habits), ids=["rtx", "without-rtx"])


def lacking(visitor: Visitor, publication: Publication) -> int:
    """How many packets of a track have not come to a visitor who has been there from its first."""
    return publication.sender.packets - visitor.received[publication.sid].packets


@dataclass
class Tally:
    """Packets of one kind of track in several calls."""

    published: int = 0
    resent: int = 0
    received: int = 0
    recovered: int = 0
    lacking: int = 0


async def call(seed: int, habits: Habits, tallies: dict[str, Tally], *, single: bool) -> None:
    """Let a call lose a tenth for a while, and count."""
    async with (
        open_house(seed=seed) as house,
        house.visitor("alice", single=single, habits=habits, plan=CALL_PLAN) as alice,
        house.visitor("bob", single=single, habits=habits, plan=CALL_PLAN) as bob,
    ):
        published = {"video": await alice.publish_video(), "audio": await alice.publish_audio()}
        for publication in published.values():
            sid = publication.sid
            await bob.wait_until(lambda sid=sid: sid in bob.received and bob.received[sid].packets > 0)
        before = {kind: lacking(bob, each) for kind, each in published.items()}  # bob came later than the first
        house.network.default_link = LOSSY_LINK
        await trio.sleep(CALL_SECONDS)
        for publication in published.values():
            publication.sender.mute()
        house.network.default_link = HOME_LINK
        await trio.sleep(RECOVERY_SECONDS)

        for kind, publication in published.items():
            received = bob.received[publication.sid].statistics()
            assert received.unknown_payloads == received.suspects == received.restarts == 0
            tally = tallies.setdefault(kind, Tally())
            tally.published += publication.sender.packets
            tally.resent += publication.sender.resent
            tally.received += received.packets
            tally.recovered += received.nacks.recovered
            tally.lacking += lacking(bob, publication) - before[kind]


@both_layouts
@with_and_without_rtx
async def test_what_is_lost_on_the_way_is_sent_again(autojump_clock, single, habits) -> None:
    tallies: dict[str, Tally] = {}
    for seed in SEEDS:
        await call(seed, habits, tallies, single=single)
    for tally in tallies.values():
        assert tally.resent > 0.08 * tally.published
        assert tally.recovered > 0.08 * tally.received
        assert tally.lacking <= 0.005 * tally.published
