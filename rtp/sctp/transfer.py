"""What goes on while an association is up: DATA, SACKs, FORWARD-TSNs and stream resets, both ways."""

from collections import Counter
from typing import TypeAlias, assert_never

from rtp.sctp.chunks import Data, ForwardTsn, Reconfig, Sack
from rtp.sctp.congestion import RetransmissionTimeout
from rtp.sctp.cookie import PeerState
from rtp.sctp.drops import Drop
from rtp.sctp.inbound import Inbound
from rtp.sctp.outbound import Outbound
from rtp.sctp.outputs import MessageReceived, SctpOutput, StreamReset
from rtp.sctp.parameters import OutgoingResetRequest, Parameter, ReconfigResponse, ResetResult
from rtp.sctp.queue import OutgoingMessage
from rtp.sctp.reconfig import StreamResets
from rtp.sctp.streams import Message
from rtp.timers import earliest, is_due

TransferChunk: TypeAlias = Data | Sack | ForwardTsn | Reconfig


class Transfer:
    """Joins the halves of an association, and the resets of its streams. Control chunks wait for the next `flush`."""

    def __init__(
        self,
        peer: PeerState,
        inbound: Inbound,
        outbound: Outbound,
        rto: RetransmissionTimeout,
        drops: Counter[Drop],
    ) -> None:
        """Begin the transfer with `peer`: `outbound` may send from now on."""
        self.inbound = inbound
        self._peer = peer
        self._outbound = outbound
        self._rto = rto
        self._drops = drops
        self._resets = StreamResets(outbound.last_tsn + 1, peer.initial_tsn)
        self._answers: list[bytes] = []
        self._has_sack = False  # in the packet being read
        outbound.start(peer)

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is wanted; None: not until something else has happened."""
        return earliest(self.inbound.next_sack_at, self._outbound.next_timeout_at, self._resets.next_retry_at)

    def handle_timeout(self, now: float) -> None:
        """Do what is due: a delayed SACK, or sending again. Harmless if early."""
        if is_due(self.inbound.next_sack_at, now):
            self.inbound.is_sack_due = True
        if is_due(self._resets.next_retry_at, now):
            self._answers += [chunk.serialize() for chunk in self._resets.retry(now + self._rto.seconds)]
        if is_due(self._outbound.next_timeout_at, now):
            self._outbound.handle_timeout(now)

    def receive(self, chunk: TransferChunk, now: float) -> list[SctpOutput]:
        """Take one chunk.

        Raises:
            RemoteProtocolError: if the peer filled all memory with what can never be delivered.
        """
        match chunk:
            case Data():
                return _delivered(self.inbound.receive_data(chunk))
            case Sack():
                # Each can ask for a look at all that is under way, and nobody sends two (RFC 9260 §6.2).
                if self._has_sack:
                    self._drops[Drop.BAD_ACKNOWLEDGEMENT] += 1
                else:
                    self._has_sack = True
                    self._outbound.receive_sack(chunk, now)
                return []
            case ForwardTsn():
                return _delivered(self.inbound.receive_forward_tsn(chunk))
            case Reconfig():
                return [event for parameter in chunk.parameters for event in self._receive_reconfig(parameter)]
            case _:
                assert_never(chunk)

    def packet_done(self, now: float) -> None:
        """Note the end of a packet: its chunks have been taken."""
        self._has_sack = False
        self.inbound.packet_done(now)

    def send_at_once(self, message: OutgoingMessage, now: float) -> bytes | None:
        """Return the chunk of a message that may leave by itself; None: there is more to be done, by `flush`."""
        if self._answers or self.inbound.has_unacknowledged:
            return None
        chunk = self._outbound.send_at_once(message, now)
        return None if chunk is None else chunk.serialize()

    def flush(self, now: float) -> tuple[list[bytes], list[int]]:
        """Return the chunks that windows and timers let out, and the streams that have drained."""
        data = self._outbound.transmit(now)
        chunks, self._answers = self._answers, []
        if self._outbound.queue.resets_due or self._resets.is_waiting:
            chunks += self._reset_requests(now)
        if self.inbound.is_sack_due or (data and self.inbound.has_unacknowledged):
            chunks.append(self.inbound.make_sack().serialize())
        if forward_tsn := self._outbound.take_forward_tsn():
            chunks.append(forward_tsn.serialize())
        chunks += [chunk.serialize() for chunk in data]
        return chunks, self._outbound.drained()

    def _receive_reconfig(self, parameter: OutgoingResetRequest | ReconfigResponse | Parameter) -> list[SctpOutput]:
        match parameter:
            case OutgoingResetRequest():
                response, is_reset = self._resets.receive_request(parameter, self.inbound.cumulative)
                self._answers.append(Reconfig([response]).serialize())
                if is_reset:
                    self.inbound.reset_streams(parameter.streams)
                    return [StreamReset(tuple(parameter.streams))]
            case ReconfigResponse():
                streams, is_reset = self._resets.receive_response(parameter)
                self._outbound.resume(streams, is_reset=is_reset)
            case Parameter():  # other requests of RFC 6525, which WebRTC has no use for
                if len(parameter.value) >= 4:
                    denial = ReconfigResponse(int.from_bytes(parameter.value[:4], "big"), ResetResult.DENIED)
                    self._answers.append(Reconfig([denial]).serialize())
            case _:
                assert_never(parameter)
        return []

    def _reset_requests(self, now: float) -> list[bytes]:
        queue = self._outbound.queue
        due, queue.resets_due = queue.resets_due, []
        if not self._peer.takes_stream_resets:
            self._outbound.resume(due, is_reset=False)  # the peer goes on counting
            return []
        for stream in due:
            self._resets.add(stream)
        requests = self._resets.poll(self._outbound.last_tsn, now + self._rto.seconds)
        return [request.serialize() for request in requests]


def _delivered(messages: list[Message]) -> list[SctpOutput]:
    return [
        MessageReceived(message.stream, message.protocol, message.data, not message.unordered)
        for message in messages
        if message.data is not None
    ]
