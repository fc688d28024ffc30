"""Data between participants of the published Python SDK: messages, streams and RPC."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.meeting import DUAL, POLL_SECONDS, SINGLE, WAIT_SECONDS, Kind, Participant, at_once, open_meeting

pytestmark = pytest.mark.e2e

each_layout = pytest.mark.parametrize("layout", [SINGLE, DUAL])


@asynccontextmanager
async def open_pair(folder: Path, layout: str) -> AsyncIterator[tuple[Participant, Participant]]:
    """Run a server with Alice and Bob in a room, both in the layout given."""
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, layout)
        bob = await meeting.invite("bob", Kind.PYTHON, layout)
        await at_once(alice.join, bob.join)
        await alice.until(lambda view: "bob" in view.participants)
        await bob.until(lambda view: "alice" in view.participants)
        yield alice, bob


async def until(participant: Participant, call: str, condition: Callable[[object], bool]) -> object:
    """Ask again and again until the answer is as it should be; fail with the last answer if that takes too long."""
    answer = None
    with trio.move_on_after(WAIT_SECONDS):
        while True:
            answer = await participant.ask(call)
            if condition(answer):
                return answer
            await trio.sleep(POLL_SECONDS)
    raise AssertionError(f"{participant.identity} waited in vain, and has {answer!r:.500}")


@each_layout
async def test_messages_come_with_their_sender_topic_and_kind(folder, layout):
    async with open_pair(folder, layout) as (alice, bob):
        await alice.ask("send_data", text="to all", reliable=True, to=[], topic="t")
        await alice.ask("send_data", text="to nobody", reliable=True, to=["carol"], topic="t")
        await alice.ask("send_data", text="to bob", reliable=True, to=["bob"], topic="")
        await alice.ask("send_data", text="fast", reliable=False, to=[], topic="t")
        digest = await alice.ask("send_noise", size=64_000 - 200, seed=1)
        messages = await until(bob, "messages", lambda messages: len(messages) == 4)
        assert {message["from"] for message in messages} == {"alice"}
        assert sorted((each["text"], each["topic"], each["reliable"]) for each in messages) == sorted(
            [("to all", "t", True), ("to bob", "", True), ("fast", "t", False), (digest, "noise", True)]
        )
        assert await alice.ask("messages") == []


@each_layout
async def test_ten_thousand_messages_come_in_order(folder, layout):
    async with open_pair(folder, layout) as (alice, bob):
        await alice.ask("send_numbers", count=10_000)
        numbers = await until(bob, "numbers", lambda numbers: numbers["count"] >= 10_000)
        assert numbers == {"count": 10_000, "in_order": True}


@each_layout
async def test_streams_of_ten_megabytes_come_whole_both_ways(folder, layout):
    async with open_pair(folder, layout) as (alice, bob):
        for sender, reader in ((alice, bob), (bob, alice)):
            sent = [
                await sender.ask("stream_bytes", size=10_000_000, seed=1, to=[reader.identity]),
                await sender.ask("stream_text", size=10_000_000, seed=2, to=[reader.identity]),
            ]
            streams = await until(reader, "streams", lambda streams: len(streams) == 2)
            assert [each["digest"] for each in streams] == sent
            assert {each["from"] for each in streams} == {sender.identity}


@each_layout
async def test_rpc_answers_refuses_and_times_out(folder, layout):
    async with open_pair(folder, layout) as (alice, bob):
        await at_once(*(lambda each=each: each.ask("serve_rpc") for each in (alice, bob)))
        for caller, callee in ((alice, bob), (bob, alice)):

            async def call(method, to=callee.identity, caller=caller):
                return await caller.ask("rpc", to=to, method=method, payload="p" * 5000, seconds=2)

            assert await call("echo") == {"result": f"{caller.identity}: {'p' * 5000}"}
            assert await call("refuse") == {"code": 1600, "message": "refused", "data": "on purpose"}
            assert (await call("unknown"))["code"] == 1400
            assert (await call("dawdle"))["code"] == 1502


@each_layout
async def test_frames_of_a_data_track_come_until_it_is_unpublished(folder, layout):
    async with open_pair(folder, layout) as (alice, bob):
        await alice.ask("publish_data_track", name="sensor")
        with trio.fail_after(WAIT_SECONDS):
            while not await bob.ask("frames"):  # until he has heard of the track, and has subscribed
                await alice.ask("push_frame", size=10, seed=1)
                await trio.sleep(POLL_SECONDS)
        small = await alice.ask("push_frame", size=1000, seed=2)
        large = await alice.ask("push_frame", size=20_000, seed=3)
        await until(bob, "frames", lambda frames: frames[-2:] == [small, large])
        await alice.ask("unpublish_data_track")
        await until(bob, "frames", lambda frames: frames[-1] == "unpublished")
