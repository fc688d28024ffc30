from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.packet import build_packet, parse_header
from rtp.payload.vp8 import Vp8Descriptor, is_keyframe, parse_vp8
from rtp.sdp.codecs import H264, Codec, MediaKind
from rtp.units import Rid, Ssrc
from sfu.media.downtrack import DownTrack, Pause
from sfu.media.keyframes import MAX_TRIES, RETRY_SECONDS
from sfu.media.layers import TrackLayers
from sfu.media.receiver import Receiver
from sfu.media.simulcast import PublishedLayer, Quality, Wish
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import VP8
from tests.sfu.media.rig import Connection, SentPacket

OUT = Ssrc(77)
LOW, MEDIUM, HIGH = (Wish(quality) for quality in Quality)
FRAME_SECONDS = 0.05
SIZES = ((320, 180), (640, 360), (1280, 720))
STAP_A_WITH_PARAMETER_SETS = bytes.fromhex("78 0003 6742c0 0003 68ce3c")


@dataclass
class Encoding:
    """One layer of a publisher: its numbers begin anywhere, and its packets come one after another."""

    layer: int
    sequence: int
    timestamp: int
    picture_id: int
    tl0: int
    lives: bool = True

    @property
    def ssrc(self) -> Ssrc:
        return Ssrc(10 + self.layer)

    def payloads(self, *, is_key: bool, has_ids: bool, is_long: bool) -> list[bytes]:
        self.picture_id += 1
        self.tl0 += 1
        ids = b""
        if has_ids:
            number = (0x8000 | self.picture_id & 0x7FFF).to_bytes(2) if is_long else bytes((self.picture_id & 0x7F,))
            ids = b"\xe0" + number + bytes((self.tl0 & 0xFF, 0))
        first = 0x80 if has_ids else 0
        head = b"\x10\x02\x00\x9d\x01\x2a\x40\x01\xb4\x00" if is_key else b"\x11\x02\x00"
        who = bytes((self.layer,)) + self.picture_id.to_bytes(4)
        return [bytes((first | 0x10,)) + ids + head + who, bytes((first,)) + ids + b"rest" + who]


class Simulcast:
    """A publisher of three layers in step, its clock, and one subscriber."""

    def __init__(
        self, *, has_ids: bool = True, is_long: bool = True, reports: bool = True, codec: Codec = VP8, rtx: bool = False
    ) -> None:
        self.now = 100.0
        self.has_ids, self.is_long, self.codec = has_ids, is_long, codec
        self.layers = [
            Encoding(0, 1000, 5, 100, 7),
            Encoding(1, 65_530, 0xFFFF_F000, 32_760, 250),
            Encoding(2, 9, 77_777, 5, 255),
        ]
        self.receiver = Receiver(codec, MediaKind.VIDEO, TrackLayers(tuple(map(Rid, "qhf")), SIZES), lambda: None)
        self.streams = [self.receiver.add_stream(each.ssrc, Rid("qhf"[each.layer])) for each in self.layers]
        self.connection = Connection()
        self.down_track = DownTrack(
            self.receiver, self.connection, OUT, first_sequence=0, rtx_ssrc=Ssrc(78) if rtx else None
        )
        self.down_track.bind(payload_type=100, abs_send_time_id=3, rtx_payload_type=101 if rtx else None)
        if reports:
            self.report()

    def report(self) -> None:
        """Send sender reports of all layers: one wall clock for all."""
        for stream, layer in zip(self.streams, self.layers, strict=True):
            stream.reception.receive_sender_report(int(self.now * (1 << 32)), layer.timestamp & 0xFFFF_FFFF, self.now)

    def frame(self, *keys: int, lost: int = -1) -> None:
        """Let a frame pass on all layers that live; of `keys`, it is a key frame. Of `lost`, the end does not come."""
        self.now += FRAME_SECONDS
        self.receiver.handle_timeout(self.now)
        for layer in self.layers:
            layer.timestamp += round(FRAME_SECONDS * 90_000)
            if not layer.lives:
                continue
            if self.codec is VP8:
                is_key = layer.layer in keys
                payloads = layer.payloads(is_key=is_key, has_ids=self.has_ids, is_long=self.is_long)
            else:
                payloads = [STAP_A_WITH_PARAMETER_SETS if layer.layer in keys else b"\x41", bytes((0x41, layer.layer))]
            for at, payload in enumerate(payloads):
                layer.sequence += 1
                packet = build_packet(
                    payload_type=96,
                    sequence=layer.sequence & 0xFFFF,
                    timestamp=layer.timestamp & 0xFFFF_FFFF,
                    ssrc=layer.ssrc,
                    payload=payload,
                    marker=at == len(payloads) - 1,
                )
                if layer.layer != lost or not at:
                    if layer.ssrc not in self.receiver.streams:  # it has said goodbye, and goes on
                        self.streams[layer.layer] = self.receiver.add_stream(layer.ssrc, Rid("qhf"[layer.layer]))
                    self.receiver.receive(self.streams[layer.layer], packet, parse_header(packet), self.now)

    def frames(self, count: int) -> None:
        for _ in range(count):
            self.frame()

    def is_asked(self, layer: int) -> bool:
        """Whether a key frame of this layer is waited for."""
        return self.streams[layer].keyframes.next_timeout() is not None

    @property
    def sending(self) -> int | None:
        return self.down_track.statistics().layer

    @property
    def sent(self) -> list[SentPacket]:
        return self.connection.sent(OUT)


