"""The judge's own tools: what it could not tell, it could not judge."""

from random import Random

import av
import pytest

from tests.support.encodings import (
    AV1,
    GROUP_FRAMES,
    H264,
    H265,
    PAYLOAD_BYTES,
    TEMPORAL_PATTERNS,
    VP8,
    VP9,
    Decoder,
    EncodedFrame,
    Mark,
    encoded_layer,
    read_mark,
)
from tests.support.packetizing import KINDS, EncodedSource, assemble, is_key_frame, starts_frame, vp8_ids
from tests.support.packetizing_nal import H264_FORMAT
from tests.support.packetizing_vpx import Vp8Packetizer, packetize_bare_vp8

every_codec = pytest.mark.parametrize("mime", [VP8, H264, H265, VP9, AV1])


def decoded(decoder: Decoder, frame: EncodedFrame) -> list[bytes]:
    """Return the pictures that come of a frame: none if the decoder refuses it."""
    try:
        return decoder.decode(frame.units)
    except av.FFmpegError:
        return []


@every_codec
def test_each_picture_says_what_it_is(mime: str) -> None:
    for layer in range(3):
        frames = encoded_layer(mime, layer)
        assert [frame.mark for frame in frames] == [Mark(layer, number) for number in range(len(frames))]
        assert [read_mark(frame.picture) for frame in frames] == [frame.mark for frame in frames]
        assert [at for at, frame in enumerate(frames) if frame.is_key] == list(range(0, len(frames), GROUP_FRAMES))


@every_codec
def test_a_group_gives_the_same_pictures_whatever_came_before(mime: str) -> None:
    decoder = Decoder(mime)
    for layer, group in ((2, 1), (0, 3), (1, 0), (0, 0), (0, 2)):
        for frame in encoded_layer(mime, layer)[group * GROUP_FRAMES :][:8]:
            assert decoder.decode(frame.units) == [frame.picture]


@every_codec
def test_a_missing_reference_shows_in_the_picture(mime: str) -> None:
    """And not in an error, of most codecs: this is why pictures are compared."""
    first, *rest = encoded_layer(mime, 1)[:10]
    for missing in [at for at, frame in enumerate(rest, 1) if frame.temporal == 0 and at < len(rest)]:
        decoder = Decoder(mime)
        decoder.decode(first.units)
        pictures = [decoded(decoder, frame) for at, frame in enumerate(rest, 1) if at != missing]
        assert pictures[missing - 1] != [rest[missing].picture]


@pytest.mark.parametrize("mime", TEMPORAL_PATTERNS)
def test_upper_temporal_layers_can_be_left_out_and_entered_where_they_need_the_lowest_only(mime: str) -> None:
    frames = encoded_layer(mime, 2)[:GROUP_FRAMES]
    for entered_at in (at for at, frame in enumerate(frames[:12]) if frame.is_sync):
        for highest in range(3):
            decoder = Decoder(mime)
            for at, frame in enumerate(frames[:24]):
                if frame.temporal == 0 or at == entered_at or (at > entered_at and frame.temporal <= highest):
                    assert decoder.decode(frame.units) == [frame.picture] or frame.temporal > highest


@every_codec
def test_another_groups_reference_shows_in_the_picture(mime: str) -> None:
    frames = encoded_layer(mime, 0)
    decoder = Decoder(mime)
    for frame in frames[:5]:
        decoder.decode(frame.units)
    foreign = frames[GROUP_FRAMES + 5]
    assert decoded(decoder, foreign) != [foreign.picture]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_packed_is_unpacked(kind: str) -> None:
    mime, packetizer = KINDS[kind].mime, KINDS[kind].new_packetizer(Random(1))
    for layer in range(3):
        for frame in encoded_layer(mime, layer)[:GROUP_FRAMES]:
            payloads = packetizer(frame)
            assert max(map(len, payloads)) <= PAYLOAD_BYTES + 10
            assert assemble(mime, payloads) == frame.units
            assert is_key_frame(mime, frame.units) == frame.is_key
            if frame.is_key or mime in {VP8, VP9}:
                assert [starts_frame(mime, payload) for payload in payloads] == [True, *[False] * (len(payloads) - 1)]


def test_h264_comes_in_all_shapes_of_mode_1() -> None:
    kinds = {
        payload[0] & 0x1F
        for layer in range(3)
        for frame in encoded_layer(H264, layer)
        for payload in H264_FORMAT.pack(frame)
    }
    assert {H264_FORMAT.aggregation, H264_FORMAT.fragment, 1} <= kinds


def test_vp8_frames_are_numbered_across_the_wrap() -> None:
    packetizer = Vp8Packetizer(Random(1))
    ids = [vp8_ids(packetizer(frame)[0]) for frame in encoded_layer(VP8, 0)[:GROUP_FRAMES]]
    pictures = [each.picture_id for each in ids]
    assert pictures == [(pictures[0] + at) % 0x8000 for at in range(GROUP_FRAMES)]
    assert pictures[-1] < pictures[0]
    assert len({each.key_index for each in ids}) == 1


def test_a_key_frame_is_there_when_it_is_wanted() -> None:
    source = EncodedSource(VP8, 0, packetize_bare_vp8)
    frames = encoded_layer(VP8, 0)
    sent = [source.next_burst() for _ in range(3)]
    source.request_key_frame()
    source.request_key_frame()
    sent.append(source.next_burst())
    assert [assemble(VP8, payloads) for payloads in sent] == [frames[at].units for at in (0, 1, 2, GROUP_FRAMES)]
