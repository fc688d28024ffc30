"""A back end is told of a room's life by webhooks, in the order and with the fields that were recorded."""

import json
import re
from contextlib import AsyncExitStack

import trio

from tests.simulation.back_end import open_back_end
from tests.simulation.house import ROOM, wait_until
from tests.simulation.receiver import Receiver, open_hooked
from tests.simulation.recording import TRACES
from tests.simulation.stage import Stage, layouts


def fields(body: str) -> tuple[str, set[str]]:
    """Return the event's name, and the names of all fields: their order is the serializer's."""
    return body.split('"', 4)[3], set(re.findall(r'"(\w+)":', body))


@layouts
async def test_webhooks_come_in_the_order_and_with_the_fields_recorded(autojump_clock, layout) -> None:
    receiver = Receiver()
    async with open_hooked(receiver) as house, AsyncExitStack() as visitors:
        stage = Stage(house, "s15-webhooks", "js", layout, visitors)
        alice = await stage.enter("alice")
        await trio.sleep(2)
        bob = await stage.enter("bob")
        if stage.single:
            camera = await alice.publish_simulcast()
            await alice.publish_audio()
        else:
            await alice.publish_audio()
            camera = await alice.publish_simulcast()
        await alice.wait_until(lambda: len(alice.me.tracks) == 2)
        await trio.sleep(2)
        camera.unpublish()
        await trio.sleep(2)
        await bob.leave()
        await trio.sleep(2)
        async with open_back_end(house) as api:
            await api.call("RemoveParticipant", room=ROOM, identity="alice")
        await wait_until(lambda: receiver.names[-1:] == ["room_finished"])
    lines = (json.loads(text) for text in (TRACES / f"{stage.recording}.jsonl").read_text().splitlines())
    recorded = [line["body_text"] for line in lines if line.get("d") == "s>sink"]
    told = [fields(body.decode()) for body in receiver.bodies]
    assert [name for name, _ in told] == [fields(body)[0] for body in recorded]
    for (name, ours), (_, theirs) in zip(told, map(fields, recorded), strict=True):
        assert theirs <= ours, name  # of each, the beginning was recorded
