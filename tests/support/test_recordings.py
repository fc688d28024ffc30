"""What was recorded can be judged: each picture has one right outcome for each layer, whatever is left out besides."""

from itertools import pairwise
from random import Random

import av
import pytest

from rtp.payload.dependency_descriptor import Structure, parse_dependency_descriptor
from rtp.payload.vp9 import parse_vp9
from tests.support.encodings import AV1, VP9, Decoder, Mark
from tests.support.packetizing import assemble, is_key_frame
from tests.support.recordings import SIZES, DescribedSource, RecordedReference, recording

every_codec = pytest.mark.parametrize("mime", [VP9, AV1])


@every_codec
def test_each_layer_has_its_size_and_its_own_picture(mime: str) -> None:
    reference, pictures = RecordedReference(mime), recording(mime)
    for spatial, (width, height) in enumerate(SIZES):
        decoder = Decoder(mime)  # one for all: groups hang on nothing before them
        for number, picture in enumerate(pictures):
            (outcome,) = decoder.decode(assemble(mime, picture.payloads(spatial)))
            assert reference.mark(outcome) == Mark(spatial, number)
            assert outcome[:4] == width.to_bytes(2) + height.to_bytes(2)


@every_codec
def test_upper_temporal_layers_can_be_left_out(mime: str) -> None:
    reference = RecordedReference(mime)
    for highest in range(2):
        decoder = Decoder(mime)
        for number, picture in enumerate(recording(mime)):
            if picture.temporal <= highest:
                (outcome,) = decoder.decode(assemble(mime, picture.payloads(1)))
                assert reference.mark(outcome) == Mark(1, number)


@every_codec
def test_a_layer_that_is_entered_without_a_key_picture_shows(mime: str) -> None:
    reference, (first, *others) = RecordedReference(mime), recording(mime)
    decoder = Decoder(mime)
    decoder.decode(assemble(mime, first.payloads(0)))
    try:
        pictures = decoder.decode(assemble(mime, others[0].payloads(2)))
    except av.FFmpegError:
        pictures = []
    assert [reference.mark(picture) for picture in pictures] != [Mark(2, 1)]


@every_codec
def test_groups_begin_with_key_pictures_and_there_is_one_when_it_is_wanted(mime: str) -> None:
    source = DescribedSource(mime, Random(1))
    for _ in range(6):
        assert is_key_frame(mime, assemble(mime, source.next_burst()))
        for _ in range(5):
            assert not is_key_frame(mime, assemble(mime, source.next_burst()))
        source.request_key_frame()


@every_codec
def test_what_is_sent_again_is_numbered_on(mime: str) -> None:
    source = DescribedSource(mime, Random(1))
    structure: Structure | None = None
    frames, pictures = [], []
    for _ in range(3 * len(recording(mime))):
        payloads = source.next_burst()
        for payload, data in zip(payloads, source.last_descriptors(), strict=True):
            descriptor = parse_dependency_descriptor(data, structure)
            structure = descriptor.structure
            frames.append(descriptor.frame_number)
            if mime == VP9:
                pictures.append(parse_vp9(payload).picture_id)
    for numbers, bits in ((frames, 16), (pictures, 15)):
        steps = {(after - before) % (1 << bits) for before, after in pairwise(numbers)}
        assert all(step <= 13 for step in steps), "but for pictures that the encoder has left out"
