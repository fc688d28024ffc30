"""What clients ask to be done to themselves (LiveKit's SimulateScenario)."""

import pytest
import trio
from livekit.protocol.models import DisconnectReason, ParticipantInfo
from livekit.protocol.rtc import SignalRequest, SimulateScenario

from tests.simulation.house import flows, open_call, open_house, sent

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])

DISCONNECTED = ParticipantInfo.State.DISCONNECTED


def simulate(**scenario: object) -> SignalRequest:
    return SignalRequest(simulate=SimulateScenario(**scenario))


async def test_a_simulated_speaker_speaks_for_as_long_as_was_asked(autojump_clock) -> None:
    async with open_call(single=True) as (_house, alice, bob):
        audio = await alice.publish_audio()
        audio.mute(True)  # or she speaks by herself
        await bob.wait_until(lambda: audio.sid in bob.subscribed)
        await trio.sleep(2)
        before = len(sent(bob, "speakers_changed"))
        alice.send(simulate(speaker_update=3))
        alice.send(simulate(speaker_update=3))  # she speaks already
        await trio.sleep(5)
        told = [speaker for news in sent(bob, "speakers_changed")[before:] for speaker in news.speakers]
        assert [(each.sid, round(each.level, 1), each.active) for each in told] == [
            (alice.me.sid, 0.9, True),
            (alice.me.sid, 0.0, False),
        ]


async def test_who_asks_to_speak_for_less_than_no_time_stops_at_once_and_harms_nobody(autojump_clock) -> None:
    async with open_call(single=True) as (house, alice, bob):
        audio = await alice.publish_audio()
        audio.mute(True)
        await bob.wait_until(lambda: audio.sid in bob.subscribed)
        await trio.sleep(2)
        before = len(sent(bob, "speakers_changed"))
        alice.send(simulate(speaker_update=-1))
        await trio.sleep(1)
        told = [speaker.active for news in sent(bob, "speakers_changed")[before:] for speaker in news.speakers]
        assert told == [True, False]
        assert house.identities() == {"alice", "bob"}


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [("node_failure", DisconnectReason.SERVER_SHUTDOWN), ("migration", DisconnectReason.MIGRATION)],
)
async def test_a_simulated_failure_drops_the_session_without_a_word(autojump_clock, scenario, reason) -> None:
    async with open_call(single=True) as (house, alice, bob):
        await bob.wait_until(lambda: "alice" in bob.participants)
        alice.send(simulate(**{scenario: True}))
        await alice.wait_over()
        assert alice.left is None
        assert alice.signal_code == 1000
        await bob.wait_until(lambda: "alice" not in bob.participants)
        gone = [info for update in sent(bob, "update") for info in update.participants if info.state == DISCONNECTED]
        assert [info.disconnect_reason for info in gone] == [reason]
        assert house.identities() == {"bob"}


async def test_a_simulated_leave_of_the_server_says_so(autojump_clock) -> None:
    async with open_call(single=True) as (_house, alice, _bob):
        alice.send(simulate(server_leave=True))
        await alice.wait_over()
        assert alice.disconnect_reason == DisconnectReason.SERVER_SHUTDOWN


@both_layouts
@pytest.mark.parametrize("trouble", ["disconnect_signal_on_resume", "disconnect_signal_on_resume_no_messages"])
async def test_a_resume_that_fares_badly_is_tried_again(autojump_clock, single, trouble) -> None:
    async with (
        open_house() as house,
        house.visitor("bob", single=single) as bob,
        house.visitor("alice", single=single, resumes=True) as alice,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        sid = alice.me.sid
        alice.send(simulate(**{trouble: True}))
        await trio.sleep(0.1)
        await alice.cut_signal()
        await alice.wait_until(lambda: len(sent(alice, "room_update")) > 0 and alice.resumptions > 0)
        await trio.sleep(3)
        await bob.wait_until(flows(bob, audio.sid))
        assert alice.me.sid == sid
        assert house.identities() == {"alice", "bob"}
        assert sent(alice, "offer" if not single else "answer")


async def test_a_scenario_that_is_not_served_is_skipped(autojump_clock) -> None:
    async with open_call(single=True) as (house, alice, _bob):
        alice.send(simulate(subscriber_bandwidth=100_000))
        await trio.sleep(1)
        assert house.identities() == {"alice", "bob"}
