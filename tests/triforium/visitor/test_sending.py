from itertools import pairwise
from random import Random

import pytest

from rtp.extensions import ABS_SEND_TIME, AUDIO_LEVEL, MID, REPAIRED_RID, RID, parse_audio_level, parse_extensions
from rtp.packet import parse_header
from rtp.payload.vp8 import is_keyframe, parse_vp8
from rtp.sdp.codecs import MediaKind
from rtp.serial import ntp_time
from rtp.units import Mid, Rid, Ssrc
from triforium.visitor.plan import CALL_PLAN, MediaPlan
from triforium.visitor.receiving import ReceivedTrack
from triforium.visitor.sending import Sender
from triforium.visitor.sources import AudioSource, Vp8Source

SSRC = Ssrc(77)


def audio_sender(plan: MediaPlan | None = None) -> Sender:
    sender = Sender(MediaKind.AUDIO, AudioSource(plan or MediaPlan()), SSRC, Random(1))
    sender.agree(111, Mid("3"), {MID: 4, AUDIO_LEVEL: 1})
    return sender


def video_sender(plan: MediaPlan | None = None) -> Sender:
    sender = Sender(MediaKind.VIDEO, Vp8Source(plan or MediaPlan(), Random(2)), SSRC, Random(1))
    sender.agree(96, Mid("4"), {MID: 4})
    return sender


def run(sender: Sender, until: float, start: float = 0.0) -> list[tuple[float, bytes]]:
    """Wake the sender exactly when it wants to be."""
    sender.start(start)
    sent = []
    while (due := sender.next_timeout()) is not None and due < until - 1e-9:
        sent += [(due, packet) for packet in sender.take(due)]
    return sent


def key_frames(packets: list[bytes]) -> list[bool]:
    verdicts = []
    for packet in packets:
        payload = packet[parse_header(packet).size :]
        verdicts.append(is_keyframe(payload, parse_vp8(payload)))
    return verdicts


def test_nothing_is_sent_before_the_section_is_agreed_and_the_way_is_clear() -> None:
    sender = Sender(MediaKind.AUDIO, AudioSource(MediaPlan()), SSRC, Random(1))
    assert (sender.next_timeout(), sender.take(0.0), sender.is_agreed) == (None, [], False)
    sender.agree(111, Mid("0"), {})
    assert (sender.next_timeout(), sender.take(0.0), sender.is_agreed) == (None, [], True)
    sender.start(5.0)
    assert sender.next_timeout() == 5.0


def test_audio_keeps_its_beat_and_its_clock() -> None:
    sent = run(audio_sender(), until=2.0)

    headers = [parse_header(packet) for _, packet in sent]
    assert [time for time, _ in sent] == pytest.approx([beat / 10 for beat in range(20)])
    assert {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(headers)} == {4800}
    assert {(b.sequence - a.sequence) % 2**16 for a, b in pairwise(headers)} == {1}
    assert {(header.ssrc, header.payload_type, header.marker) for header in headers} == {(SSRC, 111, False)}


def test_audio_says_how_loud_it_is_and_its_mid_until_it_is_reported_on() -> None:
    sender = audio_sender()
    (_, first), *_ = run(sender, until=0.1)
    sender.reported()
    (_, second), *_ = run(sender, until=0.2)

    assert parse_extensions(first, parse_header(first))[4] == b"3"
    assert set(parse_extensions(second, parse_header(second))) == {1}
    assert parse_audio_level(parse_extensions(second, parse_header(second))[1]) == 12


def test_the_send_time_is_fresh_in_each_burst() -> None:
    sender = audio_sender()
    sender.agree(111, Mid("0"), {ABS_SEND_TIME: 2})

    stamps = [parse_extensions(packet, parse_header(packet))[2] for _, packet in run(sender, until=0.2)]

    assert stamps == [(0).to_bytes(3), int(0.1 * 2**18).to_bytes(3)]


def test_a_call_sends_its_frames_in_bursts() -> None:
    sent = run(video_sender(CALL_PLAN), until=1.0)

    headers = [parse_header(packet) for _, packet in sent]
    assert len(sent) == 130
    assert sum(header.marker for header in headers) == 30
    assert [len({t for t, _ in sent[:4]}), headers[3].marker, headers[7].marker, headers[12].marker] == [
        1,
        True,
        True,
        True,
    ]
    assert {len(packet) - header.size for (_, packet), header in zip(sent, headers, strict=True)} == {1150 + 6}
    assert {(header.timestamp - headers[0].timestamp) % 2**32 % 3000 for header in headers} == {0}


def test_a_key_frame_comes_first_and_when_asked_for() -> None:
    sender = video_sender()
    packets = [packet for _, packet in run(sender, until=1.0)]
    sender.request_key_frame()
    packets += [packet for _, packet in run(sender, until=2.0)]

    assert key_frames(packets) == [True, *[False] * 4] * 2
    assert sender.key_frames_requested == 1


def test_key_frames_come_at_the_plans_interval() -> None:
    packets = [packet for _, packet in run(video_sender(MediaPlan(key_frame_interval=3)), until=1.4)]

    assert key_frames(packets) == [True, False, False, True, False, False, True]


