"""One SCTP association over DTLS: setting up, dispatch, timers, end (RFC 9260; RFC 8261 for what lies below).

Theory of operation. A state is left only as this table says; whatever else comes is dropped and counted.

    event        CLOSED          COOKIE_WAIT     COOKIE_ECHOED   ESTABLISHED             ENDED
    connect()    COOKIE_WAIT     -               -               -                       -
    INIT         answered        answered        answered        answered if not new     -
    INIT ACK     -               COOKIE_ECHOED   -               -                       -
    COOKIE ECHO  ESTABLISHED     ESTABLISHED     ESTABLISHED     answered if not new     -
    COOKIE ACK   -               -               ESTABLISHED     -                       -
    DATA         -               -               ESTABLISHED     taken                   -
    ABORT        -               ENDED           ENDED           ENDED                   -
    SHUTDOWN     -               -               -               answered, ENDED         answered
    silence      -               ENDED           ENDED           ENDED if data is out    -
    close()      ENDED           ENDED           ENDED           ENDED                   -

An INIT is answered from itself alone, with the one tag and initial TSN that we have; nothing is remembered. So when
both sides start at once, each answers the other's INIT with what its own INIT said, and the first COOKIE ECHO or
COOKIE ACK settles it (RFC 9260 §5.2.1, and §5.2.4 cases B and D). DATA in COOKIE_ECHOED, which §6 lets us discard, is
taken as the COOKIE ACK that was lost or overtaken: only a peer that has our cookie can send it.
"""

from collections import Counter
from types import MappingProxyType
from typing import Final, assert_never

from rtp.errors import DecodeError, LocalProtocolError, RemoteProtocolError, SendQueueFullError
from rtp.sctp.chunks import (
    Abort,
    Chunk,
    CookieAck,
    CookieEcho,
    Data,
    Error,
    ForwardTsn,
    Heartbeat,
    Init,
    Reconfig,
    Sack,
    Shutdown,
    ShutdownAck,
    ShutdownComplete,
    UnknownChunk,
)
from rtp.sctp.congestion import RetransmissionTimeout
from rtp.sctp.cookie import PeerState, peer_state
from rtp.sctp.drops import Drop
from rtp.sctp.handshake import Handshake
from rtp.sctp.inbound import RECEIVE_WINDOW_BYTES, Inbound
from rtp.sctp.outbound import Outbound
from rtp.sctp.outputs import (
    AssociationClosed,
    AssociationState,
    AssociationUp,
    SctpOutput,
    SctpStatistics,
    SendPacket,
    StreamDrained,
)
from rtp.sctp.packet import MAX_CHUNK_BYTES, Packet, parse_packet, serialize_packets
from rtp.sctp.parameters import (
    CauseCode,
    Parameter,
    describe_causes,
)
from rtp.sctp.queue import OutgoingMessage
from rtp.sctp.transfer import Transfer, TransferChunk
from rtp.timers import earliest, is_due

MAX_STREAM: Final = 65534
"""RFC 8831 §6.2: 65535 is reserved."""
MAX_RETRANSMITS: Final = 10
"""Association.Max.Retrans (RFC 9260 §16)."""


