"""Chromium's scalable streams, as recorded, on their way to subscribers who get some of their layers."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from rtp.extensions import DEPENDENCY_DESCRIPTOR, parse_extensions
from rtp.packet import parse_header
from rtp.payload.dependency_descriptor import Structure, parse_dependency_descriptor
from rtp.sdp.codecs import Codec, MediaKind
from rtp.units import Ssrc
from sfu.media.downtrack import Allowance, DownTrack
from sfu.media.ladder import Level
from sfu.media.layers import TrackLayers
from sfu.media.reading import PayloadReader
from sfu.media.receiver import Receiver
from sfu.media.selecting import NO_LIMIT
from sfu.media.simulcast import Quality, Wish
from tests.rtp.wire import RecordedPacket, recorded_rtp
from tests.sfu.media.rig import Connection, SentPacket
from tests.support.encodings import Decoder
from tests.support.packetizing import assemble

DESCRIPTOR_ID = 13
SIZES = [(320, 180), (640, 360), (1280, 720)]


def recording(what: str) -> list[RecordedPacket]:
    """Return what was recorded of the media stream from its last key picture on: all three layers are there then."""
    packets = [each for each in recorded_rtp() if each.what == what and each.where.startswith(f"rtp-{what}-svc")]
    keys = [at for at, each in enumerate(packets) if len(each.line["ext"].get("dd", "")) > 100]
    return packets[max(keys) :]


class Watched:
    """A track that is watched by one subscriber, who takes the dependency descriptor or does not."""

    def __init__(self, what: str, *, descriptor: bool = True, reads_descriptor: bool = True) -> None:
        packets = recording(what)
        payload_type = parse_header(packets[0].packet).payload_type
        codec = Codec(f"video/{what.upper()}", payload_type, 90_000, 1)
        identifier = DESCRIPTOR_ID if reads_descriptor else None
        self.receiver = Receiver(codec, MediaKind.VIDEO, TrackLayers(), lambda: None, descriptor_id=identifier)
        self.stream = self.receiver.add_stream(Ssrc(1), None)
        self.connection = Connection()
        self.down_track = DownTrack(self.receiver, self.connection, Ssrc(7), first_sequence=10)
        self.down_track.bind(payload_type=100, abs_send_time_id=3, descriptor_id=DESCRIPTOR_ID if descriptor else None)
        self.packets = iter(packets)

    def play(self, count: int = 1000) -> None:
        for at, recorded in zip(range(count), self.packets, strict=False):
            self.receiver.receive(self.stream, recorded.packet, parse_header(recorded.packet), 10 + at / 100)

    @property
    def sent(self) -> list[SentPacket]:
        return self.connection.sent(7)

    def allow(self, level: Level) -> None:
        """Let no more of it be sent, as for want of bandwidth."""
        self.down_track.allow(Allowance(level, (), 0))


def descriptors(sent: list[SentPacket]) -> Iterator[tuple[int, int, int | None]]:
    """Yield the layers of each packet and its mask of decode targets, as a receiver reads them."""
    structure: Structure | None = None
    for each in sent:
        data = parse_extensions(bytes(12) + each.extensions + each.payload, each.header)[DESCRIPTOR_ID]
        descriptor = parse_dependency_descriptor(data, structure)
        structure = descriptor.structure
        yield descriptor.spatial_id, descriptor.temporal_id, descriptor.active_targets


def decode(what: str, sent: list[SentPacket]) -> list[tuple[int, int]]:
    """Return the sizes of the pictures that a decoder makes of the highest layers."""
    mime = f"video/{what.upper()}"
    decoder, sizes, payloads = Decoder(mime), [], []
    for each in sent:
        payloads.append(each.payload)
        if each.header.marker:
            pictures = decoder.decode(assemble(mime, payloads))
            sizes += [(int.from_bytes(picture[:2]), int.from_bytes(picture[2:4])) for picture in pictures]
            payloads = []
    return sizes


Change = Callable[[RecordedPacket], RecordedPacket]


def moved(offset: int) -> Change:
    """Return what moves the number of a packet's frame."""

    def move(recorded: RecordedPacket) -> RecordedPacket:
        told = bytes.fromhex(recorded.line["ext"]["dd"])
        number = (int.from_bytes(told[1:3]) + offset) & 0xFFFF
        return replace(recorded, packet=recorded.packet.replace(told, told[:1] + number.to_bytes(2) + told[3:], 1))

    return move


def undescribed(recorded: RecordedPacket) -> RecordedPacket:
    """Have the descriptor of a packet under an id that nobody has agreed on."""
    told = bytes.fromhex(recorded.line["ext"]["dd"])
    head = bytes((DESCRIPTOR_ID << 4 | len(told) - 1,))
    assert head + told in recorded.packet
    return replace(recorded, packet=recorded.packet.replace(head + told, bytes((14 << 4 | len(told) - 1,)) + told, 1))


