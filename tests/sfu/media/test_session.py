from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from rtp.arrivals import TAIL_SECONDS
from rtp.binding import MAX_SSRCS_PER_SECTION, Section
from rtp.extensions import serialize_extensions
from rtp.packet import build_packet
from rtp.payload.rtx import rtx_payload
from rtp.rtcp.compound import RtcpPacket, Unrecognised, serialize_compound
from rtp.rtcp.goodbye import Goodbye
from rtp.rtcp.key_frame_request import FullIntraRequest, PictureLossIndication
from rtp.rtcp.remb import ReceiverEstimatedMaxBitrate
from rtp.rtcp.reports import ReceiverReport, ReportBlock, SenderReport
from rtp.rtcp.source_description import SourceDescription
from rtp.rtcp.transport_cc import TransportCcFeedback
from rtp.sdp.codecs import Codec, MediaKind
from rtp.serial import compact_ntp, ntp_time
from rtp.units import Mid, Rid, Ssrc
from sfu.media.downtrack import DownTrack, Pause
from sfu.media.keyframes import RETRY_SECONDS
from sfu.media.layers import TrackLayers
from sfu.media.receiver import Receiver
from sfu.media.session import FIRST_REPORT_SECONDS, REPORT_INTERVAL_SECONDS, DropCause, MediaSession
from tests.rtp.wire import recorded_rtcp
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import DELTA_FRAME, KEY_FRAME, OPUS, VP8, Source
from tests.sfu.media.rig import Connection

FEEDBACK = Ssrc(1234)
AUDIO = Section(Mid("0"), frozenset({111}))
VIDEO = Section(Mid("1"), frozenset({96}), frozenset({97}))
OUT = Ssrc(77)


class Call:
    """A publisher's session, whose two tracks a subscriber's session gets."""

    def __init__(self, audio: Codec = OPUS, video: Codec = VP8) -> None:
        self.publisher, self.subscriber = Connection(), Connection()
        self.incoming = MediaSession(self.publisher, feedback_ssrc=FEEDBACK)
        self.outgoing = MediaSession(self.subscriber, feedback_ssrc=FEEDBACK)
        self.audio = Receiver(audio, MediaKind.AUDIO, TrackLayers(), self.publisher.reschedule)
        self.video = Receiver(video, MediaKind.VIDEO, TrackLayers(), self.publisher.reschedule)
        self.incoming.receive_from(AUDIO, self.audio)
        self.incoming.receive_from(VIDEO, self.video)

    def subscribe(self, receiver: Receiver, ssrc: Ssrc = OUT) -> DownTrack:
        down_track = DownTrack(receiver, self.subscriber, ssrc, first_sequence=0)
        self.outgoing.add_down_track(down_track, "PA_1|TR_1", trio.current_time())
        down_track.bind(payload_type=100, abs_send_time_id=None)
        return down_track

    def publish(self, *packets: bytes) -> None:
        for packet in packets:
            self.incoming.receive_rtp(packet, trio.current_time())

    def tell(self, session: MediaSession, *packets: RtcpPacket) -> None:
        session.receive_rtcp(serialize_compound(packets), trio.current_time())

    async def pass_time(self, seconds: float) -> None:
        """Keep the timers of both sessions."""
        until = trio.current_time() + seconds
        while True:
            timeouts = [self.incoming.next_timeout(), self.outgoing.next_timeout(), until]
            due = min(timeout for timeout in timeouts if timeout is not None)
            await trio.sleep_until(due)
            if due >= until:
                return
            for session in (self.incoming, self.outgoing):
                session.handle_timeout(trio.current_time())


@pytest.fixture
def call() -> Call:
    return Call()


def report(ssrc: int, *, lsr: int = 0, dlsr: float = 0.0, lost: int = 0) -> ReportBlock:
    return ReportBlock(Ssrc(ssrc), 0, lost, 0, 0, lsr, int(dlsr * 65536))


# Packets in


@in_trio
def test_packets_go_to_their_sections_receiver(call: Call) -> None:
    call.publish(Source(5).next(), Source(6, VP8).next(KEY_FRAME), Source(5).next())
    assert (list(call.audio.streams), list(call.video.streams)) == ([5], [6])


