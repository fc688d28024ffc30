from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.payload.dependency_descriptor import DependencyDescriptor, Structure, parse_dependency_descriptor
from rtp.payload.vp9 import parse_vp9
from tests.rtp.wire import RecordedPacket, recorded_rtp

# The descriptor on the first packet of a key picture, L3T3_KEY; recorded from Chromium 156.
KEY = next(
    bytes.fromhex(each.line["ext"]["dd"])
    for each in recorded_rtp()
    if each.where.startswith("rtp-av1-svc") and len(each.line["ext"].get("dd", "")) > 100
)
ALL_LAYERS = [(spatial, temporal) for spatial in range(3) for temporal in range(3)]


def recorded(name: str, what: str) -> list[tuple[RecordedPacket, DependencyDescriptor]]:
    """Read the descriptors of one recording, from its first structure on, each with the newest structure."""
    read: list[tuple[RecordedPacket, DependencyDescriptor]] = []
    structure: Structure | None = None
    for each in recorded_rtp():
        if not each.where.startswith(name) or each.what != what or "dd" not in each.line["ext"]:
            continue
        data = bytes.fromhex(each.line["ext"]["dd"])
        if structure is None and len(data) == 3:
            continue
        descriptor = parse_dependency_descriptor(data, structure)
        structure = descriptor.structure
        read.append((each, descriptor))
    return read


def test_a_key_frame_brings_the_layers_with_their_sizes() -> None:
    descriptor = parse_dependency_descriptor(KEY, None)
    assert (descriptor.attached, descriptor.starts_frame, descriptor.ends_frame) == (True, True, True)
    assert (descriptor.spatial_id, descriptor.temporal_id, descriptor.frame_diffs) == (0, 0, ())
    structure = descriptor.structure
    assert structure.resolutions == ((320, 180), (640, 360), (1280, 720))
    assert list(structure.target_layers) == ALL_LAYERS
    assert structure.targets_within(1, 0) == 0b000_001_001
    assert structure.targets_within(7, 7) == structure.all_targets == 0b111_111_111


def test_descriptor_and_payload_tell_the_same_of_vp9() -> None:
    read = recorded("rtp-vp9-svc", "vp9")
    # The first pictures of the recording have one layer; all three come with a new key picture.
    begin = max(at for at, (_, descriptor) in enumerate(read) if descriptor.attached)
    assert len(read) - begin > 100
    for packet, descriptor in read[begin:]:
        payload = parse_vp9(packet.packet[packet.line["payload_at"] :])
        assert (payload.spatial_id, payload.temporal_id) == (descriptor.spatial_id, descriptor.temporal_id)
        assert (payload.starts_frame, payload.ends_frame) == (descriptor.starts_frame, descriptor.ends_frame)
        # A picture is three frames, and one uses the layer below it only in a key picture.
        in_frames = tuple(3 * diff for diff in payload.picture_diffs)
        assert descriptor.frame_diffs == ((1,) if payload.uses_lower_layer else in_frames)


@pytest.mark.parametrize(
    ("name", "what"),
    [("rtp-vp9-svc", "vp9"), ("rtp-av1-svc", "av1"), ("rtp-h264", "h264"), ("rtp-vp8-simulcast", "vp8")],
)
def test_a_mask_changes_nothing_else(name: str, what: str) -> None:
    read = recorded(name, what)
    assert read
    for _, before in read:
        mask = 1
        data = before.with_active_targets(mask)
        after = parse_dependency_descriptor(data, before.structure)
        assert after == replace(before, data=data, active_targets=mask)
        assert parse_dependency_descriptor(after.with_active_targets(mask), before.structure).data == data


def test_frame_differences_of_its_own_go_before_the_templates() -> None:
    structure = parse_dependency_descriptor(KEY, None).structure
    template = (structure.template_id_offset + 1) % 64
    # no structure, no mask, no indications, own differences: one of 4 bits (5), one of 8 (17), the end
    data = bytes((template, 0, 9)) + int("000100101001000010000000", 2).to_bytes(3)
    assert parse_dependency_descriptor(data, structure).frame_diffs == (5, 17)


def test_without_the_structure_it_means_nothing() -> None:
    structure = parse_dependency_descriptor(KEY, None).structure
    with pytest.raises(DecodeError, match="without a structure"):
        parse_dependency_descriptor(b"\0\0\1", None)
    unknown = structure.template_id_offset + len(structure.templates)
    with pytest.raises(DecodeError, match="not in the structure"):
        parse_dependency_descriptor(bytes((unknown, 0, 1)), structure)


@pytest.mark.parametrize("size", range(len(KEY)))
def test_one_cut_short_is_refused(size: int) -> None:
    with pytest.raises(DecodeError):
        parse_dependency_descriptor(KEY[:size], None)


@given(st.binary(max_size=80))
def test_noise_raises_nothing_but_decode_error(noise: bytes) -> None:
    structure = parse_dependency_descriptor(KEY, None).structure
    for known in (None, structure):
        try:
            descriptor = parse_dependency_descriptor(noise, known)
        except DecodeError:
            continue
        again = parse_dependency_descriptor(descriptor.with_active_targets(0), descriptor.structure)
        assert (again.active_targets, again.frame_diffs) == (0, descriptor.frame_diffs)
