"""Readers who do not keep up: who waits for whom, who misses what, and how much is kept for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import trio

from sfu.data.writers import HOLD_BYTES, PATIENCE_SECONDS
from tests.simulation.house import House, open_house, wait_until
from triforium.testing import Link
from triforium.testing.world import SERVER_HOST
from triforium.visitor import Visitor

CAROLS_HOST = "10.9.9.9"
GOOD = Link(delay_seconds=0.02)
SLOW = Link(delay_seconds=0.02, rate_bps=64_000)
"""8,000 bytes a second: half of what everybody is waited for by default."""
NOTHING = Link(loss=1.0)
NARROW = Link(delay_seconds=0.02, rate_bps=2_000_000)
WINDOW_BYTES = 1 << 20


async def ready(*visitors: Visitor) -> None:
    for visitor in visitors:
        await visitor.wait_until(partial(visitor.data.can_send, "_reliable"))


async def talk(alice: Visitor, messages: int, size: int, *, every: float = 0.01, reliable: bool = True) -> None:
    for number in range(messages):
        alice.data.publish(number.to_bytes(4, "big") + bytes(size - 4), reliable=reliable)
        await trio.sleep(every)


def numbers(visitor: Visitor) -> list[int]:
    return [int.from_bytes(payload[:4], "big") for payload in visitor.data.payloads]


def waiting_for(house: House, identity: str, label: str) -> int:
    """Return how many bytes the server has for somebody."""
    connection = house.participant(identity).subscriber.peer.connection
    channels = connection.transport.channels
    assert channels is not None
    channel = channels.by_label(label)
    return 0 if channel is None else connection.buffered_bytes(channel.channel_id)


@asynccontextmanager
async def open_talk() -> AsyncIterator[tuple[House, Visitor, Visitor, Visitor]]:
    """Run a house with Alice, who talks, Bob, and Carol at a host whose link can be changed, all ready."""
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=False) as bob,
        house.visitor("carol", single=True, world=house.world(CAROLS_HOST)) as carol,
    ):
        await ready(alice, bob, carol)
        yield house, alice, bob, carol


def come_to(visitor: Visitor, since: float) -> list[float]:
    """Return when each message came to somebody, in seconds since then."""
    return [round(message.at - since, 6) for message in visitor.data.received]


async def deliveries(link: Link) -> tuple[list[float], list[int], list[int]]:
    """Let Alice talk to Bob, and to Carol behind `link`; return when Bob got it, what Carol got, and what was kept."""
    kept = []
    async with open_talk() as (house, alice, bob, carol):
        house.network.set_link(SERVER_HOST, CAROLS_HOST, link)
        start = trio.current_time()
        for _ in range(20):
            await talk(alice, 100, 1000)
            kept.append(waiting_for(house, "carol", "_reliable"))
        await bob.wait_until(lambda: len(bob.data.received) == 2000)
        house.network.set_link(SERVER_HOST, CAROLS_HOST, GOOD)
        await trio.sleep(30)
        alice.data.publish(b"last", to=("carol",))
        await carol.wait_until(lambda: carol.data.payloads[-1:] == [b"last"])
        return come_to(bob, start), numbers(carol)[:-1], kept


async def talk_with_a_reader_cut_off_for(seconds: float) -> tuple[list[float], list[int]]:
    """Let Alice talk to Bob, and to Carol who is out of reach meanwhile; return when Bob got it, and what Carol got."""
    async with open_talk() as (house, alice, bob, carol):
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, alice, 1000, 1000)
            await trio.sleep(0.5)
            house.network.set_link(SERVER_HOST, CAROLS_HOST, NOTHING)
            await trio.sleep(seconds)
            house.network.set_link(SERVER_HOST, CAROLS_HOST, GOOD)
        await bob.wait_until(lambda: len(bob.data.received) == 1000)
        await trio.sleep(20)
        return come_to(bob, start), numbers(carol)


async def test_nobody_is_kept_waiting_by_a_reader_who_is_too_slow(autojump_clock) -> None:
    without, everything, _ = await deliveries(GOOD)
    with_slow, something, kept = await deliveries(SLOW)
    assert with_slow == without
    assert everything == [number for _ in range(20) for number in range(100)]
    assert 500 < len(something) < 1000
    assert HOLD_BYTES < max(kept) < HOLD_BYTES + PATIENCE_SECONDS * 100_000


async def test_who_is_cut_off_for_a_moment_misses_nothing_and_keeps_nobody_waiting(autojump_clock) -> None:
    without, _ = await talk_with_a_reader_cut_off_for(0)
    with_cut, numbers_of_carol = await talk_with_a_reader_cut_off_for(4)
    assert with_cut == without
    assert numbers_of_carol == list(range(1000))


async def test_a_sender_waits_for_a_reader_who_is_fast_enough_and_nothing_is_missed(autojump_clock) -> None:
    kept = []
    async with (
        open_house() as house,
        house.visitor("alice", single=False) as alice,
        house.visitor("carol", single=False, world=house.world(CAROLS_HOST)) as carol,
    ):
        await ready(alice, carol)
        house.network.set_link(SERVER_HOST, CAROLS_HOST, NARROW)
        start = trio.current_time()
        for number in range(500):
            while alice.data.waiting("_reliable") > HOLD_BYTES:
                await trio.sleep(0.01)
                kept.append(waiting_for(house, "carol", "_reliable"))
            alice.data.publish(number.to_bytes(4, "big") + bytes(10_000))
        await carol.wait_until(lambda: len(carol.data.payloads) == 500)
        assert numbers(carol) == list(range(500))
        assert 20 < trio.current_time() - start < 30  # 5 MB at 250 kB a second, less what headers take
        assert max(kept) < HOLD_BYTES + WINDOW_BYTES + 100_000


async def test_ten_thousand_tiny_messages_at_once_all_arrive(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("carol", single=True, world=house.world(CAROLS_HOST)) as carol,
    ):
        await ready(alice, carol)
        house.network.set_link(SERVER_HOST, CAROLS_HOST, NARROW)
        for number in range(10_000):
            await wait_until(lambda: alice.data.waiting("_reliable") < 10_000, every=0.001)
            alice.data.publish(number.to_bytes(4, "big"))
        await carol.wait_until(lambda: len(carol.data.payloads) == 10_000)
        assert numbers(carol) == list(range(10_000))


async def test_a_lossy_channel_to_a_slow_reader_stays_fresh(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("carol", single=True, world=house.world(CAROLS_HOST)) as carol,
    ):
        await ready(alice, carol)
        await carol.wait_until(partial(carol.data.can_send, "_lossy"))
        house.network.set_link(SERVER_HOST, CAROLS_HOST, Link(delay_seconds=0.02, rate_bps=200_000))
        start = trio.current_time()
        await talk(alice, 1000, 1000, reliable=False)
        await trio.sleep(5)
        sent_at = [start + 0.01 * number for number in range(1000)]
        latencies = [
            message.at - sent_at[number] for number, message in zip(numbers(carol), carol.data.received, strict=True)
        ]
        assert 150 < len(latencies) < 300
        assert max(latencies[50:]) < 0.7  # the target, and what a path may take
        assert all(a < b for a, b in pairwise(numbers(carol)))