def test_a_muted_sender_is_silent_and_goes_on_with_a_key_frame() -> None:
    sender = video_sender()
    before = [packet for _, packet in run(sender, until=0.5)]
    sender.mute()
    assert (sender.next_timeout(), sender.take(3.0)) == (None, [])
    sender.unmute(4.0)
    (time, after), *_ = run(sender, until=4.1)

    assert (time, key_frames([after])) == (4.0, [True])
    first, last = parse_header(before[0]), parse_header(after)
    assert (last.timestamp - first.timestamp) % 2**32 == 4 * 90_000
    assert (last.sequence - first.sequence) % 2**16 == len(before)


def test_what_came_too_late_is_left_out() -> None:
    sender = audio_sender()
    sender.start(0.0)

    assert len(sender.take(0.35)) == 4
    assert len(sender.take(10.05)) == 1
    assert sender.next_timeout() == pytest.approx(10.1)


def test_a_report_ties_the_media_clock_to_the_wall_clock() -> None:
    sender = audio_sender()
    sender.start(0.0)
    assert sender.report(0.0, wall=1e9) is None
    packets = [packet for _, packet in run(sender, until=1.0)]

    report = sender.report(1.5, wall=1e9 + 1.5)

    assert report is not None
    assert (report.ssrc, report.packet_count, report.octet_count) == (SSRC, 10, 800)
    assert report.ntp == ntp_time(1e9 + 1.5)
    assert (report.rtp_timestamp - parse_header(packets[0]).timestamp) % 2**32 == 72_000


@pytest.mark.parametrize("plan", [MediaPlan(), CALL_PLAN], ids=["thin", "call"])
def test_all_that_is_sent_by_a_plan_is_known_to_who_receives_by_it(plan: MediaPlan) -> None:
    audio = ReceivedTrack("TR_A", MediaKind.AUDIO, 48_000, plan.known_payloads(), SSRC, payload_type=96)
    video = ReceivedTrack("TR_V", MediaKind.VIDEO, 90_000, plan.known_payloads(), SSRC, payload_type=96)
    for time, packet in run(audio_sender(plan), until=8.0):
        audio.receive(packet, parse_header(packet), time)
    for time, packet in run(video_sender(plan), until=8.0):
        video.receive(packet, parse_header(packet), time)

    heard, seen = audio.statistics(), video.statistics()
    assert (heard.packets, heard.unknown_payloads, heard.lost) == (8 * plan.audio_packets_per_second, 0, 0)
    assert (seen.frames, seen.key_frames, seen.unknown_payloads) == (8 * plan.video_frames_per_second, 1, 0)
    assert (seen.picture_gaps, seen.suspects, seen.restarts) == (0, 0, 0)


def layer_sender() -> Sender:
    source = Vp8Source(MediaPlan(), Random(2))
    sender = Sender(MediaKind.VIDEO, source, SSRC, Random(1), Ssrc(78), rid=Rid("h"))
    sender.agree(96, Mid("4"), {MID: 4, RID: 10, REPAIRED_RID: 11}, 97)
    return sender


def named(packet: bytes) -> dict[int, bytes]:
    return parse_extensions(packet, parse_header(packet))


def test_a_layer_says_its_name_until_it_is_reported_on_and_its_repairs_say_it_for_ever() -> None:
    sender = layer_sender()
    (_, first), *_ = run(sender, until=0.1)
    sender.reported()
    (_, second), *_ = run(sender, until=0.3)
    (repair,) = sender.resend([parse_header(second).sequence], 0.3)

    assert [named(first), named(second), named(repair)] == [{4: b"4", 10: b"h"}, {}, {4: b"4", 11: b"h"}]


def test_a_stopped_layer_is_silent_and_goes_on_with_its_next_number_and_a_key_frame() -> None:
    sender = layer_sender()
    before = [packet for _, packet in run(sender, until=0.5)]
    sender.stop_layer()
    assert (sender.next_timeout(), sender.take(3.0)) == (None, [])
    sender.start_layer(4.0)
    (time, after), *_ = run(sender, until=4.1)

    assert (time, key_frames([after])) == (4.0, [True])
    assert parse_header(after).sequence == parse_header(before[-1]).sequence + 1


def test_a_muted_layer_stays_silent_when_it_is_started() -> None:
    sender = layer_sender()
    sender.start(0.0)
    sender.stop_layer()
    sender.mute()
    sender.start_layer(1.0)
    assert sender.next_timeout() is None
    sender.unmute(2.0)
    assert sender.next_timeout() == 2.0


def test_a_restarted_layer_is_somebody_else_with_the_same_name() -> None:
    sender = layer_sender()
    before = [packet for _, packet in run(sender, until=0.5)]
    sender.reported()
    sender.restart(Ssrc(99), Ssrc(100))
    after = [packet for _, packet in run(sender, until=1.0)]

    old, new = parse_header(before[-1]), parse_header(after[0])
    assert (new.ssrc, named(after[0])) == (99, {4: b"4", 10: b"h"})
    assert key_frames(after)[0]
    assert new.sequence != old.sequence + 1
    assert new.timestamp != (old.timestamp + 18_000) % 2**32
    assert sender.packets == len(after)
    assert not sender.resend([old.sequence], 1.0), "what it was before is forgotten"