@in_trio
def test_what_cannot_be_bound_or_read_is_counted(call: Call) -> None:
    call.publish(b"\x80", Source(0).next(), Source(9).next(payload_type=45), Source(8, VP8).next(payload_type=97))
    call.publish(Source(8, VP8).next(payload_type=97))
    call.publish(Source(5).padding()[:-1] + b"\xff")
    call.incoming.receive_rtcp(b"\x80\xc9\x00", 0.0)
    call.tell(call.incoming, Unrecognised(205, 31, bytes(16)))
    assert call.incoming.statistics().drops == {
        DropCause.MALFORMED_RTP: 2,
        DropCause.UNBOUND: 2,
        DropCause.RETRANSMISSION: 2,
        DropCause.MALFORMED_RTCP: 1,
        DropCause.UNKNOWN_FEEDBACK: 1,
    }


@in_trio
def test_layers_are_told_by_their_rid(call: Call) -> None:
    rids = (Rid("f"), Rid("q"))
    receiver = Receiver(VP8, MediaKind.VIDEO, TrackLayers(rids), call.publisher.reschedule)
    section = Section(Mid("2"), frozenset({96}), rids=rids, mid_extension=1, rid_extension=2)
    call.incoming.receive_from(section, receiver)
    for ssrc, rid in ((21, b"q"), (22, b"f"), (23, b"x")):
        block = serialize_extensions([(1, b"2"), (2, rid)])
        call.publish(
            build_packet(payload_type=96, sequence=1, timestamp=1, ssrc=ssrc, payload=b"\x10\x10", extensions=block)
        )
    assert {stream.ssrc: stream.layer for stream in receiver.streams.values()} == {21: 0, 22: 2}


@in_trio
def test_layers_of_a_group_and_their_retransmissions_are_told_by_their_ssrcs(call: Call) -> None:
    low, high = Rid("q"), Rid("h")
    section = Section(
        Mid("2"),
        frozenset({96}),
        frozenset({97}),
        ssrcs={Ssrc(21): low, Ssrc(22): high},
        rtx_ssrcs={Ssrc(31): low, Ssrc(32): high},
    )
    codec = replace(VP8, rtx_payload_type=97)
    receiver = Receiver(codec, MediaKind.VIDEO, TrackLayers((low, high)), call.publisher.reschedule)
    call.incoming.receive_from(section, receiver)
    for ssrc in (22, 21):
        for number in (1, 3):
            call.publish(build_packet(payload_type=96, sequence=number, timestamp=1, ssrc=ssrc, payload=b"\x10\x10"))
    assert {stream.ssrc: stream.layer for stream in receiver.streams.values()} == {22: 1, 21: 0}
    lost = rtx_payload(2, b"\x10\x11")
    call.publish(build_packet(payload_type=97, sequence=9, timestamp=1, ssrc=32, payload=lost))
    assert [receiver.streams[Ssrc(ssrc)].reception.statistics().lost for ssrc in (21, 22)] == [1, 0]


async def test_tracks_that_are_added_put_no_report_off(autojump_clock: MockClock, call: Call) -> None:
    call.publish(Source(5).next())
    due = call.incoming.next_timeout()
    await trio.sleep(0.1)
    down_track = DownTrack(call.audio, call.publisher, Ssrc(99), first_sequence=0)
    call.incoming.add_down_track(down_track, "PA_1|TR_1", trio.current_time())
    assert call.incoming.next_timeout() == due


@in_trio
def test_a_section_that_is_withdrawn_takes_its_streams_along(call: Call) -> None:
    call.subscribe(call.audio)
    source = Source(5)
    call.publish(source.next())
    call.incoming.stop_receiving(Mid("0"))
    call.incoming.stop_receiving(Mid("nobody's"))
    call.publish(source.next())
    assert len(call.subscriber.sent(OUT)) == 1
    assert list(call.audio.streams) == []
    call.incoming.receive_from(AUDIO, call.audio)
    call.publish(source.next())
    assert [packet.index for packet in call.subscriber.sent(OUT)] == [0, 1]


@in_trio
def test_an_ssrc_that_a_description_gives_to_another_section_goes_there(call: Call) -> None:
    source = Source(5)
    call.publish(source.next())
    other = Receiver(OPUS, MediaKind.AUDIO, TrackLayers(), call.publisher.reschedule)
    call.incoming.receive_from(Section(Mid("3"), frozenset({111}), ssrcs={Ssrc(5): None}), other)
    call.publish(source.next())
    assert (list(call.audio.streams), list(other.streams)) == ([], [5])


