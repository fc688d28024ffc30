import pytest
import trio
from trio.testing import MockClock

from rtp.rtcp.reports import ReportBlock
from rtp.sdp.codecs import MediaKind
from rtp.units import Mid, Ssrc
from sfu.media.downtrack import DownTrack, Pause
from sfu.media.quality import Counts
from sfu.media.track import MediaTrack
from sfu.model import Identity, ParticipantSid, TrackSid
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import DELTA_FRAME, KEY_FRAME, VP8, Source
from tests.sfu.media.rig import OTHER_PATH
from tests.sfu.media.test_receiver import OUT, Track


def paused(track: Track) -> frozenset[str]:
    return track.down_track.statistics().paused


def keyframe_due(track: Track, ssrc: int = 5) -> float | None:
    return track.receiver.streams[Ssrc(ssrc)].keyframes.next_timeout()


def test_nothing_is_sent_before_the_section_is_agreed_and_the_connection_up() -> None:
    track, source = Track(), Source(5)
    track.connection.transport.srtp, track.connection.selected = None, None
    down_track = DownTrack(track.receiver, track.connection, Ssrc(78), first_sequence=5)
    track.feed(source, source.next())
    down_track.bind(payload_type=100, abs_send_time_id=None)
    assert down_track.bound
    track.feed(source, source.next())
    assert down_track.statistics().paused == {"DISCONNECTED"}
    track.connection.transport.srtp = track.connection.keys
    down_track.transport_changed()
    assert down_track.statistics().paused == {"DISCONNECTED"}
    track.connection.selected = OTHER_PATH
    down_track.transport_changed()
    track.feed(source, source.next(), source.next())
    assert [packet.index for packet in track.connection.sent(78)] == [5, 6]
    assert track.connection.endpoint.queued[-1][1] == OTHER_PATH.remote


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        (Pause.MUTED, 0),
        (Pause.DISCONNECTED, 0),
        (Pause.DISABLED, None),
        (Pause.UNBOUND, None),
        (Pause.CLOSED, None),
    ],
)
def test_that_nothing_can_be_sent_is_no_wish_of_the_subscriber(reason: Pause, wanted: int | None) -> None:
    track = Track()
    assert track.receiver.wanted_layer() == 0
    track.down_track.set_pause(reason, paused=True)
    assert track.receiver.wanted_layer() == wanted


def test_what_the_subscriber_reports_is_counted_in_seconds_and_packets() -> None:
    track, source = Track(), Source(5)
    assert track.down_track.counts() is None
    track.feed(source, source.next())
    report = ReportBlock(OUT, 25, 7, 1234, jitter=4_800, last_sender_report=0, delay_since=0)
    track.down_track.report_received(report, round_trip_seconds=0.08, now=1.0)
    assert track.down_track.counts() == Counts(1234, 7, jitter_seconds=0.1, round_trip_seconds=0.08)
    assert track.down_track.reports == 1


def test_media_follows_the_connection_to_another_path() -> None:
    track, source = Track(), Source(5)
    track.feed(source, source.next())
    track.connection.selected = OTHER_PATH
    track.down_track.transport_changed()
    track.feed(source, source.next())
    addresses = [to for _, to in track.connection.endpoint.queued]
    assert addresses[-1] == OTHER_PATH.remote != addresses[0]
    assert track.numbers == [0, 1]


@pytest.mark.parametrize("reason", [Pause.MUTED, Pause.DISABLED, Pause.DISCONNECTED])
async def test_after_a_pause_video_goes_on_at_a_key_frame_without_a_gap(
    autojump_clock: MockClock, reason: Pause
) -> None:
    track, source = Track(MediaKind.VIDEO), Source(5, VP8)
    track.feed(source, source.next(KEY_FRAME), source.next(DELTA_FRAME))
    track.down_track.set_pause(reason, paused=True)
    track.feed(source, source.next(DELTA_FRAME), source.next(KEY_FRAME))
    assert track.numbers == [0, 1]
    await trio.sleep(60)
    track.down_track.set_pause(reason, paused=False)
    assert keyframe_due(track) == trio.current_time()
    track.feed(source, source.next(DELTA_FRAME), source.next(KEY_FRAME), source.next(DELTA_FRAME))
    assert track.numbers == [0, 1, 2, 3]
    stamps = [packet.header.timestamp for packet in track.sent]
    assert stamps[2] - stamps[1] == 4 * 1800  # the source's clock has gone on meanwhile


