"""A track in several codecs: who gets which, and what is sent meanwhile."""

from dataclasses import replace

import pytest

from rtp.packet import parse_header
from rtp.payload.vp8 import parse_vp8
from rtp.sdp.codecs import Codec, MediaKind
from rtp.units import Mid, Ssrc
from sfu.media.downtrack import DownTrack
from sfu.media.dynacast import NOTHING
from sfu.media.layers import TrackLayers
from sfu.media.receiver import Receiver
from sfu.media.simulcast import Quality
from sfu.media.track import MediaTrack
from sfu.model import Identity, ParticipantSid, TrackSid
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import DELTA_FRAME, KEY_FRAME, VP8, Source
from tests.sfu.media.rig import Connection

H264 = Codec("video/H264", 108, 90_000)
SPS = b"\x67\x42\xe0\x1f"
H265_KEY_FRAME = b"\x26\x01\xaf"
OUT = Ssrc(77)


class Backed:
    """A track that comes in H.264, for which VP8 can be asked, with one subscriber."""

    def __init__(self) -> None:
        self.now = 100.0
        self.changes = 0
        self.first = self.receiver(H264)
        self.media = MediaTrack(
            TrackSid("TR_1"), ParticipantSid("PA_1"), Identity("alice"), Mid("0"), self.first, backups=[VP8]
        )
        self.connection = Connection()
        self.down_track = DownTrack(self.first, self.connection, OUT, first_sequence=0)

    def receiver(self, codec: Codec) -> Receiver:
        def changed() -> None:
            self.changes += 1

        return Receiver(codec, MediaKind.VIDEO, TrackLayers(), lambda: None, demand_changed=changed)

    def get(self, codec: Codec) -> None:
        """Bind the subscriber to a codec."""
        self.down_track.bind(payload_type=codec.payload_type, abs_send_time_id=None)
        self.down_track.set_source(self.media.source_of(codec.mime))

    def feed(self, receiver: Receiver, source: Source, *packets: bytes) -> None:
        for packet in packets:
            self.now += 0.02
            stream = receiver.streams.get(Ssrc(source.ssrc)) or receiver.add_stream(Ssrc(source.ssrc), None)
            receiver.receive(stream, packet, parse_header(packet), self.now)

    @property
    def sent(self) -> list[tuple[int, int]]:
        """The numbers and payload types that the subscriber got."""
        return [(packet.index, packet.header.payload_type) for packet in self.connection.sent(OUT)]


@pytest.mark.parametrize(
    ("agreed", "chosen"),
    [((VP8, H264), H264), ((H264,), H264), ((VP8,), VP8), ((Codec("video/AV1", 35, 90_000),), None), ((), None)],
)
def test_a_subscriber_gets_the_first_codec_that_it_has_agreed_to(
    agreed: tuple[Codec, ...], chosen: Codec | None
) -> None:
    assert Backed().media.codec_for(agreed) == chosen


def test_a_subscriber_gets_a_codec_only_in_the_profile_that_comes() -> None:
    backed = Backed()
    ten_bits, eight_bits = (Codec("video/VP9", number, 90_000, fmtp=f"profile-id={number}") for number in (2, 0))
    backed.media.add_receiver(backed.receiver(ten_bits))
    assert backed.media.codec_for([eight_bits, ten_bits]) == ten_bits
    assert backed.media.codec_for([eight_bits]) is None
    assert backed.media.codec_for([eight_bits, VP8]) == VP8


@in_trio
def test_who_waits_for_a_codec_is_sent_nothing_of_another_profile_of_it() -> None:
    backed = Backed()
    awaited = replace(VP8, mime="video/H265", fmtp="profile-id=1")
    backed.media.add_receiver(backed.receiver(awaited))
    backed.media.remove_receiver(backed.media.receivers["video/H265"])
    backed.get(awaited)
    came, source = backed.receiver(replace(awaited, fmtp="profile-id=2")), Source(6, H264)
    backed.media.add_receiver(came)
    assert came.down_tracks == []
    assert backed.media.codec_for([awaited]) is None
    backed.feed(came, source, source.next(H265_KEY_FRAME))
    assert backed.sent == []


