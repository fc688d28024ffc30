from collections.abc import Callable
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rtp.datachannel import ChannelClosed, ChannelDrained, ChannelMessage, ChannelOpened
from rtp.dcep import ChannelParameters
from rtp.ice.outputs import Forgotten, Nominated, Send, Validated
from rtp.transport import Broken, Connected, Lost, TransportOutput
from rtp.units import Address, Path
from sfu.errors import PeerConnectionLostError
from sfu.transport.connection import MAX_CHECKED_FROM, MAX_UFRAGS, PeerConnection
from sfu.transport.endpoint import UdpEndpoint
from tests.rtp import transport_pair
from tests.rtp.ice.checks import HERE, SERVER, check
from tests.sfu.in_trio import in_trio
from triforium.testing import Link, open_network

PATH = Path(HERE, ("198.51.100.7", 40000))
OTHER_PATH = Path(HERE, ("203.0.113.9", 50000))
CHECK, HELLO, RTP, RTCP = b"\x00\x01", b"\x16", b"\x80\x60", b"\x80\xc9"


class StillSocket:
    """A socket on which nothing comes."""

    kernel_drops = 0

    def __init__(self, address: Address = HERE) -> None:
        self.address = address
        self.sent: list[tuple[bytes, Address]] = []

    async def wait_readable(self) -> None:
        await trio.sleep_forever()

    def receive_batch(self, limit: int) -> list[tuple[bytes, Address, float]]:
        return []

    def send_batch(self, datagrams: list[tuple[bytes, Address]]) -> int:
        self.sent += datagrams
        return len(datagrams)

    def close(self) -> None:
        pass


class ScriptedCore:
    """In place of a `PeerTransport`: does what the test says, and keeps what it was given."""

    def __init__(self) -> None:
        self.srtp = self.channels = None
        self.connected = False
        self.timeout: float | None = None
        self.timeouts: list[float] = []
        self.answers: dict[bytes, list[TransportOutput]] = {}
        self.goodbye: list[TransportOutput] = []
        self.on_timeout: Callable[[float], list[TransportOutput]] = lambda now: []
        self.fault: Exception | None = None

    def receive(self, datagram: bytes, path: Path, now: float) -> list[TransportOutput]:
        if self.fault is not None:
            raise self.fault
        return self.answers.get(datagram, [])

    def answer_repeat(self, datagram: bytes, path: Path, now: float) -> bytes | None:
        return None

    def receive_rtp(self, datagram: bytes, path: Path, now: float) -> bytes | None:
        return b"clear " + datagram if path == PATH else None

    receive_rtcp = receive_rtp

    def next_timeout(self) -> float | None:
        return self.timeout

    def handle_timeout(self, now: float) -> list[TransportOutput]:
        self.timeouts.append(now)
        if self.timeout is not None and now >= self.timeout:
            self.timeout = None
        return self.on_timeout(now)

    def close(self) -> list[TransportOutput]:
        if self.fault is not None:
            raise self.fault
        goodbye, self.goodbye = self.goodbye, []
        return goodbye


class Owner:
    def __init__(self) -> None:
        self.news: list[object] = []

    def connection_established(self, connection: PeerConnection) -> None:
        self.news.append("established")

    def connection_lost(self, connection: PeerConnection, reason: str) -> None:
        self.news.append(reason)

    def connection_closed(self, connection: PeerConnection) -> None:
        self.news.append("closed")

    def channel_opened(self, connection: PeerConnection, channel: ChannelOpened) -> None:
        self.news.append(channel)

    def channel_message(self, connection: PeerConnection, message: ChannelMessage) -> None:
        self.news.append(message)

    def channel_closed(self, connection: PeerConnection, channel: ChannelClosed) -> None:
        self.news.append(channel)

    def channel_drained(self, connection: PeerConnection, channel: ChannelDrained) -> None:
        self.news.append(channel)


class Media:
    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.changes = 0
        self.timeout: float | None = None
        self.timeouts: list[float] = []

    def receive_rtp(self, packet: bytes, now: float) -> None:
        self.got.append(("rtp", packet))

    def receive_rtcp(self, packet: bytes, now: float) -> None:
        self.got.append(("rtcp", packet))

    def transport_changed(self) -> None:
        self.changes += 1

    def next_timeout(self) -> float | None:
        return self.timeout

    def handle_timeout(self, now: float) -> None:
        self.timeouts.append(now)
        if self.timeout is not None and now >= self.timeout:
            self.timeout = None


