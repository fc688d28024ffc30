"""The receiving half of an association: which TSNs have come, and when to say so (RFC 9260 §6.2)."""

from bisect import bisect_right
from collections import Counter
from operator import itemgetter
from typing import Final

from rtp.errors import RemoteProtocolError
from rtp.sctp.chunks import Data, ForwardTsn, Sack
from rtp.sctp.drops import Drop
from rtp.sctp.streams import InboundStreams, Message
from rtp.serial import unwrap

RECEIVE_WINDOW_BYTES: Final = 1 << 20
WINDOW_UPDATE_BYTES: Final = RECEIVE_WINDOW_BYTES // 4
"""What the window must have opened by for a SACK of its own: less would make the peer send in driblets."""
SACK_DELAY_SECONDS: Final = 0.1
"""Below RFC 9260's 200 ms and far below 400 ms, the least that browsers wait before they send again."""

MAX_GAPS: Final = 256
"""Holes that we keep account of; a chunk that would make one more is as good as lost. All fit into one SACK."""
MAX_DUPLICATES: Final = 16
MAX_TSN_AHEAD: Final = 0xFFFF
"""What a gap block can say (RFC 9260 §3.3.4)."""
_OVERDRAFT_BYTES: Final = 1 << 17
"""The next TSN in order is taken even when the window is full, since it alone can empty it; up to this much: the longest
message that we announce, with what its fragments cost, may have been lost before all that fills the window."""

_first: Final = itemgetter(0)


