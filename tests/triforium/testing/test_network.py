import errno
import itertools
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rtp.units import Address
from triforium.testing import (
    Fate,
    Link,
    MemoryDatagramSocket,
    Network,
    TracedDatagram,
    deterministic_scheduling,
    open_network,
)
from triforium.testing.network import EPHEMERAL_PORTS, INBOX_DATAGRAMS

PHONE, LAPTOP, SERVER = "10.0.0.1", "10.0.0.2", "192.0.2.1"


@pytest.fixture
def network(nursery: trio.Nursery) -> Network:
    network = Network(Random(1))
    nursery.start_soon(network.run)
    return network


async def receive_all(socket: MemoryDatagramSocket, count: int) -> list[tuple[bytes, Address, float]]:
    received: list[tuple[bytes, Address, float]] = []
    while len(received) < count:
        await socket.wait_readable()
        received += socket.receive_batch(16)
    return received


async def test_a_datagram_arrives_with_its_source_after_exactly_the_delay(
    autojump_clock: MockClock, network: Network
) -> None:
    network.set_link(PHONE, SERVER, Link(delay_seconds=0.03))
    phone, server = network.socket(PHONE), network.socket(SERVER, 7_882)
    began = trio.current_time()
    assert phone.send_batch([(b"hello", server.address)]) == 1
    await server.wait_readable()
    assert trio.current_time() == began + 0.03
    assert server.receive_batch(10) == [(b"hello", phone.address, began + 0.03)]


async def test_each_direction_has_its_own_link(autojump_clock: MockClock, network: Network) -> None:
    network.set_link(PHONE, SERVER, Link(delay_seconds=0.5))
    network.default_link = Link(delay_seconds=0.125)
    phone, server = network.socket(PHONE), network.socket(SERVER)
    phone.send_batch([(b"up", server.address)])
    server.send_batch([(b"down", phone.address)])
    assert await receive_all(phone, 1) == [(b"down", server.address, 0.125)]
    assert await receive_all(server, 1) == [(b"up", phone.address, 0.5)]


async def test_what_is_due_at_once_arrives_in_the_order_of_sending(autojump_clock: MockClock, network: Network) -> None:
    phone, laptop, server = network.socket(PHONE), network.socket(LAPTOP), network.socket(SERVER)
    for number in range(10):
        sender = phone if number % 2 else laptop
        sender.send_batch([(bytes([number]), server.address)])
    assert [data for data, _, _ in await receive_all(server, 10)] == [bytes([number]) for number in range(10)]


async def test_a_datagram_sent_later_over_a_shorter_way_is_not_kept_waiting(
    autojump_clock: MockClock, network: Network
) -> None:
    network.set_link(PHONE, SERVER, Link(delay_seconds=10.0))
    phone, laptop, server = network.socket(PHONE), network.socket(LAPTOP), network.socket(SERVER)
    phone.send_batch([(b"slow", server.address)])
    await wait_all_tasks_blocked()
    laptop.send_batch([(b"fast", server.address)])
    assert [(data, at) for data, _, at in await receive_all(server, 2)] == [(b"fast", 0.0), (b"slow", 10.0)]


async def test_a_batch_holds_no_more_than_asked_for(autojump_clock: MockClock, network: Network) -> None:
    phone, server = network.socket(PHONE), network.socket(SERVER)
    phone.send_batch([(b"x", server.address)] * 5)
    await server.wait_readable()
    assert [len(server.receive_batch(2)) for _ in range(4)] == [2, 2, 1, 0]


async def test_a_drained_socket_is_not_readable(autojump_clock: MockClock, network: Network) -> None:
    phone, server = network.socket(PHONE), network.socket(SERVER)
    phone.send_batch([(b"x", server.address)])
    await receive_all(server, 1)
    with trio.move_on_after(5) as scope:
        await server.wait_readable()
    assert scope.cancelled_caught


async def test_loss_duplication_and_a_full_queue_are_counted(autojump_clock: MockClock, network: Network) -> None:
    phone, server = network.socket(PHONE), network.socket(SERVER)
    for link in (Link(loss=1.0), Link(duplicate=1.0), Link(rate_bps=8, queue_bytes=0)):
        network.set_link(PHONE, SERVER, link)
        phone.send_batch([(b"x", server.address)])
    await receive_all(server, 2)
    assert network.fates == {Fate.LOST: 1, Fate.DELIVERED: 1, Fate.DUPLICATED: 1, Fate.QUEUE_FULL: 1}


