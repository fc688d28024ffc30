import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.extensions import find_extension, parse_extensions
from rtp.packet import parse_header
from rtp.rtcp.reports import ReportBlock
from rtp.sdp.codecs import MediaKind
from rtp.units import Ssrc
from sfu.media.downtrack import DownTrack
from sfu.media.packet_numbers import PacketNumbers
from sfu.media.playout import DEFAULT_MAX_MS, PlayoutDelayWriter
from sfu.settings import PlayoutDelay
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import DELTA_FRAME, KEY_FRAME, VP8, Source
from tests.sfu.media.rig import OTHER_PATH
from tests.sfu.media.test_receiver import Track

DELAY = PlayoutDelay(400, 2_000)
TOLD = bytes.fromhex("0280c8")  # 40 and 200 units of 10 ms
PLAYOUT = 7
FIRST = 500


class DelayedTrack(Track):
    """A video with one subscriber, who is told of a playout delay; NACKs are answered on stream 9, payload type 101."""

    def __init__(self) -> None:
        super().__init__(MediaKind.VIDEO)
        self.source = Source(5, VP8)

    def subscriber(self) -> DownTrack:
        down_track = DownTrack(
            self.receiver,
            self.connection,
            Ssrc(78),
            first_sequence=FIRST,
            rtx_ssrc=Ssrc(9),
            playout_delay=DELAY,
        )
        bind(down_track)
        return down_track

    def send(self, count: int = 1) -> None:
        """Have frames published, the first of them a key frame."""
        for _ in range(count):
            self.feed(self.source, self.source.next(DELTA_FRAME if self.source.made else KEY_FRAME, marker=True))

    def told(self, ssrc: int = 78) -> list[bytes | None]:
        """Return the playout delay in each packet that was sent."""
        return [find_extension(each, parse_header(each), PLAYOUT) for each in self.packets(ssrc)]

    def packets(self, ssrc: int = 78) -> list[bytes]:
        queued = [packet for packet, _ in self.connection.endpoint.queued]
        return [packet for packet in queued if parse_header(packet).ssrc == ssrc]

    def report(self, highest: int, jitter: int = 0, after: float = 0.0) -> None:
        """Have the subscriber report the newest number that it got, and its jitter in ticks."""
        self.now += after
        block = ReportBlock(Ssrc(78), 0, 0, highest, jitter, 0, 0)
        self.down_track.report_received(block, round_trip_seconds=None, now=self.now)


def bind(
    down_track: DownTrack,
    *,
    numbers: PacketNumbers | None = None,
    rtx_payload_type: int | None = 101,
    playout_delay_id: int | None = PLAYOUT,
) -> None:
    down_track.bind(
        payload_type=100,
        abs_send_time_id=None if numbers else 3,
        rtx_payload_type=rtx_payload_type,
        numbers=numbers,
        playout_delay_id=playout_delay_id,
    )


@in_trio
def test_the_delay_is_told_until_a_packet_that_carried_it_is_reported() -> None:
    track = DelayedTrack()
    bind(track.down_track, playout_delay_id=None)
    track.send(2)
    bind(track.down_track)
    track.send()
    track.report(FIRST + 1)
    track.send()
    track.report(FIRST + 2)
    track.send(2)
    assert track.told() == [None, None, TOLD, TOLD, None, None]


@in_trio
def test_who_has_been_told_costs_nothing_more() -> None:
    track = DelayedTrack()
    track.send()
    assert track.down_track.row.protect != track.connection.keys.protect
    track.report(FIRST)
    assert track.down_track.row.protect == track.connection.keys.protect


@in_trio
def test_nothing_else_about_the_packet_changes() -> None:
    track = DelayedTrack()
    track.send()
    track.report(FIRST)
    track.send()
    told, plain = track.packets()
    with_delay, without = (parse_extensions(packet, parse_header(packet)) for packet in (told, plain))
    assert (set(with_delay), set(without)) == ({3, PLAYOUT}, {3})
    first, second = track.connection.sent(78)
    assert (first.index, second.index) == (FIRST, FIRST + 1)
    assert (first.header.marker, first.header.payload_type) == (second.header.marker, second.header.payload_type)
    assert first.payload.startswith(KEY_FRAME)


@in_trio
def test_it_stands_beside_the_transport_wide_number() -> None:
    track = DelayedTrack()
    bind(track.down_track, numbers=PacketNumbers(4, lambda _size, _now: 0x1234))
    track.send()
    packet = track.packets()[0]
    assert parse_extensions(packet, parse_header(packet)) == {4: b"\x12\x34", PLAYOUT: TOLD}


