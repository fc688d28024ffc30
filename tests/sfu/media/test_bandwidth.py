"""One connection's bandwidth, without a network: what it makes of what the subscriber tells."""

import pytest
import trio
from trio.testing import MockClock

from rtp.bandwidth.estimate import Estimate
from rtp.extensions import find_extension
from rtp.packet import parse_header
from rtp.rtcp.nack import GenericNack
from rtp.rtcp.remb import ReceiverEstimatedMaxBitrate
from rtp.rtcp.transport_cc import REFERENCE_TICKS, TICK_SECONDS, TransportCcFeedback
from rtp.sdp.codecs import MediaKind
from rtp.units import Ssrc
from sfu.media.bandwidth import STABLE_SECONDS
from sfu.media.downtrack import DownTrack, Pause
from sfu.media.ladder import Level
from sfu.media.layers import TrackLayers
from sfu.media.receiver import Receiver
from sfu.media.session import MediaSession
from sfu.settings import CongestionSettings
from tests.sfu.media.publisher import DELTA_FRAME, KEY_FRAME, OPUS, VP8, Source
from tests.sfu.media.rig import Connection

OUT, RTX = Ssrc(77), Ssrc(78)
TRANSPORT_CC_ID = 4
FRAME_SECONDS = 0.05
FRAME_BYTES = 1_000


class Subscription:
    """One video of one layer, on its way to somebody who agreed to transport-wide numbers, or to send times only."""

    def __init__(self, settings: CongestionSettings, *, numbered: bool) -> None:
        self.connection = Connection()
        self.session = MediaSession(self.connection, feedback_ssrc=Ssrc(1), congestion=settings)
        self.receiver = Receiver(VP8, MediaKind.VIDEO, TrackLayers(), lambda: None)
        self.stream = self.receiver.add_stream(Ssrc(5), None)
        self.source = Source(5, VP8)
        self.down_track = DownTrack(self.receiver, self.connection, OUT, first_sequence=0, rtx_ssrc=RTX)
        self.session.add_down_track(self.down_track, "PA_1|TR_1", trio.current_time())
        self.down_track.row.count = self.session.bandwidth.counter()
        self.down_track.bind(
            payload_type=100,
            abs_send_time_id=None if numbered else 3,
            rtx_payload_type=101,
            numbers=self.session.bandwidth.numbers(TRANSPORT_CC_ID) if numbered else None,
        )
        self.feedbacks = 0

    async def play(self, seconds: float, *, key: bool = False) -> None:
        """Let frames pass, and timers run."""
        for at in range(round(seconds / FRAME_SECONDS)):
            now = trio.current_time()
            head = KEY_FRAME if key and not at else DELTA_FRAME
            packet = self.source.next(head.ljust(FRAME_BYTES, b"\0"))
            self.receiver.receive(self.stream, packet, parse_header(packet), now)
            self.session.handle_timeout(now)
            await trio.sleep(FRAME_SECONDS)

    def tell_arrivals(self, first: int, count: int, *, delay: float, growth: float = 0.0) -> None:
        """Tell when numbered packets came, each later than the one before by `growth` more than it was sent."""
        now = trio.current_time()
        started = now - count * FRAME_SECONDS
        ticks = [round((started + delay + at * (FRAME_SECONDS + growth)) / TICK_SECONDS) for at in range(count)]
        reference = ticks[0] // REFERENCE_TICKS
        before = [reference * REFERENCE_TICKS, *ticks]
        deltas = tuple(tick - last for tick, last in zip(ticks, before, strict=False))
        feedback = TransportCcFeedback(Ssrc(1), OUT, first, reference, self.feedbacks, deltas)
        self.feedbacks += 1
        self.session.bandwidth.receive_feedback(feedback, now)

    @property
    def budget(self) -> int | None:
        return self.session.bandwidth.statistics().budget_bps


async def test_every_packet_of_video_has_a_number_also_those_that_are_sent_again(autojump_clock: MockClock) -> None:
    each = Subscription(CongestionSettings(), numbered=True)
    await each.play(0.5, key=True)
    last = each.connection.sent(OUT)[-1].header.sequence
    each.down_track.nack([last], trio.current_time())
    packets = [packet for packet, _ in each.connection.endpoint.queued]
    numbers = [find_extension(packet, parse_header(packet), TRANSPORT_CC_ID) for packet in packets]
    assert numbers == [number.to_bytes(2) for number in range(11)]
    assert parse_header(packets[-1]).ssrc == RTX


async def test_nothing_is_limited_before_anything_shows_a_limit(autojump_clock: MockClock) -> None:
    each = Subscription(CongestionSettings(may_pause=True), numbered=True)
    await each.play(3, key=True)
    assert each.budget is None
    assert each.down_track.statistics().allowance is None
    assert not each.down_track.is_starved


