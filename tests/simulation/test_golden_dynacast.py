"""A publisher is told what is wanted of its camera in the words, and after the waits, of the recorded conversation."""

from collections.abc import Mapping

import pytest
import trio
from livekit.protocol.models import VideoQuality

from sfu.room.reconciler import SETTINGS_SECONDS
from tests.simulation.house import sent
from tests.simulation.recording import recorded, simulated
from tests.simulation.stage import Stage, layouts, play
from triforium.visitor import Visitor


def without_sid(update: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in update.items() if name != "track_sid"}


@layouts
async def test_what_is_wanted_is_told_as_recorded(autojump_clock, layout) -> None:
    waits: list[float] = []
    said: list[Mapping[str, object]] = []

    async def act(stage: Stage) -> dict[str, Visitor]:
        async def wait_told(since: float) -> None:
            """Wait until Alice is told something new, and note how long after `since` she is."""
            count = len(sent(alice, "subscribed_quality_update"))
            await alice.wait_until(lambda: len(sent(alice, "subscribed_quality_update")) > count)
            waits.append(trio.current_time() - since)

        alice = await stage.enter("alice", dynacast=True)
        camera = await alice.publish_simulcast()
        await wait_told(trio.current_time())
        await trio.sleep(3)
        bob = await stage.enter("bob")
        await trio.sleep(4)
        bob.set_track(camera.sid, quality=VideoQuality.LOW)
        await wait_told(trio.current_time())
        await trio.sleep(3)
        bob.set_track(camera.sid)
        await wait_told(trio.current_time())
        await trio.sleep(2)
        bob.set_track(camera.sid, disabled=True)
        await wait_told(trio.current_time())
        await trio.sleep(3)
        bob.set_track(camera.sid)
        await wait_told(trio.current_time())
        await trio.sleep(2)
        camera.mute(True)
        await trio.sleep(0.1)
        bob.set_track(camera.sid, quality=VideoQuality.LOW)
        await trio.sleep(7.5)
        camera.mute(False)
        await wait_told(trio.current_time())
        await trio.sleep(2)
        leaving_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bob.leave)
            await wait_told(leaving_at)
        await trio.sleep(2)
        await alice.leave()
        said.extend(
            message.fields for message in simulated(alice, "s>c") if message.kind == "subscribed_quality_update"
        )
        return {"alice": alice, "bob": bob}

    stage = await play("s06-dynacast", "js", layout, act)
    assert waits == pytest.approx([10, 5.1, 0.1, 5.1, 0, 0, 5], abs=0.3)
    assert waits[2] >= SETTINGS_SECONDS > waits[4], "recorded are 104 ms, and 4 where he wants to see something again"
    theirs = [m.fields for m in recorded(stage.recording, "alice", "s>c") if m.kind == "subscribed_quality_update"]
    assert [without_sid(each) for each in said] == [without_sid(each) for each in theirs]


@layouts
async def test_what_an_adaptive_stream_shows_is_told_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice", dynacast=True)
        camera = (await alice.publish_simulcast()).sid
        await trio.sleep(3.5)
        bob = await stage.enter("bob")
        await trio.sleep(3)
        bob.set_track(camera, disabled=True)  # he attaches an element
        bob.set_track(camera)
        bob.set_track(camera, quality=VideoQuality.LOW, width=320, height=180)
        await trio.sleep(6)
        bob.set_track(camera, quality=VideoQuality.LOW, width=1280, height=720)
        await trio.sleep(3)
        bob.set_track(camera, quality=VideoQuality.LOW)  # he hides it
        bob.set_track(camera, quality=VideoQuality.LOW, disabled=True)
        await trio.sleep(3)
        bob.set_track(camera, quality=VideoQuality.LOW)
        await trio.sleep(0.1)
        bob.set_track(camera, quality=VideoQuality.LOW, width=1280, height=720)
        await trio.sleep(3)
        await alice.leave()
        await trio.sleep(0.5)
        await bob.leave()
        return {"alice": alice}  # the recorded Bob left before he could hear of her leave

    await play("s05-adaptive-stream", "js", layout, act)
