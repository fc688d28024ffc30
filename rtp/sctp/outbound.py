"""The sending half of an association: fragments, acknowledgements, retransmission, giving up.

RFC 9260 §6.1, §6.3, §7.2; partial reliability by RFC 3758 §3.5 with the limits of RFC 7496 §3.
"""

from collections import Counter
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from rtp.sctp.chunks import DATA_HEADER_SIZE, Data, ForwardTsn, Sack
from rtp.sctp.congestion import CongestionWindow, RetransmissionTimeout
from rtp.sctp.cookie import PeerState
from rtp.sctp.drops import Drop
from rtp.sctp.packet import MAX_CHUNK_BYTES, MTU
from rtp.sctp.queue import OutgoingMessage, SendQueue
from rtp.serial import unwrap

MAX_FRAGMENT_BYTES: Final = MAX_CHUNK_BYTES - DATA_HEADER_SIZE
MAX_OUTSTANDING: Final = 1024
"""Chunks under way. It bounds the work that one SACK can ask for; full-sized ones fill the largest window anyway."""
MAX_BURST_BYTES: Final = 4 * MTU
"""Max.Burst (RFC 9260 §16): so much at once, then the SACKs that come back set the pace."""
MISSES_TO_RETRANSMIT: Final = 3
MAX_FORWARD_STREAMS: Final = 256
"""Streams named in one FORWARD-TSN: they fit into a packet of ours."""


@dataclass(slots=True)
class _Sent:
    """A chunk that has a TSN and is not yet below the cumulative one."""

    chunk: Data
    message: OutgoingMessage
    sent_at: float
    transmissions: int = 1
    misses: int = 0
    is_acked: bool = False
    is_lost: bool = False
    """Not counted as under way: waits to be sent again, or is given up."""