class Shell:
    """A connection with all that it talks to."""

    def __init__(self) -> None:
        self.socket = StillSocket()
        self.endpoint = UdpEndpoint([self.socket])
        self.core, self.owner, self.media = ScriptedCore(), Owner(), Media()
        self.connection = PeerConnection(self.core, self.endpoint, self.owner)
        self.connection.media = self.media

    def tell(self, *outputs: TransportOutput) -> None:
        self.connection.do(lambda now: list(outputs))

    @property
    def entries(self) -> tuple[int, int]:
        statistics = self.endpoint.statistics()
        return statistics.connections, statistics.routes


@pytest.fixture
def shell() -> Shell:
    return Shell()


@in_trio
def test_outputs_are_performed_in_order_and_sent_in_one_batch(shell: Shell) -> None:
    shell.tell(Send(b"answer", PATH), Validated(PATH), Nominated(PATH), Connected(), Send(b"finished", PATH))
    assert shell.socket.sent == [(b"answer", PATH.remote), (b"finished", PATH.remote)]
    assert shell.entries == (0, 1)
    assert shell.connection.selected == PATH
    assert shell.owner.news == ["established"]
    assert shell.media.changes == 2
    shell.tell(Validated(OTHER_PATH), Nominated(OTHER_PATH), Forgotten(PATH))
    assert (shell.connection.selected, shell.entries, shell.media.changes) == (OTHER_PATH, (0, 1), 3)


@in_trio
def test_channels_are_told_to_the_owner(shell: Shell) -> None:
    opened = ChannelOpened(0, ChannelParameters("_lossy"))
    message = ChannelMessage(0, "_lossy", b"hi", is_text=False)
    shell.tell(opened, message, ChannelClosed(0, "_lossy"))
    assert shell.owner.news == [opened, message, ChannelClosed(0, "_lossy")]


@in_trio
def test_media_goes_to_its_sink_in_clear_and_all_else_to_the_core(shell: Shell) -> None:
    shell.core.answers[CHECK] = [Send(b"answer", PATH)]
    for datagram in (RTP, CHECK, RTCP, HELLO):
        shell.connection.receive(datagram, PATH, 0.0)
    shell.connection.receive(RTP, OTHER_PATH, 0.0)  # the core drops it
    with shell.endpoint.batch():
        pass
    assert shell.media.got == [("rtp", b"clear " + RTP), ("rtcp", b"clear " + RTCP)]
    assert shell.socket.sent == [(b"answer", PATH.remote)]


async def test_the_timers_of_core_and_media_are_kept_to_the_second(
    autojump_clock: MockClock, shell: Shell, nursery: trio.Nursery
) -> None:
    shell.core.timeout, shell.media.timeout = 5.0, 3.0
    nursery.start_soon(shell.connection.run)
    await trio.sleep(10)
    assert shell.core.timeouts == shell.media.timeouts == [3.0, 5.0]


async def test_a_datagram_may_set_a_timer_without_any_output(
    autojump_clock: MockClock, shell: Shell, nursery: trio.Nursery
) -> None:
    nursery.start_soon(shell.connection.run)
    await trio.sleep(1)
    shell.core.timeout = 1.2  # a delayed acknowledgement, say
    shell.connection.receive(HELLO, PATH, 1.0)
    await trio.sleep(1)
    assert shell.core.timeouts == [1.2]


async def test_rescheduling_finds_an_earlier_timer_and_leaves_a_later_one(
    autojump_clock: MockClock, shell: Shell, nursery: trio.Nursery
) -> None:
    shell.core.timeout = 5.0
    nursery.start_soon(shell.connection.run)
    await trio.sleep(1)
    shell.media.timeout = 2.0
    shell.connection.reschedule()
    await trio.sleep(8)
    assert shell.media.timeouts == [2.0, 5.0]


