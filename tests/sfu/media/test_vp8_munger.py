from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.payload.vp8 import Vp8Descriptor, parse_vp8
from sfu.media.vp8_munger import UNCHANGED, Vp8Facts, Vp8Munger, Vp8Offsets, Vp8Source, shift_ids


def describe(picture_id: int | None, *, is_long: bool = True, tl0: int | None = None, key: int | None = None) -> bytes:
    """A payload of one byte of VP8 behind such a descriptor, of a base layer frame."""
    flags = (
        (0x80 if picture_id is not None else 0) | (0x60 if tl0 is not None else 0) | (0x30 if key is not None else 0)
    )
    payload = bytes((0x90, flags))
    if picture_id is not None:
        payload += (0x8000 | picture_id & 0x7FFF).to_bytes(2, "big") if is_long else bytes((picture_id & 0x7F,))
    if tl0 is not None:
        payload += bytes((tl0 & 0xFF,))
    if tl0 is not None or key is not None:
        payload += bytes(((key or 0) & 0x1F,))
    return payload + b"\x00"


def facts(picture_id: int | None, *, tl0: int | None = None, key: int | None = None) -> Vp8Facts:
    """The facts of such a packet, its picture id unwrapped already."""
    return Vp8Facts(parse_vp8(describe(picture_id, tl0=tl0, key=key)), picture_id)


def read(source: Vp8Source, *picture_ids: int, is_long: bool = True) -> list[int | None]:
    return [source.read(parse_vp8(describe(number, is_long=is_long))).picture_id for number in picture_ids]


@pytest.mark.parametrize(("is_long", "size"), [(True, 1 << 15), (False, 1 << 7)])
def test_picture_ids_are_unwrapped_at_their_width(is_long: bool, size: int) -> None:
    source = Vp8Source()
    assert read(source, size - 2, size - 1, 0, 1, is_long=is_long) == [size - 2, size - 1, size, size + 1]
    assert read(source, size - 1, 2, is_long=is_long) == [size - 1, size + 2], "late, then on"


def test_an_id_that_outgrows_seven_bits_has_not_wrapped() -> None:
    source = Vp8Source()
    assert read(source, 126, 127, is_long=False) == [126, 127]
    assert read(source, 128, 129) == [128, 129]
    assert read(source, *range(130, 0x8000)) == list(range(130, 0x8000))
    assert read(source, 0, 1, is_long=False) == [0x8000, 0x8001]


def test_a_packet_without_a_picture_id_has_none() -> None:
    source = Vp8Source()
    assert source.read(Vp8Descriptor(1, start_of_frame=True)).picture_id is None


def test_the_first_source_keeps_its_ids() -> None:
    munger = Vp8Munger()
    munger.switch(facts(500, tl0=200, key=30), None)
    assert munger.offsets == UNCHANGED
    payload = describe(500, tl0=200, key=30)
    assert shift_ids(payload, facts(500, tl0=200, key=30), munger.offsets) is payload


def test_picture_ids_of_seven_bits_are_always_widened() -> None:
    source = Vp8Source()
    read(source, 127, is_long=False)
    payload = describe(0, is_long=False, tl0=1)
    shifted = shift_ids(payload, source.read(parse_vp8(payload)), UNCHANGED)
    assert parse_vp8(shifted).picture_id == 128
    assert parse_vp8(shifted).picture_id_is_long


def test_a_switch_makes_the_new_ids_follow_the_newest_that_were_sent() -> None:
    munger = Vp8Munger()
    munger.switch(facts(500, tl0=200, key=30), None)
    munger.switch(facts(7, tl0=255, key=0), facts(510, tl0=203, key=31))
    payload = describe(7, tl0=255, key=0)
    shifted = parse_vp8(shift_ids(payload, facts(7, tl0=255, key=0), munger.offsets))
    assert (shifted.picture_id, shifted.tl0_picture_index, shifted.key_index) == (511, 204, 0)


def test_a_switch_at_once_after_another_goes_on_from_what_was_really_sent() -> None:
    munger = Vp8Munger()
    munger.switch(facts(500), None)
    munger.switch(facts(7), facts(510))
    munger.switch(facts(90), None)
    assert munger.offsets.picture_id == 511 - 90


