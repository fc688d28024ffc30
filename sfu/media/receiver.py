"""One published track on its way in: facts about each packet, found once, and the fan-out to all who get it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Final, Protocol, assert_never

import trio

from rtp.errors import DecodeError
from rtp.extensions import CAPTURE_TIME_BYTES, find_extension, parse_audio_level
from rtp.history import MAX_AUDIO_PACKETS, MAX_VIDEO_PACKETS
from rtp.nack import KeyframeNeeded, NackOutput, NackStatistics, Request
from rtp.packet import RtpHeader, parse_header, payload_end
from rtp.payload.red import PRIMARY_HEADER_BYTES, enclose
from rtp.reception import MAX_DROPOUT, Arrival, ReceptionStatistics, SenderClock, Verdict
from rtp.sdp.codecs import Codec, MediaKind
from rtp.units import Rid, Ssrc
from sfu.media.downtrack import DownTrack, DownTrackStatistics, for_each_down_track
from sfu.media.fanout import MAX_PAYLOAD_BYTES, NO_EPOCH, FanOut, PacketFacts
from sfu.media.ladder import LayerCost
from sfu.media.layers import TrackLayers
from sfu.media.quality import Counts
from sfu.media.reading import NOTHING_READ, PayloadReader
from sfu.media.source_stream import SourceStream
from sfu.media.speakers import AudioLevels
from sfu.media.totals import Totals

NACK: Final = "nack"
"""The feedback that has to be agreed on before anything is asked for again (RFC 4585 §4.2)."""


class DropCause(Enum):
    """Why a packet was not forwarded."""

    DUPLICATE = "seen before"
    SUSPECT = "does not fit its stream"
    PADDING = "nothing but padding"
    UNKNOWN_PAYLOAD_TYPE = "a payload type that was not agreed"
    TOO_LONG = "longer than can be encrypted"
    TOO_LATE = "too late to be numbered"
    SUPERSEDED = "another SSRC has the layer"


_UNFIT: Final[Mapping[Verdict, DropCause]] = {
    Verdict.DUPLICATE: DropCause.DUPLICATE,
    Verdict.SUSPECT: DropCause.SUSPECT,
    Verdict.EARLY: DropCause.PADDING,
}


class Format(Protocol):
    """The track in another format than it is published in."""

    def forward(self, packet: bytes, facts: PacketFacts) -> None:
        """Send what a packet is in that format. Raises DecodeError."""


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """What came in on one SSRC, and whether its layer is taken from it. `nacks` are of its present epoch."""

    layer: int
    is_active: bool
    reception: ReceptionStatistics
    nacks: NackStatistics


@dataclass(frozen=True, slots=True)
class ReceiverStatistics:
    """What came in by SSRC, what was dropped, and what goes out.

    `malformed_payloads` were forwarded all the same: the decoder is the judge.
    """

    streams: dict[Ssrc, StreamStatistics]
    drops: dict[DropCause, int]
    malformed_payloads: int
    down_tracks: list[DownTrackStatistics]


class Receiver:
    """Takes the packets of one published track, and feeds its down tracks.

    Of several SSRCs of one layer the newest has it, until it says goodbye: what subscribers get as one stream comes from
    one. Which layer each subscriber gets is for its down track to say; this sees to it that they know of changes.
    `changed` is called when the publisher's connection has something new to do: a key frame to ask for.
    `audio_level_id` is the header extension that says how loud a packet is (RFC 6464), `descriptor_id` the one
    that describes dependencies, `capture_time_id` the one that says when it was captured; None if none does. Of RED,
    `bare_payload_type` is that of frames which come without it, as libwebrtc sends what is too long to be repeated.
    `demand_changed` is called when `wanted_layer` may have changed; it does no more than take note.
    """

    def __init__(
        self,
        codec: Codec,
        kind: MediaKind,
        layers: TrackLayers,
        changed: Callable[[], None],
        *,
        audio_level_id: int | None = None,
        descriptor_id: int | None = None,
        capture_time_id: int | None = None,
        bare_payload_type: int | None = None,
        demand_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.codec = codec
        self.kind = kind
        self.clock_rate = codec.clock_rate
        self.layers = layers
        self.streams: dict[Ssrc, SourceStream] = {}
        self.down_tracks: list[DownTrack] = []
        self.levels = AudioLevels(codec.clock_rate)
        self.demand_changed = demand_changed
        self._audio_level_id = audio_level_id
        self._descriptor_id = descriptor_id
        self._capture_time_id = capture_time_id
        self._bare_payload_type = bare_payload_type
        self.formats: list[Format] = []
        """Others that the track is had in: all is given to them that is forwarded as it came."""
        self._asks_again = NACK in codec.feedback
        self._max_history = MAX_AUDIO_PACKETS if kind is MediaKind.AUDIO else MAX_VIDEO_PACKETS
        self._changed = changed
        self._fan_out = FanOut()
        self._drops: Counter[DropCause] = Counter()
        self._malformed = 0
        self._gone = Totals()  # of streams that are forgotten
        self._active: dict[int, SourceStream] = {}  # by layer
        self._epochs = count(NO_EPOCH + 1)

    def add_stream(self, ssrc: Ssrc, rid: Rid | None) -> SourceStream:
        """Take packets of `ssrc` as the layer called `rid`, which it has from its first media on."""
        layer = self.layers.number(rid)
        payloads = PayloadReader(self.codec, self._descriptor_id)
        stream = self.streams[ssrc] = SourceStream(ssrc, layer, self.clock_rate, self._max_history, payloads)
        return stream

    def remove_stream(self, ssrc: Ssrc) -> None:
        """Forget `ssrc`: the publisher has said goodbye to it. Unknown ones are ignored."""
        stream = self.streams.pop(ssrc, None)
        if stream is None:
            return
        self._gone += stream.totals()
        if self._active.get(stream.layer) is not stream:
            return
        del self._active[stream.layer]
        if self.layers.forget(stream.layer):  # browsers say goodbye to a layer that they can no longer afford
            self._layers_changed()

    def repaired_stream(self, rid: Rid | None) -> SourceStream | None:
        """Return the stream that retransmissions of `rid` are of: the one that has its layer, if there is one."""
        return self._active.get(self.layers.number(rid))

    def receive(
        self, stream: SourceStream, packet: bytes, header: RtpHeader, now: float, *, is_resend: bool = False
    ) -> None:
        """Take one packet of `stream` and forward it to all who get its layer.

        `is_resend`: it came as a retransmission (RFC 4588). Of those, repeated ones say nothing of the way that the
        stream itself takes: libwebrtc repeats packets to probe for bandwidth.

        Raises:
            DecodeError: the packet's padding is longer than the packet, or a header extension is cut short.
        """
        end = payload_end(packet, header)
        if header.payload_type == self._bare_payload_type and end > header.size:
            packet = enclose(packet, header, self.codec.payload_type)
            header, end = parse_header(packet), end + PRIMARY_HEADER_BYTES
        if is_resend and stream.reception.has_received(header.sequence):
            self._drops[DropCause.DUPLICATE] += 1
            return
        arrival = stream.reception.receive(header, now, end - header.size)
        sequence = self._number(stream, header, arrival, end - header.size)
        read = NOTHING_READ
        if sequence is not None:
            read = stream.payloads.read(packet, header, end)
            self._malformed += read.is_malformed
            if read.lacks and not stream.may_put_before(sequence, header.timestamp):
                read = NOTHING_READ
        starts = read.starts
        if self._asks_again and self._active.get(stream.layer) is stream and arrival.verdict not in _UNFIT:
            self._watch_for_gaps(stream, arrival, now, is_keyframe=starts, is_resend=is_resend)
        if sequence is None:
            return
        if self._audio_level_id is not None:
            level = find_extension(packet, header, self._audio_level_id)
            if level:
                self.levels.receive_packet(parse_audio_level(level), arrival.timestamp, now)
        if self.layers.receive_packet(stream.layer, now):
            self._layers_changed()
        is_late = arrival.verdict is Verdict.LATE
        if self.kind is MediaKind.VIDEO and stream.payloads.take_news(header.timestamp, is_late=is_late):
            self.layers.describe(stream.payloads.frames.scalability, stream.payloads.frame_rate.value)
            for_each_down_track(self.down_tracks, DownTrack.retarget)
        if starts and not is_late:
            stream.keyframes.received()
            if self.layers.are_measured:
                self._measure(stream, packet[header.size : end])
        if read.lacks:
            for supplied in stream.put_before(header, read.lacks, now):
                self._forward(stream, *supplied)
            sequence += len(read.lacks)
        # One that was overtaken is no entry: what overtook it could not be sent any more.
        is_entry = not is_late and ((starts and not read.lacks) or self.kind is MediaKind.AUDIO)
        facts = PacketFacts(
            sequence,
            header.timestamp,
            header.marker,
            stream.layer,
            stream.epoch,
            is_entry,
            header.size,
            end,
            now,
            read.vp8,
            read.frame,
            None if self._capture_time_id is None else _capture_time(packet, header, self._capture_time_id),
        )
        self._forward(stream, packet, facts)
        if starts:  # a late one helps only those who get its stream already
            for down_track in self.down_tracks:
                if down_track.row.epoch == stream.epoch:
                    down_track.keyframe_came()

    def _measure(self, stream: SourceStream, payload: bytes) -> None:
        """Note how large a layer's pictures are, and have layers in the order of that, where nothing else tells it."""
        size = stream.payloads.picture_size(payload)
        numbers = None if size is None else self.layers.measure(stream.layer, size)
        if numbers is None:
            return
        for each in self.streams.values():
            each.layer = numbers.get(each.layer, each.layer)
        self._active = {numbers.get(layer, layer): each for layer, each in self._active.items()}
        for_each_down_track(self.down_tracks, lambda down_track: down_track.layers_measured(numbers))

    def _forward(self, stream: SourceStream, packet: bytes, facts: PacketFacts) -> None:
        """Keep a packet for those who lose it, and send it to all who get its layer, in every format."""
        stream.history.put(facts.sequence, packet, facts)
        if facts.frame is not None:
            stream.inner_meter.count(facts.frame.spatial, facts.frame.temporal, facts.payload_end - facts.payload_at)
        self._fan_out.forward(packet, facts)
        if self.formats:
            self._convert(packet, facts)

    def attach(self, down_track: DownTrack) -> None:
        """Send to `down_track` from now on."""
        self.down_tracks.append(down_track)
        self._fan_out.add(down_track.row)

    def detach(self, down_track: DownTrack) -> None:
        """Send to `down_track` no more. Idempotent."""
        if down_track in self.down_tracks:
            self.down_tracks.remove(down_track)
            self._fan_out.remove(down_track.row)
            self.demand_changed()

    def wanted_layer(self) -> int | None:
        """Return the highest layer that any subscriber would like to see now; None: nobody wants anything."""
        wanted = (down_track.wanted_layer for down_track in self.down_tracks)
        return max((layer for layer in wanted if layer is not None), default=None)

    def request_keyframe(self, layer: int) -> bool:
        """Ask the publisher for a place where decoders can start, and say so; audio has one in every packet."""
        stream = self._active.get(layer)
        if self.kind is MediaKind.AUDIO or stream is None:
            return False  # a stream that is still to come is asked when it has its layer
        if stream.keyframes.request(trio.current_time()):
            self._changed()
        return True

    def costs(self, now: float) -> dict[int, LayerCost]:
        """Return what each layer that comes in costs to send on, where that is known."""
        costs: dict[int, LayerCost] = {}
        for layer, stream in self._active.items():
            totals = stream.totals()
            if (bitrate := stream.meter.sample(totals.packets, totals.octets, now)) is not None:
                costs[layer] = LayerCost(bitrate, stream.inner_meter.sample(now))
        return costs

    def find(self, epoch: int, sequence: int) -> tuple[bytes, PacketFacts] | None:
        """Return the packet that was forwarded under this number of this epoch, if it is still kept."""
        stream = next((stream for stream in self.streams.values() if stream.epoch == epoch), None)
        return None if stream is None else stream.history.get(sequence)

    def forget_activity(self) -> None:
        """The publisher has muted the track, or unmuted it: what was heard before says nothing of what comes."""
        self.levels.reset()
        self.layers.reset()

    def next_timeout(self) -> float | None:
        """Say when it may show that a layer has fallen silent, or come back."""
        return self.layers.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """Move everybody to the best layer that is left, or has come back."""
        if self.layers.handle_timeout(now):
            self._layers_changed()

    def due_nacks(self, stream: SourceStream, now: float) -> tuple[int, ...]:
        """Return the numbers, unwrapped, of packets to ask the publisher for now."""
        return self._heed(stream, stream.nacks.handle_timeout(now), now)

    def sender_clock(self, epoch: int) -> SenderClock | None:
        """Return the publisher's last word on the clock of this epoch: its newest sender report."""
        for stream in self._active.values():
            if stream.epoch == epoch:
                return stream.reception.sender_clock
        return None

    def totals(self) -> Totals:
        """Return what came in, on all SSRCs that there ever were."""
        return sum((stream.totals() for stream in self.streams.values()), self._gone)

    def counts(self, allowed: int) -> Counts:
        """Return what came, and did not come, of a publisher that is to send qualities up to `allowed`."""
        totals = self.totals()
        live = self.layers.live
        jitters = (each.reception.jitter_seconds for layer, each in self._active.items() if layer in live)
        return Counts(
            expected=totals.packets + totals.lost,
            lost=totals.lost,
            jitter_seconds=max(jitters, default=0.0),
            missing_layers=self.layers.missing(allowed),
        )

    def statistics(self) -> ReceiverStatistics:
        """Return counts so far."""
        return ReceiverStatistics(
            streams={
                ssrc: StreamStatistics(
                    stream.layer,
                    self._active.get(stream.layer) is stream,
                    stream.reception.statistics(),
                    stream.nacks.statistics(),
                )
                for ssrc, stream in self.streams.items()
            },
            drops=dict(self._drops),
            malformed_payloads=self._malformed,
            down_tracks=[down_track.statistics() for down_track in self.down_tracks],
        )

    def _number(self, stream: SourceStream, header: RtpHeader, arrival: Arrival, size: int) -> int | None:
        """Return the number under which to forward the packet; None if it was dropped, and counted."""
        if (unfit := _UNFIT.get(arrival.verdict)) is not None:
            self._drops[unfit] += 1
            return None
        if arrival.verdict is Verdict.RESTARTED:
            self._activate(stream)
        if (cause := self._unwanted(header, size)) is not None:
            stream.gaps.drop(arrival.sequence)
            self._drops[cause] += 1
            return None
        active = self._active.get(stream.layer)
        if stream.epoch == NO_EPOCH or active is None:
            self._activate(stream)
        elif active is not stream:
            self._drops[DropCause.SUPERSEDED] += 1
            return None
        number = stream.gaps.number(arrival.sequence)
        if number is None:
            self._drops[DropCause.TOO_LATE] += 1
            return None
        if stream.forwarded is not None and number > stream.forwarded + MAX_DROPOUT:
            # So much was lost, and dropped, one after the other, that subscribers might not see how often the number
            # has wrapped, and a key stream would be used again: this is not the same stream any more.
            self._activate(stream)
            number = stream.gaps.number(arrival.sequence)
            assert number is not None, "the first of a numbering has a number"
        if stream.forwarded is None or number > stream.forwarded:
            stream.forwarded = number
        return number

    def _unwanted(self, header: RtpHeader, size: int) -> DropCause | None:
        """Say why a packet that has its place in the stream is left out all the same."""
        if not size:
            return DropCause.PADDING
        if header.payload_type != self.codec.payload_type:
            return DropCause.UNKNOWN_PAYLOAD_TYPE
        return DropCause.TOO_LONG if size > MAX_PAYLOAD_BYTES else None

    def _activate(self, stream: SourceStream) -> None:
        """Take the layer from this stream, from here on, and find a place where all who wait for it can start."""
        stream.begin(next(self._epochs))
        self._active[stream.layer] = stream
        if any(down_track.row.target == stream.layer for down_track in self.down_tracks):
            self.request_keyframe(stream.layer)

    def _layers_changed(self) -> None:
        """Let everybody look anew at which layer to send; nobody is asked for key frames of one that is silent."""
        for layer, stream in self._active.items():
            if layer not in self.layers.live:
                stream.keyframes.cancel()
        for_each_down_track(self.down_tracks, DownTrack.retarget)
        self._changed()

    def _convert(self, packet: bytes, facts: PacketFacts) -> None:
        """Give those who get another format what the packet is in theirs."""
        try:
            for each in self.formats:
                each.forward(packet, facts)
        except DecodeError:
            self._malformed += 1

    def _watch_for_gaps(
        self, stream: SourceStream, arrival: Arrival, now: float, *, is_keyframe: bool, is_resend: bool
    ) -> None:
        """Note what came, and plan to ask for what did not."""
        nacks = stream.nacks
        planned = nacks.next_timeout()
        outputs = nacks.receive_packet(arrival.sequence, now, is_keyframe=is_keyframe, is_resend=is_resend)
        if outputs:
            self._heed(stream, outputs, now)
        due = nacks.next_timeout()
        if due is not None and (planned is None or due < planned):
            self._changed()

    def _heed(self, stream: SourceStream, outputs: list[NackOutput], now: float) -> tuple[int, ...]:
        """Return the numbers to ask for; what is given up needs a key frame, if anybody watches."""
        wanted: tuple[int, ...] = ()
        for output in outputs:
            match output:
                case Request(sequences):
                    wanted = sequences
                case KeyframeNeeded():
                    is_watched = any(down_track.row.epoch == stream.epoch for down_track in self.down_tracks)
                    if self.kind is MediaKind.VIDEO and is_watched and stream.keyframes.request(now):
                        self._changed()
                case _:
                    assert_never(output)
        return wanted


def _capture_time(packet: bytes, header: RtpHeader, identifier: int) -> bytes | None:
    """Return when a packet was captured, as its publisher says it; None if that is not said.

    It is passed on as it is, for so are the publisher's sender reports: both are on the publisher's clock.
    """
    captured = find_extension(packet, header, identifier)
    return captured if captured is not None and len(captured) in CAPTURE_TIME_BYTES else None
