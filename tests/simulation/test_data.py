"""Data packets between visitors: who gets what, from whom, in what order."""

from base64 import b64encode
from functools import partial
from random import Random

import pytest
import trio
from livekit.protocol.models import ChatMessage, DataPacket, UserPacket

from rtp.dcep import ChannelParameters
from tests.simulation.back_end import open_back_end
from tests.simulation.house import ROOM, open_call, open_house, sent
from triforium.testing import Link
from triforium.visitor import Visitor

each_layout = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])

LOSSY_LINK = Link(delay_seconds=0.03, jitter_seconds=0.02, loss=0.03, reorder=0.02, duplicate=0.02)


async def ready(*visitors: Visitor) -> None:
    """Wait until everybody can send and read."""
    for visitor in visitors:
        await visitor.wait_until(partial(visitor.data.can_send, "_reliable"))
        await visitor.wait_until(partial(visitor.data.can_send, "_lossy"))


@each_layout
async def test_a_reliable_message_reaches_everybody_else_with_its_senders_name(autojump_clock, single):
    async with open_call(single=single) as (house, alice, bob):
        await ready(alice, bob)
        alice.data.publish(b"hello", topic="greetings")
        await bob.wait_until(lambda: bob.data.packets)
        sid = house.participant("alice").sid
        assert bob.data.packets == [
            DataPacket(
                participant_identity="alice",
                participant_sid=sid,
                sequence=1,
                user=UserPacket(participant_identity="alice", participant_sid=sid, payload=b"hello", topic="greetings"),
            )
        ]
        assert alice.data.packets == []


@each_layout
async def test_lossy_messages_come_on_the_lossy_channel(autojump_clock, single):
    async with open_call(single=single) as (_, alice, bob):
        await ready(alice, bob)
        alice.data.publish(b"fast", reliable=False)
        await bob.wait_until(lambda: bob.data.received)
        assert [(each.label, each.packet.kind) for each in bob.data.received] == [("_lossy", DataPacket.LOSSY)]


@each_layout
async def test_only_those_named_get_a_message(autojump_clock, single):
    async with (
        open_house() as house,
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single) as bob,
        house.visitor("carol", single=single) as carol,
    ):
        await ready(alice, bob, carol)
        alice.data.publish(b"for bob", to=("bob",))
        alice.data.send(
            DataPacket(user=UserPacket(payload=b"for carol", destination_sids=[house.participant("carol").sid]))
        )
        alice.data.publish(b"for all")
        await bob.wait_until(lambda: b"for all" in bob.data.payloads)
        await carol.wait_until(lambda: b"for all" in carol.data.payloads)
        assert (bob.data.payloads, carol.data.payloads) == (
            [b"for bob", b"for all"],
            [b"for carol", b"for all"],
        )


@each_layout
async def test_who_may_not_publish_data_is_not_heard_but_hears(autojump_clock, single):
    async with open_house() as house, house.visitor("alice", single=single) as alice:
        silent = {"can_publish_data": False}
        async with house.visitor("bob", single=single, grant=silent) as bob:
            await ready(alice, bob)
            bob.data.publish(b"no")
            alice.data.publish(b"yes")
            await bob.wait_until(lambda: bob.data.payloads)
            await trio.sleep(1)
            assert (alice.data.payloads, bob.data.payloads) == ([], [b"yes"])


async def test_who_may_not_subscribe_on_two_connections_reads_on_its_own(autojump_clock):
    async with (
        open_house() as house,
        house.visitor("alice", single=False) as alice,
        house.visitor("bob", single=False, grant={"can_subscribe": False}) as bob,
    ):
        await ready(alice, bob)
        alice.data.publish(b"hello")
        await bob.wait_until(lambda: bob.data.payloads)


@each_layout
async def test_what_is_sent_while_somebody_connects_waits_for_them(autojump_clock, single):
    async with open_house() as house, house.visitor("alice", single=single) as alice:
        await ready(alice)
        async with house.visitor("bob", single=single) as bob:
            assert not bob.open_channels
            for number in range(20):
                alice.data.publish(b"%d" % number)
                alice.data.publish(b"not for later", reliable=False)
                await trio.sleep(0.02)
            await bob.wait_until(lambda: len([each for each in bob.data.received if each.label == "_reliable"]) == 20)
            reliable = [each.packet.user.payload for each in bob.data.received if each.label == "_reliable"]
            assert reliable == [b"%d" % number for number in range(20)]


async def test_reliable_messages_come_once_and_in_order_whatever_happens_on_the_way(autojump_clock, simulation_seed):
    """Loss, reordering, duplication, lost signal connections, and a change of address with its ICE restart."""
    seed = simulation_seed
    dice = Random(seed)
    troubles = {dice.randrange(10, 90): each for each in ("alice", "bob", "alice moves", "bob moves")}
    async with (
        open_house(seed=seed, link=LOSSY_LINK) as house,
        house.visitor("alice", single=bool(seed % 2), resumes=True) as alice,
        house.visitor("bob", single=False, resumes=True) as bob,
        house.visitor("carol", single=True) as carol,
    ):
        await ready(alice, bob, carol)
        expected = []
        for number in range(100):
            payload = b"%d:" % number + bytes(number * 60)
            expected.append(payload)
            alice.data.publish(payload)
            if number in troubles:
                name, _, moves = troubles[number].partition(" ")
                visitor = {"alice": alice, "bob": bob}[name]
                if moves:
                    visitor.migrate(house.new_host())
                else:
                    await visitor.cut_signal()
            await trio.sleep(0.01)
        for reader in (bob, carol):
            await reader.wait_until(lambda reader=reader: len(reader.data.payloads) >= 100)
        await trio.sleep(5)
        assert bob.data.payloads == carol.data.payloads == expected