@in_trio
def test_after_a_goodbye_the_same_ssrc_goes_on_as_one_stream(call: Call) -> None:
    call.subscribe(call.audio)
    source = Source(5)
    call.publish(source.next(), source.next())
    call.tell(call.incoming, Goodbye((Ssrc(5), Ssrc(99))))
    assert call.audio.streams == {}
    source.lose(100)
    call.publish(source.next(), source.next())
    assert [packet.index for packet in call.subscriber.sent(OUT)] == [0, 1, 2, 3]


@in_trio
def test_a_sender_of_ever_new_ssrcs_is_bounded(call: Call) -> None:
    for ssrc in range(1, 100):
        call.publish(Source(ssrc).next())
    assert len(call.audio.streams) == MAX_SSRCS_PER_SECTION


# Reports to publishers


async def test_what_came_in_is_reported_soon_and_then_every_second(autojump_clock: MockClock, call: Call) -> None:
    call.publish(Source(5, sequence=41).next(), Source(6, VP8).next(KEY_FRAME), Source(8, VP8).next(payload_type=97))
    assert call.incoming.next_timeout() == trio.current_time() + FIRST_REPORT_SECONDS
    assert call.publisher.reschedules > 0
    await call.pass_time(FIRST_REPORT_SECONDS + 0.01)
    (compound,) = call.publisher.reports
    (receiver_report,) = compound
    assert receiver_report.ssrc == FEEDBACK
    assert {block.ssrc: block.highest_sequence for block in receiver_report.blocks} == {5: 42, 6: 1001}
    await call.pass_time(3 * REPORT_INTERVAL_SECONDS)
    assert len(call.publisher.reports) == 4


async def test_more_blocks_than_one_report_holds_go_into_several(autojump_clock: MockClock, call: Call) -> None:
    for ssrc in range(1, 33):
        call.publish(Source(ssrc).next(), Source(100 + ssrc, VP8).next(DELTA_FRAME))
    await call.pass_time(FIRST_REPORT_SECONDS + 0.01)
    assert [len(compound[0].blocks) for compound in call.publisher.reports] == [31, 31, 2]


async def test_a_session_without_media_has_no_timer(autojump_clock: MockClock, call: Call) -> None:
    assert call.incoming.next_timeout() is None
    down_track = call.subscribe(call.audio)
    assert call.outgoing.next_timeout() is not None
    call.outgoing.remove_down_track(down_track)
    await call.pass_time(5)
    assert call.outgoing.next_timeout() is None
    assert call.subscriber.reports == []  # nothing was sent, so there is nobody to say goodbye to


async def test_the_senders_clock_comes_back_in_the_next_report(autojump_clock: MockClock, call: Call) -> None:
    source = Source(5)
    call.publish(source.next())
    ntp = ntp_time(1_800_000_000.5)
    call.tell(call.incoming, SenderReport(Ssrc(5), ntp, source.timestamp, 1, 1))
    await call.pass_time(FIRST_REPORT_SECONDS + 0.01)
    ((receiver_report,),) = call.publisher.reports
    assert receiver_report.blocks[0].last_sender_report == compact_ntp(ntp)
    assert receiver_report.blocks[0].delay_since == int(FIRST_REPORT_SECONDS * 65536)


# Reports to subscribers


async def test_subscribers_see_the_publishers_clock(autojump_clock: MockClock, call: Call) -> None:
    down_track, source = call.subscribe(call.audio), Source(5)
    call.publish(source.next(), source.next())
    ntp, timestamp = ntp_time(1_800_000_000.0), source.timestamp
    await trio.sleep(0.5)
    call.tell(call.incoming, SenderReport(Ssrc(5), ntp, timestamp, 2, 2))
    heard_at = trio.current_time()
    call.outgoing.handle_timeout(trio.current_time() + 60)
    (sender_report,) = call.subscriber.take(SenderReport)
    elapsed = 60.0
    assert trio.current_time() == heard_at
    assert (sender_report.ssrc, sender_report.ntp) == (OUT, ntp + (int(elapsed) << 32))
    assert sender_report.rtp_timestamp == timestamp + down_track.row.timestamp_offset + int(elapsed * 48_000)
    assert (sender_report.packet_count, sender_report.octet_count) == (2, down_track.row.octets)


async def test_sender_reports_carry_the_name_that_ties_streams_together(autojump_clock: MockClock, call: Call) -> None:
    call.subscribe(call.audio)
    source = Source(5)
    call.publish(source.next())
    call.tell(call.incoming, SenderReport(Ssrc(5), ntp_time(1e9), source.timestamp, 1, 1))
    await call.pass_time(1.5)
    (compound,) = call.subscriber.reports
    assert [type(packet) for packet in compound] == [SenderReport, SourceDescription]
    assert compound[1].cnames == ((OUT, "PA_1|TR_1"),)