@in_trio
def test_a_codec_that_is_awaited_is_wanted_and_fed_from_its_first_key_frame_on() -> None:
    backed = Backed()
    assert backed.media.wanted_qualities() == {"video/H264": NOTHING, "video/VP8": NOTHING}
    backed.get(VP8)
    assert backed.changes
    assert backed.media.wanted_qualities() == {"video/H264": NOTHING, "video/VP8": Quality.HIGH}
    backup, source = backed.receiver(VP8), Source(6, VP8)
    backed.media.add_receiver(backup)
    assert backed.media.wanted_qualities() == {"video/H264": NOTHING, "video/VP8": Quality.HIGH}
    backed.feed(backed.first, Source(5, H264), Source(5, H264).next(SPS))
    backed.feed(backup, source, source.next(DELTA_FRAME), source.next(KEY_FRAME), source.next(DELTA_FRAME))
    assert backed.sent == [(0, VP8.payload_type), (1, VP8.payload_type)]


@in_trio
def test_who_is_moved_to_another_codec_goes_on_without_a_gap_in_its_numbers() -> None:
    backed = Backed()
    backup, source, other = backed.receiver(VP8), Source(5, H264), Source(6, VP8)
    backed.media.add_receiver(backup)
    backed.get(H264)
    backed.feed(backed.first, source, source.next(SPS), source.next(b"\x41"))
    backed.get(VP8)
    backed.feed(backed.first, source, source.next(b"\x41"))
    backed.feed(backup, other, other.next(KEY_FRAME), other.next(DELTA_FRAME))
    backed.get(H264)
    backed.feed(backed.first, source, source.next(b"\x41"), source.next(SPS))
    assert [index for index, _ in backed.sent] == [0, 1, 2, 3, 4]
    assert [kind for _, kind in backed.sent] == [108, 108, 96, 96, 108]


@in_trio
def test_a_codec_that_ends_is_awaited_again_and_the_mute_state_holds_for_all() -> None:
    backed = Backed()
    backup = backed.receiver(VP8)
    backed.media.add_receiver(backup)
    backed.get(VP8)
    backed.media.remove_receiver(backup)
    assert backup.down_tracks == []
    assert backed.media.wanted_qualities()["video/VP8"] == Quality.HIGH
    backed.media.set_muted(muted=True)
    assert backed.down_track.statistics().paused == {"MUTED"}
    backed.media.close()
    assert backed.down_track.statistics().paused == {"MUTED", "CLOSED"}
    assert backed.media.wanted_qualities() == {"video/H264": NOTHING, "video/VP8": NOTHING}


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("camera", "PA_1|camera"),
        ("", "PA_1|TR_1"),
        ("a b", "PA_1|TR_1"),
        ("a\r\na=candidate:evil", "PA_1|TR_1"),
        ("x" * 48, f"PA_1|{'x' * 48}"),
        ("x" * 49, "PA_1|TR_1"),
    ],
)
def test_a_group_names_a_stream_only_if_a_description_can_hold_it(group: str, name: str) -> None:
    receiver = Receiver(VP8, MediaKind.VIDEO, TrackLayers(), lambda: None)
    track = MediaTrack(TrackSid("TR_1"), ParticipantSid("PA_1"), Identity("alice"), Mid("0"), receiver, group=group)
    assert track.stream_id(is_shared=True) == name


def _vp8(picture_id: int, rest: bytes) -> bytes:
    return b"\x90\x80" + (0x8000 | picture_id).to_bytes(2) + rest[1:]


@in_trio
def test_picture_ids_of_vp8_go_on_after_another_codec() -> None:
    backed = Backed()
    first, last = backed.receiver(VP8), backed.receiver(VP8)
    down_track = DownTrack(first, backed.connection, Ssrc(78), first_sequence=0)
    for receiver, source, payloads in (
        (first, Source(5, VP8), [_vp8(5000, KEY_FRAME), _vp8(5001, DELTA_FRAME)]),
        (backed.first, Source(6, H264), [SPS]),
        (last, Source(7, VP8), [_vp8(200, KEY_FRAME), _vp8(201, DELTA_FRAME)]),
    ):
        down_track.bind(payload_type=source.codec.payload_type, abs_send_time_id=None)
        down_track.set_source(receiver)
        backed.feed(receiver, source, *(source.next(payload) for payload in payloads))
    sent = backed.connection.sent(78)
    assert [packet.header.payload_type for packet in sent] == [96, 96, 108, 96, 96]
    ids = [parse_vp8(packet.payload).picture_id for packet in sent if packet.header.payload_type == VP8.payload_type]
    assert ids == [5000, 5001, 5002, 5003]
