"""What decides for one reader's channel: whether a message is sent, and who is slowed down, or goes without.

*Theory of operation.* What waits for a reader waits in its SCTP association, which every message enters at once. Up to
`HOLD_BYTES` and `HOLD_MESSAGES` of it nobody minds. Reliable messages beyond that are held against their senders: they
count against the receive window of whoever sent them, so that the senders come to run at the pace of the slowest
reader. That ends where a reader is too slow: below the threshold nobody waits for it any longer. Its pace is known by
then, in general, so that the others do not notice. It may be on its way to another network, or have just come back from
one: for a few seconds more is kept for it. If it is still too slow after that, it misses messages until most of what it
has is read. On a lossy channel nobody is slowed down, and what has waited too long makes room for what is newer.
"""

import logging
from collections import Counter, deque
from typing import Final, Protocol

from rtp.errors import SendQueueFullError
from sfu.data.pace import Pace
from sfu.data.packets import Drop

logger = logging.getLogger(__name__)

HOLD_BYTES: Final = 256 << 10
HOLD_MESSAGES: Final = 1024
"""What may wait for one reader at no cost to the senders."""

READ_BYTES: Final = 64 << 10
"""When no more than this waits, a reader has caught up; and above it, what it takes is all that it can."""

MESSAGE_OVERHEAD: Final = 1024
"""What a held message costs the sender's window beside its bytes: tiny messages, too, are slowed down in time.

A sender has a window of 1 MiB, and a reader's queue takes 4 MiB and 4,096 messages: three senders who do nothing but
send lose nothing, whatever the size of their messages. What more of them send can be dropped where the queue is full.
"""

PATIENCE_SECONDS: Final = 5.0
PATIENCE_BYTES: Final = 1 << 20
"""For how long, and how much, we go on to keep all for a reader who is too slow."""

MIN_LOSSY_BYTES: Final = 8 << 10
"""So much may wait on a lossy channel whatever the pace."""

PATH_SECONDS: Final = 0.5
"""What is under way for longer than this, until it is acknowledged, stands in some router's queue."""

UNMEASURED_LOSSY_BYTES: Final = 64 << 10
"""And so much as long as the pace is not known."""


class Connection(Protocol):
    """A peer connection, as far as data is concerned."""

    def send_message(self, channel_id: int, data: bytes, *, is_text: bool = False) -> None:
        """Send one message. Raises SendQueueFullError."""

    def buffered_bytes(self, channel_id: int) -> int:
        """Return how much of a channel has not been acknowledged."""

    def set_drain_threshold(self, channel_id: int, threshold: int) -> None:
        """Tell once no more than this is buffered."""

    def drop_unsent(self, channel_id: int, keep_bytes: int) -> int:
        """Drop a channel's oldest messages until no more than this waits; return how many went."""

    def hold(self, size: int) -> None:
        """Make the window smaller that the peer sends into."""

    def release(self, size: int) -> None:
        """Make it larger again."""

    def fail(self, error: Exception) -> None:
        """End whoever has this connection, soon."""


class Hold:
    """One message's weight on its sender's window: as long as it waits too long for anybody."""

    def __init__(self, sender: Connection | None, size: int) -> None:
        self._sender = sender
        self._weight = size + MESSAGE_OVERHEAD
        self._holders = 0

    def take(self) -> None:
        """Hold it for one more reader."""
        if self._holders == 0 and self._sender is not None:
            self._sender.hold(self._weight)
        self._holders += 1

    def release(self) -> None:
        """Hold it for one reader less."""
        self._holders -= 1
        if self._holders == 0 and self._sender is not None:
            self._sender.release(self._weight)


