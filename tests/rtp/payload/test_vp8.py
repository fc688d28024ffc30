from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.packet import parse_header, payload_end
from rtp.payload.vp8 import Vp8Descriptor, is_keyframe, parse_keyframe_dimensions, parse_vp8, rewrite_ids
from tests.rtp.wire import RecordedPacket, recorded_rtp


def vp8_payload(recorded: RecordedPacket) -> bytes:
    header = parse_header(recorded.packet)
    return recorded.packet[header.size : payload_end(recorded.packet, header)]


@pytest.mark.parametrize(
    ("payload", "descriptor"),
    [
        ("10", Vp8Descriptor(1, start_of_frame=True)),
        ("30", Vp8Descriptor(1, start_of_frame=True)),  # N: not a reference
        ("00", Vp8Descriptor(1, start_of_frame=False)),
        ("11", Vp8Descriptor(1, start_of_frame=False)),  # the start of partition 1 is no start of frame
        ("9000", Vp8Descriptor(2, start_of_frame=True)),
        ("908011", Vp8Descriptor(3, start_of_frame=True, picture_id=0x11)),
        ("908080ff", Vp8Descriptor(4, start_of_frame=True, picture_id=0xFF, picture_id_is_long=True)),
        ("9080ffff", Vp8Descriptor(4, start_of_frame=True, picture_id=0x7FFF, picture_id_is_long=True)),
        ("902080", Vp8Descriptor(3, start_of_frame=True, temporal_id=2)),
        ("9020a0", Vp8Descriptor(3, start_of_frame=True, temporal_id=2, layer_sync=True)),
        ("90103f", Vp8Descriptor(3, start_of_frame=True, key_index=0x1F)),  # without T, TID and Y mean nothing
        ("90600740", Vp8Descriptor(4, start_of_frame=True, tl0_picture_index=7, temporal_id=1)),
        (
            "90f0812207e5",
            Vp8Descriptor(
                6,
                start_of_frame=True,
                picture_id=0x122,
                picture_id_is_long=True,
                tl0_picture_index=7,
                temporal_id=3,
                layer_sync=True,
                key_index=5,
            ),
        ),
    ],
)
def test_every_form_of_the_descriptor_is_read(payload: str, descriptor: Vp8Descriptor) -> None:
    assert parse_vp8(bytes.fromhex(payload)) == descriptor
    assert parse_vp8(bytes.fromhex(payload) + b"VP8 data") == descriptor


@pytest.mark.parametrize("payload", ["", "90", "9080", "908080", "906007", "9020", "9010"])
def test_a_descriptor_cut_short_is_refused(payload: str) -> None:
    with pytest.raises(DecodeError, match="cut short"):
        parse_vp8(bytes.fromhex(payload))


def test_a_base_layer_index_without_a_temporal_layer_is_refused() -> None:
    with pytest.raises(DecodeError, match="TL0PICIDX"):
        parse_vp8(bytes.fromhex("90400700"))


def test_recorded_key_frames_have_the_size_of_their_encoding() -> None:
    found = set()
    for recorded in recorded_rtp():
        if recorded.what == "vp8" and recorded.where.startswith("rtp-vp8-simulcast"):
            payload = vp8_payload(recorded)
            descriptor = parse_vp8(payload)
            if is_keyframe(payload, descriptor):
                rid = recorded.session["ssrcs"][str(recorded.line["ssrc"])]["rid"]
                found.add((rid, *parse_keyframe_dimensions(payload, descriptor)))
    assert found >= {("q", 320, 180), ("h", 640, 360), ("f", 1280, 720)}
    assert {rid for rid, _, _ in found} == {"q", "h", "f"}


def test_recorded_key_frames_are_those_that_bring_a_dependency_structure() -> None:
    # Publishers put the structure on key frames and on nothing else; the first bit after the descriptor's three
    # mandatory bytes announces it.
    for recorded in recorded_rtp():
        if recorded.what == "vp8":
            payload = vp8_payload(recorded)
            descriptor = parse_vp8(payload)
            if descriptor.start_of_frame:
                dependency = bytes.fromhex(recorded.line["ext"].get("dd", ""))
                assert is_keyframe(payload, descriptor) == (dependency[3:4] >= b"\x80"), recorded.where


def test_a_packet_that_starts_no_key_frame_has_no_dimensions() -> None:
    key_frame = bytes.fromhex("10 500900 9d012a 0005 d002")
    assert parse_keyframe_dimensions(key_frame, parse_vp8(key_frame)) == (1280, 720)
    for payload in (
        key_frame[:-1],
        b"\x00" + key_frame[1:],  # not the start of the frame
        bytes.fromhex("10 510900 9d012a 0005 d002"),  # an interframe
        bytes.fromhex("10 500900 9d012b 0005 d002"),  # no start code
        b"\x10",
    ):
        with pytest.raises(DecodeError):
            parse_keyframe_dimensions(payload, parse_vp8(payload))


def test_the_scale_is_no_part_of_the_dimensions() -> None:
    key_frame = bytes.fromhex("10 500900 9d012a 0045 d082")
    assert parse_keyframe_dimensions(key_frame, parse_vp8(key_frame)) == (1280, 720)


@pytest.mark.parametrize(
    ("payload", "rewritten"),
    [
        ("10", "10"),
        ("9000", "9000"),
        ("908011", "90809234"),  # 7 bits become 15
        ("908080ff", "90809234"),
        ("9080ffff", "90809234"),
        ("902080", "902080"),
        ("9010ff", "9010e9"),  # only the lower five bits are the key index
        ("90600740", "90605640"),
        ("90f0812207e5", "90f0923456e9"),
        ("90ff812207e5", "90ff923456e9"),  # reserved bits stay
    ],
)
def test_ids_are_written_where_there_are_any(payload: str, rewritten: str) -> None:
    before = bytes.fromhex(payload) + b"VP8 data"
    after = rewrite_ids(before, parse_vp8(before), picture_id=0x1_9234, tl0_picture_index=0x356, key_index=0xFE9)
    assert after == bytes.fromhex(rewritten) + b"VP8 data"


@given(st.binary(max_size=20), st.integers(0), st.integers(0), st.integers(0))
def test_what_was_rewritten_differs_in_its_ids_alone(payload: bytes, picture_id: int, tl0: int, key: int) -> None:
    with suppress(DecodeError):
        before = parse_vp8(payload)
        rewritten = rewrite_ids(payload, before, picture_id=picture_id, tl0_picture_index=tl0, key_index=key)
        after = parse_vp8(rewritten)
        assert rewritten[after.size :] == payload[before.size :]
        assert after.picture_id == (None if before.picture_id is None else picture_id & 0x7FFF)
        assert after.picture_id_is_long == (before.picture_id is not None)
        assert after.tl0_picture_index == (None if before.tl0_picture_index is None else tl0 & 0xFF)
        assert after.key_index == (None if before.key_index is None else key & 0x1F)
        assert (after.temporal_id, after.layer_sync) == (before.temporal_id, before.layer_sync)
        assert after.start_of_frame == before.start_of_frame
        assert is_keyframe(rewritten, after) == is_keyframe(payload, before)


@given(st.binary(max_size=20))
def test_noise_raises_nothing_but_decode_error(noise: bytes) -> None:
    with suppress(DecodeError):
        descriptor = parse_vp8(noise)
        assert 1 <= descriptor.size <= len(noise)
        parse_keyframe_dimensions(noise, descriptor)