def started(wish: Wish = HIGH, **options: bool) -> Simulcast:
    call = Simulcast(**options)
    call.down_track.set_wish(wish)
    call.frame(0, 1, 2)
    return call


def series(sent: list[SentPacket]) -> list[Vp8Descriptor]:
    """What the subscriber sees of each frame, in the order of its numbers; all packets of a frame must agree."""
    ordered = sorted({packet.index: packet for packet in sent}.values(), key=lambda packet: packet.index)
    frames = []
    for _, group in groupby(ordered, key=lambda packet: packet.header.timestamp):
        descriptors = [parse_vp8(packet.payload) for packet in group]
        assert len({descriptor.picture_id for descriptor in descriptors}) == 1
        frames.append(descriptors[0])
    return frames


def assert_one_stream(call: Simulcast) -> None:
    """See that nobody could tell from its numbers that the stream is made of several."""
    assert call.connection.failures == []
    assert [packet.index for packet in call.sent] == list(range(len(call.sent)))
    for before, after in pairwise(call.sent):
        assert 0 <= (after.header.timestamp - before.header.timestamp) & 0xFFFF_FFFF < 1 << 31
    frames = series(call.sent)
    for earlier, later in pairwise(frames):
        assert later.picture_id == (earlier.picture_id + 1) & 0x7FFF
        assert later.tl0_picture_index == (earlier.tl0_picture_index + 1) & 0xFF
    assert all(frame.picture_id_is_long for frame in frames)


@pytest.mark.parametrize(("wish", "layer"), [(LOW, 0), (MEDIUM, 1), (HIGH, 2), (Wish(width=600, height=340), 1)])
@in_trio
def test_a_subscriber_gets_the_layer_that_it_wishes_for(wish: Wish, layer: int) -> None:
    call = started(wish)
    assert call.sending == layer
    assert_one_stream(call)


@in_trio
def test_a_new_wish_is_met_at_a_key_frame_and_until_then_the_old_layer_goes_on() -> None:
    call = started()
    call.down_track.set_wish(LOW)
    assert [call.is_asked(layer) for layer in (0, 1, 2)] == [True, False, False]
    call.frames(3)
    assert (call.sending, len(call.sent)) == (2, 8)
    call.frame(2)  # a key frame of another layer does not help
    assert call.is_asked(0)
    call.frame(0)
    assert (call.sending, call.is_asked(0)) == (0, False)
    call.frames(3)
    call.down_track.set_wish(MEDIUM)
    call.frame(0, 1, 2)
    call.frames(3)
    assert call.sending == 1
    assert_one_stream(call)
    steps = {(b.header.timestamp - a.header.timestamp) & 0xFFFF_FFFF for a, b in pairwise(call.sent)}
    assert steps <= {0, 1, round(FRAME_SECONDS * 90_000)}, "by the publisher's reports the layers are in step"


@in_trio
def test_a_wish_taken_back_in_time_changes_nothing() -> None:
    call = started()
    call.down_track.set_wish(LOW)
    call.frame()
    call.down_track.set_wish(HIGH)
    call.frame(0, 1)
    assert call.sending == 2
    assert_one_stream(call)


