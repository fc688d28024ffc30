"""What participants send each other over data channels, whatever they are made of."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from tests.e2e.meeting import POLL_SECONDS, WAIT_SECONDS, Kind, Participant, at_once, open_meeting

STREAM_BYTES: Final = 10_000_000
NUMBERS: Final = 10_000
LARGE_BYTES: Final = 64_000 - 200  # with what goes round it
SLOW_SECONDS: Final = 60
"""For bulk, where several clients share two cores."""


@asynccontextmanager
async def open_pair(
    folder: Path, layout: str, kinds: tuple[Kind, Kind]
) -> AsyncIterator[tuple[Participant, Participant]]:
    """Run a server with Alice and Bob in a room, of the kinds and in the layout given."""
    async with open_meeting(folder) as meeting:
        alice, bob = [
            await meeting.invite(name, kind, layout) for name, kind in zip(("alice", "bob"), kinds, strict=True)
        ]
        await at_once(alice.join, bob.join)
        await alice.until(lambda view: "bob" in view.participants)
        await bob.until(lambda view: "alice" in view.participants)
        yield alice, bob


async def until(
    participant: Participant, call: str, condition: Callable[[object], bool], *, within: float = WAIT_SECONDS
) -> object:
    """Ask again and again until the answer is as it should be; fail with the last answer if that takes too long."""
    answer = None
    with trio.move_on_after(within):
        while True:
            answer = await participant.ask(call)
            if condition(answer):
                return answer
            await trio.sleep(POLL_SECONDS)
    raise AssertionError(f"{participant.identity} waited in vain, and has {answer!r:.500}")


async def exchange_messages(alice: Participant, bob: Participant) -> None:
    """Send messages of either kind: they come with sender, topic and kind, to those whom they are for."""
    await alice.ask("send_data", text="to all", reliable=True, to=[], topic="t")
    await alice.ask("send_data", text="to nobody", reliable=True, to=["carol"], topic="t")
    await alice.ask("send_data", text="to bob", reliable=True, to=["bob"], topic="")
    await alice.ask("send_data", text="fast", reliable=False, to=[], topic="t")
    digest = await alice.ask("send_noise", size=LARGE_BYTES, seed=1)
    messages = await until(bob, "messages", lambda messages: len(messages) == 4)
    assert {message["from"] for message in messages} == {"alice"}
    assert sorted((each["text"], each["topic"], each["reliable"]) for each in messages) == sorted(
        [("to all", "t", True), ("to bob", "", True), ("fast", "t", False), (digest, "noise", True)]
    )
    assert await alice.ask("messages") == []


async def count_in_order(alice: Participant, bob: Participant) -> None:
    """Send ten thousand messages: they come in order."""
    await alice.ask("send_numbers", count=NUMBERS)
    numbers = await until(bob, "numbers", lambda numbers: numbers["count"] >= NUMBERS, within=SLOW_SECONDS)
    assert numbers == {"count": NUMBERS, "in_order": True}


async def stream_both_ways(alice: Participant, bob: Participant) -> None:
    """Send streams of ten megabytes: they come whole."""
    for sender, reader in ((alice, bob), (bob, alice)):
        sent = [
            await sender.ask("stream_bytes", size=STREAM_BYTES, seed=1, to=[reader.identity]),
            await sender.ask("stream_text", size=STREAM_BYTES, seed=2, to=[reader.identity]),
        ]
        streams = await until(reader, "streams", lambda streams: len(streams) == 2, within=SLOW_SECONDS)
        assert [each["digest"] for each in streams] == sent
        assert {each["from"] for each in streams} == {sender.identity}


async def call_each_other(alice: Participant, bob: Participant) -> None:
    """Call methods that answer, refuse, do not exist and take too long."""
    await at_once(*(lambda each=each: each.ask("serve_rpc") for each in (alice, bob)))
    for caller, callee in ((alice, bob), (bob, alice)):

        async def call(method, to=callee.identity, caller=caller):
            return await caller.ask("rpc", to=to, method=method, payload="p" * 5000, seconds=2)

        assert await call("echo") == {"result": f"{caller.identity}: {'p' * 5000}"}
        assert await call("refuse") == {"code": 1600, "message": "refused", "data": "on purpose"}
        assert (await call("unknown"))["code"] == 1400
        assert (await call("dawdle"))["code"] == 1502


async def follow_a_data_track(alice: Participant, bob: Participant) -> None:
    """Push frames, small and large in turns, as a sensor does, until both have come: what is late is dropped on the way."""
    await alice.ask("publish_data_track", name="sensor")
    small, large = set(), set()
    with trio.fail_after(WAIT_SECONDS):
        while True:  # first until he has heard of the track, and has subscribed
            small.add(await alice.ask("push_frame", size=1000, seed=2))
            large.add(await alice.ask("push_frame", size=20_000, seed=3))
            await trio.sleep(POLL_SECONDS)
            came = set(await bob.ask("frames"))
            if came & small and came & large:
                break
    await alice.ask("unpublish_data_track")
    # By signalling, which the last frames may be late beside: they come another way.
    frames = await until(bob, "frames", lambda frames: "unpublished" in frames)
    assert frames.count("unpublished") == 1
    assert set(frames) <= small | large | {"unpublished"}