class Inbound:
    """TSN book-keeping, SACKs and the bound on memory for what the peer sends.

    `next_sack_at` is when a delayed SACK is due; None: nothing to acknowledge, or due already (`is_sack_due`).
    """

    def __init__(self, initial_tsn: int, max_message_size: int, drops: Counter[Drop]) -> None:
        self.cumulative = initial_tsn - 1  # unwrapped, as all TSNs here
        self.next_sack_at: float | None = None
        self.is_sack_due = False
        self._streams = InboundStreams(max_message_size, drops)
        self._drops = drops
        self._gaps: list[list[int]] = []  # [first, last] TSN of blocks above `cumulative`, ascending and apart
        self._duplicates: list[int] = []
        self._has_data = False  # in the packet being read
        self._packets = 0  # with DATA, since the last SACK
        self._held_bytes = 0  # by the application
        self._advertised_bytes = RECEIVE_WINDOW_BYTES

    @property
    def has_unacknowledged(self) -> bool:
        """Whether a SACK would tell the peer news."""
        return self.is_sack_due or self.next_sack_at is not None

    @property
    def window_bytes(self) -> int:
        """a_rwnd: how much more we would take."""
        return max(0, RECEIVE_WINDOW_BYTES - self._streams.held_bytes - self._held_bytes)

    def hold(self, size: int) -> None:
        """Count `size` bytes of delivered messages against the window: they are still in our memory."""
        self._held_bytes += size

    def release(self, size: int) -> None:
        """Count them no more. A SACK is due if the window has opened notably since the peer last heard of it."""
        assert 0 <= size <= self._held_bytes, "only what is held can be released"
        self._held_bytes -= size
        opened = self.window_bytes - self._advertised_bytes
        is_last_chance = not self._held_bytes and self._advertised_bytes < WINDOW_UPDATE_BYTES
        if opened >= WINDOW_UPDATE_BYTES or (is_last_chance and opened > 0):
            self.is_sack_due = True

    def receive_data(self, chunk: Data) -> list[Message]:
        """Take one DATA chunk; return the messages that may now be delivered.

        Raises:
            RemoteProtocolError: if the peer filled all memory with what can never be delivered.
        """
        self._has_data = True
        tsn = unwrap(chunk.tsn, self.cumulative, 32)
        had_gaps = bool(self._gaps)
        if not self._has_room(tsn, len(chunk.data)):
            self._drops[Drop.WINDOW_FULL] += 1
            self.is_sack_due = True
            return []
        if not self._note(tsn):
            self.is_sack_due = True
            return []
        self.is_sack_due |= chunk.immediate or had_gaps or bool(self._gaps)
        messages = self._streams.add(tsn, chunk)
        self._streams.discard_dead(self.cumulative)
        return messages

    def receive_forward_tsn(self, chunk: ForwardTsn) -> list[Message]:
        """Stop waiting for what the peer gave up; return the messages that this sets free."""
        cumulative = unwrap(chunk.cumulative_tsn, self.cumulative, 32)
        self.is_sack_due = True
        if not self.cumulative < cumulative <= self.cumulative + MAX_TSN_AHEAD:
            return []
        self.cumulative = cumulative
        while self._gaps and self._gaps[0][0] <= self.cumulative + 1:
            self.cumulative = max(self.cumulative, self._gaps.pop(0)[1])
        messages = self._streams.skip(cumulative, chunk.streams)
        self._streams.discard_dead(self.cumulative)
        return messages

    def packet_done(self, now: float) -> None:
        """Count one packet, if it held DATA, and set the time of the SACK for it."""
        if not self._has_data:
            return
        self._has_data = False
        self._packets += 1
        if self._packets >= 2:
            self.is_sack_due = True
        elif self.next_sack_at is None:
            self.next_sack_at = now + SACK_DELAY_SECONDS

    def make_sack(self) -> Sack:
        """Return the SACK for all that came, and owe none."""
        self._advertised_bytes = self.window_bytes
        sack = Sack(
            self.cumulative & 0xFFFF_FFFF,
            self._advertised_bytes,
            [(first - self.cumulative, last - self.cumulative) for first, last in self._gaps],
            self._duplicates,
        )
        self._duplicates = []
        self._packets = 0
        self.is_sack_due = False
        self.next_sack_at = None
        return sack

    def reset_streams(self, streams: list[int]) -> None:
        """Start these streams anew, as the peer has; with none named, all."""
        self._streams.reset(streams)

    def _has_room(self, tsn: int, size: int) -> bool:
        kept = self._streams.held_bytes + size
        held = kept + self._held_bytes
        if tsn != self.cumulative + 1:
            return held <= RECEIVE_WINDOW_BYTES and tsn <= self.cumulative + MAX_TSN_AHEAD
        if kept > RECEIVE_WINDOW_BYTES + _OVERDRAFT_BYTES:
            # All in order, and still nothing can be delivered: sequence numbers with holes that nothing will fill.
            raise RemoteProtocolError("receive window full of messages that cannot be delivered")
        return held <= RECEIVE_WINDOW_BYTES + _OVERDRAFT_BYTES

    def _note(self, tsn: int) -> bool:
        """Remember that `tsn` came. False: it had come before, or opens more gaps than we keep account of."""
        index = bisect_right(self._gaps, tsn, key=_first)
        before = self._gaps[index - 1] if index else None
        if tsn <= self.cumulative or (before and tsn <= before[1]):
            if len(self._duplicates) < MAX_DUPLICATES:
                self._duplicates.append(tsn & 0xFFFF_FFFF)
            return False
        if tsn == self.cumulative + 1:
            self.cumulative = tsn
            if self._gaps and self._gaps[0][0] == tsn + 1:
                self.cumulative = self._gaps.pop(0)[1]
            return True
        after = self._gaps[index] if index < len(self._gaps) else None
        if before and before[1] == tsn - 1:
            before[1] = tsn
            if after and after[0] == tsn + 1:
                before[1] = after[1]
                del self._gaps[index]
        elif after and after[0] == tsn + 1:
            after[0] = tsn
        elif len(self._gaps) < MAX_GAPS:
            self._gaps.insert(index, [tsn, tsn])
        else:
            self._drops[Drop.WINDOW_FULL] += 1
            return False
        return True