@pytest.mark.parametrize("may_pause", [True, False])
async def test_a_budget_that_does_not_do_pauses_where_that_is_allowed(
    autojump_clock: MockClock, may_pause: bool
) -> None:
    each = Subscription(CongestionSettings(may_pause=may_pause), numbered=False)
    changes: list[bool] = []
    each.session.bandwidth.pauses_changed = lambda: changes.append(each.down_track.is_starved)
    await each.play(2, key=True)
    each.session.bandwidth.force(1_000)
    await each.play(STABLE_SECONDS)
    assert each.down_track.is_starved == may_pause
    assert changes == ([True] if may_pause else [])
    allowance = each.down_track.statistics().allowance
    assert allowance is not None
    assert (allowance.level, allowance.budget_bps) == (None if may_pause else Level(0), 1_000)
    each.session.bandwidth.force(None)
    await each.play(STABLE_SECONDS)
    assert changes == ([True, False] if may_pause else [])
    assert each.down_track.statistics().allowance is None


async def test_a_budget_holds_for_what_is_not_known_yet_for_what_it_costs(autojump_clock: MockClock) -> None:
    each = Subscription(CongestionSettings(may_pause=True), numbered=False)
    each.session.bandwidth.force(1_000)
    await each.play(3 * STABLE_SECONDS, key=True)
    assert each.down_track.is_starved


async def test_nobody_looks_at_what_is_muted(autojump_clock: MockClock) -> None:
    each = Subscription(CongestionSettings(), numbered=False)
    each.down_track.set_pause(Pause.MUTED, paused=True)
    each.session.bandwidth.force(1_000)
    await each.play(STABLE_SECONDS)
    assert each.session.bandwidth.next_timeout() is None
    each.down_track.set_pause(Pause.MUTED, paused=False)
    await each.play(STABLE_SECONDS)
    assert each.session.bandwidth.next_timeout() is not None


async def test_estimates_change_nothing_where_that_is_turned_off(autojump_clock: MockClock) -> None:
    each = Subscription(CongestionSettings(enabled=False), numbered=True)
    assert each.down_track.row.numbers is None
    await each.play(2, key=True)
    for bitrate in (1_000_000, 1_000):
        each.session.bandwidth.receive_remb(bitrate, trio.current_time())
        await each.play(1)
    assert each.budget is None
    assert each.session.bandwidth.next_timeout() is None


async def test_feedback_about_a_queue_that_grows_sets_a_budget(autojump_clock: MockClock) -> None:
    each = Subscription(CongestionSettings(), numbered=True)
    sent = 0
    await each.play(2, key=True)
    each.tell_arrivals(sent, 40, delay=0.02)
    for _ in range(3):
        sent += 40
        await each.play(2)
        each.tell_arrivals(sent, 40, delay=0.02, growth=FRAME_SECONDS)
    assert each.budget is not None
    assert each.budget < 8 * FRAME_BYTES / FRAME_SECONDS


@pytest.mark.parametrize("numbered", [True, False])
async def test_an_estimate_of_the_subscribers_own_is_heeded_only_where_there_are_no_numbers(
    autojump_clock: MockClock, numbered: bool
) -> None:
    each = Subscription(CongestionSettings(), numbered=numbered)
    await each.play(2, key=True)
    for bitrate in (2_000_000, 50_000):
        remb = ReceiverEstimatedMaxBitrate(Ssrc(1), bitrate, (OUT,))
        each.session.receive_rtcp(remb.serialize(), trio.current_time())
        await each.play(0.5)
    assert (each.budget is None) == numbered


async def test_sound_that_is_asked_for_again_and_again_says_nothing_of_the_bandwidth(autojump_clock: MockClock) -> None:
    connection = Connection()
    session = MediaSession(connection, feedback_ssrc=Ssrc(1))
    receiver = Receiver(OPUS, MediaKind.AUDIO, TrackLayers(), lambda: None)
    stream = receiver.add_stream(Ssrc(5), None)
    source = Source(5)
    down_track = DownTrack(receiver, connection, OUT, first_sequence=0)
    session.add_down_track(down_track, "PA_1|TR_1", trio.current_time())
    down_track.bind(payload_type=111, abs_send_time_id=None)
    for _ in range(20):
        packet = source.next()
        receiver.receive(stream, packet, parse_header(packet), trio.current_time())
        for _ in range(2):
            await trio.sleep(0.11)
            nack = GenericNack(Ssrc(1), OUT, (connection.sent(OUT)[-1].header.sequence,))
            session.receive_rtcp(nack.serialize(), trio.current_time())
    assert down_track.statistics().resends.repeated == 20
    assert session.statistics().bandwidth.estimator.estimate == Estimate()
