"""A tenth of all packets is lost, both ways, and what is published arrives all the same."""

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

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
with_and_without_rtx = pytest.mark.parametrize("habits", list(Habits), ids=["rtx", "without-rtx"])


def lacking(visitor: Visitor, publication: Publication) -> int:
    """How many packets of a track have not come to a visitor who has been there from its first."""
    return publication.sender.packets - visitor.received[publication.sid].packets


@both_layouts
@with_and_without_rtx
async def test_what_is_lost_on_the_way_is_sent_again(autojump_clock, single, habits) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=single, habits=habits, plan=CALL_PLAN) as alice,
        house.visitor("bob", single=single, habits=habits, plan=CALL_PLAN) as bob,
    ):
        published = [await alice.publish_video(), await alice.publish_audio()]
        for publication in published:
            sid = publication.sid
            await bob.wait_until(lambda sid=sid: sid in bob.received and bob.received[sid].packets > 0)
        before = [lacking(bob, publication) for publication in published]  # bob came later than the first
        house.network.default_link = LOSSY_LINK
        await trio.sleep(CALL_SECONDS)
        for publication in published:
            publication.sender.mute()
        house.network.default_link = HOME_LINK
        await trio.sleep(RECOVERY_SECONDS)

        for publication, missed_before in zip(published, before, strict=True):
            received = bob.received[publication.sid].statistics()
            assert publication.sender.resent > 0.08 * publication.sender.packets
            assert received.nacks.recovered > 0.08 * received.packets
            assert lacking(bob, publication) - missed_before <= 0.005 * publication.sender.packets
            assert received.unknown_payloads == received.suspects == received.restarts == 0
