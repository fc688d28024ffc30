"""Where recorded scenarios are played again by visitors, and compared with the recordings."""

from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

import pytest
import trio

from tests.simulation.house import HOME_LINK, HTTP, House, open_house
from tests.simulation.recording import (
    NEGOTIATION,
    Message,
    disagreements,
    labels,
    recorded,
    recorded_until_somebody_leaves,
    sections,
    simulated,
    without_empty_offer,
)
from triforium.visitor import Habits, Visitor

layouts = pytest.mark.parametrize("layout", ["v0", "v1"])
clients = pytest.mark.parametrize("client", ["js", "py"])

SOON_SECONDS: Final = 0.045
"""After the news of somebody's leave has come, and before the description without its tracks."""

UNLIKE_FOR_OTHERS: Final = (*NEGOTIATION, "subscription_permission_update", "active")
"""Where somebody joins anew, the tracks are taken out of others' descriptions at once; there, sometimes only with the
return. And one recorded Bob had not been told before that he himself was active."""

CUT: Final = "signalling socket"
"""In the name of the step that cuts one."""


class Stage:
    """Where a scenario is played."""

    def __init__(self, house: House, scenario: str, client: str, layout: str, visitors: AsyncExitStack) -> None:
        self.house = house
        self.recording = f"{scenario}.{client}-{layout}"
        self.is_rust = client == "py"
        self.single = layout == "v1"
        self._visitors = visitors

    async def enter(
        self,
        identity: str,
        *,
        auto_subscribe: bool = True,
        resumes: bool = False,
        dynacast: bool = False,
        grant: dict[str, object] | None = None,
        claims: dict[str, object] | None = None,
        is_cut_off: bool = False,
    ) -> Visitor:
        """Send somebody in, and wait until media can flow; unless that one `is_cut_off`, and no datagram arrives."""
        host = self.house.new_host()
        if is_cut_off:
            self.house.network.set_link(host, HTTP[0], replace(HOME_LINK, loss=1.0))
        visitor = await self._visitors.enter_async_context(
            self.house.visitor(
                identity,
                single=self.single,
                habits=Habits.RUST if self.is_rust else Habits.JAVASCRIPT,
                auto_subscribe=auto_subscribe,
                resumes=resumes,
                dynacast=dynacast,
                grant=grant,
                claims=claims,
                world=self.house.world(host),
            )
        )
        if not is_cut_off:
            await visitor.wait_connected()
        return visitor

    async def begin(self, *deeds: Callable[[], Awaitable[object]]) -> None:
        """Begin to do several things at once, and do not wait for them."""
        nursery = await self._visitors.enter_async_context(trio.open_nursery())
        for deed in deeds:
            nursery.start_soon(deed)

    def compare(self, visitor: Visitor, identity: str) -> None:
        """See that a visitor's conversation agrees with the recorded one."""
        theirs, ours = recorded(self.recording, identity, "s>c"), simulated(visitor, "s>c")
        if not any(message.kind == "leave" for message in theirs):
            ours = [message for message in ours if message.kind != "leave"]  # that client did not wait for it
        self._expect_agreement(ours, theirs)
        self._expect_agreement(simulated(visitor, "c>s"), recorded(self.recording, identity, "c>s"))
        if "#" in identity:
            return  # its sections are recorded as changes to those of the client before
        for kind in ("offer", "answer"):  # of two connections in the old layout
            self._expect_same_steps(sections(ours, kind), sections(theirs, kind))

    def compare_resumption(self, visitor: Visitor, identity: str) -> None:
        """See that what followed the first cut of a signal connection agrees with the recording, up to the next cut."""
        for direction in ("s>c", "c>s"):
            theirs = recorded(self.recording, f"{identity}#2", direction, step=CUT)
            ours = simulated(visitor, direction)
            first = "reconnect" if direction == "s>c" else "sync_state"
            start = [message.kind for message in ours].index(first)
            # Tracks were told before, and are left out as such there. What is wanted of them is told at once here, and
            # some seconds later there.
            self._expect_agreement(ours[start:], theirs, without=("track ", "subscribed_quality_update"))

    def compare_from(
        self,
        start: int,
        visitor: Visitor,
        *sockets: str,
        until: str,
        since: str = "",
        without: Collection[str] = (),
    ) -> None:
        """See that what the server said from message `start` on agrees with what it said on `sockets`.

        That is from the step on that mentions `since`, `until` one said goodbye.
        """
        theirs = recorded_until_somebody_leaves(self.recording, sockets, until, since)
        ours = simulated(visitor, "s>c", start=start)
        # The answer to a goodbye races with the closing of the socket.
        here, there = (
            [each for each in messages if each.fields.get("reason") != "CLIENT_INITIATED"]
            for messages in (ours, theirs)
        )
        self._expect_agreement(here, there, without=tuple(without))

    async def join_anew(self, identity: str) -> Visitor:
        """Come back as somebody new, publish a microphone again, and stay for a while."""
        again = await self.enter(identity)
        await again.publish_audio()
        await trio.sleep(8)
        return again

    def compare_newcomer(self, again: Visitor, socket: str) -> None:
        """See that who has joined anew was told what is recorded; whether others subscribe in time is by chance.

        On two connections, who has had trouble is not told there that it may publish at once, and offers later.
        """
        unlike = ("track_subscribed",) if self.single else ("track_subscribed", "answer")
        self.compare_from(0, again, socket, until=socket, without=unlike)

    @staticmethod
    def _expect_agreement(ours: list[Message], theirs: list[Message], *, without: tuple[str, ...] = ()) -> None:
        here, there = (
            [label for label in labels(messages) if not label.kind.startswith(without)] for messages in (ours, theirs)
        )
        found = disagreements(here, without_empty_offer(there))
        assert not found, "\n".join([*found, str(here), str(there)])

    @staticmethod
    def _expect_same_steps(ours: list[tuple[str, ...]], theirs: list[tuple[str, ...]]) -> None:
        """Descriptions went through the same states; what ends at once may be taken away in one step or in two."""
        rest = iter(theirs)
        assert all(each in rest for each in ours), f"{ours} are not steps of {theirs}"
        assert ours[-1:] == theirs[-1:] or ours == theirs[:-1], "the last step alone may have crossed a goodbye"
        assert len(theirs) - len(ours) <= 1, f"{theirs} took more steps than {ours}"


async def leave_together(first: Visitor, second: Visitor, *, within: float = SOON_SECONDS) -> None:
    """Leave one after the other."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.leave)
        await trio.sleep(within)
        await second.leave()


async def play(scenario: str, client: str, layout: str, act: Callable[[Stage], Awaitable[dict[str, Visitor]]]) -> Stage:
    """Play a scenario and compare what everybody was told; return the stage."""
    async with open_house() as house:
        async with AsyncExitStack() as visitors:
            stage = Stage(house, scenario, client, layout, visitors)
            cast = await act(stage)
        for identity, visitor in cast.items():
            stage.compare(visitor, identity)
    return stage