class SctpAssociation:
    """One SCTP association (RFC 9260), in either role. Does no I/O.

    Each call returns all it wants done, in order. `now` is in seconds, on one monotonic clock. A peer may send what
    it likes: what cannot be used is dropped and counted. What it makes us keep is bounded by `RECEIVE_WINDOW_BYTES`.
    """

    def __init__(self, *, tag: int, initial_tsn: int, cookie_secret: bytes, max_message_size: int = 65535) -> None:
        """Make an association that waits for a peer, or for `connect`.

        Args:
            tag: our verification tag: random, 1 to 2**32 - 1.
            initial_tsn: random, 0 to 2**32 - 1.
            cookie_secret: key of the cookies' signatures: 32 random bytes, which associations may share.
            max_message_size: what our SDP announced; longer messages are dropped, and their channels live on.
        """
        self.tag = tag
        self.state = AssociationState.CLOSED
        self._max_message_size = max_message_size
        self._handshake = Handshake(tag=tag, initial_tsn=initial_tsn, cookie_secret=cookie_secret)
        self._rto = RetransmissionTimeout()
        self._drops: Counter[Drop] = Counter()
        self._peer: PeerState | None = None
        self._transfer: Transfer | None = None  # only while ESTABLISHED
        self._outbound = Outbound(initial_tsn, self._rto, self._drops)
        self._packets: list[bytes] = []  # to be sent as they are
        self._control: list[bytes] = []  # chunks for the peer, to be put into packets
        self._events: list[SctpOutput] = []
        self._packets_received = self._packets_sent = 0

    def connect(self, now: float) -> list[SctpOutput]:
        """Send INIT, unless the association has begun: the peer may always be first."""
        if self.state is AssociationState.CLOSED:
            self.state = AssociationState.COOKIE_WAIT
            self._packets.append(self._handshake.start(now))
        return self._flush(now)

    def receive(self, packet: bytes, now: float) -> list[SctpOutput]:
        """Take one packet out of DTLS. Never raises: what is wrong with it is counted."""
        try:
            read = parse_packet(packet)
        except DecodeError:
            self._drops[Drop.MALFORMED] += 1
            return []
        if not self._is_for_us(read):
            self._drops[Drop.WRONG_TAG] += 1
            return []
        self._packets_received += 1
        for chunk in read.chunks:
            self._receive_chunk(chunk, now)
            if isinstance(chunk, UnknownChunk) and chunk.ends_packet:
                break
        if self._transfer is not None:
            self._transfer.packet_done(now)
        return self._flush(now)

    def send(
        self,
        stream: int,
        protocol: int,
        data: bytes,
        now: float,
        *,
        ordered: bool = True,
        max_retransmits: int | None = None,
        lifetime_seconds: float | None = None,
    ) -> list[SctpOutput]:
        """Send one message, as soon as the association is up and the windows allow.

        With a limit, the message is given up once a fragment of it would have to be sent more than `max_retransmits`
        times again, or `lifetime_seconds` from now. Once the association has ended, messages are dropped and counted.

        Raises:
            SendQueueFullError: if this message would not fit into the send queue (`MAX_QUEUE_BYTES`,
                `MAX_QUEUE_MESSAGES`): nothing has been done.
            LocalProtocolError: if `data` is empty, which SCTP cannot send, or there can be no such stream.
        """
        if not data or not 0 <= stream <= MAX_STREAM:
            raise LocalProtocolError(f"message of {len(data)} bytes for stream {stream}")
        if self.state is AssociationState.ENDED:
            self._drops[Drop.ENDED] += 1
            return []
        expires_at = None if lifetime_seconds is None else now + lifetime_seconds
        message = OutgoingMessage(stream, protocol, data, ordered, max_retransmits, expires_at)
        if self._transfer is not None and (chunk := self._transfer.send_at_once(message, now)) is not None:
            self._control.append(chunk)
            return self._take_outputs()
        if not self._outbound.queue.add(message):
            raise SendQueueFullError(f"{self._outbound.queue.bytes} bytes wait to be sent")
        return self._flush(now)

    def reset_stream(self, stream: int, now: float) -> list[SctpOutput]:
        """Start our side of `stream` anew once all that was sent on it has arrived; later messages wait for that."""
        if self.state is not AssociationState.ENDED:
            self._outbound.queue.add_reset(stream)
        return self._flush(now)

    def buffered_bytes(self, stream: int) -> int:
        """Return how many bytes sent on `stream` the peer has not acknowledged: waiting, or under way."""
        return self._outbound.buffered_bytes(stream)

    def set_drain_threshold(self, stream: int, threshold: int | None) -> None:
        """Put out `StreamDrained` whenever `buffered_bytes` has fallen to `threshold` or below; None: no more."""
        self._outbound.set_drain_threshold(stream, threshold)

    def drop_unsent(self, stream: int, keep_bytes: int) -> int:
        """Drop the oldest messages of `stream` that have a limit and no fragment sent; return how many.

        It stops as soon as no more than `keep_bytes` wait to be sent on the stream.
        """
        return self._outbound.queue.drop(stream, keep_bytes)

    def hold(self, size: int) -> None:
        """Count `size` bytes of messages received against the receive window: they have not been passed on yet."""
        if self._transfer is not None:
            self._transfer.inbound.hold(size)

    def release(self, size: int, now: float) -> list[SctpOutput]:
        """Give back what `hold` took; tell the peer if that opens the window notably."""
        if self._transfer is not None:
            self._transfer.inbound.release(size)
        return self._flush(now)

    def close(self) -> list[SctpOutput]:
        """End the association, with an ABORT if the peer knows of it. A second call does nothing."""
        if self.state is AssociationState.ENDED:
            return []
        self._abort(CauseCode.USER_INITIATED_ABORT, "closed")
        return self._take_outputs()

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is wanted; None: not until something else has happened."""
        return earliest(self._handshake.next_timeout_at, self._transfer.next_timeout() if self._transfer else None)

    def handle_timeout(self, now: float) -> list[SctpOutput]:
        """Do what is due: a delayed SACK, or sending again. Harmless if early."""
        if is_due(self._handshake.next_timeout_at, now):
            packet = self._handshake.retry(now)
            if packet is None:
                self._end("the peer did not answer")
            else:
                self._packets.append(packet)
        if self._transfer is not None:
            self._transfer.handle_timeout(now)
            if self._outbound.expiries > MAX_RETRANSMITS:
                self._abort(CauseCode.USER_INITIATED_ABORT, "the peer acknowledges nothing")
        return self._flush(now)

    def path_changed(self, now: float) -> list[SctpOutput]:
        """Take in that packets go another way from now on, as after an ICE restart: what got stuck is sent again."""
        self._outbound.path_changed(now)
        return self._flush(now)

    def statistics(self) -> SctpStatistics:
        """Return a snapshot of counters and windows."""
        outbound = self._outbound
        return SctpStatistics(
            state=self.state,
            packets_received=self._packets_received,
            packets_sent=self._packets_sent,
            retransmissions=outbound.retransmissions,
            abandoned_messages=outbound.abandoned_messages,
            congestion_window=outbound.window.bytes,
            receive_window=self._transfer.inbound.window_bytes if self._transfer else RECEIVE_WINDOW_BYTES,
            queued_bytes=outbound.queue.bytes,
            flight_bytes=outbound.flight_bytes,
            outstanding_chunks=outbound.outstanding,
            smoothed_round_trip_seconds=self._rto.smoothed_round_trip_seconds,
            drops=MappingProxyType(self._drops.copy()),
        )

    def _is_for_us(self, packet: Packet) -> bool:
        """Judge the verification tag (RFC 9260 §8.5), and that INIT and INIT ACK come alone (§6.10)."""
        first = packet.chunks[0]
        if len(packet.chunks) > 1 and any(isinstance(chunk, Init) for chunk in packet.chunks):
            return False
        if isinstance(first, Init):
            return packet.tag == (self.tag if first.is_ack else 0)
        if isinstance(first, Abort | ShutdownComplete) and first.is_reflected:
            return self._peer is not None and packet.tag == self._peer.tag
        return packet.tag == self.tag

    def _receive_chunk(self, chunk: Chunk, now: float) -> None:
        if self.state is AssociationState.ENDED:
            self._receive_ended(chunk)
            return
        match chunk:
            case Data() if self.state is AssociationState.COOKIE_ECHOED and self._peer is not None:
                self._receive_established(chunk, self._establish(self._peer), now)
            case Data() | Sack() | ForwardTsn() | Reconfig() if self._transfer is not None:
                self._receive_established(chunk, self._transfer, now)
            case Shutdown() if self._transfer is not None:
                self._control.append(ShutdownAck().serialize())
                self._end("the peer shut down")
            case Data() | Sack() | ForwardTsn() | Reconfig() | Shutdown():
                self._drops[Drop.UNEXPECTED] += 1
            case Init():
                self._receive_init_ack(chunk, now) if chunk.is_ack else self._receive_init(chunk, now)
            case CookieEcho():
                self._receive_cookie_echo(chunk, now)
            case CookieAck():
                if self.state is AssociationState.COOKIE_ECHOED and self._peer is not None:
                    self._establish(self._peer)
            case Heartbeat():
                self._receive_heartbeat(chunk)
            case Abort():
                if self.state is not AssociationState.CLOSED:
                    self._control.clear()
                    self._end(f"the peer aborted: {describe_causes(chunk.causes)}")
            case UnknownChunk():
                self._receive_unknown(chunk)
            case Error() | ShutdownAck() | ShutdownComplete():
                pass  # an ERROR ends nothing, and we never begin a shutdown
            case _:
                assert_never(chunk)

    def _receive_init(self, init: Init, now: float) -> None:
        peer = peer_state(init)
        if self.state is AssociationState.ESTABLISHED and not self._is_same_peer(peer):
            self._drops[Drop.RESTART] += 1
        else:
            self._packets.append(self._handshake.answer(init, peer, now))

    def _receive_init_ack(self, init_ack: Init, now: float) -> None:
        if self.state is not AssociationState.COOKIE_WAIT:
            self._drops[Drop.UNEXPECTED] += 1
            return
        try:
            self._packets.append(self._handshake.echo(init_ack, init_ack.tag, now))
        except DecodeError:
            self._drops[Drop.MALFORMED] += 1
            return
        self._peer = peer_state(init_ack)
        self.state = AssociationState.COOKIE_ECHOED

    def _receive_cookie_echo(self, echo: CookieEcho, now: float) -> None:
        try:
            cookie = self._handshake.read_cookie(echo.cookie)
        except DecodeError:
            self._drops[Drop.BAD_COOKIE] += 1
            return
        if self.state is AssociationState.ESTABLISHED:
            if self._is_same_peer(cookie.peer):
                self._control.append(CookieAck().serialize())  # the one before was lost
            else:
                self._drops[Drop.RESTART] += 1
        elif complaint := self._handshake.complain_if_stale(cookie, now):
            self._drops[Drop.BAD_COOKIE] += 1
            self._packets.append(complaint)
        else:
            self._establish(cookie.peer)
            self._control.append(CookieAck().serialize())

    def _is_same_peer(self, peer: PeerState) -> bool:
        mine = self._peer
        return mine is not None and (mine.tag, mine.initial_tsn) == (peer.tag, peer.initial_tsn)

    def _establish(self, peer: PeerState) -> Transfer:
        self._handshake.stop()
        self._peer = peer
        inbound = Inbound(peer.initial_tsn, self._max_message_size, self._drops)
        self._transfer = Transfer(peer, inbound, self._outbound, self._rto, self._drops)
        self.state = AssociationState.ESTABLISHED
        self._events.append(AssociationUp())
        return self._transfer

    def _receive_ended(self, chunk: Chunk) -> None:
        if isinstance(chunk, Shutdown):
            self._control.append(ShutdownAck().serialize())  # the one before was lost
        else:
            self._drops[Drop.UNEXPECTED] += 1

    def _receive_established(self, chunk: TransferChunk, transfer: Transfer, now: float) -> None:
        if isinstance(chunk, Data) and not chunk.data:
            self._abort(CauseCode.NO_USER_DATA, "the peer sent DATA with nothing in it")  # RFC 9260 §6.2
            return
        try:
            self._events += transfer.receive(chunk, now)
        except RemoteProtocolError as error:
            self._abort(CauseCode.PROTOCOL_VIOLATION, str(error))

    def _receive_heartbeat(self, heartbeat: Heartbeat) -> None:
        answer = Heartbeat(heartbeat.info, is_ack=True).serialize()
        if heartbeat.is_ack or self._peer is None or len(answer) > MAX_CHUNK_BYTES:
            self._drops[Drop.UNEXPECTED] += 1
        else:
            self._control.append(answer)

    def _receive_unknown(self, chunk: UnknownChunk) -> None:
        self._drops[Drop.UNKNOWN_CHUNK] += 1
        cause = Parameter(CauseCode.UNRECOGNIZED_CHUNK_TYPE, chunk.serialize())
        report = Error(cause.serialize()).serialize()
        if chunk.wants_report and self._peer is not None and len(report) <= MAX_CHUNK_BYTES:
            self._control.append(report)

    def _abort(self, cause: CauseCode, reason: str) -> None:
        """End, and tell the peer if it knows of us."""
        if self._peer is not None:
            self._control.append(Abort(Parameter(cause, reason.encode()).serialize()).serialize())
        self._end(reason)

    def _end(self, reason: str) -> None:
        self.state = AssociationState.ENDED
        self._transfer = None
        self._handshake.stop()
        self._events.append(AssociationClosed(reason))

    def _flush(self, now: float) -> list[SctpOutput]:
        """Add what the windows and timers let out, and return all outputs: packets first, then what happened."""
        if self._transfer is not None:
            chunks, drained = self._transfer.flush(now)
            self._control += chunks
            self._events += [StreamDrained(stream) for stream in drained]
        return self._take_outputs()

    def _take_outputs(self) -> list[SctpOutput]:
        events, self._events = self._events, []
        if not self._packets and not self._control:
            return events
        packets, self._packets = self._packets, []
        if self._peer is not None:
            packets += serialize_packets(self._peer.tag, self._control, has_checksum=not self._peer.takes_zero_checksum)
        self._control = []
        self._packets_sent += len(packets)
        return [*map(SendPacket, packets), *events]