@in_trio
def test_what_is_lost_before_the_report_carries_it_again() -> None:
    track = DelayedTrack()
    track.send(2)
    track.down_track.nack([FIRST], track.now + 1)
    assert track.told(9) == [TOLD]


@pytest.mark.parametrize(
    ("rtx_payload_type", "playout_delay_id"),
    [(None, PLAYOUT), (101, None)],
    ids=["would repeat a number with another content", "does not know it"],
)
@in_trio
def test_some_are_not_told(rtx_payload_type: int | None, playout_delay_id: int | None) -> None:
    track = DelayedTrack()
    bind(track.down_track, rtx_payload_type=rtx_payload_type, playout_delay_id=playout_delay_id)
    track.send(2)
    assert track.told() == [None, None]


@in_trio
def test_what_carried_it_is_not_sent_again_in_the_stream_itself() -> None:
    """With another content under its number it would give away the key (RFC 7714 §8.1): `Keys` sees to that."""
    track = DelayedTrack()
    track.send(2)
    bind(track.down_track, rtx_payload_type=None)
    track.send()
    track.down_track.nack([FIRST, FIRST + 1, FIRST + 2], track.now + 1)
    assert [each.index for each in track.connection.sent(78)] == [FIRST, FIRST + 1, FIRST + 2, FIRST + 2]


@in_trio
def test_agreeing_to_it_again_does_not_tell_it_again() -> None:
    track = DelayedTrack()
    track.send()
    track.report(FIRST)
    bind(track.down_track)
    track.send()
    assert track.told() == [TOLD, None]


@in_trio
def test_it_is_told_on_another_path_too() -> None:
    track = DelayedTrack()
    track.send()
    track.connection.selected = OTHER_PATH
    track.down_track.transport_changed()
    track.send()
    assert track.told() == [TOLD, TOLD]


@in_trio
def test_jitter_raises_the_delay_slowly_and_the_subscriber_is_told() -> None:
    track = DelayedTrack()
    track.send()
    track.report(FIRST)
    track.report(FIRST, jitter=90 * 100, after=1)  # 100 ms, which ask for 1 s
    track.send()
    assert track.told() == [TOLD, (48 << 12 | 200).to_bytes(3)]
    track.report(FIRST + 1, jitter=90 * 45, after=0.5)
    track.send()
    assert track.told()[2] is None, "less than what is worth telling"


@in_trio
def test_a_shared_screen_has_jitter_of_its_own() -> None:
    track = DelayedTrack()
    track.receiver.layers.is_screen_share = True
    track.send()
    track.report(FIRST)
    track.report(FIRST, jitter=90 * 100, after=10)
    track.send()
    assert track.told() == [TOLD, None]


def written(writer: PlayoutDelayWriter) -> tuple[int, int]:
    """Return what is told, in ms."""
    packets: list[bytes] = []
    writer.before(lambda packet: packets.append(packet) or packet)(bytes.fromhex("8064 0001 00000000 00000001"))
    data = find_extension(packets[0], parse_header(packets[0]), writer.identifier)
    assert data is not None
    return (int.from_bytes(data) >> 12) * 10, (int.from_bytes(data) & 0xFFF) * 10


@pytest.mark.parametrize(
    ("delay", "told"),
    [
        (PlayoutDelay(0, 0), (0, DEFAULT_MAX_MS)),
        (PlayoutDelay(100, 0), (100, DEFAULT_MAX_MS)),
        (PlayoutDelay(20_000, 0), (20_000, 20_000)),
        (PlayoutDelay(300, 200), (300, 300)),
        (PlayoutDelay(1 << 32, 1 << 32), (40_950, 40_950)),
    ],
)
def test_what_cannot_be_is_put_right_and_0_to_0_is_never_told(delay: PlayoutDelay, told: tuple[int, int]) -> None:
    assert written(PlayoutDelayWriter(delay, 1, -1)) == told


def test_reports_count_across_the_wrap_of_16_bits() -> None:
    writer = PlayoutDelayWriter(DELAY, 1, 0x1_FFFE)
    assert not writer.report_received(0xFFFE, None, 0x2_0005, 1.0)
    assert writer.report_received(0x0003, None, 0x2_0005, 1.0)
    assert not writer.report_received(0x0005, None, 0x2_0005, 2.0)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 100)), max_size=20))
def test_whatever_is_reported_the_delay_keeps_to_the_rooms_bounds(reports: list[tuple[float, float]]) -> None:
    writer, now = PlayoutDelayWriter(DELAY, 1, -1), 0.0
    for sequence, (jitter, elapsed) in enumerate(reports):
        now += elapsed
        writer.report_received(-1, jitter, sequence, now)
        least, most = written(writer)
        assert (400 <= least <= 2_000, most) == (True, 2_000)
