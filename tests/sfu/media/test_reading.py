"""What is read of packets besides their frames."""

from random import Random

import pytest

from rtp.packet import build_packet, parse_header
from rtp.sdp.codecs import Codec
from sfu.media.reading import PayloadReader
from tests.support.encodings import SCALES, encoded_layer
from tests.support.packetizing import KINDS


@pytest.mark.parametrize(
    ("kind", "is_told"),
    [("vp8", True), ("bare-vp8", True), ("h264", True), ("vp9", True), ("h265", False), ("av1", False)],
)
@pytest.mark.parametrize("layer", range(3))
def test_the_size_of_a_picture_is_told_where_a_decoder_can_start(kind: str, layer: int, *, is_told: bool) -> None:
    mime = KINDS[kind].mime
    reader = PayloadReader(Codec(mime, 96, 90_000), None)
    payloads = KINDS[kind].new_packetizer(Random(1))(encoded_layer(mime, layer)[0])
    packets = [build_packet(payload_type=96, sequence=1, timestamp=1, ssrc=1, payload=each) for each in payloads]
    starts = [reader.read(packet, parse_header(packet), len(packet)).starts for packet in packets]
    size = reader.picture_size(payloads[starts.index(True)])
    assert size == ((64 * SCALES[layer], 48 * SCALES[layer]) if is_told else None)


@pytest.mark.parametrize(("mime", "payload"), [("video/VP8", b"\x10\x02\x00"), ("video/H264", b"\x67\x42\xc0\x1f\x8c")])
def test_a_picture_whose_head_is_cut_short_has_no_size(mime: str, payload: bytes) -> None:
    reader = PayloadReader(Codec(mime, 96, 90_000), None)
    packet = build_packet(payload_type=96, sequence=1, timestamp=1, ssrc=1, payload=payload)
    reader.read(packet, parse_header(packet), len(packet))
    assert reader.picture_size(payload) is None
