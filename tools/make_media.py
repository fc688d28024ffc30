"""Make the media that visitors send: `python tools/make_media.py` writes triforium/visitor/media/samples.bin.

A tone for Opus; for VP8 a square that goes round on a grey ground and ends where it began, so that the loop may be
repeated without another key frame.
"""

import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from triforium.visitor.samples import SAMPLES_FILE, SampleStream

SAMPLE_RATE = 48_000
FRAME_SAMPLES = 960  # 20 ms
TONE_HZ = 450  # nine whole periods in a frame: each sounds like the next
OPUS_BITRATE_BPS = 32_000  # constant: 80 bytes a frame
OPUS_FRAMES = 10
WARM_UP_FRAMES = 5  # left out: the encoder's first frames differ

WIDTH, HEIGHT = 64, 48
LOOP_FRAMES = 25  # after the key frame
SQUARE = 16
MAX_FRAME_BYTES = 1_100  # one packet each


def main() -> None:
    streams = [opus(), vp8()]
    target = Path(__file__).parents[1] / "triforium" / "visitor" / SAMPLES_FILE
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(b"".join(stream.serialize() for stream in streams))
    for stream in streams:
        print(f"{stream.kind}: {len(stream.frames)} frames of {[len(frame) for frame in stream.frames]} bytes")


def opus() -> SampleStream:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate = SAMPLE_RATE
    encoder.layout = "mono"
    encoder.format = "s16"
    encoder.time_base = Fraction(1, SAMPLE_RATE)
    encoder.bit_rate = OPUS_BITRATE_BPS
    encoder.options = {"vbr": "off", "frame_duration": "20", "application": "voip"}
    packets = []
    for index in range(WARM_UP_FRAMES + OPUS_FRAMES + 2):
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        frame.sample_rate = SAMPLE_RATE
        frame.pts = index * FRAME_SAMPLES
        frame.planes[0].update(tone())
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return SampleStream("opus", 0, 0, tuple(packets[WARM_UP_FRAMES : WARM_UP_FRAMES + OPUS_FRAMES]))


def tone() -> bytes:
    steps = (math.sin(2 * math.pi * TONE_HZ * step / SAMPLE_RATE) for step in range(FRAME_SAMPLES))
    return struct.pack(f"={FRAME_SAMPLES}h", *(int(12_000 * step) for step in steps))


def vp8() -> SampleStream:
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height = WIDTH, HEIGHT
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 30)
    encoder.bit_rate = 100_000
    encoder.gop_size = 10 * LOOP_FRAMES
    # error-resilient: a frame can be read whatever came before it, so the loop may be entered again at its second.
    encoder.options = {
        "deadline": "good",
        "cpu-used": "0",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "error-resilient": "default",
        "crf": "30",
    }
    packets: list[bytes] = []
    for index, picture in enumerate(pictures()):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        frame.pts = index
        for plane, (data, width) in zip(frame.planes, picture, strict=True):
            rows = [data[at : at + width].ljust(plane.line_size, b"\x80") for at in range(0, len(data), width)]
            plane.update(b"".join(rows))
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    assert len(packets) == LOOP_FRAMES + 1, "a frame in is a frame out"
    assert not packets[0][0] & 1, "the first is a key frame (RFC 6386 section 9.1)"
    assert all(packet[0] & 1 for packet in packets[1:]), "the others are not"
    assert max(map(len, packets)) <= MAX_FRAME_BYTES, "each fits into one packet"
    return SampleStream("vp8 ", WIDTH, HEIGHT, tuple(packets))


def pictures() -> Iterator[list[tuple[bytes, int]]]:
    """Yield (plane, width) of Y, U and V for each picture; the last one is the first again."""
    for index in range(LOOP_FRAMES + 1):
        angle = 2 * math.pi * index / LOOP_FRAMES
        left = round((WIDTH - SQUARE) / 2 * (1 + math.cos(angle)))
        top = round((HEIGHT - SQUARE) / 2 * (1 + math.sin(angle)))
        luma = bytearray(b"\x60" * (WIDTH * HEIGHT))
        for row in range(top, top + SQUARE):
            luma[row * WIDTH + left : row * WIDTH + left + SQUARE] = b"\xe0" * SQUARE
        chroma = b"\x80" * (WIDTH * HEIGHT // 4)
        yield [(bytes(luma), WIDTH), (chroma, WIDTH // 2), (chroma, WIDTH // 2)]


if __name__ == "__main__":
    main()
