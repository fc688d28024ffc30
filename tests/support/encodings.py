"""Layers of video that say of themselves what they are, encoded once a process by real encoders (PyAV's).

Every picture carries its layer and its number in blocks of black and white that survive lossy coding, above a pattern
that moves. A layer is a row of groups, each of which begins with a key frame and hangs on nothing before it; whoever
sends it goes on to the next group when a key frame is wanted. So each picture has one right outcome: what a decoder
gives that is fed the frames of its group, from the key frame on.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Final

import av
from av.video.codeccontext import VideoCodecContext

VP8: Final = "video/VP8"
H264: Final = "video/H264"
H265: Final = "video/H265"

GROUPS: Final = 5
GROUP_FRAMES: Final = 100
COLUMNS: Final = 8
"""Blocks in a row; there are six rows, of which the upper two are the mark."""
ROWS: Final = 6
BLOCK_PIXELS: Final = 8
MARK_BITS: Final = 16
SCALES: Final = (1, 2, 3)
"""How large the layers are: 64x48, 128x96 and 192x144."""

_START_CODE: Final = b"\0\0\0\1"
_ENCODERS: Final = {VP8: "libvpx", H264: "libx264", H265: "libx265"}
_DECODERS: Final = {VP8: "vp8", H264: "h264", H265: "hevc"}
# A speed above zero would let libvpx choose its own by the time that frames take on the machine, and give other bytes.
_OPTIONS: Final = {
    VP8: {"deadline": "realtime", "cpu-used": "-16", "lag-in-frames": "0", "auto-alt-ref": "0"},
    H264: {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "x264-params": "scenecut=0:slices=2"},
    H265: {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x265-params": "scenecut=0:pools=none:frame-threads=1:info=0:log-level=none",
    },
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What a picture says it is."""

    layer: int
    number: int

    def bits(self) -> list[bool]:
        """Return the mark's blocks: two bits of layer, ten of number, and four that check them."""
        value = self.layer << 10 | self.number
        value = value << 4 | _check(value)
        return [bool(value >> (MARK_BITS - 1 - at) & 1) for at in range(MARK_BITS)]


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One frame: what the encoder gave (H.264 and H.265 as NAL units), and the picture that a decoder makes of it."""

    mark: Mark
    is_key: bool
    units: tuple[bytes, ...]
    picture: bytes


class Decoder:
    """A real decoder, which answers every frame with its picture at once."""

    def __init__(self, mime: str) -> None:
        self._mime = mime
        self._context = av.CodecContext.create(_DECODERS[mime], "r")
        self._context.thread_count = 1

    def decode(self, units: tuple[bytes, ...]) -> list[bytes]:
        """Return the pictures that come of a frame: one, from a decoder that is well fed.

        Raises:
            av.FFmpegError: if the frame makes no sense to it.
        """
        data = units[0] if self._mime == VP8 else b"".join(_START_CODE + unit for unit in units)
        return [_picture(frame) for frame in self._context.decode(av.Packet(data))]


@cache
def encoded_layer(mime: str, layer: int) -> tuple[EncodedFrame, ...]:
    """Return all frames of one layer, its groups one after the other."""
    frames: list[EncodedFrame] = []
    for group in range(GROUPS):
        marks = [Mark(layer, group * GROUP_FRAMES + at) for at in range(GROUP_FRAMES)]
        frames += _encode(mime, marks)
    return tuple(frames)


def read_mark(picture: bytes) -> Mark | None:
    """Read what a picture says it is; None if nothing that makes sense."""
    width, height = int.from_bytes(picture[:2]), int.from_bytes(picture[2:4])
    block = width // COLUMNS
    value = 0
    for at in range(MARK_BITS):
        x, y = at % COLUMNS * block + block // 2, at // COLUMNS * block + block // 2
        if y >= height:
            return None
        value = value << 1 | (picture[4 + y * width + x] > 127)
    mark, check = value >> 4, value & 0xF
    return Mark(mark >> 10, mark & 0x3FF) if check == _check(mark) else None


def _encode(mime: str, marks: list[Mark]) -> list[EncodedFrame]:
    scale = SCALES[marks[0].layer]
    width, height = COLUMNS * BLOCK_PIXELS * scale, ROWS * BLOCK_PIXELS * scale
    encoder = av.CodecContext.create(_ENCODERS[mime], "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 10), Fraction(10)
    encoder.bit_rate, encoder.gop_size, encoder.thread_count = 60_000 * scale, 10_000, 1
    encoder.options = _OPTIONS[mime]
    decoder = Decoder(mime)
    frames = []
    for at, mark in enumerate(marks):
        image = _draw(mark, width, height)
        image.pts = at
        (packet,) = encoder.encode(image)
        units = (bytes(packet),) if mime == VP8 else _nal_units(bytes(packet))
        (picture,) = decoder.decode(units)
        assert read_mark(picture) == mark, "the mark survives coding"
        assert packet.is_keyframe == (at == 0), "a group is one group"
        frames.append(EncodedFrame(mark, packet.is_keyframe, units, picture))
    return frames


def _draw(mark: Mark, width: int, height: int) -> av.VideoFrame:
    image = av.VideoFrame(width, height, "yuv420p")
    block = width // COLUMNS
    wave = bytes(abs(x % 96 - 48) * 4 + x % 7 for x in range(96 * 7)) * 3
    bits = mark.bits()
    rows = []
    for y in range(height):
        if y < MARK_BITS // COLUMNS * block:
            blocks = bits[y // block * COLUMNS :][:COLUMNS]
            rows.append(b"".join((b"\xeb" if bit else b"\x10") * block for bit in blocks))
        else:
            start = (mark.number * 5 + y * (3 + mark.layer)) % 672
            rows.append(wave[start : start + width])
    _fill(image.planes[0], rows)
    for at, plane in enumerate(image.planes[1:], 1):
        tint = 64 + (mark.number * (3 + at) + mark.layer * 40) % 128
        _fill(plane, [bytes((tint + y % 16,)) * (width // 2) for y in range(height // 2)])
    return image


def _fill(plane: av.video.plane.VideoPlane, rows: list[bytes]) -> None:
    plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows))


def _picture(frame: av.VideoFrame) -> bytes:
    """Return a picture's size and its three planes, without what decoders keep at their edges."""
    parts = [frame.width.to_bytes(2), frame.height.to_bytes(2)]
    for plane in frame.planes:
        data, stride = bytes(plane), plane.line_size
        parts += [data[at : at + plane.width] for at in range(0, stride * plane.height, stride)]
    return b"".join(parts)


def _nal_units(stream: bytes) -> tuple[bytes, ...]:
    """Take a byte stream of H.264 or H.265 apart (annex B of either): a zero before a start code belongs to that."""
    return tuple(part.rstrip(b"\0") for part in stream.split(b"\0\0\1") if part.strip(b"\0"))


def _check(value: int) -> int:
    return (value ^ value >> 4 ^ value >> 8 ^ 0b0101) & 0xF