async def test_no_sender_report_without_the_publishers_word_or_while_nothing_is_sent(
    autojump_clock: MockClock, call: Call
) -> None:
    down_track, source = call.subscribe(call.audio), Source(5)
    call.publish(source.next())
    await call.pass_time(3)
    assert call.subscriber.reports == []
    call.tell(call.incoming, SenderReport(Ssrc(5), ntp_time(1e9), source.timestamp, 1, 1))
    down_track.set_pause(Pause.DISABLED, paused=True)
    await call.pass_time(3)
    assert call.subscriber.reports == []


async def test_the_clock_of_another_source_waits_for_its_own_report(autojump_clock: MockClock, call: Call) -> None:
    """The offset of the timestamps is new: an old report under it would make the subscriber's clock jump."""
    call.subscribe(call.audio)
    old, new = Source(5), Source(6, timestamp=999_999)
    call.publish(old.next())
    call.tell(call.incoming, SenderReport(Ssrc(5), ntp_time(1e9), old.timestamp, 1, 1))
    call.publish(new.next())
    await call.pass_time(2)
    assert call.subscriber.reports == []
    call.tell(call.incoming, SenderReport(Ssrc(6), ntp_time(1e9 + 2), new.timestamp + 96_000, 1, 1))
    await call.pass_time(1)
    assert len(call.subscriber.take(SenderReport)) == 1


async def test_the_round_trip_is_told_from_the_report_that_we_sent(autojump_clock: MockClock, call: Call) -> None:
    down_track, source = call.subscribe(call.audio), Source(5)
    call.publish(source.next())
    call.tell(call.incoming, SenderReport(Ssrc(5), ntp_time(1e9), source.timestamp, 1, 1))
    await call.pass_time(1)
    call.outgoing.handle_timeout(trio.current_time())
    (sent,) = call.subscriber.take(SenderReport)
    await trio.sleep(0.25)
    lsr = compact_ntp(sent.ntp)
    call.tell(call.outgoing, ReceiverReport(Ssrc(1), (report(OUT, lsr=lsr + 1, dlsr=0.1), report(12345))))
    assert down_track.statistics().round_trip_seconds is None  # that is not a report of ours
    call.tell(call.outgoing, ReceiverReport(Ssrc(1), (report(OUT, lsr=lsr, dlsr=0.125, lost=3),)))
    assert down_track.statistics().round_trip_seconds == pytest.approx(0.125)
    assert down_track.statistics().packets_lost == 3
    call.tell(call.outgoing, ReceiverReport(Ssrc(1), (report(OUT, lsr=lsr, dlsr=9.0),)))
    assert down_track.statistics().round_trip_seconds == 0  # a peer that miscounts makes no negative time


@in_trio
def test_who_was_sent_something_gets_a_goodbye(call: Call) -> None:
    down_track = call.subscribe(call.audio)
    call.publish(Source(5).next())
    call.outgoing.remove_down_track(down_track)
    call.outgoing.remove_down_track(down_track)
    assert call.subscriber.take(Goodbye) == [Goodbye((OUT,))]


# Feedback


@pytest.mark.parametrize(
    "wish",
    [
        lambda ssrc: PictureLossIndication(Ssrc(1), ssrc),
        lambda ssrc: FullIntraRequest(Ssrc(1), ((Ssrc(99), 1), (ssrc, 7))),
    ],
)
async def test_a_wish_for_a_key_frame_goes_to_the_publisher_once(
    autojump_clock: MockClock, call: Call, wish: Callable[[Ssrc], RtcpPacket]
) -> None:
    call.subscribe(call.video)
    call.subscribe(call.video, Ssrc(78))
    source = Source(6, VP8)
    call.publish(source.next(KEY_FRAME))
    for ssrc in (OUT, Ssrc(78), OUT, Ssrc(999)):
        call.tell(call.outgoing, wish(ssrc))
    assert call.incoming.next_timeout() == trio.current_time()
    await call.pass_time(0.1)
    assert call.publisher.take(PictureLossIndication) == [PictureLossIndication(FEEDBACK, Ssrc(6))]
    await call.pass_time(RETRY_SECONDS)
    assert len(call.publisher.take(PictureLossIndication)) == 1  # it may have been lost
    call.publish(source.next(KEY_FRAME))
    await call.pass_time(10)
    assert call.publisher.take(PictureLossIndication) == []


