"""The one UDP port: receive a burst, hand each datagram to its connection, send all that the burst caused, once.

There is no `await` between receive and send. Replies and media are only queued; they leave in `flush`, at the end of a
burst or of the outermost `batch`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Final, NoReturn, Protocol

import trio

from rtp.stun import ufrag_of_request
from rtp.units import Address, Path
from sfu.transport.socket import DatagramSocket

MAX_BURST: Final = 128
"""Datagrams taken before everyone else gets a turn."""

FEEDBACK_SECONDS: Final = 0.03
"""How long feedback gathers before it is read: half of what lies between two messages of one subscriber."""

MAX_FEEDBACK_BURST: Final = 32
"""The same for feedback, for which nobody is in a hurry: a millisecond's work."""


class DatagramReceiver(Protocol):
    """What an endpoint asks of a connection."""

    def receive(self, datagram: bytes, path: Path, now: float) -> None:
        """Take one datagram. Never blocks."""

    def answer_repeat(self, datagram: bytes, path: Path, now: float) -> bytes | None:
        """Return the answer to a STUN request that changes nothing; None to all else, which is for `receive`."""

    def fail(self, error: Exception) -> None:
        """Take the blame for an exception that the others let out."""


class DropCause(Enum):
    """Why the endpoint handed a datagram to nobody."""

    EMPTY = "empty"
    UNKNOWN_UFRAG = "STUN for nobody here"
    UNVALIDATED_SOURCE = "not STUN, and from nobody we know"
    NOT_SENT = "the kernel would not send it: its buffer was full, or there is no way there"
    CLOSED = "to be sent when the sockets were closed already"


@dataclass(frozen=True, slots=True)
class EndpointStatistics:
    """Counts since the start."""

    datagrams_received: int
    datagrams_sent: int
    wake_ups: int
    connections: int
    routes: int
    kernel_drops: int
    drops: dict[DropCause, int]