class Outbound:
    """What we send as DATA, until the peer has it or we give it up. TSNs are unwrapped.

    `next_timeout_at` is T3-rtx; None: nothing is outstanding. The resets that come due in `queue` are to be asked of
    the peer with `last_tsn`, and their streams to be resumed when it has answered.
    """

    def __init__(self, initial_tsn: int, rto: RetransmissionTimeout, drops: Counter[Drop]) -> None:
        self.next_timeout_at: float | None = None
        self.window = CongestionWindow()
        self.queue = SendQueue(drops)
        self.flight_bytes = 0
        self.retransmissions = 0
        self.expiries = 0
        """How often T3-rtx has run out since the peer last acknowledged anything."""
        self._rto = rto
        self._drops = drops
        self._abandoned_messages = 0
        self._unacknowledged: dict[int, int] = {}  # stream → bytes sent that neither came nor were given up
        self._thresholds: dict[int, int] = {}
        self._above: set[int] = set()  # streams that have more under way than their threshold
        self._sequences: dict[int, int] = {}
        self._next_tsn = initial_tsn
        self._acked = initial_tsn - 1  # all up to here is done with
        self._given_up = initial_tsn - 1  # Advanced.Peer.Ack.Point (RFC 3758 §3.5)
        self._sent: dict[int, _Sent] = {}  # every TSN above _acked, ascending
        self._resend: list[int] = []  # heap of TSNs; those no longer in need are passed over
        self._is_forward_due = False
        self._is_fast_retransmit_due = False
        self._recovery_end: int | None = None
        self._measured_from: float | None = None  # when the newest chunk that a SACK tells of was sent: one sample each
        self._peer_window = 0
        self._can_give_up = False

    @property
    def last_tsn(self) -> int:
        """The last TSN that we assigned."""
        return self._next_tsn - 1

    @property
    def outstanding(self) -> int:
        """Chunks sent and not yet acknowledged by the cumulative TSN."""
        return len(self._sent)

    def start(self, peer: PeerState) -> None:
        """Take the peer's window and abilities; before this nothing is sent."""
        self._peer_window = peer.a_rwnd
        self._can_give_up = peer.takes_forward_tsn

    @property
    def abandoned_messages(self) -> int:
        """Messages given up, whether some of them had been sent or nothing."""
        return self._abandoned_messages + self.queue.expired_messages

    def resume(self, streams: list[int], *, is_reset: bool) -> None:
        """Go on with these streams, whose reset the peer has answered: if it did reset them, from zero again."""
        for stream in streams:
            if is_reset:
                self._sequences.pop(stream, None)
            self.queue.resume(stream)

    def buffered_bytes(self, stream: int) -> int:
        """Return how much of one stream's data the peer has not acknowledged, sent or not."""
        return self.queue.bytes_of(stream) + self._unacknowledged.get(stream, 0)

    def set_drain_threshold(self, stream: int, threshold: int | None) -> None:
        """Let `drained` tell of `stream` when its buffered bytes fall to `threshold`; None: no more."""
        self._above.discard(stream)
        if threshold is None:
            self._thresholds.pop(stream, None)
            return
        self._thresholds[stream] = threshold
        if self.buffered_bytes(stream) > threshold:
            self._above.add(stream)

    def drained(self) -> list[int]:
        """Return the streams that have fallen to their thresholds, or below, since the last call."""
        drained = []
        for stream, threshold in self._thresholds.items():
            if self.buffered_bytes(stream) > threshold:
                self._above.add(stream)
            elif stream in self._above:
                self._above.discard(stream)
                drained.append(stream)
        return drained

    def send_at_once(self, message: OutgoingMessage, now: float) -> Data | None:
        """Return the one chunk of a message that may leave now, past the queue; None: it has to wait its turn there.

        That is what nearly all messages do that are sent at a pace, at half of what they cost on the long way. Streams
        with thresholds take that: `drained` is to see what they have under way each time that it changes.
        """
        may_pass = self.queue.is_idle and not (self._resend or self._is_forward_due or self._thresholds)
        if not may_pass or len(message.data) > MAX_FRAGMENT_BYTES or not self._may_send_new(message):
            return None
        message.offset = len(message.data)
        chunk = self._new_chunk(message, message.data, now)
        if self.next_timeout_at is None:
            self.next_timeout_at = now + self._rto.seconds
        return chunk

    def transmit(self, now: float) -> list[Data]:
        """Return the chunks that may leave now: first what is sent again, then what is new."""
        if not self._resend and self.queue.is_empty:
            self._is_fast_retransmit_due = False
            return []
        chunks: list[Data] = []
        budget = MAX_BURST_BYTES
        while budget > 0 and (sent := self._next_lost(now)):
            if self.flight_bytes >= self.window.bytes and not self._is_fast_retransmit_due:
                break
            self._is_fast_retransmit_due = False  # it is for one packet only
            tsn = heappop(self._resend)
            sent.is_lost = False
            sent.transmissions += 1
            self.retransmissions += 1
            self.flight_bytes += len(sent.chunk.data)
            budget -= len(sent.chunk.data) + DATA_HEADER_SIZE
            chunks.append(sent.chunk)
            if tsn == self._acked + 1:
                self.next_timeout_at = None  # T3 begins anew with the first that is outstanding (§7.2.4, 4)
        self._is_fast_retransmit_due = False
        while (
            budget > 0
            and (message := self.queue.next(now, may_expire=self._can_give_up))
            and self._may_send_new(message)
        ):
            data = self.queue.take(message, min(len(message.data) - message.offset, MAX_FRAGMENT_BYTES))
            chunk = self._new_chunk(message, data, now)
            budget -= len(chunk.data) + DATA_HEADER_SIZE
            chunks.append(chunk)
        if self._sent and self.next_timeout_at is None:
            self.next_timeout_at = now + self._rto.seconds
        return chunks

    def take_forward_tsn(self) -> ForwardTsn | None:
        """Return the FORWARD-TSN that is due, once (RFC 3758 §3.5 C3)."""
        if not self._is_forward_due:
            return None
        self._is_forward_due = False  # if there is none, there can be one only after a SACK, an expiry or a loss
        self._give_up_more()
        if self._given_up <= self._acked:
            return None
        streams: dict[int, int] = {}
        for tsn in range(self._acked + 1, self._given_up + 1):
            chunk = self._sent[tsn].chunk
            if not chunk.unordered:
                streams[chunk.stream] = chunk.sequence
        return ForwardTsn(self._given_up & 0xFFFF_FFFF, list(streams.items()))

    def receive_sack(self, sack: Sack, now: float) -> None:
        """Take in what the peer says has come (RFC 9260 §6.2.1, §7.2.4)."""
        cumulative = unwrap(sack.cumulative_tsn, self._acked, 32)
        if not self._acked <= cumulative < self._next_tsn:
            self._drops[Drop.BAD_ACKNOWLEDGEMENT] += 1
            return
        self.expiries = 0
        was_full = self.flight_bytes + MTU > self.window.bytes
        has_advanced = cumulative > self._acked
        acked_bytes = 0
        for tsn in range(self._acked + 1, cumulative + 1):
            acked_bytes += self._acknowledge(self._sent.pop(tsn))
        self._acked = cumulative
        gap_bytes, highest_new, highest = self._acknowledge_gaps(sack) if sack.gaps else (0, cumulative, cumulative)
        self._peer_window = sack.a_rwnd
        if self._measured_from is not None:
            self._rto.measure(now - self._measured_from)
            self._measured_from = None
        if self._recovery_end is not None and cumulative >= self._recovery_end:
            self._recovery_end = None
        if has_advanced and self._recovery_end is None:
            self.window.grow(acked_bytes + gap_bytes, was_full=was_full)
        self._count_misses(highest if has_advanced and self._recovery_end is not None else highest_new, now)
        self._take_back_reneged()
        if has_advanced:
            self.next_timeout_at = now + self._rto.seconds if self._sent else None
        self._is_forward_due = True  # if still needed: the peer's answer shows that it has not come so far

    def handle_timeout(self, now: float) -> None:
        """T3-rtx has run out: all that is under way is taken for lost (RFC 9260 §6.3.3)."""
        self.expiries += 1
        self._rto.back_off()
        self.window.collapse()
        self._lose_all(now)

    def path_changed(self, now: float) -> None:
        """Begin anew if the old path had let us down: else we would go on to wait for longer and longer."""
        if self.expiries:
            self.expiries = 0
            self._rto.restart()
            self.window = CongestionWindow()
            self._lose_all(now)

    def _lose_all(self, now: float) -> None:
        """Take all that is under way for lost, and begin T3-rtx anew."""
        self._recovery_end = None
        for tsn, sent in self._sent.items():
            if not sent.is_acked and not sent.is_lost:
                self._lose(tsn, sent, now)
        self._is_forward_due = True
        self.next_timeout_at = now + self._rto.seconds if self._sent else None

    def _may_send_new(self, message: OutgoingMessage) -> bool:
        if self.flight_bytes >= self.window.bytes or len(self._sent) >= MAX_OUTSTANDING:
            return False
        size = min(len(message.data) - message.offset, MAX_FRAGMENT_BYTES)
        return self.flight_bytes + size <= self._peer_window or self.flight_bytes == 0  # one chunk probes a window of 0

    def _new_chunk(self, message: OutgoingMessage, data: bytes, now: float) -> Data:
        """Give a TSN to `data`, which has just been cut off `message`."""
        is_first = message.offset == len(data)
        if is_first:
            message.first_tsn = self._next_tsn
            if message.ordered:
                message.sequence = self._sequences.get(message.stream, 0)
                self._sequences[message.stream] = (message.sequence + 1) & 0xFFFF
        chunk = Data(
            self._next_tsn & 0xFFFF_FFFF,
            message.stream,
            message.sequence,
            message.protocol,
            data,
            unordered=not message.ordered,
            beginning=is_first,
            ending=message.offset == len(message.data),
        )
        self._sent[self._next_tsn] = _Sent(chunk, message, now)
        self._next_tsn += 1
        self.flight_bytes += len(data)
        self._unacknowledged[message.stream] = self._unacknowledged.get(message.stream, 0) + len(data)
        return chunk

    def _acknowledge(self, sent: _Sent) -> int:
        """Note that `sent` has come; return its size if that is news."""
        if sent.is_acked:
            return 0
        sent.is_acked = True
        size = len(sent.chunk.data)
        if not sent.message.is_abandoned:
            self._forget(sent.chunk)
        if not sent.is_lost:
            self.flight_bytes -= size
            if sent.transmissions == 1:
                self._measured_from = sent.sent_at
        sent.is_lost = False
        return size

    def _acknowledge_gaps(self, sack: Sack) -> tuple[int, int, int]:
        """Return the bytes newly acknowledged, the highest TSN newly, and the highest at all."""
        size = 0
        highest_new = highest = self._acked
        for first, last in sack.gaps:
            # Ascending, whatever the peer says, so that no TSN is seen twice; and never the very next one.
            start = max(self._acked + max(first, 2), highest + 1)
            end = min(self._acked + last, self._next_tsn - 1)
            for tsn in range(start, end + 1):
                news = self._acknowledge(self._sent[tsn])
                if news:
                    size += news
                    highest_new = tsn
            highest = max(highest, end)
        return size, highest_new, highest

    def _count_misses(self, below: int, now: float) -> None:
        """Strike what should have come before `below` did; the third strike sends it again (§7.2.4)."""
        for tsn in range(self._acked + 1, below):
            sent = self._sent[tsn]
            if sent.is_acked or sent.is_lost:
                continue
            sent.misses += 1
            if sent.misses == MISSES_TO_RETRANSMIT:
                self._lose(tsn, sent, now)
                if self._recovery_end is None:
                    self._recovery_end = self._next_tsn - 1
                    self._is_fast_retransmit_due = True
                    self.window.shrink()

    def _take_back_reneged(self) -> None:
        """A peer that lacks the very next TSN may have said otherwise before: it may take that back (§6.2.1 C iv)."""
        sent = self._sent.get(self._acked + 1)
        if sent is not None and sent.is_acked:
            sent.is_acked = False
            sent.is_lost = True
            if not sent.message.is_abandoned:
                stream = sent.chunk.stream
                self._unacknowledged[stream] = self._unacknowledged.get(stream, 0) + len(sent.chunk.data)
            heappush(self._resend, self._acked + 1)

    def _lose(self, tsn: int, sent: _Sent, now: float) -> None:
        """Take a chunk out of flight, to send it again or, past its message's limits, to give the message up."""
        sent.is_lost = True
        self.flight_bytes -= len(sent.chunk.data)
        if sent.message.is_abandoned:
            return
        if self._is_past_limits(sent, now):
            self._abandon(sent.message)
        else:
            heappush(self._resend, tsn)

    def _is_past_limits(self, sent: _Sent, now: float) -> bool:
        message = sent.message
        return self._can_give_up and (
            (message.max_retransmits is not None and sent.transmissions > message.max_retransmits)
            or (message.expires_at is not None and now >= message.expires_at)
        )

    def _abandon(self, message: OutgoingMessage) -> None:
        """Give up all fragments of `message` (RFC 3758 §3.5 A3); those without a TSN leave the queue by themselves."""
        message.is_abandoned = True
        self._abandoned_messages += 1
        tsn = max(message.first_tsn, self._acked + 1)
        while (sent := self._sent.get(tsn)) and sent.message is message:
            if not sent.is_acked:
                self._forget(sent.chunk)
            if not sent.is_acked and not sent.is_lost:
                sent.is_lost = True
                self.flight_bytes -= len(sent.chunk.data)
            tsn += 1
        self._is_forward_due = True

    def _forget(self, chunk: Data) -> None:
        """Count a chunk no more for its stream: it has come, or has been given up."""
        left = self._unacknowledged[chunk.stream] - len(chunk.data)
        if left:
            self._unacknowledged[chunk.stream] = left
        else:
            del self._unacknowledged[chunk.stream]

    def _next_lost(self, now: float) -> _Sent | None:
        """Return the lowest chunk that is to be sent again; it stays on the heap."""
        while self._resend:
            sent = self._sent.get(self._resend[0])
            if sent and sent.is_lost and not sent.message.is_abandoned:
                if not self._is_past_limits(sent, now):
                    return sent
                self._abandon(sent.message)
            heappop(self._resend)
        return None

    def _give_up_more(self) -> None:
        """Move the point up to which all is given up (RFC 3758 §3.5 C1, C2)."""
        self._given_up = max(self._given_up, self._acked)
        limit = self._acked + MAX_FORWARD_STREAMS
        while self._given_up < limit and (sent := self._sent.get(self._given_up + 1)) and sent.message.is_abandoned:
            self._given_up += 1
