"""Opus with redundancy for those who want it, and without for those who do not know it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.packet import build_packet, parse_header
from rtp.payload.red import parse_red, serialize_red
from rtp.sdp.codecs import Codec, MediaKind
from rtp.units import Mid, Ssrc
from sfu.media.downtrack import DownTrack
from sfu.media.layers import TrackLayers
from sfu.media.receiver import Receiver
from sfu.media.track import MediaTrack
from sfu.model import Identity, ParticipantSid, TrackSid
from tests.rtp.wire import recorded_rtp
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import OPUS
from tests.sfu.media.rig import Connection, SentPacket

RED = Codec("audio/red", 63, 48_000, 2, "111/111")
PCMU = Codec("audio/PCMU", 0, 8_000)
TICKS = 960
SSRC = Ssrc(5)
OUT = Ssrc(77)


def frame(number: int) -> bytes:
    """A frame that says which it is."""
    return b"\xf8" + number.to_bytes(4)


class Stage:
    """A track published in `codec`, and a subscriber who has agreed on some codecs."""

    def __init__(self, codec: Codec, *agreed: Codec, opus: Codec | None = OPUS) -> None:
        self.now = 100.0
        self.receiver = Receiver(
            codec,
            MediaKind.AUDIO,
            TrackLayers(),
            lambda: None,
            bare_payload_type=OPUS.payload_type if codec is RED else None,
        )
        self.track = MediaTrack(
            TrackSid("TR_1"), ParticipantSid("PA_1"), Identity("alice"), Mid("0"), self.receiver, opus=opus
        )
        self.stream = self.receiver.add_stream(SSRC, None)
        self.connection = Connection()
        self.agreed = self.track.codec_for(agreed)
        self.down_track = self.subscribe(OUT) if self.agreed else None

    def subscribe(self, ssrc: Ssrc) -> DownTrack:
        assert self.agreed is not None
        down_track = DownTrack(self.receiver, self.connection, ssrc, first_sequence=0)
        down_track.bind(payload_type=self.agreed.payload_type, abs_send_time_id=None)
        if (source := self.track.source_of(self.agreed.mime)) is not self.receiver:
            down_track.set_source(source)
        return down_track

    def feed(self, *packets: bytes) -> None:
        for packet in packets:
            self.now += 0.02
            self.receiver.receive(self.stream, packet, parse_header(packet), self.now)

    @property
    def sent(self) -> list[SentPacket]:
        return self.connection.sent(OUT)

    @property
    def heard(self) -> list[tuple[int, int, bytes]]:
        """The subscriber's numbers, timestamps and frames."""
        return [(packet.index, packet.header.timestamp, packet.payload) for packet in self.sent]


def red(number: int, *back: int, sequence: int | None = None) -> bytes:
    """Frame `number`, and those before it by so many frames, the furthest first."""
    redundant = [(TICKS * each, frame(number - each)) for each in back]
    return build_packet(
        payload_type=63,
        sequence=(1000 + number if sequence is None else sequence) & 0xFFFF,
        timestamp=TICKS * number & 0xFFFF_FFFF,
        ssrc=SSRC,
        payload=serialize_red(111, frame(number), redundant),
        marker=number == 0,
    )


def bare(number: int) -> bytes:
    return build_packet(
        payload_type=111,
        sequence=(1000 + number) & 0xFFFF,
        timestamp=TICKS * number & 0xFFFF_FFFF,
        ssrc=SSRC,
        payload=frame(number),
    )


def right(*numbers: int) -> list[tuple[int, int, bytes]]:
    return [(number, TICKS * number, frame(number)) for number in numbers]


@pytest.mark.parametrize(
    ("published", "opus", "agreed", "gets"),
    [
        (RED, OPUS, (OPUS, RED), RED),
        (RED, OPUS, (OPUS,), OPUS),
        (OPUS, OPUS, (OPUS, RED), RED),
        (OPUS, OPUS, (OPUS,), OPUS),
        (OPUS, None, (OPUS, RED), OPUS),  # the publisher does not want it, or encrypts
        (RED, OPUS, (replace(OPUS, payload_type=109), RED), replace(OPUS, payload_type=109)),  # RED of another Opus
        (RED, OPUS, (PCMU,), None),
        (PCMU, None, (OPUS, RED, PCMU), PCMU),
    ],
)
def test_each_gets_the_best_that_was_agreed(published, opus, agreed, gets) -> None:
    assert Stage(published, *agreed, opus=opus).agreed == gets


