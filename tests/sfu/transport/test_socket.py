"""Over real sockets on loopback: real time, so nothing here waits but for what has been sent."""

import socket as kernel

import pytest
import trio

from rtp.units import Address
from sfu.transport.socket import MAX_DATAGRAM_BYTES, SO_RXQ_OVFL, UdpSocket, open_udp_socket
from tests.sfu.in_trio import in_trio


async def receive(udp: UdpSocket, count: int) -> list[tuple[bytes, Address, float]]:
    received = []
    with trio.fail_after(5):
        while True:
            await udp.wait_readable()
            received += udp.receive_batch(count - len(received))
            if len(received) == count:
                return received


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request: pytest.FixtureRequest) -> tuple[UdpSocket, UdpSocket]:
    sockets = open_udp_socket(request.param, 0, quiet=True), open_udp_socket(request.param, 0, quiet=True)
    yield sockets
    for each in sockets:
        each.close()


async def test_a_batch_arrives_in_order_with_its_source(pair: tuple[UdpSocket, UdpSocket]) -> None:
    here, there = pair
    before = trio.current_time()
    assert there.send_batch([(bytes([number]), here.address) for number in range(20)]) == 20
    received = await receive(here, 20)
    assert [(data, source) for data, source, _ in received] == [(bytes([n]), there.address) for n in range(20)]
    assert all(before <= arrived_at <= trio.current_time() for _, _, arrived_at in received)
    assert here.receive_batch(1) == []


async def test_no_more_than_the_limit_is_taken_at_once(pair: tuple[UdpSocket, UdpSocket]) -> None:
    here, there = pair
    there.send_batch([(b"x", here.address)] * 5)
    await here.wait_readable()
    assert len(here.receive_batch(2)) == 2
    assert len(await receive(here, 3)) == 3


async def test_one_that_cannot_be_sent_does_not_hold_up_the_next(pair: tuple[UdpSocket, UdpSocket]) -> None:
    here, there = pair
    batch = [(b"x", (here.address[0], 0)), (bytes(70_000), here.address), (b"", here.address), (b"y", here.address)]
    assert there.send_batch(batch) == 2
    assert [data for data, _, _ in await receive(here, 2)] == [b"", b"y"]


@in_trio
def test_a_peer_that_is_gone_breaks_nothing(pair: tuple[UdpSocket, UdpSocket]) -> None:
    here, there = pair
    there.close()
    assert here.send_batch([(b"x", there.address)] * 3) == 3
    assert here.receive_batch(9) == []


async def test_a_datagram_longer_than_any_protocol_of_ours_is_cut_short(pair: tuple[UdpSocket, UdpSocket]) -> None:
    here, there = pair
    there.send_batch([(bytes(MAX_DATAGRAM_BYTES + 9), here.address)])
    ((data, _, _),) = await receive(here, 1)
    assert len(data) == MAX_DATAGRAM_BYTES


async def test_the_kernel_tells_what_it_dropped() -> None:
    inner = kernel.socket(kernel.AF_INET, kernel.SOCK_DGRAM)
    inner.setblocking(False)
    inner.setsockopt(kernel.SOL_SOCKET, kernel.SO_RCVBUF, 1)  # the least that there is: some 2 KiB
    inner.setsockopt(kernel.SOL_SOCKET, SO_RXQ_OVFL, 1)
    inner.bind(("127.0.0.1", 0))
    here, there = UdpSocket(inner), open_udp_socket("127.0.0.1", 0, quiet=True)
    try:
        assert there.send_batch([(bytes(1000), here.address)] * 100) == 100
        kept = len(here.receive_batch(100))
        assert kept < 100
        there.send_batch([(b"the next tells", here.address)])
        await receive(here, 1)
        assert here.kernel_drops == 100 - kept
    finally:
        here.close()
        there.close()


def test_both_families_may_have_one_port() -> None:
    first = open_udp_socket("127.0.0.1", 0, quiet=True)
    second = open_udp_socket("::1", first.address[1], quiet=True)
    assert second.address == ("::1", first.address[1])
    with pytest.raises(OSError, match="in use"):
        open_udp_socket("::1", first.address[1], quiet=True)
    first.close()
    second.close()


@pytest.mark.parametrize(("quiet", "level"), [(True, "DEBUG"), (False, "WARNING")])
def test_small_buffers_are_told_with_the_sysctl_that_limits_them(
    quiet: bool, level: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfu.transport.socket.SOCKET_BUFFER_BYTES", 1 << 30)  # more than any kernel grants
    caplog.set_level("DEBUG", logger="sfu.transport.socket")
    open_udp_socket("127.0.0.1", 0, quiet=quiet).close()
    assert {record.levelname for record in caplog.records} == {level}
    assert [record.getMessage().split()[0] for record in caplog.records] == ["net.core.rmem_max", "net.core.wmem_max"]
