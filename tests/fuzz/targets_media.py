"""What a peer with the right keys can bring: RTP and RTCP in clear, into sessions that receive and forward."""

from collections.abc import Callable
from dataclasses import replace

import trio

from rtp.binding import Section
from rtp.packet import build_packet
from rtp.rtcp.compound import serialize_compound
from rtp.rtcp.goodbye import Goodbye
from rtp.rtcp.key_frame_request import FullIntraRequest, PictureLossIndication
from rtp.rtcp.nack import GenericNack
from rtp.rtcp.reports import ReceiverReport, ReportBlock, SenderReport
from rtp.sdp.codecs import MediaKind
from rtp.units import Mid, Rid, Ssrc
from sfu.media.downtrack import DownTrack
from sfu.media.layers import TrackLayers
from sfu.media.receiver import Receiver
from sfu.media.session import MediaSession
from tests.fuzz.target import Target
from tests.rtp.wire import recorded_rtcp, recorded_rtp
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import DELTA_FRAME, KEY_FRAME, OPUS, VP8, Source
from tests.sfu.media.rig import Connection

AUDIO_SSRC, VIDEO_SSRC, RTX_SSRC = 5, 6, 600
AUDIO = replace(OPUS, feedback=("nack",))
VIDEO = replace(VP8, feedback=("nack",), rtx_payload_type=97)
RIDS = tuple(map(Rid, "qhf"))


class World:
    """A session that receives two tracks, and forwards both back to the same peer."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.session = MediaSession(self.connection, feedback_ssrc=Ssrc(1))
        self.receivers = (
            Receiver(AUDIO, MediaKind.AUDIO, TrackLayers(), self.connection.reschedule),
            Receiver(VIDEO, MediaKind.VIDEO, TrackLayers(), self.connection.reschedule, capture_time_id=5),
            Receiver(VIDEO, MediaKind.VIDEO, TrackLayers(RIDS), self.connection.reschedule),
        )
        sections = (
            Section(Mid("0"), frozenset({111}), mid_extension=4),
            Section(Mid("1"), frozenset({96}), frozenset({97}), mid_extension=4),
            Section(Mid("2"), frozenset({96}), frozenset({97}), RIDS, mid_extension=4, rid_extension=10),
        )
        for number, (section, receiver) in enumerate(zip(sections, self.receivers, strict=True)):
            self.session.receive_from(section, receiver)
            down_track = DownTrack(
                receiver, self.connection, Ssrc(70 + number), first_sequence=0, rtx_ssrc=Ssrc(170 + number)
            )
            self.session.add_down_track(down_track, "cname", trio.current_time())
            rtx_payload_type = 101 if number else None
            down_track.bind(payload_type=100, abs_send_time_id=3, rtx_payload_type=rtx_payload_type, capture_time_id=5)
        self.audio, self.video = Source(AUDIO_SSRC), Source(VIDEO_SSRC, VP8)

    def play(self) -> None:
        for packet in (self.audio.next(), self.video.next(KEY_FRAME), self.video.next(DELTA_FRAME)):
            self.session.receive_rtp(packet, trio.current_time())


def _run(step: Callable[[World, bytes], None]) -> Callable[[bytes], None]:
    @in_trio
    def call(data: bytes) -> None:
        world = World()
        world.play()
        step(world, data)
        world.play()
        world.session.handle_timeout(trio.current_time() + 5)
        assert world.connection.failures == []  # no packet of a publisher's ends a subscriber
        world.session.statistics()
        for receiver in world.receivers:
            receiver.statistics()

    return call


def _feed_rtp(world: World, data: bytes) -> None:
    """As it is; and, over and over, as whatever the SSRCs that are known might send next."""
    world.session.receive_rtp(data, trio.current_time())
    for number in range(6):
        for ssrc in (AUDIO_SSRC, VIDEO_SSRC, RTX_SSRC):
            forged = data[:2] + number.to_bytes(2) + data[4:8] + ssrc.to_bytes(4) + data[12:]
            world.session.receive_rtp(forged, trio.current_time())


def _feed_rtcp(world: World, data: bytes) -> None:
    world.session.receive_rtcp(data, trio.current_time())


def _rtp() -> list[bytes]:
    source = Source(VIDEO_SSRC, VP8)
    made = [source.next(KEY_FRAME), source.padding(), source.next(DELTA_FRAME), source.next(payload_type=97)]
    repeated = build_packet(
        payload_type=97, sequence=1, timestamp=7000, ssrc=RTX_SSRC, payload=b"\x03\xea" + DELTA_FRAME
    )
    return [*made, repeated, *(recorded.packet for recorded in recorded_rtp()[::25])]


def _rtcp() -> list[bytes]:
    block = ReportBlock(Ssrc(70), 1, 2, 3, 4, 5, 6)
    ours = [
        SenderReport(Ssrc(AUDIO_SSRC), 1 << 60, 5960, 1, 1, (block,)),
        ReceiverReport(Ssrc(9), (block,) * 3),
        GenericNack(Ssrc(9), Ssrc(70), (0, 1, 2)),
        GenericNack(Ssrc(9), Ssrc(71), tuple(range(0, 2000, 3))),
        PictureLossIndication(Ssrc(9), Ssrc(71)),
        FullIntraRequest(Ssrc(9), ((Ssrc(71), 1), (Ssrc(72), 2))),
        Goodbye((Ssrc(AUDIO_SSRC), Ssrc(VIDEO_SSRC))),
    ]
    made = [serialize_compound([packet]) for packet in ours] + [serialize_compound(ours)]
    return made + [bytes.fromhex(line["hex"]) for line in recorded_rtcp()[::3]]


TARGETS = [
    Target("media-rtp", _rtp, _run(_feed_rtp)),
    Target("media-rtcp", _rtcp, _run(_feed_rtcp)),
]
