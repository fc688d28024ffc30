from random import Random

from rtp.packet import build_packet, parse_header
from rtp.sdp.codecs import MediaKind
from rtp.units import Mid, Ssrc
from triforium.visitor.plan import MediaPlan
from triforium.visitor.receiving import REMEMBERED_ARRIVALS, ReceivedTrack
from triforium.visitor.sending import Sender
from triforium.visitor.sources import Vp8Source

SSRC = Ssrc(5)
PLAN = MediaPlan()


def video_packets(count: int, plan: MediaPlan = PLAN) -> list[bytes]:
    sender = Sender(MediaKind.VIDEO, Vp8Source(plan, Random(1)), SSRC, Random(2))
    sender.agree(96, Mid("0"), {})
    sender.start(0.0)
    return [packet for frame in range(count) for packet in sender.take(frame / 5 + 0.001)]


def receive(track: ReceivedTrack, packets: list[bytes]) -> None:
    for index, packet in enumerate(packets):
        track.receive(packet, parse_header(packet), index / 5)


def new_track(kind: MediaKind = MediaKind.VIDEO) -> ReceivedTrack:
    return ReceivedTrack("TR_x", kind, 90_000, PLAN.known_payloads(), SSRC, payload_type=96)


def test_loss_and_repetition_are_counted() -> None:
    packets = video_packets(10)
    track = new_track()

    receive(track, [*packets[:4], *packets[6:8], packets[7], *packets[8:]])

    statistics = track.statistics()
    assert (statistics.packets, statistics.lost, statistics.duplicates, statistics.frames) == (8, 2, 1, 8)
    assert statistics.picture_gaps == 1


def test_a_payload_that_is_no_sample_is_counted() -> None:
    track = new_track(MediaKind.AUDIO)
    packet = build_packet(payload_type=111, sequence=9, timestamp=0, ssrc=SSRC, payload=b"no sample")

    receive(track, [packet])

    assert track.statistics().unknown_payloads == 1


def test_a_key_frame_is_asked_for_once_a_second_until_it_comes() -> None:
    _, second, third, key_frame = video_packets(4, MediaPlan(key_frame_interval=3))
    track = new_track()
    assert not track.wants_key_frame(0.0), "nothing came yet"

    receive(track, [second, third])

    assert [track.wants_key_frame(now) for now in (1.0, 1.9, 2.0)] == [True, False, True]
    receive(track, [key_frame])
    assert not track.wants_key_frame(9.0)


def test_audio_wants_no_key_frame() -> None:
    track = new_track(MediaKind.AUDIO)
    receive(track, [build_packet(payload_type=111, sequence=9, timestamp=0, ssrc=SSRC, payload=b"x")])

    assert not track.wants_key_frame(1.0)


def test_arrivals_are_remembered_within_bounds() -> None:
    track = new_track()
    receive(track, video_packets(REMEMBERED_ARRIVALS + 10))

    statistics = track.statistics()
    assert len(statistics.arrivals) == REMEMBERED_ARRIVALS
    assert (statistics.first_arrival, statistics.last_arrival) == (0.0, (REMEMBERED_ARRIVALS + 9) / 5)


def test_nothing_is_reported_before_the_first_packet() -> None:
    track = new_track()
    assert track.report_block(0.0) is None
    receive(track, video_packets(2))
    block = track.report_block(1.0)
    assert block is not None
    assert (block.ssrc, block.packets_lost) == (SSRC, 0)


def test_who_watches_sees_each_packet_once_and_can_ask_for_a_key_frame() -> None:
    packets = video_packets(4)
    seen: list[tuple[int, bytes]] = []
    track = ReceivedTrack(
        "TR_x",
        MediaKind.VIDEO,
        90_000,
        PLAN.known_payloads(),
        SSRC,
        payload_type=96,
        watch=lambda _, packet: seen.append((packet.sequence & 0xFFFF, packet.payload)),
    )

    receive(track, [packets[0], packets[2], packets[2], packets[1]])

    headers = [parse_header(packet) for packet in packets]
    expected = [(headers[at].sequence, packets[at][headers[at].size :]) for at in (0, 2, 1)]
    assert seen == expected
    assert not track.wants_key_frame(5.0)
    track.request_key_frame()
    assert [track.wants_key_frame(now) for now in (5.0, 7.0)] == [True, False]
    track.request_key_frame()
    assert [track.wants_key_frame(now) for now in (5.5, 6.0)] == [False, True]
