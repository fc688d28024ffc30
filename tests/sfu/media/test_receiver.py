from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.packet import parse_header
from rtp.reception import MAX_DROPOUT, RESTART_PACKETS
from rtp.sdp.codecs import MediaKind
from rtp.units import Rid, Ssrc
from sfu.media.downtrack import DownTrack
from sfu.media.fanout import MAX_PAYLOAD_BYTES
from sfu.media.layers import SETTLING_SECONDS, TrackLayers
from sfu.media.receiver import DropCause, Receiver
from tests.rtp.wire import RecordedPacket, recorded_rtp, recorded_session
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import DELTA_FRAME, KEY_FRAME, OPUS, VP8, Source
from tests.sfu.media.rig import Connection, SentPacket

OUT = Ssrc(77)


class Track:
    """A receiver with one subscriber, who is connected and has agreed."""

    def __init__(self, kind: MediaKind = MediaKind.AUDIO, rids: tuple[str, ...] = ()) -> None:
        self.now = 100.0
        self.codec = OPUS if kind is MediaKind.AUDIO else VP8
        self.changes: list[float] = []
        self.receiver = Receiver(
            self.codec, kind, TrackLayers(tuple(map(Rid, rids))), lambda: self.changes.append(self.now)
        )
        self.connection = Connection()
        self.down_track = self.subscriber()

    def subscriber(self) -> DownTrack:
        down_track = DownTrack(self.receiver, self.connection, OUT, first_sequence=0)
        down_track.bind(payload_type=100, abs_send_time_id=3)
        return down_track

    def feed(self, source: Source, *packets: bytes, rid: str | None = None) -> None:
        for packet in packets:
            self.now += 0.02
            self.receiver.handle_timeout(self.now)
            ssrc = Ssrc(source.ssrc)
            stream = self.receiver.streams.get(ssrc) or self.receiver.add_stream(ssrc, Rid(rid) if rid else None)
            self.receiver.receive(stream, packet, parse_header(packet), self.now)

    @property
    def sent(self) -> list[SentPacket]:
        return self.connection.sent(OUT)

    @property
    def numbers(self) -> list[int]:
        return [packet.index for packet in self.sent]

    @property
    def drops(self) -> dict[DropCause, int]:
        return self.receiver.statistics().drops


def test_audio_is_passed_on_with_the_subscribers_numbers() -> None:
    track, source = Track(), Source(5, sequence=0xFFFE)
    packets = [source.next(), source.next(marker=True), source.next()]
    track.feed(source, *packets)
    assert track.numbers == [0, 1, 2]
    assert [packet.payload for packet in track.sent] == [packet[12:] for packet in packets]
    assert [packet.header.timestamp for packet in track.sent] == [5960, 6920, 7880]
    assert [packet.header.marker for packet in track.sent] == [False, True, False]
    assert {packet.header.payload_type for packet in track.sent} == {100}


def test_loss_stays_loss_and_what_comes_late_takes_its_place() -> None:
    track, source = Track(), Source(5)
    first, second, third, fourth = (source.next() for _ in range(4))
    track.feed(source, first, third, fourth, second, second)
    assert track.numbers == [0, 2, 3, 1]
    assert track.drops == {DropCause.DUPLICATE: 1}


def test_what_is_left_out_on_purpose_leaves_no_gap() -> None:
    track, source = Track(), Source(5)
    track.feed(source, source.padding())  # before any media: nothing may begin on it
    track.feed(source, source.next(), source.padding(), source.padding(), source.next())
    track.feed(
        source, source.next(payload_type=13), source.next(), source.next(bytes(MAX_PAYLOAD_BYTES)), source.next()
    )
    assert track.numbers == [0, 1, 2, 3]
    causes = {DropCause.PADDING: 3, DropCause.UNKNOWN_PAYLOAD_TYPE: 1, DropCause.TOO_LONG: 1}
    assert track.drops == causes