@in_trio
def test_a_layer_that_falls_silent_freezes_nobody_and_comes_back() -> None:
    call = started()
    call.frames(30)
    call.layers[2].lives = False
    call.frames(22)
    assert call.is_asked(1)
    call.frame(0, 1)
    assert call.sending == 1
    call.layers[2].lives = True
    call.frame(2)
    assert call.sending == 1, "an uplink that has just given it up may do so again"
    call.frames(12 * 20)
    assert call.is_asked(2)
    call.frame(2)
    assert call.sending == 2
    assert_one_stream(call)


@in_trio
def test_a_layer_that_says_goodbye_is_back_with_its_next_packet() -> None:
    call = started()
    call.frames(30)
    call.receiver.remove_stream(call.layers[2].ssrc)
    call.layers[2].lives = False
    call.frame(1)
    assert call.sending == 1
    call.layers[2].lives = True
    call.frame(2)
    assert call.sending == 2
    assert_one_stream(call)


@in_trio
def test_a_publisher_that_is_cut_off_moves_nobody_down() -> None:
    call = started()
    call.frames(30)
    for layer in call.layers:
        layer.lives = False
    call.frames(60)
    for layer in call.layers:
        layer.lives = True
    call.frames(40)
    assert (call.sending, call.is_asked(0), call.is_asked(1)) == (2, False, False)
    assert_one_stream(call)


@in_trio
def test_a_silent_layer_is_not_asked_for_key_frames() -> None:
    call = started()
    call.frames(30)
    call.down_track.set_wish(LOW)
    call.layers[0].lives = False
    call.frames(25)
    assert not call.is_asked(0)


@in_trio
def test_a_layer_that_never_sends_a_key_frame_is_asked_so_often_and_no_more() -> None:
    call = started()
    call.down_track.set_wish(LOW)
    asked, now = 0, 0.0
    while (due := call.streams[0].keyframes.next_timeout()) is not None:
        now = due
        asked += call.streams[0].keyframes.take_due(now)
    assert asked == MAX_TRIES
    assert now >= (MAX_TRIES - 1) * RETRY_SECONDS
    call.frames(3)
    assert call.sending == 2


@in_trio
def test_a_mute_and_a_late_joiner_are_served_as_ever() -> None:
    call = started()
    call.frames(3)
    call.down_track.set_pause(Pause.MUTED, paused=True)
    call.receiver.forget_activity()
    assert call.sending is None
    call.frames(3)
    call.down_track.set_pause(Pause.MUTED, paused=False)
    assert call.is_asked(2)
    call.frame(0, 1, 2)
    assert call.sending == 2
    late = DownTrack(call.receiver, call.connection, Ssrc(80), first_sequence=5)
    late.set_wish(MEDIUM)
    late.bind(payload_type=100, abs_send_time_id=3)
    call.frame(0, 1, 2)
    assert late.statistics().layer == 1
    assert_one_stream(call)


@in_trio
def test_without_sender_reports_the_time_that_passed_has_to_do() -> None:
    call = started(reports=False)
    call.down_track.set_wish(LOW)
    call.frame(0)
    call.frames(2)
    assert call.sending == 0
    assert_one_stream(call)


@in_trio
def test_a_source_behind_what_was_sent_is_not_entered_and_is_asked_again() -> None:
    call = started(reports=False)
    for layer, delay in ((2, 0.0), (0, 0.5)):
        wall = int((call.now - delay) * (1 << 32))
        call.streams[layer].reception.receive_sender_report(wall, call.layers[layer].timestamp, call.now)
    call.down_track.set_wish(LOW)
    call.frame(0)
    assert (call.sending, call.is_asked(0)) == (2, True)
    for _ in range(3):
        call.frame(0)
    assert call.sending == 0, "in the end it is taken as it is"
    assert_one_stream(call)


@in_trio
def test_short_picture_ids_are_written_long_whoever_gets_them() -> None:
    call = started(is_long=False)
    call.frames(200)
    call.down_track.set_wish(LOW)
    call.frame(0)
    call.frames(200)
    assert_one_stream(call)


@in_trio
def test_payloads_without_ids_are_shared_as_they_are() -> None:
    call = started(has_ids=False)
    call.down_track.set_wish(LOW)
    call.frame(0)
    assert call.sending == 0
    assert [packet.payload[0] for packet in call.sent] == [0x10, 0, 0x10, 0, 0x10, 0][: len(call.sent)]
    assert [packet.index for packet in call.sent] == list(range(len(call.sent)))


