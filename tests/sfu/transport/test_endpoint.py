from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rtp.ice.candidates import IceCredentials
from rtp.units import Address, Path
from sfu.transport.endpoint import FEEDBACK_SECONDS, MAX_BURST, MAX_FEEDBACK_BURST, DropCause, UdpEndpoint
from tests.rtp.ice.checks import check
from triforium.testing import open_network

HERE: Address = ("192.0.2.1", 7882)
ALSO_HERE: Address = ("2001:db8::1", 7882)
PEER: Address = ("198.51.100.7", 40000)
OTHER: Address = ("203.0.113.9", 50000)
HELLO = b"\x16\xfe\xff"
MEDIA = b"\x80\x60media"
FEEDBACK = b"\x8f\xcdfeedback"
RESPONSE = b"\x01\x01" + bytes(18)


def request(ufrag: str) -> bytes:
    return check(IceCredentials(ufrag, "password-of-nobody-in-here"))


class ScriptedSocket:
    """Gives out the bursts that it is told, and takes `room` datagrams per batch."""

    def __init__(self, address: Address = HERE, room: int = 1 << 30) -> None:
        self.address = address
        self.kernel_drops = 0
        self.batches: list[list[tuple[bytes, Address]]] = []
        self.limits: list[int] = []
        self.closed = False
        self._room = room
        self._bursts: list[list[tuple[bytes, Address, float]]] = []
        self._readable = trio.Event()

    def receives(self, *datagrams: tuple[bytes, Address]) -> None:
        self._bursts.append([(data, source, trio.current_time()) for data, source in datagrams])
        self._readable.set()

    async def wait_readable(self) -> None:
        await self._readable.wait()

    def receive_batch(self, limit: int) -> list[tuple[bytes, Address, float]]:
        self.limits.append(limit)
        burst = self._bursts.pop(0) if self._bursts else []
        if not self._bursts:
            self._readable = trio.Event()
        return burst

    def send_batch(self, datagrams: Sequence[tuple[bytes, Address]]) -> int:
        assert not self.closed
        self.batches.append(list(datagrams))
        return min(self._room, len(datagrams))

    def close(self) -> None:
        self.closed = True


class Recorder:
    """A connection that keeps what it gets, and may do something about it."""

    def __init__(self, react: Callable[[bytes, Path], None] = lambda *_: None) -> None:
        self.got: list[tuple[bytes, Path]] = []
        self.failures: list[Exception] = []
        self.repeats: dict[bytes, bytes] = {}
        self._react = react

    def receive(self, datagram: bytes, path: Path, now: float) -> None:
        assert now <= trio.current_time()
        self.got.append((datagram, path))
        self._react(datagram, path)

    def answer_repeat(self, datagram: bytes, path: Path, now: float) -> bytes | None:
        return self.repeats.get(datagram)

    def fail(self, error: Exception) -> None:
        self.failures.append(error)

    @property
    def datagrams(self) -> list[bytes]:
        return [datagram for datagram, _ in self.got]


@pytest.fixture
def socket() -> ScriptedSocket:
    return ScriptedSocket()


@pytest.fixture
async def endpoint(socket: ScriptedSocket, nursery: trio.Nursery) -> UdpEndpoint:
    endpoint = UdpEndpoint([socket])
    await nursery.start(endpoint.run)
    return endpoint


async def test_a_stun_request_goes_to_whom_it_names_from_wherever_it_comes(
    endpoint: UdpEndpoint, socket: ScriptedSocket
) -> None:
    alice, bob = Recorder(), Recorder()
    endpoint.register("ALICE", alice)
    endpoint.register("BOB", bob)
    endpoint.route(Path(HERE, PEER), bob)
    socket.receives((request("ALICE"), PEER), (request("BOB"), OTHER), (request("NOBODY"), PEER))
    await wait_all_tasks_blocked()
    assert [path for _, path in alice.got] == [Path(HERE, PEER)]
    assert [path for _, path in bob.got] == [Path(HERE, OTHER)]
    assert endpoint.statistics().drops == {DropCause.UNKNOWN_UFRAG: 1}


async def test_all_else_goes_to_whoever_has_claimed_the_path(endpoint: UdpEndpoint, socket: ScriptedSocket) -> None:
    alice = Recorder()
    endpoint.route(Path(HERE, PEER), alice)
    for datagram in (HELLO, MEDIA, RESPONSE, b"\x50"):
        socket.receives((datagram, PEER), (datagram, OTHER))
    socket.receives((b"", PEER))
    await wait_all_tasks_blocked()
    assert alice.got == [(datagram, Path(HERE, PEER)) for datagram in (HELLO, MEDIA, RESPONSE, b"\x50")]
    drops = {DropCause.UNVALIDATED_SOURCE: 3, DropCause.UNKNOWN_UFRAG: 1, DropCause.EMPTY: 1}
    assert endpoint.statistics().drops == drops
    assert endpoint.statistics().datagrams_received == 9
    assert endpoint.statistics().wake_ups == 5