@in_trio
def test_who_knows_red_gets_it_as_it_is() -> None:
    stage = Stage(RED, OPUS, RED)
    packets = [red(0), red(1, 1), red(2, 2, 1)]
    stage.feed(*packets)
    assert [packet.payload for packet in stage.sent] == [packet[12:] for packet in packets]
    assert {packet.header.payload_type for packet in stage.sent} == {63}


@in_trio
def test_who_does_not_gets_the_frames_themselves() -> None:
    stage = Stage(RED, OPUS)
    stage.feed(red(0), red(1, 1), red(2, 2, 1))
    assert stage.heard == right(0, 1, 2)
    assert [packet.header.marker for packet in stage.sent] == [True, False, False]
    assert {packet.header.payload_type for packet in stage.sent} == {111}


@in_trio
def test_lost_frames_are_recovered_in_their_places() -> None:
    stage = Stage(RED, OPUS)
    stage.feed(red(0), red(3, 2, 1), red(5, 1), red(9, 2, 1))
    assert stage.heard == right(0, 1, 2, 3, 4, 5, 7, 8, 9), "two at most"


@in_trio
def test_what_was_recovered_is_not_sent_again_when_it_comes_late() -> None:
    stage = Stage(RED, OPUS)
    stage.feed(red(0), red(2, 1), red(1, 1), red(3, 1))
    assert stage.heard == right(0, 1, 2, 3)


@in_trio
def test_what_was_not_recovered_is_sent_when_it_comes_late() -> None:
    stage = Stage(RED, OPUS)
    stage.feed(red(0), red(2), red(1, 1))
    assert stage.heard == right(0, 2, 1)


@in_trio
def test_a_number_without_a_time_between_two_frames_is_not_taken_for_the_frame_before() -> None:
    stage = Stage(RED, OPUS)  # 1001 was padding, and was lost
    stage.feed(red(0), red(1, 1, sequence=1002))
    assert stage.heard == [(0, 0, frame(0)), (2, TICKS, frame(1))]


@in_trio
def test_a_frame_without_red_around_it_is_one_of_the_stream_in_either_format() -> None:
    for agreed in (OPUS,), (OPUS, RED):
        stage = Stage(RED, *agreed)
        stage.feed(red(0), bare(1), red(2, 1))
        if len(agreed) == 1:
            assert stage.heard == right(0, 1, 2)
        else:
            assert [packet.payload for packet in stage.sent][1] == b"\x6f" + frame(1)


@in_trio
def test_red_that_cannot_be_read_is_counted_and_harms_nobody() -> None:
    stage = Stage(RED, OPUS)
    broken = build_packet(payload_type=63, sequence=1001, timestamp=TICKS, ssrc=SSRC, payload=b"\xef\x0f\x00")
    strange = build_packet(payload_type=63, sequence=1002, timestamp=2 * TICKS, ssrc=SSRC, payload=b"\x08g711")
    stage.feed(red(0), broken, strange, red(3))
    assert stage.heard == right(0, 3)
    assert stage.receiver.statistics().malformed_payloads == 2
    assert stage.connection.failures == []


@in_trio
def test_a_lost_frame_is_sent_again_as_it_was() -> None:
    stage = Stage(RED, OPUS)
    stage.feed(red(0), red(2, 1), red(3, 1))
    assert stage.down_track is not None
    stage.down_track.nack([1], stage.now + 1)
    assert stage.heard == right(0, 1, 2, 3, 1)


