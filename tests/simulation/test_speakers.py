"""Who speaks is told to whoever hears it, and to the speaker: changes only."""

import pytest
import trio
from livekit.protocol.models import SpeakerInfo

from tests.simulation.house import open_call, sent
from triforium.visitor import Visitor

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])

ROUND_SECONDS = 0.4
"""Between two looks at who speaks."""


def told(visitor: Visitor) -> list[SpeakerInfo]:
    return [speaker for message in sent(visitor, "speakers_changed") for speaker in message.speakers]


@both_layouts
async def test_a_voice_is_told_once_and_its_end_once(autojump_clock, single) -> None:
    async with open_call(single=single) as (_house, alice, bob):
        audio = await alice.publish_audio()
        for visitor in (alice, bob):
            await visitor.wait_until(lambda visitor=visitor: bool(told(visitor)))
        await trio.sleep(10)  # one steady tone: nothing changes but the smoothed level, which settles
        for visitor in (alice, bob):
            speakers = told(visitor)
            assert {speaker.sid for speaker in speakers} == {alice.me.sid}
            assert all(speaker.active for speaker in speakers)
            levels = [speaker.level for speaker in speakers]
            assert levels == sorted(set(levels)), "each step of an eighth is told once, on the way up"
        count = len(told(bob))

        audio.mute(True)
        await bob.wait_until(lambda: len(told(bob)) > count)
        await trio.sleep(3 * ROUND_SECONDS)
        (last,) = told(bob)[count:]
        assert (last.sid, last.active, last.level) == (alice.me.sid, False, 0)


@both_layouts
async def test_nobody_is_told_of_a_voice_that_they_do_not_hear(autojump_clock, single) -> None:
    async with open_call(single=single) as (_house, alice, bob):
        audio = await alice.publish_audio()
        bob.subscribe(audio.sid, wanted=False)
        await alice.wait_until(lambda: bool(told(alice)))
        assert not told(bob)


@both_layouts
async def test_nothing_more_is_told_of_who_has_left_while_speaking(autojump_clock, single) -> None:
    async with open_call(single=single) as (house, _alice, bob):
        async with house.visitor("carol", single=single) as carol:
            await carol.wait_connected()
            await carol.publish_audio()
            await bob.wait_until(lambda: bool(told(bob)))
        await bob.wait_until(lambda: "carol" not in bob.participants)
        count = len(told(bob))
        await trio.sleep(3 * ROUND_SECONDS)
        assert len(told(bob)) == count, "clients forget who speaks with the participant"


@both_layouts
async def test_a_late_joiner_is_told_who_is_speaking(autojump_clock, single) -> None:
    async with open_call(single=single) as (house, alice, _bob):
        await alice.publish_audio()
        await alice.wait_until(lambda: bool(told(alice)))
        await trio.sleep(10)  # one steady tone: nothing will change any more
        async with house.visitor("carol", single=single) as carol:
            await carol.wait_until(lambda: bool(told(carol)))
            (speaker,) = told(carol)
            assert (speaker.sid, speaker.active) == (alice.me.sid, True)
