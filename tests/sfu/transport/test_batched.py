"""What peers get, over real sockets on loopback, is what datagram by datagram would bring them."""

import errno
import itertools
import select
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.units import Address
from sfu.transport import batched
from sfu.transport.batched import (
    MAX_REFUSALS,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENTS,
    PlainSender,
    SegmentingSender,
    segmentation_works,
)
from sfu.transport.socket import open_udp_socket

FAMILIES = (socket.AF_INET, socket.AF_INET6)
PEERS = 3
Datagrams = list[tuple[bytes, Address]]

SO_NO_CHECK = 11
UDP_NO_CHECK6_TX = 101
UDP_NO_CHECK6_RX = 102
"""Without checksums the kernel refuses to segment, and goes on sending single datagrams."""


class SpySocket(socket.socket):
    """Counts calls, and refuses some: `refuse(to, messages)` names an error, or 0 to let the kernel have it."""

    def __init__(self, family: int, refuse: Callable[[Address, list[bytes]], int] = lambda to, messages: 0) -> None:
        super().__init__(family, socket.SOCK_DGRAM)
        self.setblocking(False)
        self.refuse = refuse
        self.calls: Counter[str] = Counter()

    def sendto(self, data, to):
        self.calls["sendto"] += 1
        self._refuse_or_not(to, [data])
        return super().sendto(data, to)

    def sendmsg(self, messages, ancillary, flags, to):
        self.calls["sendmsg"] += 1
        self._refuse_or_not(to, messages)
        return super().sendmsg(messages, ancillary, flags, to)

    def _refuse_or_not(self, to: Address, messages: list[bytes]) -> None:
        number = self.refuse(to, messages)
        if number:
            raise OSError(number, errno.errorcode[number])


def open_peer(family: int) -> socket.socket:
    peer = socket.socket(family, socket.SOCK_DGRAM)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    peer.setblocking(False)
    peer.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    return peer


@pytest.fixture(params=FAMILIES, ids=["IPv4", "IPv6"])
def peers(request: pytest.FixtureRequest) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(open_peer(request.param))) for _ in range(PEERS)]


@pytest.fixture
def spy(peers: list[socket.socket]) -> Iterator[SpySocket]:
    with closing(SpySocket(peers[0].family)) as opened:
        yield opened


def address_of(peer: socket.socket) -> Address:
    return peer.getsockname()[:2]


def received(peer: socket.socket, count: int) -> list[bytes]:
    """Take `count` datagrams, and see that there is no other."""
    taken = []
    while len(taken) < count:
        assert select.select([peer], [], [], 5)[0], f"{len(taken)} of {count} have come"
        taken.append(peer.recv(1 << 16))
    with pytest.raises(BlockingIOError):
        peer.recv(1)
    return taken


def deliver(sender: PlainSender | SegmentingSender, queue: Datagrams, peers: list[socket.socket]) -> list[list[bytes]]:
    """Send the queue, all of which can be; return what each peer got."""
    assert sender.send_batch(queue) == len(queue)
    expected = Counter(to for _, to in queue)
    return [received(peer, expected[address_of(peer)]) for peer in peers]


sizes = st.sampled_from([0, 1, 2, 40, 1149, 1150, 1151, MAX_SEGMENT_BYTES, MAX_SEGMENT_BYTES + 1, 2048])
queues = st.lists(st.tuples(sizes, st.integers(1, 6), st.integers(0, PEERS - 1)), max_size=20)
"""(size, how many in a row, to whom)."""


@pytest.mark.parametrize("family", FAMILIES)
def test_each_peer_gets_the_same_in_the_same_order_as_by_the_plain_sender(family: socket.AddressFamily) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(closing(open_peer(family))) for _ in range(PEERS)]
        kernel_socket = stack.enter_context(closing(SpySocket(family)))
        plain, segmenting = PlainSender(kernel_socket), SegmentingSender(kernel_socket)

        @given(queues)
        def check(plan: list[tuple[int, int, int]]) -> None:
            number = itertools.count()
            queue = [
                (bytes([next(number) % 256]) * size, address_of(peers[peer]))
                for size, times, peer in plan
                for _ in range(times)
            ]
            assert deliver(segmenting, queue, peers) == deliver(plain, queue, peers)

        check()
        assert kernel_socket.calls["sendmsg"]


def test_a_burst_for_many_takes_one_call_a_peer(spy: SpySocket, peers: list[socket.socket]) -> None:
    queue = [(bytes([packet]) * 1150, address_of(peer)) for packet in range(5) for peer in peers]
    assert deliver(SegmentingSender(spy), queue, peers) == [[bytes([packet]) * 1150 for packet in range(5)]] * PEERS
    assert spy.calls == {"sendmsg": PEERS}


def test_single_datagrams_go_as_they_always_did(spy: SpySocket, peers: list[socket.socket]) -> None:
    sender = SegmentingSender(spy)
    assert sender.send_batch([]) == 0
    assert deliver(sender, [(b"alone", address_of(peer)) for peer in peers], peers) == [[b"alone"]] * PEERS
    assert spy.calls == {"sendto": PEERS}


def test_a_run_longer_than_a_message_takes_several(spy: SpySocket, peers: list[socket.socket]) -> None:
    data = [bytes([number]) * MAX_SEGMENT_BYTES for number in range(MAX_SEGMENTS + 2)]
    assert deliver(SegmentingSender(spy), [(each, address_of(peers[0])) for each in data], peers)[0] == data
    assert spy.calls == {"sendmsg": 2}