async def test_a_rate_is_kept(autojump_clock: MockClock, network: Network) -> None:
    network.set_link(PHONE, SERVER, Link(rate_bps=80_000, queue_bytes=10_000))
    phone, server = network.socket(PHONE), network.socket(SERVER)
    phone.send_batch([(bytes(1_000), server.address)] * 12)
    arrivals = [at for _, _, at in await receive_all(server, 10)]
    assert arrivals == pytest.approx([0.1 * number for number in range(1, 11)])
    assert network.fates == {Fate.DELIVERED: 10, Fate.QUEUE_FULL: 2}


async def test_a_full_inbox_drops_the_newest(autojump_clock: MockClock, network: Network) -> None:
    phone, server = network.socket(PHONE), network.socket(SERVER)
    phone.send_batch([(str(number).encode(), server.address) for number in range(INBOX_DATAGRAMS + 3)])
    await wait_all_tasks_blocked()
    assert network.fates == {Fate.DELIVERED: INBOX_DATAGRAMS, Fate.OVERFLOWED: 3}
    assert server.kernel_drops == 3
    received = server.receive_batch(INBOX_DATAGRAMS + 3)
    assert [int(data) for data, _, _ in received] == list(range(INBOX_DATAGRAMS))


async def test_nothing_passes_a_partition_not_even_what_was_under_way(
    autojump_clock: MockClock, network: Network
) -> None:
    network.default_link = Link(delay_seconds=1.0)
    phone, laptop, server = network.socket(PHONE), network.socket(LAPTOP), network.socket(SERVER)
    phone.send_batch([(b"under way", server.address)])
    network.partition(SERVER, PHONE)
    phone.send_batch([(b"up", server.address)])
    server.send_batch([(b"down", phone.address)])
    laptop.send_batch([(b"beside", server.address)])
    await trio.sleep(2)
    network.heal(PHONE, SERVER)
    phone.send_batch([(b"healed", server.address)])
    assert [data for data, _, _ in await receive_all(server, 2)] == [b"beside", b"healed"]
    assert network.fates == {Fate.PARTITIONED: 3, Fate.DELIVERED: 2}


async def test_after_a_rebind_datagrams_to_the_old_address_vanish(autojump_clock: MockClock, network: Network) -> None:
    phone, server = network.socket(PHONE), network.socket(SERVER)
    old = phone.address
    phone.rebind(LAPTOP)
    assert phone.address != old
    server.send_batch([(b"to the old", old), (b"to the new", phone.address)])
    phone.send_batch([(b"from the new", server.address)])
    assert [data for data, _, _ in await receive_all(phone, 1)] == [b"to the new"]
    assert [source for _, source, _ in await receive_all(server, 1)] == [phone.address]
    assert network.fates[Fate.UNREACHABLE] == 1


async def test_a_rebind_moves_to_the_new_hosts_link(autojump_clock: MockClock, network: Network) -> None:
    network.set_link(LAPTOP, SERVER, Link(delay_seconds=0.25))
    phone, server = network.socket(PHONE), network.socket(SERVER)
    phone.rebind(LAPTOP, 5_000)
    phone.send_batch([(b"x", server.address)])
    assert await receive_all(server, 1) == [(b"x", (LAPTOP, 5_000), 0.25)]


def test_an_address_has_one_socket_at_a_time() -> None:
    network = Network(Random(1))
    phone = network.socket(PHONE, 5_000)
    other = network.socket(PHONE)
    for take in (lambda: network.socket(PHONE, 5_000), lambda: other.rebind(PHONE, 5_000)):
        with pytest.raises(OSError, match="no free address") as failure:
            take()
        assert failure.value.errno == errno.EADDRINUSE
    phone.close()
    other.rebind(PHONE, 5_000)
    assert other.address == (PHONE, 5_000)


def test_free_ports_run_out_instead_of_being_given_twice() -> None:
    network = Network(Random(1))
    taken = {network.socket(PHONE).address for _ in EPHEMERAL_PORTS}
    assert len(taken) == len(EPHEMERAL_PORTS)
    with pytest.raises(OSError, match="no free address"):
        network.socket(PHONE)
    assert network.socket(LAPTOP).address[1] in EPHEMERAL_PORTS