async def test_timers_that_were_set_before_it_runs_are_kept_too(
    autojump_clock: MockClock, shell: Shell, nursery: trio.Nursery
) -> None:
    shell.core.timeout = 2.0
    shell.connection.reschedule()
    await trio.sleep(1)
    nursery.start_soon(shell.connection.run)
    await trio.sleep(2)
    assert shell.core.timeouts == [2.0]


@pytest.mark.parametrize("before_it_runs", [False, True])
async def test_run_raises_what_the_connection_is_blamed_for_and_only_the_first(
    autojump_clock: MockClock, shell: Shell, before_it_runs: bool
) -> None:
    async def run() -> None:
        with pytest.raises(ZeroDivisionError):
            await shell.connection.run()

    async with trio.open_nursery() as nursery:
        if not before_it_runs:
            nursery.start_soon(run)
            await wait_all_tasks_blocked()
        shell.connection.fail(ZeroDivisionError())
        shell.connection.fail(KeyError())
        if before_it_runs:
            nursery.start_soon(run)
    assert shell.entries == (0, 0)


async def test_a_broken_transport_ends_run(autojump_clock: MockClock, shell: Shell) -> None:
    shell.core.timeout = 4.0
    shell.core.on_timeout = lambda now: [Broken("no common cipher")]
    with pytest.raises(PeerConnectionLostError, match="no common cipher"):
        await shell.connection.run()
    assert trio.current_time() == 4.0


async def test_a_lost_path_is_told_and_another_one_is_taken(shell: Shell) -> None:
    shell.tell(Validated(PATH), Nominated(PATH))
    changes = shell.media.changes
    shell.tell(Forgotten(PATH), Lost("silence"))
    assert shell.owner.news[-1] == "silence"
    assert shell.connection.selected is None
    assert shell.media.changes == changes + 1
    shell.tell(Validated(PATH), Nominated(PATH))
    assert shell.connection.selected == PATH


@pytest.mark.parametrize("part", ["core", "media"])
async def test_a_fault_in_a_timer_ends_run_and_leaves_no_entry(
    autojump_clock: MockClock, shell: Shell, part: str
) -> None:
    def fault(now: float) -> list[TransportOutput]:
        raise ZeroDivisionError

    shell.connection.answer_to("UFRAG")
    shell.tell(Validated(PATH), Nominated(PATH))
    if part == "core":
        shell.core.on_timeout = fault
    else:
        shell.media.handle_timeout = fault
    shell.core.timeout = 1.0
    with pytest.raises(ZeroDivisionError):
        await shell.connection.run()
    assert shell.entries == (0, 0)


async def test_cancelling_says_goodbye_and_leaves_no_entry(
    autojump_clock: MockClock, shell: Shell, nursery: trio.Nursery
) -> None:
    shell.connection.answer_to("UFRAG")
    shell.connection.answer_to("UFRAG2")
    shell.tell(Validated(PATH), Validated(OTHER_PATH), Nominated(PATH))
    shell.core.goodbye = [Send(b"close_notify", PATH)]
    assert shell.entries == (2, 2)
    with trio.move_on_after(1):
        await shell.connection.run()
    assert shell.entries == (0, 0)
    assert shell.socket.sent == [(b"close_notify", PATH.remote)]
    assert shell.connection.selected is None
    assert not shell.connection.connected
    shell.connection.close()  # once more is harmless


@in_trio
def test_a_core_that_cannot_even_say_goodbye_leaves_no_entry(shell: Shell) -> None:
    shell.connection.answer_to("UFRAG")
    shell.tell(Validated(PATH))
    shell.core.fault = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        shell.connection.close()
    assert shell.entries == (0, 0)


@in_trio
def test_old_credentials_are_taken_for_a_while_but_not_without_bound(shell: Shell) -> None:
    for number in range(3 * MAX_UFRAGS):
        shell.connection.answer_to(f"UFRAG{number}")
    assert shell.entries == (MAX_UFRAGS, 0)


@in_trio
def test_a_path_that_another_claimed_is_taken_back_by_the_next_answered_check(shell: Shell) -> None:
    thief = PeerConnection(ScriptedCore(), shell.endpoint, Owner())
    shell.tell(Validated(PATH))
    thief.perform([Validated(PATH)])
    shell.connection.receive(CHECK, PATH, 0.0)  # not answered: anybody may send that
    thief.close()
    assert shell.entries == (0, 0)
    thief.perform([Validated(PATH)])
    shell.core.answers[CHECK] = [Send(b"answer", PATH)]
    shell.connection.receive(CHECK, PATH, 0.0)
    thief.close()
    assert shell.entries == (0, 1)


