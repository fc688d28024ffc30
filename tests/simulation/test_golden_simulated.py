"""Clients simulate trouble for themselves (SimulateScenario), and are told what published clients were told."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest
import trio
from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import CandidateProtocol, SignalRequest, SimulateScenario

from sfu.room.arrival import JOIN_SECONDS
from tests.simulation.house import flows, open_house, sent
from tests.simulation.recording import NEGOTIATION
from tests.simulation.stage import UNLIKE_FOR_OTHERS, Stage, clients, layouts
from triforium.visitor import Visitor

PYTHON_TOO = {"migration", "node-failure", "server-leave", "signal-reconnect", "speaker", "force-tcp"}

Act = Callable[[Stage, Visitor], Awaitable[Visitor | None]]
"""What Alice does then. It returns who she is after that, if she has joined anew."""


async def nothing(_stage: Stage, _alice: Visitor) -> None:
    await trio.sleep(9)


async def be_cut_off(_stage: Stage, alice: Visitor) -> None:
    resumptions = alice.resumptions
    await alice.cut_signal()
    await alice.wait_until(lambda: alice.resumptions > resumptions)
    await trio.sleep(5)


async def be_cut_off_twice(_stage: Stage, alice: Visitor) -> None:
    await alice.cut_signal()
    await alice.wait_until(lambda: len(sent(alice, "reconnect")) == 2)
    await trio.sleep(5)


async def leave_and_join_anew(stage: Stage, alice: Visitor) -> Visitor:
    await alice.leave()
    return await stage.join_anew("alice")


async def be_sent_away_and_join_anew(stage: Stage, alice: Visitor) -> Visitor:
    await alice.wait_over()
    return await stage.join_anew("alice")


async def vanish_and_join_anew(stage: Stage, alice: Visitor) -> Visitor:
    alice.vanish()
    return await stage.join_anew("alice")


async def be_cut_off_and_join_anew(stage: Stage, alice: Visitor) -> Visitor:
    await alice.cut_signal()
    await alice.wait_until(lambda: bool(sent(alice, "reconnect")))
    return await leave_and_join_anew(stage, alice)


async def be_sent_away(_stage: Stage, alice: Visitor) -> None:
    await alice.wait_over()
    await trio.sleep(9)


class Scenario(NamedTuple):
    """What Alice asks for, what she does then, her recorded sockets before she joins anew, and the one after that."""

    wish: dict[str, object]
    act: Act
    sockets: list[str]
    socket_after: str = ""


SCENARIOS = {
    "disconnect-signal-on-resume": Scenario(
        {"disconnect_signal_on_resume": True}, be_cut_off_twice, ["alice", "alice#2", "alice#3"]
    ),
    "disconnect-signal-on-resume-no-messages": Scenario(
        {"disconnect_signal_on_resume_no_messages": True}, be_cut_off, ["alice", "alice#3"]
    ),
    "force-tcp": Scenario(
        {"switch_candidate_protocol": CandidateProtocol.TCP}, leave_and_join_anew, ["alice"], "alice#2"
    ),
    "full-reconnect": Scenario({}, vanish_and_join_anew, ["alice"], "alice#2"),
    "leave-full-reconnect": Scenario({"leave_request_full_reconnect": True}, nothing, ["alice"]),
    "migration": Scenario({"migration": True}, be_sent_away_and_join_anew, ["alice", "alice#2"], "alice#3"),
    "node-failure": Scenario({"node_failure": True}, be_sent_away_and_join_anew, ["alice", "alice#2"], "alice#3"),
    "resume-reconnect": Scenario({}, be_cut_off_and_join_anew, ["alice", "alice#2"], "alice#3"),
    "server-leave": Scenario({"server_leave": True}, be_sent_away, ["alice"]),
    "signal-reconnect": Scenario({}, be_cut_off, ["alice", "alice#2"]),
    "speaker": Scenario({"speaker_update": 3}, nothing, ["alice"]),
    "subscriber-bandwidth": Scenario({"subscriber_bandwidth": 100_000}, nothing, ["alice"]),
}

UNLIKE_FOR_ALICE = ("offer", "active", "track ")
"""The recorded server restarts ICE for another protocol, which is not served here; Bob became active before; and what
was told of tracks on an earlier socket is left out there."""

RECORDED = [
    (scenario, client, layout)
    for scenario in SCENARIOS
    for client in (("js", "py") if scenario in PYTHON_TOO else ("js",))
    for layout in ("v0", "v1")
]


@pytest.mark.parametrize(("scenario", "client", "layout"), RECORDED)
async def test_simulated_trouble_is_told_as_recorded(autojump_clock, scenario, client, layout) -> None:
    wish, act, sockets, socket_after = SCENARIOS[scenario]
    async with open_house() as house, AsyncExitStack() as visitors:
        stage = Stage(house, f"s10-simulate-{scenario}", client, layout, visitors)
        bob = await stage.enter("bob")
        alice = await stage.enter("alice", resumes=True)
        await alice.publish_audio()
        await trio.sleep(5)
        alices, bobs = len(alice.messages), len(bob.messages)
        if wish:
            alice.send(SignalRequest(simulate=SimulateScenario(**wish)))
            await trio.sleep(0.1)
        again = await act(stage, alice)
        until = "bob" if alice.left is not None and again is None else socket_after or sockets[-1]
        unlike = UNLIKE_FOR_ALICE if again is not None or len(sockets) > 2 else ()
        stage.compare_from(alices, alice, *sockets, until=until, without=unlike)
        stage.compare_from(bobs, bob, "bob", until=until, without=() if again is None else UNLIKE_FOR_OTHERS)
        if again is not None:
            stage.compare_newcomer(again, socket_after)


AHEAD_OF_MEDIA = (*NEGOTIATION, "subscription_permission_update", "track ")
"""A track is there as soon as it has been described; there, once its media can come."""

UNLIKE_FOR_WHO_IS_CUT_OFF = ("track_subscribed", "answer")
"""So somebody listens, too; and Python's client offers at once what it may publish, for it is told so at each join here."""


