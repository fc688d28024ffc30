"""Being brought into another room just when the signal connection dies: the client ends there, and loses nothing."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
import trio
from livekit.protocol.models import DataPacket, UserPacket
from livekit.protocol.rtc import SignalResponse

from sfu.room.moving import move
from sfu.room.participant import Participant
from sfu.settings import Patience
from tests.simulation.back_end import BackEnd, open_back_end
from tests.simulation.house import House, flows, open_house, sent, wait_until
from tests.simulation.test_data import ready
from tests.simulation.test_moving import MOVE, open_two_rooms
from tests.simulation.test_resume import PATIENCE_SECONDS, Scissors, holding
from triforium.visitor import Visitor
from triforium.visitor.errors import VisitorError
from triforium.visitor.signal import SignalConnection

layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])

PATIENCE = Patience()
MESSAGES = 12


def say(visitor: Visitor, number: int) -> None:
    visitor.data.send(DataPacket(sequence=number, user=UserPacket(payload=b"%d" % number)))


def say_again(visitor: Visitor) -> None:
    """Send what the server says it has not taken, and all that it has too: a client may not know better."""
    for number in range(1, visitor.data.last_sequence + 1):
        say(visitor, number)


async def goes_on_there(house: House, alice: Visitor, carol: Visitor) -> None:
    """See that Alice is with Carol, hears and is heard, believes to be there, and is nowhere else."""
    assert "alice" in house.identities("dest")
    assert "alice" not in house.identities()
    person = house.participant("alice", room="dest")
    with trio.fail_after(PATIENCE_SECONDS):
        await alice.wait_until(lambda: alice.me.sid == person.sid)
        await alice.wait_until(lambda: set(alice.participants) == {"carol"})
        for listener, speaker in ((alice, carol), (carol, alice)):
            for track in list(speaker.me.tracks):
                await wait_until(flows(listener, track.sid))


@pytest.fixture
def lost() -> Iterator[list[SignalResponse]]:
    """Lose what first tells a client that it has been moved, as a socket does that has died unnoticed."""
    receive = SignalConnection.receive
    lost: list[SignalResponse] = []

    async def lossy_receive(self: SignalConnection) -> SignalResponse:
        response = await receive(self)
        if lost or not response.HasField("room_moved"):
            return response
        lost.append(response)
        return await receive(self)

    with patch.object(SignalConnection, "receive", lossy_receive):
        yield lost


async def lose_the_socket_of_alice(house: House, alice: Visitor, carol: Visitor) -> Participant:
    """Let both talk, and cut her signal connection; return her once the server has noticed."""
    await alice.publish_audio()
    await carol.publish_audio()
    person = house.participant("alice")
    await alice.cut_signal()
    await wait_until(lambda: not person.can_be_told, every=0.001)
    return person


async def is_moved_and_told(house: House, person: Participant, alice: Visitor, carol: Visitor) -> None:
    """Move her, and see that she resumes there, and hears of it once."""
    move(person, house.room("dest"))
    await alice.wait_until(lambda: alice.resumptions == 1)
    await goes_on_there(house, alice, carol)
    assert len(sent(alice, "room_moved")) == 1


@layouts
async def test_whoever_is_moved_before_its_dead_socket_is_noticed_is_told_when_it_resumes(
    autojump_clock, single, lost
) -> None:
    async with open_two_rooms(single=single, resumes=True) as (house, api, alice, bob, carol):
        song, theirs = await alice.publish_audio(), await carol.publish_video()
        await wait_until(flows(bob, song.sid))
        await api.call("MoveParticipant", **MOVE)
        await trio.sleep(1)
        assert (len(lost), sent(alice, "room_moved")) == (1, [])
        await alice.cut_signal()
        await alice.wait_until(lambda: alice.resumptions == 1)
        await goes_on_there(house, alice, carol)
        kinds = [each.kind for each in alice.messages if not each.is_sent]
        assert kinds[kinds.index("reconnect") + 1] == "room_moved"
        assert alice.subscribed == {theirs.sid}
        assert house.identities() == {"bob"}


@layouts
async def test_whoever_is_moved_while_it_has_no_socket_is_told_when_it_resumes(autojump_clock, single) -> None:
    async with open_two_rooms(single=single, resumes=True) as (house, _, alice, _, carol):
        person = await lose_the_socket_of_alice(house, alice, carol)
        await is_moved_and_told(house, person, alice, carol)


@layouts
async def test_whoever_is_moved_there_and_back_while_it_has_no_socket_is_told_who_it_is_now(
    autojump_clock, single
) -> None:
    async with open_two_rooms(single=single, resumes=True) as (house, _, alice, bob, carol):
        person = await lose_the_socket_of_alice(house, alice, carol)
        move(person, house.room("dest"))
        move(person, house.room())
        await alice.wait_until(lambda: alice.resumptions == 1)
        with trio.fail_after(PATIENCE_SECONDS):
            await alice.wait_until(lambda: alice.me.sid == person.sid)
        assert set(alice.participants) == {"bob"}
        assert len(sent(alice, "room_moved")) == 1
        await wait_until(flows(bob, alice.me.tracks[0].sid))


@layouts
async def test_whoever_is_moved_right_after_it_has_resumed_goes_on_there(autojump_clock, single) -> None:
    async with open_two_rooms(single=single, resumes=True) as (house, _, alice, _, carol):
        person = await lose_the_socket_of_alice(house, alice, carol)
        await wait_until(lambda: person.can_be_told, every=0.001)
        assert alice.resumptions == 0, "the news is on its way to her, and she has said nothing yet"
        await is_moved_and_told(house, person, alice, carol)


@layouts
async def test_a_moved_session_is_found_after_the_room_that_its_client_asks_for_has_closed(
    autojump_clock, single, lost
) -> None:
    async with (
        open_house() as house,
        open_back_end(house) as api,
        house.visitor("alice", single=single, resumes=True) as alice,
        house.visitor("carol", single=single, room="dest") as carol,
    ):
        await alice.publish_audio()
        await carol.publish_audio()
        await api.call("MoveParticipant", **MOVE)
        await house.room().wait_closed()
        assert (len(lost), sent(alice, "room_moved")) == (1, [])
        await alice.cut_signal()
        await alice.wait_until(lambda: alice.resumptions == 1)
        await goes_on_there(house, alice, carol)


@layouts
async def test_of_two_sessions_of_one_identity_each_resumes_its_own(autojump_clock, single, lost) -> None:
    async with open_two_rooms(single=single, resumes=True) as (house, api, alice, _, carol):
        await alice.publish_audio()
        await carol.publish_audio()
        await api.call("MoveParticipant", **MOVE)
        await trio.sleep(1)
        assert len(lost) == 1
        async with house.visitor("alice", single=single, resumes=True) as second:
            await second.wait_connected()
            for each in (second, alice):
                await each.cut_signal()
                await each.wait_until(lambda each=each: each.resumptions == 1)
            assert house.participant("alice").sid == second.me.sid
            assert house.participant("alice", room="dest").sid == alice.me.sid
            assert not sent(second, "room_moved")
        await goes_on_there(house, alice, carol)


async def live(house: House, api: BackEnd, bob: Visitor, carol: Visitor, *, single: bool) -> bool:
    """Be Alice: join, publish, talk, be moved in the middle of it. Return whether she got as far as to be moved."""
    has_lived = False
    try:
        async with house.visitor("alice", single=single, resumes=True) as alice:
            await ready(alice)
            await alice.publish_audio()
            for number in range(1, MESSAGES + 1):
                if number == MESSAGES // 2:
                    resumptions = alice.resumptions
                    await api.call("MoveParticipant", **MOVE)
                    has_lived = True
                alice.data.last_sequence = number
                say(alice, number)
                await trio.sleep(0.01)
            await trio.sleep(1)
            if alice.resumptions > resumptions:
                say_again(alice)
            await goes_on_there(house, alice, carol)
            await trio.sleep(1)
    except* VisitorError:
        assert not has_lived, "there was a session to resume"
    return has_lived


@layouts
async def test_a_socket_that_dies_at_any_message_of_a_move_loses_no_message_and_repeats_none(
    autojump_clock, single
) -> None:
    cuts, has_cut = 0, True
    async with (
        open_house() as house,
        open_back_end(house) as api,
        house.visitor("bob", single=single) as bob,
        house.visitor("carol", single=single, room="dest") as carol,
    ):
        await ready(bob, carol)
        await carol.publish_audio()
        while has_cut:
            for each in (bob, carol):
                each.data.received.clear()
            scissors = Scissors(cuts)
            with holding(scissors), trio.fail_after(PATIENCE_SECONDS):
                while not await live(house, api, bob, carol, single=single):
                    pass  # joins anew
            heard = [*bob.data.payloads, *carol.data.payloads]
            assert heard == [b"%d" % number for number in range(1, MESSAGES + 1)], cuts
            with trio.fail_after(
                PATIENCE.consent_seconds + PATIENCE.resume_seconds + 1
            ):  # it may have been the goodbye that was lost
                await wait_until(lambda: (house.identities(), house.identities("dest")) == ({"bob"}, {"carol"}))
            has_cut = scissors.has_cut
            cuts += 1
    assert cuts > 20