async def test_stun_and_dtls_come_before_the_media_of_a_burst(endpoint: UdpEndpoint, socket: ScriptedSocket) -> None:
    alice = Recorder()
    endpoint.register("ALICE", alice)
    endpoint.route(Path(HERE, PEER), alice)
    socket.receives((MEDIA, PEER), (MEDIA + b"2", PEER), (HELLO, PEER), (request("ALICE"), PEER))
    await wait_all_tasks_blocked()
    assert [datagram[0] for datagram in alice.datagrams] == [0x16, 0x00, 0x80, 0x80]
    assert alice.datagrams[2:] == [MEDIA, MEDIA + b"2"]


async def test_feedback_gathers_before_it_is_read_and_media_does_not_wait_for_it(
    socket: ScriptedSocket, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    aside, alice = ScriptedSocket(), Recorder()
    endpoint = UdpEndpoint([socket], [aside])
    await nursery.start(endpoint.run)
    endpoint.route(Path(HERE, PEER), alice)
    aside.receives((FEEDBACK, PEER))
    await trio.sleep(FEEDBACK_SECONDS / 2)
    aside.receives((FEEDBACK, PEER), (FEEDBACK, OTHER))
    socket.receives((MEDIA, PEER))
    await wait_all_tasks_blocked()
    assert alice.datagrams == [MEDIA]
    await trio.sleep(FEEDBACK_SECONDS)
    assert alice.datagrams == [MEDIA, FEEDBACK, FEEDBACK]
    assert aside.limits == [MAX_FEEDBACK_BURST] * 3
    assert endpoint.statistics().drops == {DropCause.UNVALIDATED_SOURCE: 1}
    assert endpoint.statistics().wake_ups == 2


async def test_the_newest_claim_on_an_address_stands(endpoint: UdpEndpoint, socket: ScriptedSocket) -> None:
    alice, bob = Recorder(), Recorder()
    path = Path(HERE, PEER)
    endpoint.route(path, alice)
    endpoint.route(path, bob)  # a NAT has given the port to somebody else
    endpoint.unroute(path, alice)
    socket.receives((MEDIA, PEER))
    await wait_all_tasks_blocked()
    assert (alice.datagrams, bob.datagrams) == ([], [MEDIA])
    endpoint.unroute(path, bob)
    endpoint.unroute(path, bob)
    assert endpoint.statistics().routes == 0


async def test_each_socket_has_routes_and_an_outbox_of_its_own(nursery: trio.Nursery) -> None:
    here, also_here = ScriptedSocket(HERE), ScriptedSocket(ALSO_HERE)
    endpoint = UdpEndpoint([here, also_here])
    assert endpoint.addresses == (HERE, ALSO_HERE)
    await nursery.start(endpoint.run)
    alice = Recorder(endpoint.queue)
    endpoint.route(Path(HERE, PEER), alice)
    also_here.receives((MEDIA, PEER))
    here.receives((MEDIA, PEER))
    await wait_all_tasks_blocked()
    assert alice.got == [(MEDIA, Path(HERE, PEER))]
    assert (here.batches, also_here.batches) == ([[(MEDIA, PEER)]], [])
    also_here.kernel_drops = 3
    assert endpoint.statistics().kernel_drops == 3


async def test_a_fault_ends_its_own_connection_and_nobody_elses_datagram(
    endpoint: UdpEndpoint, socket: ScriptedSocket
) -> None:
    def fault(datagram: bytes, path: Path) -> None:
        endpoint.queue(b"half done", path)
        raise ZeroDivisionError

    broken, sound = Recorder(fault), Recorder()
    endpoint.register("BROKEN", broken)
    endpoint.register("SOUND", sound)
    endpoint.route(Path(HERE, PEER), broken)
    endpoint.route(Path(HERE, OTHER), sound)
    socket.receives((MEDIA, PEER), (MEDIA, OTHER), (HELLO, PEER), (HELLO, OTHER), (request("BROKEN"), PEER))
    socket.receives((request("SOUND"), OTHER))
    await wait_all_tasks_blocked()
    assert [type(failure) for failure in broken.failures] == [ZeroDivisionError] * 3
    assert sound.failures == []
    assert sound.datagrams[:2] == [HELLO, MEDIA]
    assert len(sound.datagrams) == 3


async def test_whoever_owns_a_path_may_answer_a_request_there_unread(
    endpoint: UdpEndpoint, socket: ScriptedSocket
) -> None:
    alice, bob = Recorder(), Recorder()
    endpoint.register("ALICE", alice)
    endpoint.register("BOB", bob)
    endpoint.route(Path(HERE, PEER), alice)
    repeated, of_bob = request("ALICE"), request("BOB")
    alice.repeats[repeated] = bob.repeats[of_bob] = RESPONSE
    socket.receives((repeated, PEER), (repeated, OTHER), (of_bob, PEER))
    await wait_all_tasks_blocked()
    assert socket.batches == [[(RESPONSE, PEER)]]
    assert alice.got == [(repeated, Path(HERE, OTHER))]
    assert bob.got == [(of_bob, Path(HERE, PEER))]


async def test_a_fault_in_answering_unread_ends_its_own_connection(
    endpoint: UdpEndpoint, socket: ScriptedSocket
) -> None:
    class Broken(Recorder):
        def answer_repeat(self, datagram: bytes, path: Path, now: float) -> bytes | None:
            raise ZeroDivisionError

    broken, sound = Broken(), Recorder()
    endpoint.register("SOUND", sound)
    endpoint.route(Path(HERE, PEER), broken)
    socket.receives((request("SOUND"), PEER))
    await wait_all_tasks_blocked()
    assert [type(failure) for failure in broken.failures] == [ZeroDivisionError]
    assert len(sound.got) == 1


async def test_what_a_burst_causes_leaves_in_one_batch(endpoint: UdpEndpoint, socket: ScriptedSocket) -> None:
    def answer(datagram: bytes, path: Path) -> None:
        with endpoint.batch():  # as commands do that others give meanwhile
            endpoint.queue(datagram + b"!", path)
        endpoint.outbox(HERE)((datagram + b"?", OTHER))

    endpoint.route(Path(HERE, PEER), Recorder(answer))
    socket.receives((b"\x801", PEER), (b"\x802", PEER))
    await wait_all_tasks_blocked()
    assert socket.batches == [[(b"\x801!", PEER), (b"\x801?", OTHER), (b"\x802!", PEER), (b"\x802?", OTHER)]]
    assert endpoint.statistics().datagrams_sent == 4


def test_a_batch_leaves_with_its_block_even_if_that_raises(socket: ScriptedSocket) -> None:
    endpoint = UdpEndpoint([socket])

    def fault() -> None:
        with endpoint.batch():
            endpoint.queue(b"said before", Path(HERE, PEER))
            assert socket.batches == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fault()
    assert socket.batches == [[(b"said before", PEER)]]
    with endpoint.batch():
        pass
    assert len(socket.batches) == 1


def test_what_the_kernel_does_not_take_is_lost_and_counted() -> None:
    socket = ScriptedSocket(room=2)
    endpoint = UdpEndpoint([socket])
    for _ in range(2):
        with endpoint.batch():
            for _ in range(5):
                endpoint.queue(b"x", Path(HERE, PEER))
    assert [len(batch) for batch in socket.batches] == [5, 5]  # nothing is tried again
    statistics = endpoint.statistics()
    assert (statistics.datagrams_sent, statistics.drops) == (4, {DropCause.NOT_SENT: 6})


async def test_goodbyes_after_the_sockets_were_closed_are_counted_and_harmless() -> None:
    socket, aside = ScriptedSocket(), ScriptedSocket()
    endpoint = UdpEndpoint([socket], [aside])
    async with trio.open_nursery() as nursery:
        await nursery.start(endpoint.run)
        nursery.cancel_scope.cancel()
    assert socket.closed
    assert aside.closed
    with endpoint.batch():
        endpoint.queue(b"goodbye", Path(HERE, PEER))
    assert endpoint.statistics().drops == {DropCause.CLOSED: 1}


async def test_a_burst_is_bounded_so_that_others_get_a_turn(endpoint: UdpEndpoint, socket: ScriptedSocket) -> None:
    turns = []

    async def somebody_else() -> None:
        while len(socket.limits) < 5:
            turns.append(len(socket.limits))
            await trio.lowlevel.checkpoint()

    for _ in range(5):
        socket.receives(*[(MEDIA, PEER)] * MAX_BURST)
    await somebody_else()
    assert socket.limits == [MAX_BURST] * 5
    assert max(later - earlier for earlier, later in pairwise(turns)) <= 2  # one a round, before us or after


async def test_it_serves_the_in_memory_network(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with open_network(Random(1)) as network:
        endpoint = UdpEndpoint([network.socket(*HERE)])
        await nursery.start(endpoint.run)
        peer = network.socket(*PEER)
        alice = Recorder(lambda datagram, path: endpoint.queue(b"answer", path))
        endpoint.register("ALICE", alice)
        peer.send_batch([(request("ALICE"), HERE)])
        await peer.wait_readable()
        assert [data for data, _, _ in peer.receive_batch(9)] == [b"answer"]
        nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint_if_cancelled()
