import pytest

from rtp.extensions import parse_extensions, with_extension
from rtp.packet import parse_header
from rtp.payload.red import serialize_red
from rtp.sdp.codecs import MediaKind
from rtp.units import Ssrc
from sfu.media.downtrack import DownTrack
from sfu.media.fanout import PacketFacts
from sfu.media.layers import TrackLayers
from sfu.media.packet_numbers import PacketNumbers
from sfu.media.receiver import Receiver
from sfu.media.redundancy import RedUnwrapper
from tests.rtp.wire import recorded_rtp
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import DELTA_FRAME, KEY_FRAME, VP8, Source
from tests.sfu.media.rig import Connection
from tests.sfu.media.test_receiver import Track

CAME_AS, GOES_AS = 13, 6
SHORT, LONG = bytes.fromhex("eeadc0bd2b393ab4"), bytes.fromhex("eeadc0bd2b393ab40000000080000000")


class TimedTrack(Track):
    """A video whose publisher says when it was captured, with one subscriber who wants to know."""

    def __init__(self) -> None:
        super().__init__(MediaKind.VIDEO)
        self.receiver = Receiver(VP8, MediaKind.VIDEO, TrackLayers(), lambda: None, capture_time_id=CAME_AS)
        self.connection = Connection()
        self.down_track = DownTrack(
            self.receiver, self.connection, Ssrc(78), first_sequence=0, rtx_ssrc=Ssrc(9), first_rtx_sequence=0
        )
        self.bind()
        self.source = Source(5, VP8)

    def bind(
        self,
        *,
        capture_time_id: int | None = GOES_AS,
        rtx_payload_type: int | None = 101,
        numbers: PacketNumbers | None = None,
    ) -> None:
        self.down_track.bind(
            payload_type=100,
            abs_send_time_id=None if numbers else 3,
            rtx_payload_type=rtx_payload_type,
            numbers=numbers,
            capture_time_id=capture_time_id,
        )

    def send(self, captured: bytes | None) -> None:
        packet = self.source.next(DELTA_FRAME if self.source.made else KEY_FRAME, marker=True)
        self.feed(self.source, packet if captured is None else with_extension(packet, CAME_AS, captured))

    def times(self, ssrc: int = 78) -> list[bytes | None]:
        """Return the capture time in each packet that was sent."""
        return [elements.get(GOES_AS) for elements in self.extensions(ssrc)]

    def extensions(self, ssrc: int = 78) -> list[dict[int, bytes]]:
        queued = [packet for packet, _ in self.connection.endpoint.queued]
        return [parse_extensions(each, header) for each in queued if (header := parse_header(each)).ssrc == ssrc]


@in_trio
def test_the_capture_time_is_passed_on_as_it_came_and_only_where_it_came() -> None:
    track = TimedTrack()
    for captured in (LONG, None, SHORT):
        track.send(captured)
    assert track.times() == [LONG, None, SHORT]


@in_trio
def test_what_chromium_sends_comes_out_under_the_subscribers_number() -> None:
    packets = [each for each in recorded_rtp() if "rtp-vp8-simulcast" in each.where and each.line["ssrc"] == 381250861]
    assert packets[0].session["extensions"][str(CAME_AS)] == "capture"
    track = TimedTrack()
    for recorded in packets:
        stream = track.receiver.streams.get(Ssrc(381250861)) or track.receiver.add_stream(Ssrc(381250861), None)
        track.now += 0.02
        track.receiver.receive(stream, recorded.packet, parse_header(recorded.packet), track.now)
    came = [recorded.extensions.get(CAME_AS) for recorded in packets]
    assert came[0] is not None
    assert track.times() == came


@in_trio
@pytest.mark.parametrize("nonsense", [bytes(7), bytes(9), bytes(15)])
def test_a_capture_time_of_another_length_is_left_out(nonsense: bytes) -> None:
    track = TimedTrack()
    track.send(nonsense)
    assert track.times() == [None]


@in_trio
def test_who_has_not_agreed_to_it_gets_none() -> None:
    track = TimedTrack()
    track.bind(capture_time_id=None)
    track.send(LONG)
    assert track.extensions() == [{3: track.extensions()[0][3]}]


@in_trio
def test_it_stands_beside_the_transport_wide_number() -> None:
    track = TimedTrack()
    track.bind(numbers=PacketNumbers(4, lambda _size, _now: 0x1234))
    track.send(SHORT)
    assert track.extensions() == [{4: b"\x12\x34", GOES_AS: SHORT}]


@in_trio
def test_what_is_sent_again_carries_it_again() -> None:
    track = TimedTrack()
    track.send(LONG)
    track.send(None)
    track.down_track.nack([0, 1], track.now + 1)
    assert track.times(9) == [LONG, None]


@in_trio
def test_what_is_sent_again_in_the_stream_itself_is_what_it_was() -> None:
    track = TimedTrack()
    track.bind(rtx_payload_type=None)
    track.send(LONG)
    track.down_track.nack([0], track.now + 1)
    assert track.times() == [LONG, LONG]  # and `Keys` has seen to the rest
    first, again = track.connection.endpoint.queued
    assert first == again


def test_of_redundant_audio_the_packets_own_frame_has_its_time() -> None:
    now, earlier = b"now", b"earlier"
    packet = bytes(12) + serialize_red(111, now, [(960, earlier)])
    unwrapper = RedUnwrapper(111)
    unwrapper.convert(packet, red_facts(packet, sequence=1, captured=None))
    frames = unwrapper.convert(packet, red_facts(packet, sequence=3, captured=LONG))
    assert [(data[facts.payload_at : facts.payload_end], facts.captured) for data, facts in frames] == [
        (earlier, None),
        (now, LONG),
    ]


def red_facts(packet: bytes, *, sequence: int, captured: bytes | None) -> PacketFacts:
    timestamp = 960 * sequence
    return PacketFacts(sequence, timestamp, False, 0, 1, True, 12, len(packet), 1.0, captured=captured)