async def test_an_ipv6_address_has_one_spelling(autojump_clock: MockClock, network: Network) -> None:
    network.set_link("2001:DB8:0::1", "2001:db8::2", Link(delay_seconds=0.5))
    phone, server = network.socket("2001:db8::1"), network.socket("2001:db8:0:0::2", 443)
    assert server.address == ("2001:db8::2", 443)
    phone.send_batch([(b"six", ("2001:0db8::2", 443))])
    assert await receive_all(server, 1) == [(b"six", phone.address, 0.5)]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org"])
def test_a_host_is_the_literal_of_one_address(host: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Network(Random(1)).socket(host)


async def test_closing_wakes_who_waits(nursery: trio.Nursery, network: Network) -> None:
    server = network.socket(SERVER, 7_882)
    woken = trio.Event()

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await server.wait_readable()
        woken.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    server.close()
    await woken.wait()


async def test_a_closed_socket_does_nothing_more(autojump_clock: MockClock, network: Network) -> None:
    phone, server = network.socket(PHONE), network.socket(SERVER)
    phone.send_batch([(b"x", server.address)])
    server.close()
    server.close()
    with pytest.raises(trio.ClosedResourceError):
        await server.wait_readable()
    with pytest.raises(trio.ClosedResourceError):
        server.receive_batch(1)
    with pytest.raises(trio.ClosedResourceError):
        server.send_batch([(b"x", phone.address)])
    with pytest.raises(trio.ClosedResourceError):
        server.rebind(LAPTOP)
    await wait_all_tasks_blocked()
    assert network.fates == {Fate.UNREACHABLE: 1}


async def test_the_tap_sees_the_end_of_each_datagram(autojump_clock: MockClock, network: Network) -> None:
    trace: list[TracedDatagram] = []
    network.tap = trace.append
    network.default_link = Link(delay_seconds=0.5)
    phone, server = network.socket(PHONE), network.socket(SERVER)
    phone.send_batch([(b"there", server.address), (b"nowhere", (LAPTOP, 9))])
    network.set_link(PHONE, SERVER, Link(loss=1.0))
    phone.send_batch([(b"lost", server.address)])
    await trio.sleep(1)
    assert trace == [
        TracedDatagram(0.0, phone.address, server.address, b"lost", Fate.LOST),
        TracedDatagram(0.5, phone.address, server.address, b"there", Fate.DELIVERED),
        TracedDatagram(0.5, phone.address, (LAPTOP, 9), b"nowhere", Fate.UNREACHABLE),
    ]


async def test_it_keeps_time_on_a_clock_that_runs_by_itself(mock_clock: MockClock, network: Network) -> None:
    mock_clock.rate = 1_000  # virtual seconds in a real one
    network.default_link = Link(delay_seconds=20)
    phone, server = network.socket(PHONE), network.socket(SERVER)
    began = trio.current_time()
    phone.send_batch([(b"x", server.address)])
    [(_, _, arrived_at)] = await receive_all(server, 1)
    assert began + 20 <= arrived_at <= trio.current_time()


async def simulate(seed: int) -> list[TracedDatagram]:
    """Let a server answer five clients over bad links for ten seconds; return what the tap saw."""
    trace: list[TracedDatagram] = []
    async with open_network(Random(seed)) as network:
        network.tap = trace.append
        network.default_link = Link(
            delay_seconds=0.05, jitter_seconds=0.1, loss=0.1, duplicate=0.1, reorder=0.1, rate_bps=100_000
        )
        server = network.socket(SERVER)

        async def answer() -> None:
            while True:
                await server.wait_readable()
                server.send_batch([(data, source) for data, source, _ in server.receive_batch(8)])

        async def ask(client: MemoryDatagramSocket) -> None:
            for number in itertools.count():
                client.send_batch([(number.to_bytes(4, "big"), server.address)])
                await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            for host in range(1, 6):
                nursery.start_soon(ask, network.socket(f"10.0.0.{host}"))
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
    return trace


def trace_of(seed: int) -> list[TracedDatagram]:
    with deterministic_scheduling(seed):
        return trio.run(simulate, seed, clock=MockClock(autojump_threshold=0))


def test_the_same_seed_gives_the_same_trace(simulation_seed: int) -> None:
    trace = trace_of(simulation_seed)
    assert len(trace) > 4_000
    assert {Fate.DELIVERED, Fate.DUPLICATED, Fate.LOST} <= {datagram.fate for datagram in trace}
    assert trace_of(simulation_seed) == trace


def test_another_seed_gives_another_trace() -> None:
    assert trace_of(1_001) != trace_of(1_002)