def test_packets_as_long_as_gstreamers_are_passed_on() -> None:
    track, source = Track(), Source(5)
    track.feed(
        source, source.next(bytes(1400 - 12 - 8))
    )  # the whole packet: its payloaders' default, of which 12 are header
    assert track.numbers == [0]
    assert track.drops == {}


def test_the_longest_payload_fits_whatever_we_add() -> None:
    track, source = Track(), Source(5)
    track.down_track.bind(payload_type=100, abs_send_time_id=200)  # the longer form of header extensions
    track.feed(source, source.next(bytes(MAX_PAYLOAD_BYTES - 8)))
    assert track.numbers == [0]
    assert track.down_track.statistics().refused == 0


def test_a_sender_that_starts_anew_is_one_stream_to_subscribers() -> None:
    track, source = Track(), Source(5)
    track.feed(source, source.next(), source.next())
    source.restart(sequence=60_000, timestamp=7)
    track.feed(source, *(source.next() for _ in range(RESTART_PACKETS + 2)))
    assert track.numbers == [0, 1, 2, 3, 4]
    timestamps = [packet.header.timestamp for packet in track.sent]
    assert timestamps[2] - timestamps[1] == round(0.02 * RESTART_PACKETS * 48_000)
    assert track.drops == {DropCause.SUSPECT: RESTART_PACKETS - 1}


def test_of_two_ssrcs_in_one_layer_the_newest_has_it() -> None:
    track, old, new = Track(), Source(5), Source(6, sequence=1000)
    track.feed(old, old.next(), old.next())
    track.feed(new, new.next())
    track.feed(old, old.next())
    track.feed(new, new.next())
    assert track.numbers == [0, 1, 2, 3]
    assert track.drops == {DropCause.SUPERSEDED: 1}
    assert [each.is_active for each in track.receiver.statistics().streams.values()] == [False, True]


def test_a_layer_goes_back_to_an_older_ssrc_when_the_newer_says_goodbye() -> None:
    track, old, new = Track(), Source(5), Source(6)
    track.feed(old, old.next())
    track.feed(new, new.next())
    track.receiver.remove_stream(Ssrc(6))
    track.feed(old, old.next(), old.next())
    assert track.numbers == [0, 1, 2, 3]
    assert track.receiver.totals().packets == 4


def test_an_ssrc_that_said_goodbye_may_come_back() -> None:
    track, source = Track(), Source(5)
    track.feed(source, source.next(), source.next())
    track.receiver.remove_stream(Ssrc(5))
    source.lose(10)
    track.feed(source, source.next(), source.next())
    assert track.numbers == [0, 1, 2, 3]


def test_a_hole_too_wide_for_sixteen_bits_is_spliced_over() -> None:
    """Loss, and then padding, may take the source's number on without any packet for the subscriber."""
    track, source = Track(), Source(5)
    track.feed(source, source.next())
    for _ in range(30):
        source.lose(MAX_DROPOUT - 2)
        track.feed(source, source.padding())
    track.feed(source, source.next(), source.next())
    assert track.numbers == [0, 1, 2]


def test_a_fault_in_a_down_track_is_its_own_when_the_layer_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    track = Track(MediaKind.AUDIO, ("q", "f"))
    source = Source(5)

    def fault(down_track: DownTrack) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(DownTrack, "retarget", fault)
    track.feed(source, source.next(), rid="f")
    assert [type(failure) for failure in track.connection.failures] == [ZeroDivisionError]
    assert track.receiver.layers.live == {2}


# Video: key frames and layers


@in_trio
def test_video_begins_at_a_key_frame_and_asks_for_one() -> None:
    track, source = Track(MediaKind.VIDEO), Source(5, VP8)
    track.feed(source, source.next(DELTA_FRAME), source.next(DELTA_FRAME))
    assert (track.numbers, len(track.changes)) == ([], 1)
    assert track.receiver.streams[Ssrc(5)].keyframes.next_timeout() is not None
    track.feed(source, source.next(KEY_FRAME), source.next(DELTA_FRAME))
    assert track.numbers == [0, 1]
    assert track.receiver.streams[Ssrc(5)].keyframes.next_timeout() is None


