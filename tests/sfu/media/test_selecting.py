from collections.abc import Collection
from dataclasses import dataclass
from random import Random

import pytest

from rtp.payload.vp8 import parse_vp8
from rtp.reception import MAX_DROPOUT
from sfu.media.frames import FrameFacts, FrameReader
from sfu.media.selecting import NO_LIMIT, Last, LayerLimit, LayerSelector, Placed
from sfu.media.vp8_munger import Vp8Facts, Vp8Source

# libwebrtc's three temporal layers: TID, and whether it needs the base layer only (Y).
PATTERN = [(0, False), (2, True), (1, True), (2, False), (0, False), (2, False), (1, False), (2, False)]
PACKETS = 2  # of each frame


@dataclass
class Facts:
    sequence: int
    timestamp: int
    marker: bool
    vp8: Vp8Facts | None
    frame: FrameFacts | None


def vp8_stream(pictures: int, *, first: int = 100, lies: Collection[int] = ()) -> list[Facts]:
    """VP8 with three temporal layers, which begins with a key frame. Some pictures may lie of their ids."""
    source, reader, facts = Vp8Source(), FrameReader(), []
    for at in range(pictures):
        temporal, is_sync = PATTERN[at % len(PATTERN)]
        for part in range(PACKETS):
            picture_id = 0x8000 | 500 + at + (0x3000 if at in lies else 0)
            head = bytes((0x90 if part == 0 else 0x80, 0xE0, *picture_id.to_bytes(2), at // 4 & 0xFF))
            payload = head + bytes((temporal << 6 | is_sync << 5, 0 if at == 0 else 1))
            ids = source.read(parse_vp8(payload))
            frame = reader.read_vp8(ids, is_keyframe=at == 0 and part == 0)
            facts.append(Facts(first + at * PACKETS + part, at * 3000, part == PACKETS - 1, ids, frame))
    return facts


def key_svc_stream(pictures: int, *, keys: tuple[int, ...] = (0,)) -> list[Facts]:
    """Three spatial layers, each of which needs the one below it in key pictures only."""
    facts = []
    for at in range(pictures):
        for spatial in range(3):
            number = at * 3 + spatial
            is_key_picture = at in keys
            references = ((number - 1,) if spatial else ()) if is_key_picture else (number - 3,)
            for part in range(PACKETS):
                end = part == PACKETS - 1
                is_key = is_key_picture and not spatial
                frame = FrameFacts(number, spatial, 0, references, is_key, end, has_start=part == 0)
                facts.append(Facts(number * PACKETS + part, at * 3000, end and spatial == 2, None, frame))
    return facts


def temporal_ids(selector: LayerSelector, facts: list[Facts]) -> list[int | None]:
    return [each.frame.temporal if selector.place(each) and each.frame else None for each in facts]


def placed(selector: LayerSelector, facts: list[Facts]) -> list[Placed]:
    return [place for each in facts if (place := selector.place(each)) is not None]


def test_what_is_left_out_leaves_no_gap_in_numbers_and_picture_ids() -> None:
    for temporal, frames in ((0, 10), (1, 20), (2, 40)):
        sent = placed(LayerSelector(LayerLimit(0, temporal)), vp8_stream(40))
        assert [each.sequence for each in sent] == list(range(100, 100 + frames * PACKETS))
        assert [each.vp8.picture_id for each in sent if each.vp8] == [500 + at // PACKETS for at in range(len(sent))]


def test_a_higher_temporal_layer_is_entered_where_it_begins_anew() -> None:
    facts = vp8_stream(24)
    selector = LayerSelector(LayerLimit(0, 0))
    temporal_ids(selector, facts[: 10 * PACKETS])  # up to the second frame of the second group
    selector.limit = NO_LIMIT
    sent = temporal_ids(selector, facts[10 * PACKETS :])[::PACKETS]
    # Layer 1 begins anew at once; frames of layer 2 need what was left out, up to one that needs the base only.
    assert sent == [1, None, 0, None, 1, None, 0, 2, 1, 2, 0, 2, 1, 2]


@pytest.mark.parametrize("lie", [8, 9, 10])  # of each temporal layer
def test_a_lie_about_a_pictures_id_holds_up_no_change_and_leaves_no_hole(lie: int) -> None:
    facts = vp8_stream(80, lies=[lie])
    selector = LayerSelector(LayerLimit(0, 1))
    before = placed(selector, facts[: 24 * PACKETS])
    selector.limit = LayerLimit(0, 0)
    after = placed(selector, facts[24 * PACKETS :])
    assert len(after) == 56 // 4 * PACKETS, "one of four pictures is of the lowest layer"
    ids = [each.vp8.picture_id for each in before + after if each.vp8]
    assert ids == [500 + at // PACKETS for at in range(len(ids))]


def test_lower_temporal_layers_come_at_the_next_picture_and_none_is_cut_short() -> None:
    facts = vp8_stream(16)
    selector = LayerSelector(NO_LIMIT)
    temporal_ids(selector, facts[: 2 * PACKETS - 1])  # in the middle of a frame of layer 2
    selector.limit = LayerLimit(0, 0)
    sent = temporal_ids(selector, facts[2 * PACKETS - 1 :])
    assert sent[0] == 2
    assert {each for each in sent[1:] if each is not None} == {0}


def test_fewer_spatial_layers_come_at_the_next_picture_and_the_last_packet_says_so() -> None:
    facts = key_svc_stream(6)
    selector = LayerSelector(NO_LIMIT)
    before = placed(selector, facts[:8])  # in the middle of the second picture
    selector.limit = LayerLimit(1, 0)
    after = placed(selector, facts[8:])
    assert [each.sequence for each in before + after] == list(range(12 + 4 * 4))
    assert [each.marker for each in after] == [False] * 3 + [True] + ([False] * 3 + [True]) * 4


def test_more_spatial_layers_wait_for_a_key_picture() -> None:
    facts = key_svc_stream(8, keys=(0, 5))
    selector = LayerSelector(LayerLimit(0, 0))
    placed(selector, facts[:6])
    selector.limit = NO_LIMIT
    sent = [each.frame for each in facts[6:] if each.frame and selector.place(each)]
    assert {each.spatial for each in sent if each.number < 15} == {0}
    assert {each.spatial for each in sent if each.number >= 15} == {0, 1, 2}


def test_begun_in_the_middle_nothing_is_renumbered_that_was_sent() -> None:
    facts = vp8_stream(16)
    selector = LayerSelector(LayerLimit(0, 0), last=Last(facts[5].sequence, facts[5].timestamp, 502))
    late = selector.place(facts[2])  # of a frame that is begun, and above the limit
    assert late is not None
    assert late.sequence == facts[2].sequence
    sent = placed(selector, facts[6:])
    assert sent[0].sequence == facts[5].sequence + 1


def test_what_is_lost_of_layers_that_are_left_out_leaves_no_hole() -> None:
    """Else the subscriber would ask in vain for what nobody has."""
    facts = key_svc_stream(6)
    selector = LayerSelector(LayerLimit(0, 0))
    lost = {2, 10, 15, 16, 23}  # an upper layer's start, one in the middle, and more at both ends of the highest
    sent = placed(selector, [each for at, each in enumerate(facts) if at not in lost])
    assert [each.sequence for each in sent] == list(range(6 * PACKETS))
    assert selector.place(facts[10]) is None, "it comes late"


def test_what_is_lost_at_either_end_of_a_picture_that_is_left_out_leaves_no_hole() -> None:
    facts = vp8_stream(8)
    lost = {2, 7}  # the start and the end of frames of layer 2
    sent = placed(LayerSelector(LayerLimit(0, 1)), [each for at, each in enumerate(facts) if at not in lost])
    assert [each.sequence for each in sent] == list(range(100, 100 + 4 * PACKETS))


def test_what_may_be_lost_of_what_is_sent_leaves_its_place() -> None:
    facts = key_svc_stream(3)
    selector = LayerSelector(LayerLimit(1, 0))
    lost = {5, 6}  # the end of the highest layer, and the start of the lowest
    sent = placed(selector, [each for at, each in enumerate(facts) if at not in lost])
    late = selector.place(facts[6])
    assert late is not None
    numbers = sorted([late.sequence, *(each.sequence for each in sent)])
    assert len(set(numbers)) == len(numbers) == 3 * 2 * PACKETS


@pytest.mark.parametrize("is_svc", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_lost_late_or_switched_nothing_is_sent_without_what_it_needs(seed: int, *, is_svc: bool) -> None:
    random = Random(seed)
    facts = key_svc_stream(60, keys=(0, 20, 40)) if is_svc else vp8_stream(120)
    head, tail = facts[:1], [each for each in facts[1:] if random.random() > 0.05]
    order = head + sorted(tail, key=lambda each: each.sequence + (random.random() < 0.1) * random.randrange(30))
    arrived = {each.frame.number for each in order if each.frame}
    selector = LayerSelector(LayerLimit(random.randrange(3), random.randrange(3)))
    used: dict[int, Facts] = {}
    sent: set[int] = set()
    refused: set[int] = set()
    for each in order:
        if random.random() < 0.05:
            selector.limit = LayerLimit(random.randrange(3), random.randrange(3))
        assert each.frame is not None
        place = selector.place(each)
        if place is None:
            refused.add(each.frame.number)
            continue
        assert place.sequence not in used, "no number is given out twice"
        used[place.sequence] = each
        if each.frame.number not in sent:  # it is decided when its first packet comes
            assert not refused.intersection(each.frame.references)
        sent.add(each.frame.number)
        assert selector.source_sequence(place.sequence) == each.sequence
        assert selector.recall(each) == place, "it is sent again as it was"
    assert sent <= arrived
    assert not sent & refused, "a frame is sent whole or not at all"
    assert [used[number].sequence for number in sorted(used)] == sorted(each.sequence for each in used.values())


@pytest.mark.parametrize("every", [2, 1_000, MAX_DROPOUT])
def test_losses_among_much_that_is_left_out_do_not_add_up_to_holes_that_nobody_can_tell(every: int) -> None:
    first, *_ = vp8_stream(1)
    selector = LayerSelector(LayerLimit(0, 0))
    assert selector.place(first) is not None
    sequence, number, timestamp = first.sequence, 1, first.timestamp

    def feed(temporal: int, *, references: tuple[int, ...]) -> Placed | None:
        nonlocal sequence, number, timestamp
        sequence, number, timestamp = sequence + every, number + 2, timestamp + 3000
        frame = FrameFacts(number, 0, temporal, references, is_key=False, has_end=True, has_start=True)
        return selector.place(Facts(sequence, timestamp, True, None, frame))

    while sequence < 1 << 17:
        assert feed(1, references=()) is None
    number_before = first.sequence
    for _ in range(3):
        placed = feed(0, references=())
        assert placed is not None
        assert number_before < placed.sequence <= number_before + MAX_DROPOUT
        number_before = placed.sequence