@each_layout
async def test_what_is_sent_again_after_a_resume_is_taken_once(autojump_clock, single):
    async with open_call(single=single) as (house, alice, bob):
        await ready(alice, bob)
        for number in (1, 2, 3, 2, 3, 4):
            alice.data.send(DataPacket(sequence=number, user=UserPacket(payload=b"%d" % number)))
        await bob.wait_until(lambda: b"4" in bob.data.payloads)
        assert bob.data.payloads == [b"1", b"2", b"3", b"4"]
        assert house.participant("alice").data.last_sequence == 4


async def test_a_channel_of_another_label_is_passed_on_as_bytes_to_those_who_have_it_too(autojump_clock):
    async with (
        open_call(single=True) as (house, alice, bob),
        house.visitor("carol", single=True) as carol,
        house.visitor("dave", single=True, grant={"can_publish_data": False}) as dave,
    ):
        for visitor in (alice, bob, dave):
            visitor.data.open(ChannelParameters("robot"))
        await ready(alice, bob, carol, dave)
        for visitor in (alice, bob, dave):
            await visitor.wait_until(partial(visitor.data.can_send, "robot"))
        alice.data.send_bytes("robot", b"\x00\xff no data packet")
        alice.data.send_bytes("robot", b"text", is_text=True)
        dave.data.send_bytes("robot", b"forbidden")
        await bob.wait_until(lambda: len(bob.data.received) == 2)
        alice.data.publish(b"last")
        await carol.wait_until(lambda: carol.data.received)
        await dave.wait_until(lambda: len(dave.data.received) == 3)
        assert [(each.label, each.data, each.is_text) for each in bob.data.received[:2]] == [
            ("robot", b"\x00\xff no data packet", False),
            ("robot", b"text", True),
        ]
        assert [each.label for each in carol.data.received] == ["_reliable"]


async def test_the_server_speaks_in_nobodys_name_or_in_whose_it_says(autojump_clock):
    async with open_call(single=True) as (house, alice, bob):
        await ready(alice, bob)
        house.room().send_data(DataPacket(user=UserPacket(payload=b"to all", nonce=b"n" * 16)), DataPacket.RELIABLE)
        house.room().send_data(DataPacket(user=UserPacket(payload=b"to all", nonce=b"n" * 16)), DataPacket.RELIABLE)
        chat = DataPacket(
            participant_identity="a service", chat_message=ChatMessage(message="hi"), destination_identities=["bob"]
        )
        house.room().send_data(chat, DataPacket.LOSSY)
        await bob.wait_until(lambda: len(bob.data.packets) == 2)
        await alice.wait_until(lambda: alice.data.packets)
        assert alice.data.payloads == [b"to all"]
        assert (alice.data.packets[0].participant_identity, alice.data.packets[0].participant_sid) == ("", "")
        assert [each.participant_identity for each in bob.data.packets] == ["", "a service"]


async def test_a_user_packet_that_comes_in_two_ways_is_delivered_once(autojump_clock):
    async with open_call(single=True) as (house, alice, bob), open_back_end(house) as api:
        await ready(alice, bob)
        nonce = b"sixteen bytes of"
        alice.data.send(DataPacket(user=UserPacket(payload=b"once", nonce=nonce)))
        await bob.wait_until(lambda: bob.data.payloads == [b"once"])
        for data, other in ((b"once", nonce), (b"another", nonce[::-1])):
            await api.call(
                "SendData", room=ROOM, data=b64encode(data).decode(), nonce=b64encode(other).decode(), kind="RELIABLE"
            )
        await bob.wait_until(lambda: bob.data.payloads[-1] == b"another")
        assert bob.data.payloads == [b"once", b"another"]


@each_layout
async def test_who_resumes_is_told_what_has_come_of_its_messages_and_misses_none(autojump_clock, single):
    async with (
        open_house() as house,
        house.visitor("alice", single=single, resumes=True) as alice,
        house.visitor("bob", single=single) as bob,
    ):
        await ready(alice, bob)
        expected = [b"%d" % number for number in range(100)]
        for number, payload in enumerate(expected):
            alice.data.publish(payload)
            bob.data.publish(payload)
            if number == 30:
                await alice.cut_signal()
            await trio.sleep(0.1)
        await alice.wait_until(lambda: len(alice.data.payloads) == 100 and alice.resumptions == 1)
        await bob.wait_until(lambda: len(bob.data.payloads) == 100)
        assert alice.data.payloads == bob.data.payloads == expected
        assert sent(alice, "reconnect")[-1].last_message_seq >= 31