@in_trio
def test_opus_is_put_into_red_with_the_two_frames_before_it() -> None:
    stage = Stage(OPUS, OPUS, RED)
    stage.feed(bare(0), bare(1), bare(2), bare(3), bare(6))
    assert {packet.header.payload_type for packet in stage.sent} == {63}
    contents = []
    for packet in stage.sent:
        blocks = parse_red(packet.payload, 0, len(packet.payload))
        assert {block.payload_type for block in blocks} == {111}
        assert [block.timestamp_offset for block in blocks] == [TICKS * back for back in range(len(blocks))][::-1]
        contents.append([packet.payload[block.start : block.end] for block in blocks])
    assert contents == [
        [frame(0)],
        [frame(0), frame(1)],
        [frame(0), frame(1), frame(2)],
        [frame(1), frame(2), frame(3)],
        [frame(6)],  # what is further back than two numbers is no use
    ]
    assert [packet.index for packet in stage.sent] == [0, 1, 2, 3, 6]


@in_trio
def test_redundancy_that_does_not_fit_is_left_out() -> None:
    stage = Stage(OPUS, OPUS, RED)
    large = [replace_payload(bare(number), bytes(500)) for number in range(4)]
    stage.feed(*large)
    assert [len(parse_red(packet.payload, 0, len(packet.payload))) for packet in stage.sent] == [1, 2, 2, 2]


def replace_payload(packet: bytes, payload: bytes) -> bytes:
    return packet[:12] + payload


@in_trio
def test_a_format_is_made_once_for_all_who_get_it_and_all_are_told_of_the_track() -> None:
    stage = Stage(RED, OPUS)
    other = stage.subscribe(Ssrc(78))
    stage.feed(red(0), red(1, 1))
    assert len(stage.receiver.formats) == 1
    assert [packet.payload for packet in stage.connection.sent(Ssrc(78))] == [frame(0), frame(1)]
    assert len(stage.receiver.statistics().down_tracks) == 2
    stage.track.close()
    stage.feed(red(2))
    assert len(stage.sent) == 2
    assert not other.is_sending


@in_trio
def test_a_publisher_that_starts_anew_goes_on_in_both_formats() -> None:
    for published, make in ((RED, red), (OPUS, bare)):
        stage = Stage(published, OPUS if published is RED else RED, OPUS)
        stage.feed(make(0), make(1))
        stage.feed(*(make(number) for number in range(20_000, 20_010)))
        indices = [packet.index for packet in stage.sent]
        assert indices == list(range(len(indices)))
        assert len(indices) == 8, "two, and those that came once it was sure"


@in_trio
def test_recorded_red_comes_out_whole_whichever_packet_is_lost() -> None:
    # Chromium 156, one frame of redundancy
    recorded = [each.packet for each in recorded_rtp() if each.where.startswith("rtp-red") and each.what == "red"]
    whole = Stage(RED, OPUS)
    whole.feed(*recorded)
    assert len(whole.sent) > 70
    for lost in range(1, len(recorded) - 1):
        stage = Stage(RED, OPUS)
        stage.feed(*recorded[:lost], *recorded[lost + 1 :])
        assert [packet.payload for packet in stage.sent] == [packet.payload for packet in whole.sent]
        assert [packet.header.timestamp for packet in stage.sent] == [packet.header.timestamp for packet in whole.sent]


ORDERS = st.lists(
    st.tuples(st.sampled_from(["pass", "pass", "pass", "lose", "late", "twice"]), st.integers(0, 2)), max_size=60
)


@given(ORDERS)
@in_trio
def test_whatever_is_lost_or_late_no_number_stands_for_two_frames_and_time_goes_with_numbers(orders) -> None:
    stage = Stage(RED, OPUS)  # its connection fails the test if a number is used for two
    late: list[bytes] = []
    stage.feed(red(0))
    for number, (order, redundancy) in enumerate(orders, start=1):
        packet = red(number, *range(min(redundancy, number), 0, -1))
        match order:
            case "pass":
                stage.feed(packet)
            case "late":
                late.append(packet)
                continue
            case "twice":
                stage.feed(packet, packet)
            case _:
                continue
        stage.feed(*late)
        late.clear()
    assert stage.heard[0] == (0, 0, frame(0))
    for index, timestamp, payload in stage.heard:
        assert (timestamp, payload) == (TICKS * index, frame(index))
    indices = [index for index, _, _ in stage.heard]
    assert len(indices) == len(set(indices))