@pytest.mark.parametrize("reads_descriptor", [True, False])
@pytest.mark.parametrize("spatial", [0, 1, 2])
async def test_a_decoder_shows_the_layer_of_vp9_that_was_asked_for(spatial: int, *, reads_descriptor: bool) -> None:
    watched = Watched("vp9", reads_descriptor=reads_descriptor)
    watched.allow(Level(0, spatial, 2))
    watched.play()
    assert [each.index for each in watched.sent] == list(range(10, 10 + len(watched.sent)))
    sizes = decode("vp9", watched.sent)
    assert len(sizes) >= 10
    assert set(sizes) == {SIZES[spatial]}


@pytest.mark.parametrize("spatial", [0, 1, 2])
async def test_a_decoder_shows_av1_of_the_layers_that_were_asked_for(spatial: int) -> None:
    watched = Watched("av1")
    watched.allow(Level(0, spatial, 2))
    watched.play()
    assert [each.index for each in watched.sent] == list(range(10, 10 + len(watched.sent)))
    sizes = decode("av1", watched.sent)
    assert len(sizes) >= 10
    assert set(sizes) == {SIZES[spatial]}


@pytest.mark.parametrize("what", ["vp9", "av1"])
async def test_every_packet_says_which_layers_are_sent(what: str) -> None:
    watched = Watched(what)
    watched.allow(Level(0, 1, 0))
    watched.play()
    layers = list(descriptors(watched.sent))
    assert {(spatial, temporal) for spatial, temporal, _ in layers} == {(0, 0), (1, 0)}
    assert {mask for *_, mask in layers} == {0b000_001_001}


@pytest.mark.parametrize("what", ["vp9", "av1"])
async def test_who_gets_everything_gets_it_as_it_came(what: str) -> None:
    watched = Watched(what)
    watched.play()
    came = [each.line["ext"]["dd"] for each in recording(what)]
    sent = [
        parse_extensions(bytes(12) + each.extensions + each.payload, each.header)[DESCRIPTOR_ID].hex()
        for each in watched.sent
    ]
    assert sent == came
    assert watched.down_track.row.selector is None


async def test_who_has_not_agreed_to_the_descriptor_does_not_get_it() -> None:
    watched = Watched("vp9", descriptor=False)
    watched.play()
    assert all(len(each.extensions) == 8 for each in watched.sent)


@pytest.mark.parametrize(("mime", "is_read"), [("video/AV1", True), ("video/H264", False)])
def test_the_descriptor_is_read_of_codecs_whose_layers_it_tells(mime: str, *, is_read: bool) -> None:
    packet = recording("av1")[0].packet
    reading = PayloadReader(Codec(mime, 96, 90_000), DESCRIPTOR_ID).read(packet, parse_header(packet), len(packet))
    assert (reading.frame is not None) == is_read


async def test_fewer_layers_come_in_the_middle_and_what_is_lost_is_sent_again_as_it_was() -> None:
    watched = Watched("vp9")
    watched.play(60)
    watched.allow(Level(0, 0, 1))
    watched.play()
    sent = watched.sent
    assert [each.index for each in sent] == list(range(10, 10 + len(sent)))
    before = len(sent)
    watched.down_track.nack([each.header.sequence for each in sent[-20:]], 20.0)
    assert len(watched.sent) == before + 20  # the rig's keys see to it that they are what they were
    watched.allow(Level(0))
    assert watched.stream.keyframes.next_timeout() is not None, "more spatial layers take a key picture"


async def test_a_packet_that_comes_late_does_not_turn_frame_numbers_back() -> None:
    in_order, late = Watched("vp9"), Watched("vp9")
    in_order.play(30)
    packets = [next(late.packets) for _ in range(30)]
    late.packets = iter([*packets[:5], *packets[6:], packets[5]])
    late.play()
    assert late.down_track.row.last_sequence == in_order.down_track.row.last_sequence
    assert late.down_track.row.last_frame_number == in_order.down_track.row.last_frame_number


@pytest.mark.parametrize("change", [moved(0x7000), moved(0x9000), undescribed], ids=["ahead", "back", "undescribed"])
@pytest.mark.parametrize("what", ["vp9", "av1"])
async def test_one_packet_that_lies_of_its_frame_holds_up_no_change_of_layers(what: str, change: Change) -> None:
    watched = Watched(what)
    watched.allow(Level(0, 1, 2))
    watched.play(20)
    watched.packets = iter([change(next(watched.packets)), *watched.packets])
    watched.play(10)
    watched.allow(Level(0, 0, 2))
    watched.play()
    sizes = decode(what, watched.sent)
    assert set(sizes[-4:]) == {SIZES[0]}


async def test_a_subscribers_wish_chooses_layers_by_the_sizes_that_the_stream_tells() -> None:
    watched = Watched("vp9")
    watched.play(5)
    watched.down_track.set_wish(Wish(width=600, height=340))
    assert watched.down_track.row.limit.spatial == 1
    watched.down_track.set_wish(Wish(quality=Quality.LOW))
    assert watched.down_track.row.limit.spatial == 0
    watched.down_track.set_wish(Wish())
    assert watched.down_track.row.limit == NO_LIMIT


def test_the_recordings_have_the_descriptor_where_it_is_looked_for() -> None:
    for what in ("vp9", "av1"):
        assert recording(what)[0].session["extensions"][str(DESCRIPTOR_ID)] == "dd"
    assert DEPENDENCY_DESCRIPTOR.startswith("https://aomediacodec.github.io/")
