"""What publishers lose is asked for, and what subscribers lose is sent again."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from rtp.nack import DEFAULT_ROUND_TRIP_SECONDS, MAX_MISSING, MAX_TRIES, REORDER_SECONDS
from rtp.packet import build_packet, parse_header
from rtp.payload.rtx import rtx_payload
from rtp.rtcp.key_frame_request import PictureLossIndication
from rtp.rtcp.nack import GenericNack
from rtp.rtcp.reports import ReceiverReport
from rtp.sdp.codecs import Codec, MediaKind
from rtp.units import Ssrc
from sfu.media.downtrack import DownTrack, Pause
from sfu.media.receiver import DropCause as ReceiverDropCause
from sfu.media.resending import MAX_RESENDS, Refusal
from sfu.media.session import DropCause
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import DELTA_FRAME, KEY_FRAME, OPUS, VP8, Source
from tests.sfu.media.rig import SentPacket
from tests.sfu.media.test_receiver import Track
from tests.sfu.media.test_session import FEEDBACK, OUT, Call

AUDIO = replace(OPUS, feedback=("nack",))
VIDEO = replace(VP8, feedback=("nack", "nack pli"), rtx_payload_type=97)
RTX_IN, RTX_OUT = 600, Ssrc(78)
SOON = REORDER_SECONDS + 0.001
RETRY = DEFAULT_ROUND_TRIP_SECONDS + 0.001


@pytest.fixture
def call() -> Call:
    return Call(AUDIO, VIDEO)


def retransmission(packet: bytes, sequence: int) -> bytes:
    """What a publisher sends on its stream for that (RFC 4588 §4)."""
    header = parse_header(packet)
    return build_packet(
        payload_type=97,
        sequence=sequence,
        timestamp=header.timestamp,
        ssrc=RTX_IN,
        payload=rtx_payload(header.sequence, packet[header.size :]),
        marker=header.marker,
    )


def asked(call: Call) -> list[tuple[int, ...]]:
    """What the publisher was asked for since the last look, NACK by NACK."""
    nacks = call.publisher.take(GenericNack)
    assert {(nack.sender_ssrc) for nack in nacks} <= {FEEDBACK}
    return [nack.sequences for nack in nacks]


# What the publisher lost


async def test_a_gap_is_asked_for_when_it_cannot_be_disorder_any_more(autojump_clock: MockClock, call: Call) -> None:
    source = Source(5, sequence=0xFFFD)
    call.publish(source.next())
    late = source.next()
    lost = source.next()
    scheduled = call.publisher.reschedules
    call.publish(source.next())
    assert call.publisher.reschedules > scheduled
    await call.pass_time(REORDER_SECONDS / 2)
    call.publish(late)
    await call.pass_time(SOON)
    (nack,) = call.publisher.take(GenericNack)
    assert nack == GenericNack(FEEDBACK, Ssrc(5), (parse_header(lost).sequence,))
    await call.pass_time(RETRY)
    assert asked(call) == [(0,)]
    call.publish(lost)  # a publisher without RTX sends it again as it was
    await call.pass_time(0.9)
    assert asked(call) == []


async def test_who_has_not_agreed_to_nacks_gets_none(autojump_clock: MockClock) -> None:
    call, source = Call(), Source(5)
    call.publish(source.next())
    source.lose(3)
    call.publish(source.next())
    await call.pass_time(0.2)
    assert asked(call) == []


async def test_packets_given_up_in_video_need_a_key_frame_if_anybody_watches(
    autojump_clock: MockClock, call: Call
) -> None:
    watched, heard = Source(6, VP8), Source(5)
    call.subscribe(call.audio)
    call.publish(watched.next(KEY_FRAME), heard.next())
    for subscribed in (False, True):
        for source, payload in ((watched, DELTA_FRAME), (heard, b"\xf8")):
            source.lose(1)
            call.publish(source.next(payload))
        await call.pass_time(5)
        nacks = call.publisher.reports
        assert sum(isinstance(packet, GenericNack) for compound in nacks for packet in compound) == 2 * MAX_TRIES
        assert bool(call.publisher.take(PictureLossIndication)) is subscribed
        if not subscribed:
            call.subscribe(call.video, Ssrc(99))
            call.publish(watched.next(KEY_FRAME))


async def test_too_wide_a_gap_in_video_is_answered_by_a_key_frame_only(autojump_clock: MockClock, call: Call) -> None:
    call.subscribe(call.video)
    source = Source(6, VP8)
    call.publish(source.next(KEY_FRAME))
    source.lose(MAX_MISSING + 1)
    call.publish(source.next(DELTA_FRAME))
    await call.pass_time(SOON)
    (compound,) = call.publisher.reports
    assert [type(packet) for packet in compound] == [ReceiverReport, PictureLossIndication]


@in_trio
def test_a_retransmission_takes_the_place_of_what_was_lost(call: Call) -> None:
    call.subscribe(call.video)
    source = Source(6, VP8)
    first, lost, third = source.next(KEY_FRAME), source.next(DELTA_FRAME, marker=True), source.next(DELTA_FRAME)
    call.publish(first, third, retransmission(lost, 7000), retransmission(lost, 7001), retransmission(third, 7002))
    assert [packet.index for packet in call.subscriber.sent(OUT)] == [0, 2, 1]
    recovered, header = call.subscriber.sent(OUT)[-1], parse_header(lost)
    assert recovered.payload == lost[header.size :]
    assert (recovered.header.timestamp, recovered.header.marker) == (header.timestamp, True)
    statistics = call.video.statistics()
    reception = statistics.streams[Ssrc(6)].reception
    assert (reception.late, reception.lost, reception.duplicates) == (1, 0, 0), "repeats probe for bandwidth"
    assert statistics.drops == {ReceiverDropCause.DUPLICATE: 2}
    assert list(call.video.streams) == [6]


@in_trio
def test_what_repeats_nothing_is_dropped_and_counted(call: Call) -> None:
    source = Source(6, VP8)
    packet = source.next(KEY_FRAME)
    call.publish(retransmission(packet, 7000), packet)
    padding = build_packet(payload_type=97, sequence=7001, timestamp=0, ssrc=RTX_IN, payload=bytes(3) + b"\x04")
    call.publish(bytes((padding[0] | 0x20,)) + padding[1:])
    call.publish(build_packet(payload_type=97, sequence=7002, timestamp=0, ssrc=RTX_IN, payload=b"\x01"))
    call.publish(build_packet(payload_type=96, sequence=7003, timestamp=0, ssrc=RTX_IN, payload=b"\x01\x02\x03"))
    assert call.incoming.statistics().drops == {
        DropCause.RETRANSMISSION: 2,
        DropCause.PROBE: 1,
        DropCause.MALFORMED_RTP: 1,
    }


async def test_a_round_trip_is_measured_by_retransmissions(autojump_clock: MockClock, call: Call) -> None:
    source = Source(6, VP8)
    call.publish(source.next(KEY_FRAME))
    lost = source.next(DELTA_FRAME)
    call.publish(source.next(DELTA_FRAME))
    await call.pass_time(SOON)
    await trio.sleep(0.2)
    call.publish(retransmission(lost, 7000))
    assert call.video.streams[Ssrc(6)].nacks.round_trip_seconds > 0.15


async def test_retransmissions_are_not_reported_on(autojump_clock: MockClock, call: Call) -> None:
    source = Source(6, VP8)
    packet = source.next(KEY_FRAME)
    call.publish(packet, retransmission(packet, 7000))
    await call.pass_time(1)
    reports = call.publisher.take(ReceiverReport)
    assert {block.ssrc for each in reports for block in each.blocks} == {6}


# What a subscriber lost


class Watcher:
    """A subscriber of a track, with or without a stream for retransmissions."""

    def __init__(self, *, rtx: bool, kind: MediaKind = MediaKind.VIDEO, codec: Codec = VP8) -> None:
        self.track = Track(kind)
        self.track.down_track.close()
        self.connection = self.track.connection
        self.connection.keys.removed.clear()
        self.source = Source(6, codec)
        self.down_track = DownTrack(
            self.track.receiver,
            self.connection,
            OUT,
            first_sequence=32_000,
            rtx_ssrc=RTX_OUT if rtx else None,
            first_rtx_sequence=32_767,
        )
        self.down_track.bind(payload_type=100, abs_send_time_id=3, rtx_payload_type=101 if rtx else None)

    def feed(self, *packets: bytes) -> None:
        self.track.feed(self.source, *packets)

    def ask(self, *numbers: int, after: float = 1.0) -> list[SentPacket]:
        """NACK these numbers, unwrapped; return what was sent because of it."""
        self.track.now += after
        streams = [self.connection.keys.sent.setdefault(ssrc, []) for ssrc in (OUT, RTX_OUT)]
        before = [len(stream) for stream in streams]
        self.down_track.nack([number & 0xFFFF for number in numbers], self.track.now)
        return [packet for stream, start in zip(streams, before, strict=True) for packet in stream[start:]]

    @property
    def refused(self) -> dict[Refusal, int]:
        return self.down_track.statistics().resends.refused


@in_trio
def test_a_retransmission_has_a_stream_of_its_own_and_the_number_that_the_subscriber_knows() -> None:
    watcher = Watcher(rtx=True)
    source = watcher.source
    watcher.feed(source.next(KEY_FRAME), source.next(DELTA_FRAME, marker=True), source.next(DELTA_FRAME))
    original = watcher.connection.sent(OUT)[1]
    answers = watcher.ask(32_001, 32_002)
    first, second = answers
    assert (first.header.ssrc, first.header.payload_type, first.index, second.index) == (RTX_OUT, 101, 32_767, 32_768)
    assert first.payload == (32_001).to_bytes(2) + original.payload
    assert (first.header.timestamp, first.header.marker) == (original.header.timestamp, True)
    assert first.extensions != original.extensions, "it is the time of sending this time"
    assert len(first.extensions) == len(original.extensions)
    assert watcher.down_track.statistics().resends.resent == 2
    assert watcher.down_track.row.packets == 3, "it is not part of the stream"


@in_trio
def test_without_a_stream_for_it_the_same_bytes_go_out_once_more() -> None:
    watcher = Watcher(rtx=False)
    watcher.feed(watcher.source.next(KEY_FRAME), watcher.source.next(DELTA_FRAME))
    (again,) = watcher.ask(32_001)  # that the bytes are the same is for the keys to say
    assert again == watcher.connection.sent(OUT)[1]


@in_trio
def test_what_comes_late_after_a_renegotiation_is_sent_only_as_it_would_have_been_before() -> None:
    watcher = Watcher(rtx=False)
    source = watcher.source
    first, late, third = source.next(KEY_FRAME), source.next(DELTA_FRAME), source.next(DELTA_FRAME)
    watcher.feed(first, third)
    watcher.down_track.bind(payload_type=105, abs_send_time_id=4)
    watcher.feed(late, source.next(DELTA_FRAME))
    for _ in range(2):  # that the bytes are the same is for the keys to say
        (again,) = watcher.ask(32_001)
        assert (again.index, again.header.payload_type) == (32_001, 100)
    assert [(packet.index, packet.header.payload_type) for packet in watcher.connection.sent(OUT)][:3] == [
        *((32_000, 100), (32_002, 100)),
        (32_003, 105),
    ]
    assert watcher.connection.failures == []


@in_trio
def test_a_packet_is_sent_again_so_often_and_no_more() -> None:
    watcher = Watcher(rtx=True)
    watcher.feed(watcher.source.next(KEY_FRAME), watcher.source.next(DELTA_FRAME))
    assert sum(len(watcher.ask(32_001)) for _ in range(MAX_RESENDS + 2)) == MAX_RESENDS
    assert (len(watcher.ask(32_000, 32_000, 32_002)), watcher.ask(32_000, after=0.01)) == (1, [])
    assert watcher.refused == {Refusal.TOO_OFTEN: 2, Refusal.TOO_SOON: 2, Refusal.UNKNOWN: 1}


@in_trio
def test_who_asked_for_a_key_frame_gets_nothing_else_until_it_comes() -> None:
    watcher = Watcher(rtx=True)
    source = watcher.source
    watcher.feed(source.next(KEY_FRAME), source.next(DELTA_FRAME))
    watcher.down_track.keyframe_requested()
    watcher.feed(source.next(DELTA_FRAME))
    assert (watcher.ask(32_002), watcher.refused) == ([], {Refusal.HELD: 1})
    late_key_frame = source.next(KEY_FRAME)
    watcher.feed(source.next(DELTA_FRAME), late_key_frame)  # it helps as well as any, to who has what came before
    assert len(watcher.ask(32_003)) == 1


def test_sound_is_sent_again_whatever_is_asked_for_beside_it() -> None:
    watcher = Watcher(rtx=False, kind=MediaKind.AUDIO, codec=OPUS)
    watcher.feed(watcher.source.next(), watcher.source.next())
    watcher.down_track.keyframe_requested()
    assert len(watcher.ask(32_001)) == 1


@in_trio
def test_what_a_source_before_this_one_sent_can_still_be_asked_for() -> None:
    watcher = Watcher(rtx=False)
    old = watcher.source
    watcher.feed(old.next(KEY_FRAME), old.next(DELTA_FRAME))
    watcher.source = Source(8, VP8, sequence=50)
    watcher.feed(watcher.source.next(KEY_FRAME), watcher.source.next(DELTA_FRAME))
    assert [packet.index for packet in watcher.ask(32_001, 32_003)] == [32_001, 32_003]


@in_trio
@pytest.mark.parametrize("rtx", [True, False])
def test_what_came_late_for_the_publisher_is_there_for_who_asks_again(rtx: bool) -> None:
    watcher = Watcher(rtx=rtx)
    source = watcher.source
    first, lost, third = source.next(KEY_FRAME), source.next(DELTA_FRAME), source.next(DELTA_FRAME)
    watcher.feed(first, third)
    assert (watcher.ask(32_001), watcher.refused) == ([], {Refusal.MISSING: 1})
    watcher.feed(lost)
    assert len(watcher.ask(32_001)) == 1


@in_trio
def test_who_cannot_be_reached_is_sent_nothing_again() -> None:
    watcher = Watcher(rtx=True)
    watcher.feed(watcher.source.next(KEY_FRAME))
    watcher.connection.selected = None
    watcher.down_track.transport_changed()
    assert watcher.ask(32_000) == []
    watcher.down_track.close()
    assert watcher.connection.keys.removed == [OUT, RTX_OUT]
    assert watcher.ask(32_000) == []


@in_trio
def test_nacks_go_to_the_track_that_they_name(call: Call) -> None:
    call.subscribe(call.audio)
    source = Source(5)
    call.publish(source.next(), source.next())
    for ssrc in (OUT, Ssrc(999)):
        call.tell(call.outgoing, GenericNack(Ssrc(1), ssrc, (1,)))
    assert [packet.index for packet in call.subscriber.sent(OUT)] == [0, 1, 1]


EVENTS = st.sampled_from(
    ["next", "next", "next", "lose", "late", "drop", "key", "pause", "resume", "switch", "restart"]
)


def play(watcher: Watcher, events: Iterable[str]) -> None:
    late: list[tuple[Source, bytes]] = []
    for number, event in enumerate(events):
        source = watcher.source
        match event:
            case "next" | "key":
                watcher.feed(source.next(KEY_FRAME if event == "key" else DELTA_FRAME, marker=number % 3 == 0))
            case "lose":
                late.append((source, source.next(DELTA_FRAME)))
            case "late" if late and late[-1][0] is source:
                watcher.feed(late.pop()[1])
            case "drop":
                watcher.feed(source.padding())
            case "pause" | "resume":
                watcher.down_track.set_pause(Pause.DISABLED, paused=event == "pause")
            case "switch":
                watcher.source = Source(source.ssrc + 1, VP8, sequence=number * 7)
            case "restart":
                source.restart(sequence=source.sequence + 20_000, timestamp=source.timestamp + (1 << 30))
            case _:
                pass  # nothing is late


@in_trio
def _asked_for_all(events: list[str]) -> None:
    in_stream, apart = Watcher(rtx=False), Watcher(rtx=True)
    for watcher in (in_stream, apart):
        watcher.feed(watcher.source.next(KEY_FRAME))
        play(watcher, events)
        watcher.down_track.set_pause(Pause.DISABLED, paused=False)
    sent = {packet.index: packet for packet in in_stream.connection.sent(OUT)}
    numbers = range(32_000, max(sent) + 2)
    for packet in in_stream.ask(*numbers):
        if packet.index in sent:
            assert packet == sent[packet.index]
    answers = {int.from_bytes(packet.payload[:2]): packet for packet in apart.ask(*numbers)}
    for number in numbers:
        answer, original = answers.get(number), sent.get(number)
        if answer is not None and original is not None:
            assert answer.payload[2:] == original.payload
            assert (answer.header.timestamp, answer.header.marker) == (
                original.header.timestamp,
                original.header.marker,
            )
        elif original is not None:
            assert "restart" in events, "only a source that has started anew is forgotten"


@given(st.lists(EVENTS, max_size=60))
def test_every_number_is_answered_with_the_packet_that_was_sent_under_it(events: list[str]) -> None:
    _asked_for_all(events)
