"""The packets that one subscriber is sent beside its row's: what it lost, again, and padding."""

from collections.abc import Callable, Iterable

from rtp.srtp import SrtpSendError
from rtp.units import Ssrc
from sfu.media.fanout import NO_EPOCH, PacketFacts, Row
from sfu.media.padding import padding_packet
from sfu.media.resending import Resend, Resender, ResendStatistics, Run
from sfu.media.vp8_munger import UNCHANGED


class Repair:
    """Sends again what was lost of a row, and pads: on the stream `ssrc` where the subscriber agrees to that (RFC 4588).

    Where it does not, what is lost is sent again in the row's own stream, and there is no padding.
    """

    def __init__(self, row: Row, ssrc: Ssrc | None, *, first_sequence: int) -> None:
        assert first_sequence < 1 << 15, "a receiver that joins after a wrap cannot guess the roll-over counter"
        self.ssrc = ssrc
        self._row = row
        self._payload_type: int | None = None
        self._sequence = first_sequence
        self._resender: Resender[PacketFacts] = Resender()

    def bind(self, payload_type: int | None) -> None:
        """Send on the stream with this payload type; None: the subscriber has not agreed to it.

        The row has its own numbers by now. What it was sent until then is sent again as it was.
        """
        assert self._row.numbers is None or (payload_type is not None and self.ssrc is not None), (
            "it could not be resent"
        )
        self._payload_type = payload_type
        if self._row.epoch != NO_EPOCH:
            self._row.leave_out_late()  # its number is of the run before; who misses it gets it as of that
            self.begin_run(self._row.last_sequence + 1)

    def begin_run(self, first: int) -> None:
        """Note how the row sends packets on from this number on: unwrapped, and as sent."""
        row = self._row
        self._resender.begin(
            Run(
                first,
                row.epoch,
                row.sequence_offset,
                row.timestamp_offset,
                row.payload_type,
                row.abs_send_time_id,
                row.vp8 or UNCHANGED,
                numbered=row.numbers is not None,
                selector=row.selector,
                descriptor_id=row.descriptor_id,
                frame_offset=row.frame_offset,
                capture_time_id=row.capture_time_id,
            )
        )

    def forget(self) -> None:
        """Send nothing again that was sent until now."""
        self._resender = Resender()

    def hold(self) -> None:
        """Send nothing again before the key frame that the subscriber has asked for."""
        self._resender.hold()

    def release(self) -> None:
        """A key frame was sent."""
        self._resender.release()

    def resend(
        self,
        sequences: Iterable[int],
        *,
        now: float,
        round_trip_seconds: float,
        find: Callable[[int, int], tuple[bytes, PacketFacts] | None],
    ) -> int:
        """Send again what the subscriber misses: 16-bit numbers, as sent. Return how many not for the first time.

        `find` looks up a packet by its source's epoch and its number in there.
        """
        before = self._resender.repeated
        for resend in self._resender.answer(
            sequences, highest=self._row.last_sequence, now=now, round_trip_seconds=round_trip_seconds, find=find
        ):
            self._send_again(resend, now)
        return self._resender.repeated - before

    def pad(self, size: int, now: float) -> int:
        """Send about so many bytes of padding among the retransmissions, to probe for bandwidth; return how many."""
        if self._payload_type is None or self.ssrc is None:
            return 0
        sent = 0
        while sent < size:
            packet = padding_packet(
                self.ssrc,
                payload_type=self._payload_type,
                sequence=self._sequence,
                timestamp=self._row.last_timestamp,
                now=now,
                numbers=self._row.numbers,
                abs_send_time_id=self._row.abs_send_time_id,
            )
            self._sequence += 1
            self._send(packet, now)
            sent += len(packet)
        return sent

    def statistics(self) -> ResendStatistics:
        """Return counts of what was sent again so far."""
        return self._resender.statistics()

    def _send_again(self, resend: Resend[PacketFacts], now: float) -> None:
        if self.ssrc is None or self._payload_type is None:
            if resend.run.numbered:
                return  # the peer agreed to a stream for these once, and has taken that back
            packet = resend.serialize(self._row.ssrc)
        else:
            packet = resend.serialize_rtx(
                self.ssrc,
                payload_type=self._payload_type,
                sequence=self._sequence,
                now=now,
                numbers=self._row.numbers,
            )
            self._sequence += 1
        self._send(packet, now)

    def _send(self, packet: bytes, now: float) -> None:
        """Send a packet that the row does not count."""
        row = self._row
        assert row.protect is not None, "the connection is up"
        assert row.queue is not None, "and leads somewhere"
        if row.count is not None and row.numbers is None:
            row.count(len(packet), now)
        try:
            row.queue((row.protect(packet), row.remote))
        except SrtpSendError:
            row.refused += 1  # overtaken by more packets than SRTP keeps books on