@in_trio
def test_all_reasons_to_pause_must_be_gone() -> None:
    track, source = Track(MediaKind.VIDEO), Source(5, VP8)
    track.feed(source, source.next(KEY_FRAME))
    for reason in (Pause.MUTED, Pause.DISABLED):
        track.down_track.set_pause(reason, paused=True)
    track.down_track.set_pause(Pause.MUTED, paused=False)
    track.feed(source, source.next(KEY_FRAME))
    assert (track.numbers, paused(track)) == ([0], {"DISABLED"})
    assert keyframe_due(track) is None


@in_trio
def test_an_unmuted_track_asks_for_one_key_frame_for_all() -> None:
    track, source = Track(MediaKind.VIDEO), Source(5, VP8)
    media = MediaTrack(TrackSid("TR_1"), ParticipantSid("PA_1"), Identity("alice"), Mid("0"), track.receiver)
    track.feed(source, source.next(KEY_FRAME))
    media.set_muted(muted=True)
    changes = len(track.changes)
    media.set_muted(muted=False)
    assert len(track.changes) == changes + 1
    assert (media.muted, media.kind, media.codec, media.stream_id(is_shared=False)) == (
        False,
        MediaKind.VIDEO,
        VP8,
        "PA_1|TR_1",
    )


@in_trio
def test_a_subscribers_wish_for_a_key_frame_counts_only_while_it_is_sent_something() -> None:
    track, source = Track(MediaKind.VIDEO), Source(5, VP8)
    track.feed(source, source.next(KEY_FRAME))
    track.down_track.keyframe_requested()
    assert keyframe_due(track) == trio.current_time()
    track.feed(source, source.next(KEY_FRAME))
    track.down_track.set_pause(Pause.DISABLED, paused=True)
    track.down_track.keyframe_requested()
    assert keyframe_due(track) is None


def test_a_closed_down_track_never_sends_again() -> None:
    """Its SSRC's index is forgotten, and would begin again under the same keys."""
    track, source = Track(), Source(5)
    track.feed(source, source.next())
    track.down_track.close()
    track.down_track.close()
    assert track.connection.keys.removed[0] == OUT
    track.down_track.bind(payload_type=100, abs_send_time_id=None)
    track.down_track.transport_changed()
    track.feed(source, source.next())
    assert (track.numbers, paused(track), track.down_track.sender_clock()) == ([0], {"CLOSED"}, None)
    assert track.receiver.down_tracks == []
    assert track.connection.failures == []


def test_the_end_of_a_track_closes_all_its_down_tracks() -> None:
    track = Track()
    MediaTrack(TrackSid("TR_1"), ParticipantSid("PA_1"), Identity("alice"), Mid("0"), track.receiver).close()
    assert track.receiver.down_tracks == []
    assert paused(track) == {"CLOSED"}


def test_a_fault_is_the_subscribers() -> None:
    track, source = Track(), Source(5)
    track.connection.keys.fault = ZeroDivisionError()
    track.feed(source, source.next())
    assert [type(error) for error in track.connection.failures] == [ZeroDivisionError]


def test_statistics_tell_what_the_subscriber_says() -> None:
    track, source = Track(), Source(5)
    track.feed(source, source.next(bytes(11)))
    track.down_track.report_received(ReportBlock(OUT, 0, 7, 0, 30, 0, 0), round_trip_seconds=0.05, now=1.0)
    track.down_track.report_received(ReportBlock(OUT, 0, 8, 0, 31, 0, 0), round_trip_seconds=None, now=1.0)
    statistics = track.down_track.statistics()
    assert (statistics.packets, statistics.octets, statistics.refused) == (1, 19, 0)
    assert (statistics.packets_lost, statistics.jitter, statistics.round_trip_seconds) == (8, 31, 0.05)
    totals = track.down_track.totals()
    assert (totals.packets, totals.octets, totals.lost) == (1, 19, 8)
