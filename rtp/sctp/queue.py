"""What waits to be sent: a queue for each stream, and turns between them (RFC 8260 §3.2, round robin).

Without I-DATA a message's fragments go out without another's between them (RFC 9260 §6.9), so a turn is one message.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from rtp.sctp.drops import Drop

MAX_QUEUE_BYTES: Final = 4 << 20
MAX_QUEUE_MESSAGES: Final = 4096


@dataclass(slots=True)
class OutgoingMessage:
    """A user message on its way out.

    `max_retransmits`: how often a fragment may be sent again; `expires_at`: after that it is not; None: for ever.
    """

    stream: int
    protocol: int
    data: bytes
    ordered: bool
    max_retransmits: int | None = None
    expires_at: float | None = None
    sequence: int = 0
    offset: int = 0
    first_tsn: int = 0
    is_abandoned: bool = False

    @property
    def has_limits(self) -> bool:
        """Whether it may be given up at all."""
        return self.max_retransmits is not None or self.expires_at is not None


@dataclass(slots=True)
class _Waiting:
    """One stream's messages that have not begun to be sent. None stands where the stream is to be reset."""

    items: deque[OutgoingMessage | None] = field(default_factory=deque)
    bytes: int = 0


class SendQueue:
    """Messages, and resets of streams, in the order in which they are to be sent.

    `resets_due` holds the streams that have come up to their reset: they stand still until `resume`.
    """

    def __init__(self, drops: Counter[Drop]) -> None:
        self.bytes = 0
        """Of user data that has no TSN yet."""
        self.expired_messages = 0
        self.resets_due: list[int] = []
        self._drops = drops
        self._count = 0
        self._waiting: dict[int, _Waiting] = {}
        self._turns: deque[int] = deque()  # the streams that may send, the next one first
        self._resetting: set[int] = set()
        self._begun: OutgoingMessage | None = None  # has a TSN, and more to send

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, and nothing has begun to be sent."""
        return not self._count and self._begun is None

    @property
    def is_idle(self) -> bool:
        """Whether it is empty, and no stream stands still for its reset."""
        return self.is_empty and not self._resetting

    def add(self, message: OutgoingMessage) -> bool:
        """Put `message` last in its stream. False: the queue is full, which is counted."""
        size = len(message.data)
        if self.bytes + size > MAX_QUEUE_BYTES or self._count >= MAX_QUEUE_MESSAGES:
            self._drops[Drop.SEND_BUFFER_FULL] += 1
            return False
        self.bytes += size
        self._append(message.stream, message).bytes += size
        return True

    def add_reset(self, stream: int) -> bool:
        """Reset `stream` once all that it has here has left. False: the queue is full, which is counted."""
        if self._count >= MAX_QUEUE_MESSAGES:
            self._drops[Drop.SEND_BUFFER_FULL] += 1
            return False
        self._append(stream, None)
        return True

    def resume(self, stream: int) -> None:
        """Go on with a stream that stood still for its reset."""
        if stream in self._resetting:
            self._resetting.discard(stream)
            if stream in self._waiting:
                self._turns.append(stream)

    def bytes_of(self, stream: int) -> int:
        """Return how much of one stream's data has no TSN yet."""
        waiting, begun = self._waiting.get(stream), self._begun
        size = waiting.bytes if waiting else 0
        if begun is not None and begun.stream == stream and not begun.is_abandoned:
            size += len(begun.data) - begun.offset
        return size

    def drop(self, stream: int, keep_bytes: int) -> int:
        """Drop the oldest messages of `stream` that have limits, until `keep_bytes` wait; return how many went.

        What has begun to be sent stays, and so does what must arrive.
        """
        waiting = self._waiting.get(stream)
        if waiting is None or waiting.bytes <= keep_bytes:
            return 0
        before = len(waiting.items)
        kept: deque[OutgoingMessage | None] = deque()
        for item in waiting.items:
            if item is None or not item.has_limits or waiting.bytes <= keep_bytes:
                kept.append(item)
            else:
                waiting.bytes -= len(item.data)
                self.bytes -= len(item.data)
        waiting.items = kept
        self._count -= before - len(kept)
        if not kept:
            del self._waiting[stream]
            if stream not in self._resetting:
                self._turns.remove(stream)
        return before - len(kept)

    def next(self, now: float, *, may_expire: bool) -> OutgoingMessage | None:
        """Return the message to take the next fragment of, past what is given up or, if `may_expire`, too late."""
        if self._begun is not None:
            if not self._begun.is_abandoned:
                return self._begun
            self.bytes -= len(self._begun.data) - self._begun.offset
            self._begun = None
        while self._turns:
            message = self._waiting[self._turns[0]].items[0]
            if message is not None:
                if not may_expire or message.expires_at is None or now < message.expires_at:
                    return message
                self.bytes -= len(message.data)
                self.expired_messages += 1
            self._pop()
        return None

    def take(self, message: OutgoingMessage, size: int) -> bytes:
        """Return the next `size` bytes of `message`, which `next` has just returned."""
        start = message.offset
        if start == 0:
            self._pop()
        message.offset = end = start + size
        self.bytes -= size
        self._begun = message if end < len(message.data) else None
        return message.data[start:end]

    def _append(self, stream: int, item: OutgoingMessage | None) -> _Waiting:
        waiting = self._waiting.get(stream)
        if waiting is None:
            waiting = self._waiting[stream] = _Waiting()
            if stream not in self._resetting:
                self._turns.append(stream)
        waiting.items.append(item)
        self._count += 1
        return waiting

    def _pop(self) -> None:
        """Take the first item of the stream whose turn it is, and let the next stream have its turn."""
        stream = self._turns.popleft()
        waiting = self._waiting[stream]
        item = waiting.items.popleft()
        self._count -= 1
        if not waiting.items:
            del self._waiting[stream]
        if item is None:
            self._resetting.add(stream)
            self.resets_due.append(stream)
        else:
            waiting.bytes -= len(item.data)
            if waiting.items:
                self._turns.append(stream)
