"""One SSRC of a published track: what is known of what came, and under which numbers it goes on."""

from collections.abc import Iterator, Sequence

from rtp.history import PacketHistory
from rtp.nack import NackGenerator
from rtp.packet import RtpHeader, build_packet
from rtp.reception import Reception
from rtp.units import Ssrc
from sfu.media.bitrates import BitrateMeter, InnerMeter
from sfu.media.fanout import NO_EPOCH, PacketFacts
from sfu.media.forwarder import GapCloser
from sfu.media.keyframes import KeyframeRequests
from sfu.media.reading import PayloadReader
from sfu.media.totals import Totals


class SourceStream:
    """One SSRC of a published track: one simulcast layer, or all there is.

    `epoch` changes whenever what follows has to be spliced to what went before: when the SSRC takes its layer over, and
    when its sender starts anew. NO_EPOCH: it never had the layer.
    """

    def __init__(self, ssrc: Ssrc, layer: int, clock_rate: int, max_history: int, payloads: PayloadReader) -> None:
        self.ssrc = ssrc
        self.layer = layer
        self.reception = Reception(clock_rate)
        self._max_history = max_history
        self.payloads = payloads
        self.keyframes = KeyframeRequests()
        self.meter = BitrateMeter()
        self.inner_meter = InnerMeter()
        self.begin(NO_EPOCH)

    def begin(self, epoch: int) -> None:
        """Number what follows anew, under this name."""
        self.epoch = epoch
        self.gaps = GapCloser()
        self.nacks = NackGenerator()
        self.payloads.restart()
        self.history: PacketHistory[PacketFacts] = PacketHistory(max_packets=self._max_history)
        """What was forwarded in this epoch, by the numbers that it was forwarded under."""
        self.forwarded: int | None = None
        """The highest number in this epoch."""

    def totals(self) -> Totals:
        """Return what came."""
        reception = self.reception.statistics()
        return Totals(reception.packets, reception.octets, reception.lost)

    def may_put_before(self, sequence: int, timestamp: int) -> bool:
        """Whether the packet that came last is the newest, and nothing is missing between the frame before and it.

        What is missing may still come, and be what the publisher has put there.
        """
        if sequence != self.forwarded:
            return False
        while (known := self.history.get(sequence - 1)) is not None:
            _, facts = known
            if facts.timestamp != timestamp:
                return True
            sequence -= 1
        return False

    def put_before(
        self, header: RtpHeader, payloads: Sequence[bytes], now: float
    ) -> Iterator[tuple[bytes, PacketFacts]]:
        """Yield packets of what decoders need before the newest, as if it had come; that is numbered anew after them.

        A decoder can start at the first of them.
        """
        first = self.gaps.insert(len(payloads))
        self.forwarded = first + len(payloads)
        for number, payload in enumerate(payloads, first):
            packet = build_packet(
                payload_type=header.payload_type,
                sequence=header.sequence,
                timestamp=header.timestamp,
                ssrc=header.ssrc,
                payload=payload,
            )
            yield (
                packet,
                PacketFacts(
                    number,
                    header.timestamp,
                    marker=False,
                    layer=self.layer,
                    epoch=self.epoch,
                    is_entry=number == first,
                    payload_at=len(packet) - len(payload),
                    payload_end=len(packet),
                    arrived_at=now,
                ),
            )