@in_trio
def test_video_that_begins_with_a_key_frame_is_not_asked_for_another() -> None:
    track, source = Track(MediaKind.VIDEO), Source(5, VP8)
    track.feed(source, source.next(KEY_FRAME))
    assert track.receiver.streams[Ssrc(5)].keyframes.next_timeout() is None


@in_trio
def test_a_key_frame_that_was_overtaken_is_no_place_to_start() -> None:
    """What overtook it could not be sent, so its frame would never be whole."""
    track, source = Track(MediaKind.VIDEO), Source(5, VP8)
    track.feed(source, source.next(DELTA_FRAME))
    start, rest = source.next(KEY_FRAME), source.next(b"\x00rest", same_frame=True)
    track.feed(source, rest, start)
    assert track.numbers == []
    assert track.receiver.streams[Ssrc(5)].keyframes.next_timeout() is not None


@in_trio
def test_a_restart_of_video_waits_for_a_key_frame_and_asks_for_it() -> None:
    track, source = Track(MediaKind.VIDEO), Source(5, VP8)
    track.feed(source, source.next(KEY_FRAME), source.next(DELTA_FRAME))
    source.restart(sequence=60_000, timestamp=7)
    track.feed(source, *(source.next(DELTA_FRAME) for _ in range(RESTART_PACKETS + 1)))
    assert track.numbers == [0, 1]
    assert track.receiver.streams[Ssrc(5)].keyframes.next_timeout() is not None
    track.feed(source, source.next(KEY_FRAME), source.next(DELTA_FRAME))
    assert track.numbers == [0, 1, 2, 3]


@in_trio
def test_subscribers_wait_a_moment_for_the_best_layer_to_start() -> None:
    track = Track(MediaKind.VIDEO, ("f", "h", "q"))
    sources = {"q": Source(1, VP8), "h": Source(2, VP8)}
    started = track.now
    while track.down_track.row.target == 2:
        for rid, source in sources.items():
            track.feed(source, source.next(KEY_FRAME if source.made % 10 == 0 else DELTA_FRAME), rid=rid)
    assert SETTLING_SECONDS <= track.now - started < SETTLING_SECONDS + 0.1
    assert track.down_track.row.target == 1
    assert track.numbers == []
    assert track.receiver.streams[Ssrc(2)].keyframes.next_timeout() is not None
    assert track.receiver.streams[Ssrc(1)].keyframes.next_timeout() is None
    for rid, source in sources.items():
        track.feed(source, source.next(KEY_FRAME), rid=rid)
    assert [packet.payload[-8:-4] for packet in track.sent] == [(2).to_bytes(4)]


@in_trio
def test_subscribers_get_the_best_that_is_left_when_a_layer_says_goodbye() -> None:
    track = Track(MediaKind.VIDEO, ("q", "f"))
    low, high = Source(1, VP8), Source(3, VP8)
    for _ in range(60):
        track.feed(low, low.next(KEY_FRAME), rid="q")
        track.feed(high, high.next(KEY_FRAME), rid="f")
    assert track.down_track.statistics().layer == 2
    before = len(track.sent)
    track.receiver.remove_stream(Ssrc(3))
    track.feed(low, low.next(KEY_FRAME), rid="q")
    assert track.down_track.statistics().layer == 0
    assert len(track.sent) == before + 1
    assert track.numbers == list(range(len(track.sent)))


@pytest.mark.parametrize("rid", ["q", "h", "f", "whatever", None])
@in_trio
def test_the_only_encoding_is_chosen_whatever_its_name(rid: str | None) -> None:
    track, source = Track(MediaKind.VIDEO, (rid,) if rid else ()), Source(5, VP8)
    track.feed(source, source.next(KEY_FRAME), rid=rid)
    assert track.numbers == [0]