def test_a_source_without_ids_in_between_does_not_break_the_series() -> None:
    munger = Vp8Munger()
    munger.switch(facts(500, tl0=7), None)
    munger.switch(facts(None), facts(510, tl0=9))
    assert munger.offsets == UNCHANGED
    munger.switch(facts(90, tl0=3), facts(None))
    assert munger.offsets == Vp8Offsets(511 - 90, 10 - 3, 0)


def test_a_packet_without_ids_is_sent_as_it_is() -> None:
    munger = Vp8Munger()
    munger.switch(facts(None), None)
    payload = b"\x10\x00"
    assert shift_ids(payload, Vp8Source().read(parse_vp8(payload)), Vp8Offsets(5, 5, 5)) == payload


@dataclass
class Layer:
    """A publisher's encoding, which numbers its frames as libvpx does."""

    picture_id: int
    tl0: int
    key: int
    is_long: bool
    source: Vp8Source = field(default_factory=Vp8Source)

    def frame(self, temporal_id: int, *, is_keyframe: bool) -> tuple[bytes, Vp8Facts]:
        self.picture_id += 1
        self.tl0 += temporal_id == 0
        self.key += is_keyframe
        payload = bytearray(describe(self.picture_id, is_long=self.is_long, tl0=self.tl0, key=self.key))
        payload[-2] |= temporal_id << 6
        return bytes(payload), self.source.read(parse_vp8(bytes(payload)))


LAYERS = st.builds(Layer, st.integers(0, 0x7FFF), st.integers(0, 255), st.integers(0, 31), st.booleans())
STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["frame", "frame", "frame", "switch", "pause"])), max_size=80
)


@given(st.lists(LAYERS, min_size=3, max_size=3), STEPS)
def test_the_ids_sent_are_one_series_whatever_is_switched_or_paused(
    layers: list[Layer], steps: list[tuple[int, str]]
) -> None:
    munger = Vp8Munger()
    current: int | None = None
    last: Vp8Facts | None = None
    sent: list[tuple[int, Vp8Descriptor]] = []  # temporal id, what the subscriber sees
    for chosen, step in [(0, "switch"), *steps]:
        is_keyframe = step == "switch"
        temporal_id = 0 if is_keyframe else chosen
        frames = [layer.frame(temporal_id, is_keyframe=is_keyframe) for layer in layers]
        if step == "pause":
            current = None
            continue
        if is_keyframe:
            munger.switch(frames[chosen][1], last)
            current, last = chosen, None
        if current is None:
            continue
        payload, frame = frames[current]
        last = frame
        sent.append((temporal_id, parse_vp8(shift_ids(payload, frame, munger.offsets))))
    for (_, before), (temporal_id, after) in pairwise(sent):
        assert after.picture_id == (before.picture_id + 1) & 0x7FFF
        step_of_tl0 = (after.tl0_picture_index - before.tl0_picture_index) & 0xFF
        assert step_of_tl0 == (1 if temporal_id == 0 else 0)
        assert (after.key_index - before.key_index) & 0x1F <= 1
    assert all(descriptor.picture_id_is_long for _, descriptor in sent)


@given(st.lists(st.tuples(st.sampled_from(["switch", "frame"]), st.none() | st.integers(0, 50)), max_size=80))
def test_a_publisher_that_lies_about_its_frames_breaks_nothing(events: list[tuple[str, int | None]]) -> None:
    munger, last = Vp8Munger(), None
    for event, number in events:
        packet = facts(number, tl0=number, key=number)
        if event == "switch":
            munger.switch(packet, last)
        last = packet
        if number is not None:
            shifted = parse_vp8(shift_ids(describe(number, tl0=number, key=number), packet, munger.offsets))
            assert shifted.picture_id == (number + munger.offsets.picture_id) & 0x7FFF


def test_pictures_that_were_left_out_show_in_no_id_of_those_after_them() -> None:
    came = Vp8Source().read(parse_vp8(describe(502, tl0=200)))
    shifted = shift_ids(describe(502, tl0=200), Vp8Facts(came.descriptor, 501), UNCHANGED)
    assert shifted == describe(501, tl0=200)
