"""TCP connections that never leave the process.

Theory of operation. A connection is two pipes, one each way. What a pipe is given (a segment, the end of the stream,
the news that the other end was closed) is handed to the network as "carry this many bytes, then call me". The calls
come one for one but, after a partition, not in the order of the sending; so a pipe keeps what is under way in a queue,
and each call means "the oldest has arrived", which is what TCP's sequence numbers come to. What is under way or unread
never exceeds `WINDOW_BYTES`: a writer waits for the reader, and for a slow link. The window opens as soon as the
reader reads: no acknowledgement travels back.
"""

import errno
import operator
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import trio

from rtp.units import Address

WINDOW_BYTES: Final = 65_536
"""How much may be under way or unread in each direction before a writer waits."""

SEGMENT_BYTES: Final = 1_460
"""The most that travels, and arrives, in one piece: what fits an Ethernet frame."""

BACKLOG: Final = 128
"""How many connections may wait to be accepted: the next is refused."""

Carry: TypeAlias = Callable[[int, Callable[[], None]], None]
"""Carry so many bytes to the other host, then call this."""


class _Turn:
    """Held by the one task that may be doing this."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._taken = False

    def __enter__(self) -> None:
        if self._taken:
            raise trio.BusyResourceError(f"another task is {self._doing} on this stream")
        self._taken = True

    def __exit__(self, *_: object) -> None:
        self._taken = False


class _Pipe:
    """One direction of a connection."""

    def __init__(self, carry: Carry) -> None:
        self._carry = carry
        self._under_way = deque[Callable[[], None]]()
        self._unread = bytearray()
        self._occupied = 0  # bytes under way or unread
        self._writing = _Turn("sending")
        self._reading = _Turn("receiving")
        self._finished = False  # the writer will write no more
        self._ended = False  # and the reader's side has heard so
        self._abandoned = False  # the reader will read no more
        self._refused = False  # and the writer's side has heard so
        self._broken = False
        self._changed = trio.Event()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        with self._writing:
            self._check_writable()
            await trio.lowlevel.checkpoint()
            self._check_writable()
            rest = memoryview(data)
            while rest:
                size = min(SEGMENT_BYTES, WINDOW_BYTES - self._occupied, len(rest))
                if size:
                    self._occupied += size
                    self._put(size, partial(self._arrive, bytes(rest[:size])))
                    rest = rest[size:]
                else:
                    await self._changed.wait()
                    self._check_writable()

    async def wait_writable(self) -> None:
        with self._writing:
            self._check_writable()
            await trio.lowlevel.checkpoint()
            self._check_writable()
            while self._occupied == WINDOW_BYTES:
                await self._changed.wait()
                self._check_writable()

    async def end(self) -> None:
        with self._writing:
            self.finish()
            await trio.lowlevel.checkpoint()

    async def read(self, limit: int | None) -> bytes:
        if limit is not None and operator.index(limit) < 1:
            raise ValueError(f"max_bytes must be at least 1, not {limit}")
        with self._reading:
            self._check_readable()
            await trio.lowlevel.checkpoint()
            self._check_readable()
            while not self._unread and not self._ended:
                await self._changed.wait()
                self._check_readable()
        data = bytes(self._unread[:limit])
        del self._unread[:limit]
        self._occupied -= len(data)
        self._notify()
        return data

    def finish(self) -> None:
        """The writer's end of the stream: the reader hears of it after all that was written."""
        if not self._finished:
            self._finished = True
            if not self._broken:
                self._put(0, self._end)
            self._notify()

    def abandon(self) -> None:
        """The reader's goodbye: what is unread is forgotten, and so is what still comes."""
        self._abandoned = True
        self._occupied -= len(self._unread)
        self._unread.clear()
        self._notify()

    def tell_closed(self, other: "_Pipe") -> None:
        """Carry the news that `other` is read no more: its writer is at this pipe's reading end."""
        if not self._broken:
            self._put(0, other.refuse)

    def refuse(self) -> None:
        self._refused = True
        self._notify()

    def break_now(self) -> None:
        self._broken = True
        self._under_way.clear()
        self._unread.clear()
        self._notify()

    def _put(self, size: int, effect: Callable[[], None]) -> None:
        self._under_way.append(effect)
        self._carry(size, self._take_oldest)

    def _take_oldest(self) -> None:
        if self._under_way:  # a break has emptied it
            self._under_way.popleft()()

    def _arrive(self, segment: bytes) -> None:
        if self._abandoned:
            self._occupied -= len(segment)
        else:
            self._unread += segment
        self._notify()

    def _end(self) -> None:
        self._ended = True
        self._notify()

    def _check_writable(self) -> None:
        if self._finished:
            raise trio.ClosedResourceError("this end of the stream was closed")
        if self._broken or self._refused:
            raise trio.BrokenResourceError("the connection is gone")

    def _check_readable(self) -> None:
        if self._abandoned:
            raise trio.ClosedResourceError("this end of the stream was closed")
        if self._broken:
            raise trio.BrokenResourceError("the connection is gone")

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection in the in-memory network, for one sending and one receiving task at a time.

    `local` and `peer` are the addresses of this end and of the other. Sending, receiving, half-closing and closing
    keep trio's contracts; each waits for the link as a real connection would, and, in a partition, until it is healed.
    """

    def __init__(self, local: Address, peer: Address, outgoing: _Pipe, incoming: _Pipe) -> None:
        self.local = local
        self.peer = peer
        self._outgoing = outgoing
        self._incoming = incoming
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`; return once the last of it has left, not arrived. A checkpoint.

        Raises:
            trio.ClosedResourceError: if this end is closed, or becomes so.
            trio.BrokenResourceError: if the other end was closed, or the connection broke.
            trio.BusyResourceError: if another task is sending.
        """
        await self._outgoing.write(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Return when at least one byte could leave at once. A checkpoint; raises as `send_all` does."""
        await self._outgoing.wait_writable()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has arrived, or wait for it; nothing means that the other end has ended. A checkpoint.

        Raises:
            trio.ClosedResourceError: if this end is closed, or becomes so.
            trio.BrokenResourceError: if the connection broke.
            trio.BusyResourceError: if another task is receiving.
        """
        return await self._incoming.read(max_bytes)

    async def send_eof(self) -> None:
        """Tell the other end that no more comes, and go on receiving. A checkpoint.

        Raises:
            trio.ClosedResourceError: if this end is closed.
            trio.BusyResourceError: if another task is sending.
        """
        if self._closed:
            raise trio.ClosedResourceError("this end of the stream was closed")
        await self._outgoing.end()

    async def aclose(self) -> None:
        """Close this end. What was sent still arrives; then the other end hears of it. A checkpoint, after closing."""
        if not self._closed:
            self._closed = True
            self._outgoing.finish()
            self._outgoing.tell_closed(self._incoming)
            self._incoming.abandon()
        await trio.lowlevel.checkpoint()

    def break_now(self) -> None:
        """Tear the connection, as when a host crashes: at both ends, every call raises `trio.BrokenResourceError`.

        Nothing under way or unread is delivered, and whoever waits is woken. Never blocks.
        """
        self._outgoing.break_now()
        self._incoming.break_now()


class MemoryListener(trio.abc.Listener[MemoryStream]):
    """Accepts the connections that `Network.connect_tcp` makes to `address`."""

    def __init__(self, address: Address, forget: Callable[[], None]) -> None:
        self.address = address
        self._forget = forget
        self._closed = False
        self._offer, self._waiting = trio.open_memory_channel[MemoryStream](BACKLOG)

    def offer(self, stream: MemoryStream) -> bool:
        """Queue a connection to be accepted. Returns False if it is refused: too many wait, or this is closed."""
        try:
            self._offer.send_nowait(stream)
        except (trio.WouldBlock, trio.BrokenResourceError):
            return False
        return True

    async def accept(self) -> MemoryStream:
        """Return the next connection. A checkpoint.

        Raises:
            trio.ClosedResourceError: if the listener is closed, or becomes so.
        """
        return await self._waiting.receive()

    async def aclose(self) -> None:
        """Stop listening, and break the connections that nobody has accepted. A checkpoint, after closing."""
        if not self._closed:
            self._closed = True
            self._forget()
            while self._waiting.statistics().current_buffer_used:
                self._waiting.receive_nowait().break_now()
            self._waiting.close()
        await trio.lowlevel.checkpoint()


async def connect(
    local: Address, peer: Address, outward: Carry, homeward: Carry, find_listener: Callable[[], MemoryListener | None]
) -> MemoryStream:
    """Return the client's end of a new connection, one round trip later. A checkpoint.

    Raises:
        ConnectionRefusedError: if nobody listens at `peer`, or its backlog is full.
    """
    there, back = _Pipe(outward), _Pipe(homeward)
    client = MemoryStream(local, peer, there, back)
    answered = trio.Event()
    accepted = given_up = False

    def knock() -> None:
        nonlocal accepted
        listener = find_listener()
        if not given_up:
            accepted = listener is not None and listener.offer(MemoryStream(peer, local, back, there))
            homeward(0, answered.set)

    outward(0, knock)
    try:
        await answered.wait()
    finally:
        if not answered.is_set():
            given_up = True
            client.break_now()  # the listener may have the other end already
    if not accepted:
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody accepts connections at {peer}")
    return client