def test_names_of_layers_count_by_their_order_if_any_is_unknown() -> None:
    receiver = Track(MediaKind.AUDIO, ("h", "x", "f")).receiver
    assert [receiver.add_stream(Ssrc(n), Rid(rid)).layer for n, rid in enumerate(("h", "x", "f"))] == [0, 1, 2]
    assert Track(MediaKind.AUDIO, ("f", "h")).receiver.add_stream(Ssrc(1), Rid("f")).layer == 2


@in_trio
def test_malformed_video_is_passed_on_and_counted() -> None:
    track, source = Track(MediaKind.VIDEO), Source(5, VP8)
    broken = source.next(KEY_FRAME)[:12] + b"\x90"  # promises more of a descriptor
    track.feed(source, source.next(KEY_FRAME))
    source.sequence = parse_header(broken).sequence + 1
    track.feed(source, source.next(b"")[:12] + b"\x90")
    assert track.receiver.statistics().malformed_payloads == 1
    assert len(track.numbers) == 2


@in_trio
def test_a_codec_that_we_cannot_read_never_starts() -> None:
    track, source = Track(MediaKind.VIDEO), Source(5, VP8)
    track.receiver.codec = OPUS
    track.feed(source, source.next(KEY_FRAME, payload_type=OPUS.payload_type))
    assert track.numbers == []


# Recorded packets


def recorded(session: str, ssrc: int | None = None) -> list[RecordedPacket]:
    return [
        packet
        for packet in recorded_rtp()
        if packet.where.startswith(f"rtp-{session}.jsonl")
        and packet.what not in {"rtx", "rtx-padding"}
        and (ssrc is None or packet.line["ssrc"] == ssrc)
    ]


def feed_recorded(track: Track, packets: list[RecordedPacket], names: dict[int, str]) -> None:
    for each in packets:
        header = parse_header(each.packet)
        stream = track.receiver.streams.get(header.ssrc)
        if stream is None:
            rid = names.get(header.ssrc)
            stream = track.receiver.add_stream(header.ssrc, Rid(rid) if rid else None)
        track.receiver.receive(stream, each.packet, header, 100 + each.line["t_ms"] / 1000)


def test_recorded_opus_goes_through_whole() -> None:
    track = Track()
    packets = recorded("opus")
    feed_recorded(track, packets, {})
    media = [each for each in packets if each.what == "opus"]
    assert len(media) == 100
    assert [out.payload for out in track.sent] == [each.packet[each.line["payload_at"] :] for each in media]
    assert track.numbers == list(range(100))


@in_trio
def test_recorded_padding_on_the_media_ssrc_leaves_no_gap() -> None:
    """The Rust client probes on the SSRC of its media; file: rtp-vp8-rust.jsonl."""
    session = recorded_session("vp8-rust")
    for ssrc, about in session["ssrcs"].items():
        if about["payload"] != "vp8":
            continue
        track = Track(MediaKind.VIDEO, (about["rid"],))
        packets = recorded("vp8-rust", int(ssrc))
        feed_recorded(track, packets, {int(ssrc): about["rid"]})
        sequences = [each.line["seq"] for each in packets]
        is_whole = all((b - a) & 0xFFFF == 1 for a, b in pairwise(sequences))
        if is_whole and track.sent:
            assert track.numbers == list(range(len(track.sent)))
        payloads = Counter(out.payload for out in track.sent)
        assert not payloads - Counter(each.packet[each.line["payload_at"] :] for each in packets if each.what == "vp8")