@in_trio
def test_layers_of_h264_change_where_a_sequence_parameter_set_is() -> None:
    call = Simulcast(codec=replace(VP8, mime=H264))
    call.frame()
    assert call.sent == []
    call.frame(0, 1, 2)
    call.down_track.set_wish(LOW)
    call.frames(2)
    assert call.sending == 2
    call.frame(0)
    call.frame()
    assert call.sending == 0
    assert [packet.index for packet in call.sent] == list(range(len(call.sent)))
    assert call.sent[-1].payload == b"\x41\x00"


@pytest.mark.parametrize(
    ("rids", "sizes", "published"),
    [
        ("", (), [PublishedLayer(0, Quality.LOW)]),
        ("f", ((640, 360),), [PublishedLayer(2, Quality.HIGH, 640, 360)]),
        ("hq", SIZES[:2], [PublishedLayer(0, Quality.LOW, 320, 180), PublishedLayer(1, Quality.MEDIUM, 640, 360)]),
        ("fhq", SIZES, [PublishedLayer(at, Quality(at), *size) for at, size in enumerate(SIZES)]),
        ("qf", SIZES, [PublishedLayer(0, Quality.LOW), PublishedLayer(2, Quality.HIGH)]),
        ("0123", (), [PublishedLayer(at, Quality(min(at, 2))) for at in range(4)]),
    ],
)
def test_layers_are_told_by_their_names_and_measured_in_order(
    rids: str, sizes: tuple[tuple[int, int], ...], published: list[PublishedLayer]
) -> None:
    assert list(TrackLayers(tuple(map(Rid, rids)), sizes).published) == published


def test_sizes_that_were_not_announced_are_measured_and_order_names_that_say_nothing() -> None:
    layers = TrackLayers(tuple(map(Rid, "hml")))
    for number in (0, 2):
        layers.receive_packet(number, 1.0)
    assert layers.are_measured
    assert layers.measure(0, SIZES[2]) == {0: 0, 1: 1, 2: 2}
    assert layers.measure(0, SIZES[2]) is None
    assert layers.measure(2, SIZES[0]) == {0: 2, 1: 1, 2: 0}
    assert [layers.name(each.layer) for each in layers.published] == ["l", "m", "h"]
    assert layers.live == {0, 2}
    assert layers.measure(1, SIZES[1]) == {0: 0, 1: 1, 2: 2}
    assert list(layers.published) == [PublishedLayer(at, Quality(at), *size) for at, size in enumerate(SIZES)]
    assert [layers.number(Rid(rid)) for rid in "lmh"] == [0, 1, 2]


@pytest.mark.parametrize("rids", ["qhf", "210"])
def test_names_that_tell_of_an_order_are_right_whatever_is_measured(rids: str) -> None:
    layers = TrackLayers(tuple(map(Rid, rids)))
    assert layers.measure(2, SIZES[0]) == layers.measure(0, SIZES[2]) == {0: 0, 1: 1, 2: 2}
    assert [layers.name(each.layer) for each in layers.published] == list(rids)
    assert layers.published[2].width == SIZES[0][0]


def test_what_was_announced_is_not_measured() -> None:
    assert not TrackLayers(tuple(map(Rid, "hml")), SIZES).are_measured
    assert not TrackLayers().are_measured
    assert TrackLayers(tuple(map(Rid, "hml")), [(0, 0)] * 3).are_measured


@pytest.mark.parametrize(
    ("rids", "lowest_first"),
    [
        ("qhf", "qhf"),
        ("fhq", "qhf"),
        ("012", "210"),  # OBS's, the highest of which is 0
        ("210", "210"),
        ("0123", "3210"),
        ("01", "10"),
        ("lmh", "lmh"),  # which say nothing
        ("hml", "hml"),
        ("0q", "0q"),
    ],
)
def test_names_tell_which_layer_is_the_lowest_or_their_order_does(rids: str, lowest_first: str) -> None:
    layers = TrackLayers(tuple(map(Rid, rids)))
    assert [layers.name(each.layer) for each in layers.published] == list(lowest_first)
    assert [layers.number(Rid(rid)) for rid in lowest_first] == [each.layer for each in layers.published]