@layouts
@clients
async def test_who_can_only_relay_finds_no_way_back_as_recorded(autojump_clock, client, layout) -> None:
    async with open_house() as house, AsyncExitStack() as visitors:
        stage = Stage(house, "s10-simulate-force-tls", client, layout, visitors)
        bob = await stage.enter("bob")
        alice = await stage.enter("alice", resumes=True)
        await alice.publish_audio()
        await trio.sleep(5)
        alices, bobs = len(alice.messages), len(bob.messages)
        alice.send(SignalRequest(simulate=SimulateScenario(switch_candidate_protocol=CandidateProtocol.TLS)))
        await trio.sleep(0.1)
        await alice.leave()
        again = await stage.enter("alice", is_cut_off=True)
        if not stage.is_rust:  # the other publishes again only once it is connected
            await again.publish_audio()
        await trio.sleep(8)
        stage.compare_from(alices, alice, "alice", until="alice", without=UNLIKE_FOR_ALICE)
        until = "bob" if stage.is_rust else "alice#2"
        stage.compare_from(bobs, bob, "bob", until=until, without=() if stage.is_rust else AHEAD_OF_MEDIA)
        stage.compare_from(0, again, "alice#2", until=until, without=UNLIKE_FOR_WHO_IS_CUT_OFF)

        # No recording goes on from here. In this release no client is sent to TLS, and what was wished once binds nobody.
        await trio.sleep(JOIN_SECONDS)
        assert again.left is not None
        assert again.left.reason == DisconnectReason.JOIN_FAILURE
        assert house.identities() == {"bob"}
        back = await stage.enter("alice")
        await bob.wait_until(flows(bob, (await back.publish_audio()).sid))