class UdpEndpoint:
    """Sockets on every local address, and the tables that say whose a datagram is (RFC 7983, RFC 8445 §7.3).

    A STUN request belongs to whoever owns the first half of its USERNAME; all else belongs to the connection that has
    validated the path on which it came.

    What comes to one of the `feedback_sockets`, each bound to the address of one of the `sockets`, waits for a while.
    """

    def __init__(self, sockets: Sequence[DatagramSocket], feedback_sockets: Sequence[DatagramSocket] = ()) -> None:
        self._sockets = {socket.address: socket for socket in sockets}
        self._feedback_sockets = feedback_sockets
        self._outboxes: dict[Address, list[tuple[bytes, Address]]] = {address: [] for address in self._sockets}
        self._routes: dict[Address, dict[Address, tuple[DatagramReceiver, Path]]] = {
            address: {} for address in self._sockets
        }
        self._by_ufrag: dict[str, DatagramReceiver] = {}
        self._drops: Counter[DropCause] = Counter()
        self._received = self._sent = self._wake_ups = 0
        self._batch = _Batch(self._flush)
        self._closed = False

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The local addresses, in the order given."""
        return tuple(self._sockets)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Serve every socket until cancelled, then close them."""
        try:
            async with trio.open_nursery() as nursery:
                for local, socket in self._sockets.items():
                    nursery.start_soon(self._serve, socket, local)
                for socket in self._feedback_sockets:
                    nursery.start_soon(self._serve_feedback, socket)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._closed = True
            for socket in self._all_sockets:
                socket.close()
        raise AssertionError("unreachable")

    def register(self, ufrag: str, receiver: DatagramReceiver) -> None:
        """Give STUN requests for `ufrag` to `receiver`."""
        assert ufrag not in self._by_ufrag, "credentials are unique in the process"
        self._by_ufrag[ufrag] = receiver

    def unregister(self, ufrag: str) -> None:
        """Forget a fragment; unknown ones are ignored."""
        self._by_ufrag.pop(ufrag, None)

    def route(self, path: Path, receiver: DatagramReceiver) -> None:
        """Give all that comes on `path` to `receiver`. The newest claim stands: NATs use ports again."""
        self._routes[path.local][path.remote] = (receiver, path)

    def unroute(self, path: Path, receiver: DatagramReceiver) -> None:
        """Forget `path`, unless somebody else has claimed it since."""
        claim = self._routes[path.local].get(path.remote)
        if claim is not None and claim[0] is receiver:
            del self._routes[path.local][path.remote]

    def queue(self, datagram: bytes, path: Path) -> None:
        """Send with the next flush: at the end of this burst, or of the `batch` that we are in."""
        self._outboxes[path.local].append((datagram, path.remote))

    def outbox(self, local: Address) -> Callable[[tuple[bytes, Address]], None]:
        """Return what queues a (datagram, remote address) on one socket: the hot path's shortcut to `queue`."""
        return self._outboxes[local].append

    def batch(self) -> "_Batch":
        """Send what is queued inside the block when it is left; a block inside another leaves that to the outer one."""
        return self._batch

    @property
    def _all_sockets(self) -> Iterable[DatagramSocket]:
        return chain(self._sockets.values(), self._feedback_sockets)

    def statistics(self) -> EndpointStatistics:
        """Return counts since the start, and how full the tables are."""
        return EndpointStatistics(
            datagrams_received=self._received,
            datagrams_sent=self._sent,
            wake_ups=self._wake_ups,
            connections=len(self._by_ufrag),
            routes=sum(map(len, self._routes.values())),
            kernel_drops=sum(socket.kernel_drops for socket in self._all_sockets),
            drops={cause: count for cause, count in self._drops.items() if count},
        )

    def _flush(self) -> None:
        """Send all that is queued, once; what the kernel refuses is dropped and counted."""
        for local, outbox in self._outboxes.items():
            if not outbox:
                continue
            if self._closed:  # connections say goodbye as they are cancelled, and that may be after us
                self._drops[DropCause.CLOSED] += len(outbox)
            else:
                sent = self._sockets[local].send_batch(outbox)
                self._sent += sent
                self._drops[DropCause.NOT_SENT] += len(outbox) - sent
            outbox.clear()

    async def _serve(self, socket: DatagramSocket, local: Address) -> NoReturn:
        while True:
            await socket.wait_readable()
            burst = socket.receive_batch(MAX_BURST)
            if not burst:
                continue
            self._wake_ups += 1
            self._take(burst, local)

    async def _serve_feedback(self, socket: DatagramSocket) -> NoReturn:
        """Read what has gathered, some at a time, and let media pass in between."""
        while True:
            await socket.wait_readable()
            await trio.sleep(FEEDBACK_SECONDS)
            self._wake_ups += 1
            while burst := socket.receive_batch(MAX_FEEDBACK_BURST):
                self._take(burst, socket.address)
                await trio.lowlevel.checkpoint()

    def _take(self, burst: list[tuple[bytes, Address, float]], local: Address) -> None:
        self._received += len(burst)
        with self._batch:
            self._dispatch(burst, local)

    def _dispatch(self, burst: list[tuple[bytes, Address, float]], local: Address) -> None:
        """Deliver STUN and DTLS first: a connection must not be lost because it is busy."""
        routes = self._routes[local]
        media: list[tuple[DatagramReceiver, bytes, Path, float]] = []
        for datagram, source, arrived_at in burst:
            if not datagram:
                self._drops[DropCause.EMPTY] += 1
                continue
            claim = routes.get(source)
            if datagram[0] > 127 and claim is not None:
                media.append((claim[0], datagram, claim[1], arrived_at))
            elif datagram[0] > 3:
                if claim is None:
                    self._drops[DropCause.UNVALIDATED_SOURCE] += 1
                else:
                    _deliver(claim[0], datagram, claim[1], arrived_at)
            else:
                self._dispatch_stun(datagram, local, source, arrived_at)
        for receiver, datagram, path, arrived_at in media:
            _deliver(receiver, datagram, path, arrived_at)

    def _dispatch_stun(self, datagram: bytes, local: Address, source: Address, now: float) -> None:
        claim = self._routes[local].get(source)
        if claim is not None and (answer := _answer_repeat(*claim, datagram, now)) is not None:
            self._outboxes[local].append((answer, source))
            return
        ufrag = ufrag_of_request(datagram)
        asked = claim[0] if claim is not None else None  # a response belongs to whoever asked on this path
        receiver = asked if ufrag is None else self._by_ufrag.get(ufrag)
        if receiver is None:
            self._drops[DropCause.UNKNOWN_UFRAG] += 1
        else:
            _deliver(receiver, datagram, Path(local, source), now)


class _Batch:
    """The block of `UdpEndpoint.batch`. A class, because one is entered for each message, and generators cost more."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._flush()


def _answer_repeat(receiver: DatagramReceiver, path: Path, datagram: bytes, now: float) -> bytes | None:
    try:
        return receiver.answer_repeat(datagram, path, now)
    except Exception as error:  # noqa: BLE001 - as below
        receiver.fail(error)
        return None


def _deliver(receiver: DatagramReceiver, datagram: bytes, path: Path, now: float) -> None:
    try:
        receiver.receive(datagram, path, now)
    except Exception as error:  # noqa: BLE001 - the fence round each datagram: a fault ends its own participant only
        receiver.fail(error)