@in_trio
def test_recorded_simulcast_enters_the_chosen_layer_at_its_key_frame() -> None:
    """Chromium's three layers, thirty packets and then a key frame of each; file: rtp-vp8-simulcast.jsonl."""
    session = recorded_session("vp8-simulcast")
    names = {int(ssrc): about["rid"] for ssrc, about in session["ssrcs"].items() if about["payload"] == "vp8"}
    packets = [each for each in recorded("vp8-simulcast") if each.line["ssrc"] in names]
    track = Track(MediaKind.VIDEO, ("q", "h", "f"))
    feed_recorded(track, packets, names)
    chosen = track.down_track.statistics().layer
    assert track.sent
    best = next(ssrc for ssrc, rid in names.items() if {"q": 0, "h": 1, "f": 2}[rid] == chosen)
    ours = {each.packet[each.line["payload_at"] :] for each in packets if each.line["ssrc"] == best}
    assert {out.payload for out in track.sent} <= ours
    assert track.sent[0].payload[0] & 0x17 == 0x10  # the start of a frame …


# Properties of the whole way from a packet to the subscriber's stream

LOSSLESS = ("next", "next", "next", "padding", "wrong", "long", "pause", "resume", "goodbye", "other", "restart")
LOSSY = (*LOSSLESS, "lose", "late", "repeat", "hole", "jump")


def play(track: Track, steps: list[tuple[str, int]]) -> None:
    sources = [Source(5, sequence=0xFFF0), Source(6, sequence=0x7FF0, timestamp=0xFFFF_F000)]
    kept: list[tuple[Source, bytes]] = []
    last: tuple[Source, bytes] | None = None
    for step, size in steps:
        source = sources[0]
        match step:
            case "next":
                packet = source.next()
                track.feed(source, packet)
                last = source, packet
            case "padding":
                track.feed(source, *(source.padding() for _ in range(1 + size % 3)))
            case "wrong":
                track.feed(source, source.next(payload_type=13))
            case "long":
                track.feed(source, source.next(bytes(MAX_PAYLOAD_BYTES)))
            case "pause":
                track.down_track.row.pause()
            case "resume":
                track.down_track.retarget()
            case "goodbye":
                track.receiver.remove_stream(Ssrc(source.ssrc))
                last = None  # whose repetition SRTP would refuse: nobody else remembers it now
            case "other":
                sources.reverse()
            case "restart":
                source.restart(sequence=source.sequence + MAX_DROPOUT + 100 + size, timestamp=size * 1_000_003)
                track.feed(source, *(source.next() for _ in range(RESTART_PACKETS)))
            case "jump":
                source.restart(sequence=size * 7, timestamp=size * 500_009)
            case "lose":
                source.lose(size % 5000)
            case "hole":
                source.lose(MAX_DROPOUT - 1)
                track.feed(source, source.padding())
            case "late":
                kept.append((source, source.next()))
            case "repeat":
                if kept:
                    track.feed(*kept.pop(size % len(kept)))
                elif last is not None:
                    track.feed(*last)


@given(st.lists(st.tuples(st.sampled_from(LOSSY), st.integers(0, 9000)), max_size=120))
def test_no_number_is_ever_used_twice_and_time_never_goes_back(steps: list[tuple[str, int]]) -> None:
    """The keys of the rig refuse a second packet under one SRTP index, whatever happens upstream."""
    track = Track()
    play(track, steps)
    assert track.connection.failures == []
    payloads = [packet.payload for packet in track.sent]
    assert len(set(payloads)) == len(payloads)
    in_order = sorted(track.sent, key=lambda packet: packet.index)
    for earlier, later in pairwise(in_order):
        assert (later.header.timestamp - earlier.header.timestamp) & 0xFFFF_FFFF < 1 << 31


@given(st.lists(st.tuples(st.sampled_from(LOSSLESS), st.integers(0, 9000)), max_size=120))
def test_what_arrives_whole_is_sent_on_without_a_gap(steps: list[tuple[str, int]]) -> None:
    track = Track()
    play(track, steps)
    assert track.connection.failures == []
    assert track.numbers == list(range(len(track.sent)))