EVENTS = st.one_of(
    st.tuples(st.just("frame"), st.integers(0, 2)),
    st.tuples(st.just("key"), st.integers(0, 2)),
    st.tuples(st.just("wish"), st.integers(0, 2)),
    st.tuples(st.just("die"), st.integers(0, 2)),
    st.tuples(st.just("live"), st.integers(0, 2)),
    st.tuples(st.just("bye"), st.integers(0, 2)),
    st.tuples(st.just("pause"), st.just(0)),
    st.tuples(st.just("resume"), st.just(0)),
    st.tuples(st.just("report"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 40)),
    st.tuples(st.just("lose"), st.integers(0, 2)),
)


def play(call: Simulcast, events: list[tuple[str, int]]) -> None:
    for event, which in events:
        match event:
            case "key":
                call.frame(which)
            case "wish":
                call.down_track.set_wish((LOW, MEDIUM, HIGH)[which])
            case "die" | "live":
                call.layers[which].lives = event == "live"
            case "bye":
                call.receiver.remove_stream(call.layers[which].ssrc)
            case "pause" | "resume":
                call.down_track.set_pause(Pause.DISABLED, paused=event == "pause")
            case "report":
                call.report()
            case "wait":
                call.frames(which)
            case "lose":
                call.frame(lost=which)
            case _:
                call.frame()


@in_trio
def _one_stream(events: list[tuple[str, int]], options: dict[str, bool]) -> None:
    call = started(**options)
    play(call, [event for event in events if event[0] != "lose"])
    assert_one_stream(call)
    shown = None
    for packet in call.sent:
        layer = packet.payload[-5]
        assert layer == shown or is_keyframe(packet.payload, parse_vp8(packet.payload))
        shown = layer


@given(
    st.lists(EVENTS, max_size=60),
    st.fixed_dictionaries({"is_long": st.booleans(), "reports": st.booleans()}),
)
def test_whatever_changes_subscribers_see_one_stream(events: list[tuple[str, int]], options: dict[str, bool]) -> None:
    _one_stream(events, options)


@in_trio
def _answered(events: list[tuple[str, int]]) -> None:
    in_stream, apart = started(is_long=False), started(is_long=False, rtx=True)
    for call in (in_stream, apart):
        play(call, events)
        call.down_track.set_pause(Pause.DISABLED, paused=False)
        before = len(call.sent)
        call.now += 1
        call.down_track.nack(range(len(call.sent) + 20), call.now)  # the keys see that in the stream nothing differs
        assert call.connection.failures == []
        if call is in_stream:
            answered = {packet.index for packet in call.sent[before:]}
            if all(event != "bye" for event, _ in events):
                assert answered >= {packet.index for packet in call.sent[:before]}
        else:
            sent = {packet.index: packet for packet in call.sent}
            for packet in call.connection.sent(Ssrc(78)):
                original = sent[int.from_bytes(packet.payload[:2])]
                assert packet.payload[2:] == original.payload
                assert packet.header.timestamp == original.header.timestamp


@given(st.lists(EVENTS, max_size=40))
def test_what_is_asked_for_again_is_what_was_sent_whatever_layer_it_was_of(events: list[tuple[str, int]]) -> None:
    _answered(events)


@in_trio
def _settled(events: list[tuple[str, int]]) -> None:
    call = started()
    play(call, events)
    for layer in call.layers:
        layer.lives = True
    call.down_track.set_pause(Pause.DISABLED, paused=False)
    call.down_track.set_wish(HIGH)
    for _ in range(13 * 20):
        call.frame(*(layer for layer in range(3) if call.is_asked(layer)))
    assert call.sending == 2


@given(st.lists(EVENTS, max_size=30))
def test_in_the_end_everybody_has_what_it_wishes_for(events: list[tuple[str, int]]) -> None:
    _settled(events)


def test_a_layer_that_was_stopped_at_our_word_lives_again_from_its_first_packet_on() -> None:
    layers = TrackLayers(tuple(map(Rid, "qhf")))
    for layer in (0, 1, 2):
        layers.receive_packet(layer, 0.0)
    for half_seconds in range(1, 8):
        layers.receive_packet(0, half_seconds / 2)
        layers.handle_timeout(half_seconds / 2)
    assert layers.live == {0}
    assert (layers.missing(Quality.HIGH), layers.missing(Quality.LOW)) == (2, 0)
    layers.expect([Quality.HIGH])
    for layer in (1, 2):
        layers.receive_packet(layer, 4.0)
    assert layers.live == {0, 2}, "nobody asked for the other one, which has to prove itself"
