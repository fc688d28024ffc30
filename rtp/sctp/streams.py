"""Fragments into messages, messages into their streams' order (RFC 9260 §6.5, §6.6, §6.9).

Without I-DATA the fragments of a message have consecutive TSNs (§6.9), so a message is a *run* of TSNs from a
beginning to an ending, and needs no look at streams until it is whole. Nothing is kept for a stream before its first
ordered message.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from operator import attrgetter
from typing import Final

from rtp.sctp.chunks import Data
from rtp.sctp.drops import Drop
from rtp.serial import unwrap

OVERHEAD_BYTES: Final = 256
"""What we charge for keeping a chunk besides its data, about what Python's objects take: many tiny chunks are big."""


@dataclass(slots=True)
class Message:
    """A whole user message. `data` is None if it was too long to keep: its stream must still go past it."""

    stream: int
    protocol: int
    sequence: int
    unordered: bool
    data: bytes | None

    @property
    def cost(self) -> int:
        """What keeping it is charged with, in bytes."""
        return OVERHEAD_BYTES + len(self.data or b"")


@dataclass(slots=True)
class _Run:
    """Fragments of one message with consecutive TSNs, all that came so far. Too long: the parts are let go."""

    first: int
    last: int
    head: Data
    begins: bool
    ends: bool
    parts: deque[bytes] = field(default_factory=deque)
    size: int = 0
    cost: int = 0

    def continues_with(self, other: Data) -> bool:
        mine = self.head
        return (mine.stream, mine.unordered, mine.sequence) == (other.stream, other.unordered, other.sequence)


_first_tsn: Final = attrgetter("first")


class InboundStreams:
    """Turns DATA chunks, each given once and in any order, into messages in the order they may be delivered.

    TSNs are unwrapped. `held_bytes` is what is kept for incomplete and early messages, with overheads; bounding it is
    up to the caller, who knows which chunks the peer will send again.
    """

    def __init__(self, max_message_size: int, drops: Counter[Drop]) -> None:
        self.held_bytes = 0
        self._max_message_size = max_message_size
        self._drops = drops
        self._runs: list[_Run] = []  # by first TSN; they never overlap
        self._expected: dict[int, int] = {}  # stream → next sequence number, unwrapped; 0 if absent
        self._early: dict[int, list[tuple[int, int, Message]]] = {}  # stream → heap of (sequence, TSN, message)

    def add(self, tsn: int, chunk: Data) -> list[Message]:
        """Take one chunk; return the messages that it completes or sets free."""
        if chunk.beginning and chunk.ending:
            message = self._message(chunk, chunk.data if len(chunk.data) <= self._max_message_size else None)
        else:
            run = self._join(tsn, chunk)
            if not (run.begins and run.ends):
                return []
            del self._runs[bisect_left(self._runs, run.first, key=_first_tsn)]
            self.held_bytes -= run.cost
            message = self._message(run.head, b"".join(run.parts) if run.size <= self._max_message_size else None)
        return self._deliverable(tsn, message)

    def skip(self, cumulative: int, streams: Sequence[tuple[int, int]]) -> list[Message]:
        """Give up what the peer gave up (RFC 3758 §3.6); return the messages that this sets free."""
        passed = bisect_right(self._runs, cumulative, key=_first_tsn)
        self.held_bytes -= sum(run.cost for run in self._runs[:passed])
        del self._runs[:passed]
        freed: list[Message] = []
        for stream, sequence in streams:
            expected = self._expected.get(stream, 0)
            skipped = unwrap(sequence, expected, 16) + 1
            if skipped > expected:
                freed += self._advance(stream, skipped)
        return freed

    def discard_dead(self, cumulative: int) -> None:
        """Let go of fragments that can never be whole, now that all TSNs up to `cumulative` have come.

        Only a run that begins, and reaches `cumulative` without an ending, still has a future.
        """
        while self._runs and self._runs[0].last <= cumulative:
            run = self._runs[0]
            if run.last == cumulative and run.begins and not run.ends:
                break
            self._drops[Drop.MALFORMED] += 1
            self.held_bytes -= self._runs.pop(0).cost

    def reset(self, streams: Sequence[int]) -> None:
        """Start these streams' sequence numbers anew (RFC 6525 §5.2.2); with no streams, all of them."""
        for stream in streams or [*self._expected, *self._early]:
            self._expected.pop(stream, None)
            for _, _, message in self._early.pop(stream, ()):
                self.held_bytes -= message.cost

    def _join(self, tsn: int, chunk: Data) -> _Run:
        """Put a fragment to the runs before and after it, or make it one of its own; return that run."""
        index = bisect_left(self._runs, tsn, key=_first_tsn)
        run = self._runs[index - 1] if index else None
        if run and run.last == tsn - 1 and not run.ends and not chunk.beginning and run.continues_with(chunk):
            run.last, run.ends = tsn, chunk.ending
        else:
            run = _Run(tsn, tsn, chunk, chunk.beginning, chunk.ending)
            self._runs.insert(index, run)
            index += 1
        self._extend(run, (chunk.data,), len(chunk.data), OVERHEAD_BYTES + len(chunk.data))
        after = self._runs[index] if index < len(self._runs) else None
        if after and after.first == tsn + 1 and not run.ends and not after.begins and after.continues_with(chunk):
            return self._merge(run, after, index)
        return run

    def _merge(self, run: _Run, after: _Run, index: int) -> _Run:
        """Make one of two neighbours, of which `after` is at `index`."""
        if len(run.parts) == 1 and run.size + after.size <= self._max_message_size:  # keep a growing run in place
            after.parts.appendleft(run.parts[0])
            run.parts = after.parts
            run.size += after.size
            run.cost += after.cost
        else:
            self.held_bytes -= after.cost
            self._extend(run, after.parts, after.size, after.cost)
        run.last, run.ends = after.last, after.ends
        del self._runs[index]
        return run

    def _extend(self, run: _Run, parts: Sequence[bytes], size: int, cost: int) -> None:
        run.size += size
        if run.size > self._max_message_size:
            run.parts.clear()
            cost = OVERHEAD_BYTES - run.cost
        else:
            run.parts.extend(parts)
        run.cost += cost
        self.held_bytes += cost

    def _message(self, head: Data, data: bytes | None) -> Message:
        if data is None:
            self._drops[Drop.MESSAGE_TOO_LARGE] += 1
        return Message(head.stream, head.protocol, head.sequence, head.unordered, data)

    def _deliverable(self, tsn: int, message: Message) -> list[Message]:
        """Return `message` and those that waited for it, or keep it until its turn comes."""
        if message.unordered:
            return [message]
        stream = message.stream
        expected = self._expected.get(stream, 0)
        sequence = unwrap(message.sequence, expected, 16)
        if sequence < expected:
            self._drops[Drop.STALE_SEQUENCE] += 1
            return []
        if sequence > expected:
            heappush(self._early.setdefault(stream, []), (sequence, tsn, message))
            self.held_bytes += message.cost
            return []
        return [message, *self._advance(stream, expected + 1)]

    def _advance(self, stream: int, expected: int) -> list[Message]:
        """Move a stream's next sequence number to `expected`, and on past all that had come early."""
        freed: list[Message] = []
        early = self._early.get(stream)
        while early and early[0][0] <= expected:
            sequence, _, message = heappop(early)
            self.held_bytes -= message.cost
            freed.append(message)
            expected = max(expected, sequence + 1)
        if early is not None and not early:
            del self._early[stream]
        self._expected[stream] = expected
        return freed