@in_trio
def test_hosts_that_tried_are_remembered_until_it_is_up(shell: Shell) -> None:
    for number in range(9):
        shell.connection.receive(CHECK, Path(HERE, (f"203.0.113.{number}", 1)), 0.0)
    assert len(shell.connection.checked_from) == MAX_CHECKED_FROM
    shell.connection.checked_from.clear()
    shell.core.connected = True
    shell.tell(Nominated(PATH))
    shell.connection.receive(CHECK, PATH, 0.0)
    assert shell.connection.checked_from == set()


@in_trio
def test_rtcp_waits_for_keys_and_a_path(shell: Shell) -> None:
    class Keys:
        def protect_rtcp(self, compound: bytes) -> bytes:
            return b"sealed " + compound

    for keys, path, sent in ((None, PATH, 0), (Keys(), None, 0), (Keys(), PATH, 1)):
        shell.core.srtp, shell.connection.selected = keys, path
        with shell.endpoint.batch():
            shell.connection.send_rtcp(b"report")
        assert len(shell.socket.sent) == sent
    assert shell.socket.sent == [(b"sealed report", PATH.remote)]


@pytest.mark.parametrize("loss", [0.0, 0.2])
async def test_two_connections_meet_over_the_in_memory_network(autojump_clock: MockClock, loss: float) -> None:
    random = Random(3)
    async with open_network(random) as network, trio.open_nursery() as nursery:
        network.default_link = Link(delay_seconds=0.02, loss=loss)
        here, there = UdpEndpoint([network.socket(*HERE)]), UdpEndpoint([network.socket("198.51.100.7", 40000)])
        server = PeerConnection(transport_pair.server(), here, Owner())
        client = PeerConnection(transport_pair.client(random), there, Owner())
        server.answer_to(SERVER.ufrag)
        for each in (here, there):
            await nursery.start(each.run)
        nursery.start_soon(server.run)
        nursery.start_soon(client.run)
        path = Path(there.addresses[0], HERE)
        client.expect_on(path)
        client.do(lambda now: client.transport.ice.add_remote_candidate(path, now))
        await trio.sleep(10)
        assert server.connected
        assert client.connected
        assert server.selected == Path(HERE, path.local)
        nursery.cancel_scope.cancel()
    assert (here.statistics().connections, here.statistics().routes) == (0, 0)
    assert (there.statistics().connections, there.statistics().routes) == (0, 0)


async def test_a_fault_in_one_connection_does_not_touch_the_next(autojump_clock: MockClock) -> None:
    async with open_network(Random(1)) as network:
        endpoint = UdpEndpoint([network.socket(*HERE)])
        peer = network.socket(*PATH.remote)
        broken, sound = PeerConnection(ScriptedCore(), endpoint, Owner()), Shell().connection
        sound.endpoint = endpoint
        broken.transport.fault = ZeroDivisionError()
        broken.answer_to("BROKEN")
        sound.answer_to(SERVER.ufrag)
        sound.transport.answers[(request := check())] = [Validated(PATH), Send(b"answer", PATH)]
        blamed = []

        async def run(connection: PeerConnection) -> None:
            try:
                await connection.run()
            except ZeroDivisionError:
                blamed.append(connection)

        async with trio.open_nursery() as nursery:
            await nursery.start(endpoint.run)
            nursery.start_soon(run, broken)
            nursery.start_soon(run, sound)
            bad = check(username="BROKEN:x")
            peer.send_batch([(bad, HERE), (request, HERE), (RTP, HERE), (bad, HERE), (RTCP, HERE)])
            await trio.sleep(1)
            assert [data for data, _, _ in peer.receive_batch(9)] == [b"answer"]
            assert blamed == [broken]
            assert [kind for kind, _ in sound.media.got] == ["rtp", "rtcp"]
            assert endpoint.statistics().connections == 1
            nursery.cancel_scope.cancel()