async def test_requests_are_throttled(autojump_clock: MockClock, call: Call) -> None:
    call.subscribe(call.video)
    source = Source(6, VP8)
    call.publish(source.next(KEY_FRAME))
    for _ in range(100):
        call.tell(call.outgoing, PictureLossIndication(Ssrc(1), OUT))
        await call.pass_time(0.05)
        call.publish(source.next(KEY_FRAME))
    assert len(call.publisher.take(PictureLossIndication)) == 10  # in five seconds


async def test_a_late_subscriber_makes_the_publisher_send_a_key_frame(autojump_clock: MockClock, call: Call) -> None:
    source = Source(6, VP8)
    call.publish(source.next(KEY_FRAME), source.next(DELTA_FRAME))
    await call.pass_time(10)
    assert call.publisher.take(PictureLossIndication) == []
    call.subscribe(call.video)
    await call.pass_time(0.01)
    assert len(call.publisher.take(PictureLossIndication)) == 1


@in_trio
def test_remb_is_noted(call: Call) -> None:
    assert call.outgoing.statistics().bandwidth.estimator.remb_bps is None
    call.tell(call.outgoing, ReceiverEstimatedMaxBitrate(Ssrc(1), 1 << 20, (OUT,)))
    assert call.outgoing.statistics().bandwidth.estimator.remb_bps == 1 << 20


@in_trio
def test_recorded_compounds_of_clients_are_taken(call: Call) -> None:
    """All of rtcp.jsonl, as a peer that was not asked for most of it."""
    for line in recorded_rtcp():
        call.incoming.receive_rtcp(bytes.fromhex(line["hex"]), trio.current_time())
    assert set(call.incoming.statistics().drops) <= {DropCause.UNKNOWN_FEEDBACK}


@in_trio
def test_every_down_track_looks_where_its_media_goes_now(call: Call) -> None:
    down_track = call.subscribe(call.audio)
    call.subscriber.selected = None
    call.outgoing.transport_changed()
    assert down_track.statistics().paused == {"DISCONNECTED"}


TRANSPORT_CC_ID = 5


def numbered(packet: bytes, number: int) -> bytes:
    """Return a packet, which had no header extensions, with a transport-wide number."""
    extensions = serialize_extensions([(TRANSPORT_CC_ID, number.to_bytes(2))])
    return bytes((packet[0] | 0x10,)) + packet[1:12] + extensions + packet[12:]


@pytest.mark.parametrize("is_agreed", [True, False])
async def test_a_sender_that_numbers_its_packets_is_told_when_they_came_if_that_is_agreed(
    autojump_clock, call: Call, is_agreed: bool
) -> None:
    call.incoming.receive_from(VIDEO, call.video, transport_cc_id=TRANSPORT_CC_ID if is_agreed else None)
    of_nobody = Source(0).next()  # as libwebrtc probes before it has media
    call.publish(numbered(Source(6, VP8).next(KEY_FRAME), 100), numbered(of_nobody, 101))
    await call.pass_time(TAIL_SECONDS + 0.01)
    told = call.publisher.take(TransportCcFeedback)
    assert [(each.sender_ssrc, each.media_ssrc, each.base_sequence, len(each.deltas)) for each in told] == (
        [(FEEDBACK, 0, 100, 2)] if is_agreed else []
    )


async def told_of(call: Call, numbers: Iterable[int]) -> dict[int, int]:
    """Publish packets with these transport-wide numbers within a moment; return how often each is told of."""
    call.incoming.receive_from(VIDEO, call.video, transport_cc_id=TRANSPORT_CC_ID)
    call.publish(*(numbered(Source(6, VP8).next(), number) for number in numbers))
    await call.pass_time(TAIL_SECONDS + 0.01)
    return Counter(
        message.base_sequence + place
        for message in call.publisher.take(TransportCcFeedback)
        for place, delta in enumerate(message.deltas)
        if delta is not None
    )


async def test_a_sender_is_told_of_all_that_has_gathered_while_we_stood_still(autojump_clock, call: Call) -> None:
    assert await told_of(call, range(100, 3_000)) == dict.fromkeys(range(100, 3_000), 1)


async def test_a_sender_is_told_of_all_that_comes_in_great_disorder(autojump_clock, call: Call) -> None:
    assert await told_of(call, [100]) == {100: 1}
    disorder = [900, *range(898, 110, -2)]
    assert await told_of(call, [999]) == {999: 1}
    assert await told_of(call, disorder) == dict.fromkeys(disorder, 1)
