import errno
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

import pytest
import trio
from trio.testing import MockClock, check_half_closeable_stream, wait_all_tasks_blocked

from rtp.units import Address
from triforium.testing import Link, MemoryListener, MemoryStream, Network
from triforium.testing.streams import BACKLOG, SEGMENT_BYTES, WINDOW_BYTES

CLIENT, SERVER = "10.0.0.1", "192.0.2.1"
WEB: Address = (SERVER, 443)


@pytest.fixture
def network(nursery: trio.Nursery) -> Network:
    network = Network(Random(1))
    nursery.start_soon(network.run)
    return network


async def connected(network: Network) -> tuple[MemoryStream, MemoryStream]:
    """Return the client's and the server's end of a new connection, whose listener is closed again."""
    async with network.listen_tcp(SERVER) as listener:
        client = await network.connect_tcp(CLIENT, listener.address)
        return client, await listener.accept()


def both_ways(network: Network, link: Link) -> None:
    network.set_link(CLIENT, SERVER, link)
    network.set_link(SERVER, CLIENT, link)


async def receive_exactly(stream: MemoryStream, count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = await stream.receive_some(count - len(received))
        assert chunk, "the stream ended early"
        received += chunk
    return received


async def test_it_keeps_trios_contract_of_a_stream(autojump_clock: MockClock, network: Network) -> None:
    async def make() -> tuple[MemoryStream, MemoryStream]:
        return await connected(network)

    async def make_clogged() -> tuple[MemoryStream, MemoryStream]:
        one, other = await connected(network)
        for stream in (one, other):
            await stream.send_all(bytes(WINDOW_BYTES))
        return one, other

    await check_half_closeable_stream(make, make_clogged)


async def test_both_ends_know_both_addresses(network: Network) -> None:
    listener = network.listen_tcp(*WEB)
    client = await network.connect_tcp(CLIENT, WEB)
    server = await listener.accept()
    assert client.peer == server.local == WEB
    assert client.local == server.peer
    assert client.local[0] == CLIENT


async def test_connecting_takes_a_round_trip_and_bytes_take_the_delay(
    autojump_clock: MockClock, network: Network
) -> None:
    network.set_link(CLIENT, SERVER, Link(delay_seconds=0.25))
    network.set_link(SERVER, CLIENT, Link(delay_seconds=0.5))
    client, server = await connected(network)
    assert trio.current_time() == 0.75
    await client.send_all(b"question")
    assert await server.receive_some() == b"question"
    assert trio.current_time() == 1.0
    await server.send_all(b"answer")
    assert await client.receive_some() == b"answer"
    assert trio.current_time() == 1.5


async def test_bytes_arrive_whole_and_in_order_whatever_the_link_does_to_datagrams(
    autojump_clock: MockClock, network: Network, nursery: trio.Nursery
) -> None:
    both_ways(network, Link(delay_seconds=0.1, jitter_seconds=0.5, loss=0.5, duplicate=0.5, reorder=0.5))
    client, server = await connected(network)
    data = Random(2).randbytes(3 * WINDOW_BYTES)
    nursery.start_soon(client.send_all, data)
    assert await receive_exactly(server, len(data)) == data


async def test_a_rate_is_kept(autojump_clock: MockClock, network: Network) -> None:
    network.set_link(CLIENT, SERVER, Link(rate_bps=80_000))
    client, server = await connected(network)
    await client.send_all(bytes(10_000))
    assert len(await server.receive_some()) == SEGMENT_BYTES
    await receive_exactly(server, 10_000 - SEGMENT_BYTES)
    assert trio.current_time() == pytest.approx(1.0)


async def test_a_writer_waits_for_its_reader(
    autojump_clock: MockClock, network: Network, nursery: trio.Nursery
) -> None:
    client, server = await connected(network)
    sent = trio.Event()

    async def send() -> None:
        await client.send_all(bytes(WINDOW_BYTES + 10))
        sent.set()

    nursery.start_soon(send)
    await trio.sleep(100)
    assert not sent.is_set()
    await server.receive_some(9)
    await wait_all_tasks_blocked()
    assert not sent.is_set()
    await server.receive_some(1)
    await sent.wait()
    await receive_exactly(server, WINDOW_BYTES)


async def test_a_partition_holds_bytes_until_it_is_healed(autojump_clock: MockClock, network: Network) -> None:
    both_ways(network, Link(delay_seconds=0.5))
    client, server = await connected(network)
    assert trio.current_time() == 1.0
    await client.send_all(b"under way, ")
    network.partition(CLIENT, SERVER)
    await client.send_all(b"held, ")
    with trio.move_on_after(59) as patience:
        await server.receive_some()
    assert patience.cancelled_caught
    await client.send_all(b"held too")
    network.heal(CLIENT, SERVER)
    assert await receive_exactly(server, 25) == b"under way, held, held too"
    assert trio.current_time() == 60.5


async def test_connecting_waits_out_a_partition(autojump_clock: MockClock, network: Network) -> None:
    network.partition(CLIENT, SERVER)
    listener = network.listen_tcp(*WEB)
    with trio.move_on_after(30) as patience:
        await network.connect_tcp(CLIENT, WEB)
    assert patience.cancelled_caught
    network.heal(SERVER, CLIENT)
    client = await network.connect_tcp(CLIENT, WEB)
    assert (await listener.accept()).peer == client.local  # and not the one that gave up


async def test_a_connection_given_up_half_way_is_broken_at_the_other_end(
    autojump_clock: MockClock, network: Network
) -> None:
    both_ways(network, Link(delay_seconds=1.0))
    listener = network.listen_tcp(*WEB)
    with trio.move_on_after(1.5):
        await network.connect_tcp(CLIENT, WEB)
    server = await listener.accept()
    with pytest.raises(trio.BrokenResourceError):
        await server.receive_some()


async def test_what_was_sent_arrives_before_the_end(autojump_clock: MockClock, network: Network) -> None:
    both_ways(network, Link(delay_seconds=0.5))
    client, server = await connected(network)
    await client.send_all(b"last words")
    await client.aclose()
    assert await server.receive_some() == b"last words"
    assert await server.receive_some() == b""
    assert trio.current_time() == 1.5
    await wait_all_tasks_blocked()
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(b"too late")


async def test_a_half_closed_stream_still_receives(autojump_clock: MockClock, network: Network) -> None:
    client, server = await connected(network)
    await client.send_eof()
    assert await server.receive_some() == b""
    await server.send_all(b"bye")
    assert await client.receive_some() == b"bye"
    with pytest.raises(trio.ClosedResourceError):
        await client.send_all(b"after the end")
    await client.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await client.send_eof()


@pytest.mark.parametrize("breaker", [0, 1])
async def test_a_break_is_felt_at_both_ends_at_once(
    autojump_clock: MockClock, network: Network, nursery: trio.Nursery, breaker: int
) -> None:
    both_ways(network, Link(delay_seconds=1.0))
    ends = client, server = await connected(network)
    await client.send_all(b"never read")
    await server.send_all(bytes(WINDOW_BYTES))
    felt = []

    async def feel(name: str, call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await call()
        felt.append(name)

    nursery.start_soon(feel, "server sends", partial(server.send_all, b"more"))
    nursery.start_soon(feel, "server receives", server.receive_some)
    await wait_all_tasks_blocked()
    ends[breaker].break_now()
    await wait_all_tasks_blocked()
    assert sorted(felt) == ["server receives", "server sends"]
    await trio.sleep(10)  # for what was under way to have come, had it been able to
    for stream in ends:
        await feel("sends", partial(stream.send_all, b"x"))
        await feel("waits", stream.wait_send_all_might_not_block)
        await feel("receives", stream.receive_some)
        await stream.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()


async def test_nobody_listening_refuses_after_a_round_trip(autojump_clock: MockClock, network: Network) -> None:
    both_ways(network, Link(delay_seconds=0.5))
    with pytest.raises(ConnectionRefusedError) as failure:
        await network.connect_tcp(CLIENT, WEB)
    assert failure.value.errno == errno.ECONNREFUSED
    assert trio.current_time() == 1.0


async def test_a_full_backlog_refuses(network: Network) -> None:
    listener = network.listen_tcp(*WEB)
    for _ in range(BACKLOG):
        await network.connect_tcp(CLIENT, WEB)
    with pytest.raises(ConnectionRefusedError):
        await network.connect_tcp(CLIENT, WEB)
    await listener.accept()
    await network.connect_tcp(CLIENT, WEB)


async def test_closing_a_listener_wakes_who_accepts_and_breaks_who_waits(
    network: Network, nursery: trio.Nursery
) -> None:
    listener = network.listen_tcp(*WEB)
    woken = trio.Event()

    async def accept() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()
        woken.set()

    nursery.start_soon(accept)
    await wait_all_tasks_blocked()
    await listener.aclose()
    await woken.wait()

    second = network.listen_tcp(*WEB)  # the address is free again
    client = await network.connect_tcp(CLIENT, WEB)
    await listener.aclose()  # harmless: it closes the first only
    await second.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()
    with pytest.raises(ConnectionRefusedError):
        await network.connect_tcp(CLIENT, WEB)


def test_an_address_has_one_listener() -> None:
    network = Network(Random(1))
    network.listen_tcp(*WEB)
    with pytest.raises(OSError, match="no free address"):
        network.listen_tcp(*WEB)
    network.socket(*WEB)  # UDP has ports of its own


async def test_it_serves_under_trios_own_accept_loop(network: Network, nursery: trio.Nursery) -> None:
    async def echo(stream: MemoryStream) -> None:
        async with stream:
            await stream.send_all(await stream.receive_some())

    listeners: list[MemoryListener] = await nursery.start(trio.serve_listeners, echo, [network.listen_tcp(*WEB)])
    async with await network.connect_tcp(CLIENT, listeners[0].address) as client:
        await client.send_all(b"echo")
        assert await client.receive_some() == b"echo"
    nursery.cancel_scope.cancel()