def test_a_socket_that_cannot_segment_sends_one_by_one_and_is_asked_once_a_peer(
    spy: SpySocket, peers: list[socket.socket]
) -> None:
    if spy.family == socket.AF_INET6:
        spy.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_TX, 1)
        for peer in peers:
            peer.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_RX, 1)
    else:
        spy.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    sender = SegmentingSender(spy)
    queue = [(bytes([packet]) * 100, address_of(peer)) for packet in range(3) for peer in peers[:2]]
    for _ in range(2):
        assert deliver(sender, queue, peers)[:2] == [[bytes([packet]) * 100 for packet in range(3)]] * 2
    assert spy.calls == {"sendmsg": 2, "sendto": 12}


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.EMSGSIZE])
def test_one_peers_refusal_does_not_slow_down_the_others(
    number: int, spy: SpySocket, peers: list[socket.socket]
) -> None:
    refusing = address_of(peers[0])
    spy.refuse = lambda to, messages: number if to == refusing and len(messages) > 1 else 0
    sender = SegmentingSender(spy)
    queue = [(bytes([packet]), address_of(peer)) for packet in range(4) for peer in peers]
    for _ in range(2):
        deliver(sender, queue, peers)
    assert spy.calls == {"sendmsg": 1 + 2 * (PEERS - 1), "sendto": 2 * 4}


def test_an_error_of_the_network_says_nothing_about_segmentation(spy: SpySocket, peers: list[socket.socket]) -> None:
    down = True
    spy.refuse = lambda to, messages: errno.ENETUNREACH if down else 0
    sender = SegmentingSender(spy)
    queue = [(bytes([packet]), address_of(peers[0])) for packet in range(4)]
    assert sender.send_batch(queue) == 0
    down = False
    spy.calls.clear()
    deliver(sender, queue, peers)
    assert spy.calls == {"sendmsg": 1}


def test_a_datagram_that_cannot_be_sent_is_the_only_one_lost(spy: SpySocket, peers: list[socket.socket]) -> None:
    first, second = address_of(peers[0]), address_of(peers[1])
    nowhere = (first[0], 0)
    queue = [(b"a", first), (bytes(70_000), first), (b"b", first), (b"c", nowhere), (b"d", nowhere), (b"e", second)]
    assert SegmentingSender(spy).send_batch(queue) == PlainSender(spy).send_batch(queue) == 3
    assert received(peers[0], 4) == [b"a", b"b", b"a", b"b"]
    assert received(peers[1], 2) == [b"e", b"e"]


@pytest.mark.parametrize(("room", "sent"), [(0, 0), (1, 2), (2, 3), (3, 5), (9, 5)])
def test_what_a_full_buffer_does_not_take_is_lost_and_not_counted(
    room: int, sent: int, spy: SpySocket, peers: list[socket.socket]
) -> None:
    first, second = address_of(peers[0]), address_of(peers[1])
    spy.refuse = lambda to, messages: errno.EAGAIN if spy.calls.total() > room else 0
    queue = [(b"one", first), (b"ten", second), (b"two", first), (b"three", first), (b"ten", second)]
    assert SegmentingSender(spy).send_batch(queue) == sent
    arrived = received(peers[0], min(sent, 3)) + received(peers[1], max(sent - 3, 0))
    assert arrived == [b"one", b"two", b"three", b"ten", b"ten"][:sent]


def test_refusals_are_remembered_of_so_many_peers_only(spy: SpySocket, peers: list[socket.socket]) -> None:
    spy.refuse = lambda to, messages: errno.EIO
    sender = SegmentingSender(spy)
    host = address_of(peers[0])[0]
    everyone = [(host, port) for port in range(1, MAX_REFUSALS + 2)]  # one more than are remembered
    for to in everyone:
        sender.send_batch([(b"x", to)] * 2)
    assert spy.calls["sendmsg"] == len(everyone)
    for to, asked_again in [(everyone[-1], False), (everyone[0], True)]:
        spy.calls.clear()
        sender.send_batch([(b"x", to)] * 2)
        assert bool(spy.calls["sendmsg"]) is asked_again


@pytest.mark.parametrize("family", FAMILIES)
def test_segmentation_is_tried_out_and_works_on_this_kernel(family: socket.AddressFamily) -> None:
    assert segmentation_works(family)


def test_the_sockets_of_the_server_segment_where_that_works(
    spy: SpySocket, peers: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    segmentation_works(peers[0].family)  # on sockets of its own
    monkeypatch.setattr(socket, "socket", lambda family, kind: spy)
    opened = open_udp_socket(address_of(peers[0])[0], 0, quiet=True)
    assert opened.send_batch([(b"x", address_of(peers[0]))] * 3) == 3
    assert received(peers[0], 3) == [b"x"] * 3
    assert spy.calls == {"sendmsg": 1}


@pytest.fixture
def untried() -> Iterator[None]:
    """Forget what was found out before, and what is found out here."""
    segmentation_works.cache_clear()
    yield
    segmentation_works.cache_clear()


class UnknowingSocket(socket.socket):
    """Of a kernel that does not know the option: all segments leave as one datagram."""

    def sendmsg(self, messages, ancillary, flags, to):
        return super().sendmsg(messages, (), flags, to)


@pytest.mark.usefixtures("untried")
def test_where_the_kernel_does_not_segment_one_line_of_the_log_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", logger=batched.__name__)
    monkeypatch.setattr(socket, "socket", UnknowingSocket)
    monkeypatch.setattr(batched, "SELF_TEST_SECONDS", 0.01)
    assert not segmentation_works(socket.AF_INET)
    assert not segmentation_works(socket.AF_INET)
    assert [record.getMessage() for record in caplog.records] == [
        "UDP segmentation does not work here for AF_INET: datagrams leave one by one"
    ]


@pytest.mark.usefixtures("untried")
def test_it_is_not_tried_on_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert not segmentation_works(socket.AF_INET)