class ReliableWriter:
    """Sends all messages, in order; a reader slower than `slow_threshold` bytes a second misses some of them.

    `name` is the reader's, for the log; what it misses is counted in `drops`.
    """

    def __init__(
        self, connection: Connection, channel_id: int, slow_threshold: float, name: str, drops: Counter[Drop]
    ) -> None:
        self._connection = connection
        self._channel_id = channel_id
        self._slow_threshold = slow_threshold
        self._name = name
        self._drops = drops
        self._pace = Pace()
        self._written = 0
        self._count = 0
        self._waiting: deque[int] = deque()  # where, in bytes written, each message ends that waits
        self._held: deque[tuple[int, int, Hold]] = deque()  # the same and the message's number, of those held
        self._slow_since: float | None = None  # nobody waits for a reader that is too slow
        self._missed: int | None = None  # messages, since that has lasted for too long; None: it has not

    @property
    def is_holding(self) -> bool:
        """Whether somebody is slowed down for this reader."""
        return bool(self._held)

    def write(self, data: bytes, hold: Hold, now: float, *, is_text: bool = False) -> None:
        """Send a message, unless the reader is too slow for it."""
        backlog = self._look(now)
        if backlog <= READ_BYTES:
            self._caught_up()
        is_long = backlog + len(data) > HOLD_BYTES or len(self._waiting) >= HOLD_MESSAGES
        if is_long:
            self._judge(backlog, now)
        if self._missed is not None:
            self._missed += 1
            self._drops[Drop.SLOW_READER] += 1
            return
        try:
            self._connection.send_message(self._channel_id, data, is_text=is_text)
        except SendQueueFullError:
            self._drops[Drop.QUEUE_FULL] += 1
            return
        self._written += len(data)
        self._count += 1
        self._waiting.append(self._written)
        if is_long and self._slow_since is None:
            hold.take()
            self._held.append((self._written, self._count, hold))
            self._ask_for_news(backlog)

    def check(self, now: float) -> None:
        """Release what need not be held any longer, because it has been read or because the reader is too slow."""
        backlog = self._look(now)
        if self._held:
            self._judge(backlog, now)
            self._ask_for_news(backlog)

    def close(self) -> None:
        """Hold nothing any longer."""
        while self._held:
            self._held.popleft()[2].release()

    def _look(self, now: float) -> int:
        """Return how many bytes wait, having noted what has been read."""
        backlog = self._connection.buffered_bytes(self._channel_id)
        read = self._written - backlog
        while self._waiting and self._waiting[0] <= read:
            self._waiting.popleft()
        if backlog > READ_BYTES or len(self._waiting) > HOLD_MESSAGES:
            self._pace.note(read, now)
        elif backlog == 0:
            self._pace.forget()
        messages_read = self._count - len(self._waiting)
        while self._held:
            end, number, hold = self._held[0]
            if end - read > HOLD_BYTES or number - messages_read > HOLD_MESSAGES:
                break
            self._held.popleft()
            hold.release()
        return backlog

    def _judge(self, backlog: int, now: float) -> None:
        """Say whether a reader for whom much waits is too slow, and whether it has been for too long."""
        pace = self._pace.bytes_per_second(self._written - backlog, now)
        if self._missed is not None or pace is None:
            return
        if pace >= self._slow_threshold:
            self._slow_since = None
        elif self._slow_since is None:
            self._slow_since = now
            self.close()
        elif now - self._slow_since >= PATIENCE_SECONDS or backlog > PATIENCE_BYTES:
            logger.warning(
                "%s reads data too slowly and will miss messages: %d bytes a second, with %d waiting",
                *(self._name, pace, backlog),
            )
            self._missed = 0

    def _caught_up(self) -> None:
        self._slow_since = None
        if self._missed is not None:
            logger.info("%s reads data again, and has missed %d messages", self._name, self._missed)
            self._missed = None

    def _ask_for_news(self, backlog: int) -> None:
        """Be told as soon as a part of what waits has been read, whoever writes meanwhile."""
        self._connection.set_drain_threshold(self._channel_id, backlog * 7 // 8)


class LossyWriter:
    """Sends messages, and drops the oldest that wait where they would be late by more than `target_latency` seconds.

    A latency of 0 stands for any. What is dropped is counted in `drops`.
    """

    def __init__(self, connection: Connection, channel_id: int, target_latency: float, drops: Counter[Drop]) -> None:
        self._connection = connection
        self._channel_id = channel_id
        self._target_latency = target_latency
        self._drops = drops
        self._pace = Pace()
        self._written = 0  # without what was dropped

    def write(self, data: bytes, now: float, *, is_text: bool = False) -> None:
        """Send a message, after older ones or instead of them; none if the path itself has too much to carry."""
        backlog = self._connection.buffered_bytes(self._channel_id)
        if backlog:
            self._pace.note(self._written - backlog, now)
        else:
            self._pace.forget()
        if self._target_latency and not self._make_room(backlog, len(data), now):
            self._drops[Drop.LATE] += 1
            return
        try:
            self._connection.send_message(self._channel_id, data, is_text=is_text)
        except SendQueueFullError:
            self._drops[Drop.QUEUE_FULL] += 1
            return
        self._written += len(data)

    def _make_room(self, backlog: int, size: int, now: float) -> bool:
        """Drop what would be late already. False if too much is under way."""
        pace = self._pace.bytes_per_second(self._written - backlog, now)
        room = UNMEASURED_LOSSY_BYTES if pace is None else max(int(pace * self._target_latency), MIN_LOSSY_BYTES)
        if backlog + size > room:
            self._drops[Drop.LATE] += self._connection.drop_unsent(self._channel_id, max(room - size, 0))
            left = self._connection.buffered_bytes(self._channel_id)
            self._written -= backlog - left
            backlog = left
        return pace is None or backlog <= max(pace * (self._target_latency + PATH_SECONDS), MIN_LOSSY_BYTES)
