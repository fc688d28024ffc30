"""Layers of video that say of themselves what they are, encoded once a process by real encoders (PyAV's).

Every picture carries its layer and its number in blocks of black and white that survive lossy coding, above a pattern
that moves. A layer is a row of groups, each of which begins with a key frame and hangs on nothing before it; whoever
sends it goes on to the next group when a key frame is wanted. So each picture has one right outcome: what a decoder
gives that is fed the frames of its group, from the key frame on. VP8 and VP9 have three temporal layers, as browsers
send them, and AV1 has two: the upper ones may be left out, and change nothing in what is below them.
"""

import os
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Final

import av
from av.video.codeccontext import VideoCodecContext

from tests.support.obus import join_obus, split_obus

VP8: Final = "video/VP8"
H264: Final = "video/H264"
H265: Final = "video/H265"
VP9: Final = "video/VP9"
AV1: Final = "video/AV1"

GROUPS: Final = 5
GROUP_FRAMES: Final = 60
COLUMNS: Final = 8
"""Blocks in a row; there are six rows, of which the upper two are the mark."""
ROWS: Final = 6
BLOCK_PIXELS: Final = 8
MARK_BITS: Final = 16
PAYLOAD_BYTES: Final = 400
"""What a packet may hold: little, so that most frames take several."""
SCALES: Final = (1, 2, 3)
"""How large the layers are: 64x48, 128x96 and 192x144."""

_VPX_PATTERN: Final = ((0, False), (2, True), (1, True), (2, False))
TEMPORAL_PATTERNS: Final = {VP8: _VPX_PATTERN, VP9: _VPX_PATTERN, AV1: ((0, False), (1, True))}
"""The temporal layer of each frame in turn, and whether it needs frames of the lowest only."""

_START_CODE: Final = b"\0\0\0\1"
_NAL_CODECS: Final = frozenset({H264, H265})
_ENCODERS: Final = {VP8: "libvpx", VP9: "libvpx-vp9", AV1: "libsvtav1", H264: "libx264", H265: "libx265"}
_DECODERS: Final = {VP8: "vp8", VP9: "libvpx-vp9", AV1: "libdav1d", H264: "h264", H265: "hevc"}
_TEMPORAL_LAYERS: Final = ":".join(
    (
        "ts_number_layers=3",
        "ts_target_bitrate=30,45,60",
        "ts_rate_decimator=4,2,1",
        "ts_periodicity=4",
        "ts_layer_id=" + ",".join(str(temporal) for temporal, _ in _VPX_PATTERN),
        "ts_layering_mode=3",
    )
)
# A speed above zero would let libvpx choose its own by the time that frames take on the machine, and give other bytes.
# What entropy coding has learnt must not go from one frame to the next, where that may be left out.
_LIBVPX: Final = {
    "deadline": "realtime",
    "lag-in-frames": "0",
    "auto-alt-ref": "0",
    "error-resilient": "1",
    "ts-parameters": _TEMPORAL_LAYERS,
}
_OPTIONS: Final = {
    VP8: {**_LIBVPX, "cpu-used": "-16"},
    VP9: {**_LIBVPX, "cpu-used": "8"},
    AV1: {"preset": "8", "crf": "20", "svtav1-params": "rtc=1:pred-struct=1:lp=1:scd=0"},
    H264: {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "x264-params": "scenecut=0:slices=2"},
    H265: {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x265-params": "scenecut=0:pools=none:frame-threads=1:info=0:log-level=none",
    },
}
os.environ.setdefault("SVT_LOG", "1")  # or it tells of itself on the terminal


@dataclass(frozen=True, slots=True)
class Mark:
    """What a picture says it is."""

    layer: int
    number: int

    def follows(self, last: "Mark") -> bool:
        """Say whether it can come after `last`, with no key frame between."""
        return self.number > last.number

    def bits(self) -> list[bool]:
        """Return the mark's blocks: two bits of layer, ten of number, and four that check them."""
        value = self.layer << 10 | self.number
        value = value << 4 | _check(value)
        return [bool(value >> (MARK_BITS - 1 - at) & 1) for at in range(MARK_BITS)]


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One frame: what the encoder gave (NAL units of H.264 and H.265, OBUs of AV1), and the picture that a decoder makes of it.

    `is_sync`: it needs frames of the lowest temporal layer only.
    """

    mark: Mark
    is_key: bool
    units: tuple[bytes, ...]
    picture: bytes
    temporal: int
    is_sync: bool


class Decoder:
    """A real decoder, which answers every frame with its picture at once."""

    def __init__(self, mime: str) -> None:
        self._mime = mime
        self._context = av.CodecContext.create(_DECODERS[mime], "r")
        self._context.thread_count = 1
        if mime == AV1:
            self._context.options = {"alllayers": "0"}  # else the lowest spatial layer comes first

    def decode(self, units: tuple[bytes, ...]) -> list[bytes]:
        """Return the pictures that come of a frame: one, from a decoder that is well fed, of the highest spatial layer.

        Raises:
            av.FFmpegError: if the frame makes no sense to it.
        """
        streams = units if self._mime == VP9 else (_stream(self._mime, units),)
        frames = [frame for stream in streams for frame in self._context.decode(av.Packet(stream))]
        return [_picture(frame) for frame in (frames[-1:] if self._mime in TEMPORAL_PATTERNS else frames)]


@cache
def encoded_layer(mime: str, layer: int) -> tuple[EncodedFrame, ...]:
    """Return all frames of one layer, its groups one after the other."""
    frames: list[EncodedFrame] = []
    for group in range(GROUPS):
        marks = [Mark(layer, group * GROUP_FRAMES + at) for at in range(GROUP_FRAMES)]
        frames += _encode(mime, marks)
    return tuple(frames)


class EncodedReference:
    """Tells what a picture is by its mark, if it is to the last byte what a decoder gives that was fed directly."""

    def __init__(self, mime: str) -> None:
        self._mime = mime

    def mark(self, picture: bytes) -> Mark | None:
        """Return its layer and number, if it is right."""
        mark = read_mark(picture)
        frames = () if mark is None or mark.layer >= len(SCALES) else encoded_layer(self._mime, mark.layer)
        return mark if mark and mark.number < len(frames) and frames[mark.number].picture == picture else None

    def temporal(self, mark: Mark) -> int:
        """Return the temporal layer of a picture."""
        return _place(self._mime, mark.number)[0]


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
    encoder.gop_size, encoder.thread_count = 10_000, 1
    if mime != AV1:  # which has a quality instead
        encoder.bit_rate = 60_000 * scale
    encoder.options = _OPTIONS[mime]
    decoder = Decoder(mime)
    frames = []
    for at, mark in enumerate(marks):
        image = _draw(mark, width, height)
        image.pts = at
        (packet,) = encoder.encode(image)
        units = _units(mime, bytes(packet))
        (picture,) = decoder.decode(units)
        assert read_mark(picture) == mark, "the mark survives coding"
        assert packet.is_keyframe == (at == 0), "a group is one group"
        frames.append(EncodedFrame(mark, packet.is_keyframe, units, picture, *_place(mime, mark.number)))
    encoder.encode(None)  # or libsvtav1 complains
    return frames


def _place(mime: str, number: int) -> tuple[int, bool]:
    pattern = TEMPORAL_PATTERNS.get(mime, ((0, False),))
    return pattern[number % len(pattern)]


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


def _units(mime: str, stream: bytes) -> tuple[bytes, ...]:
    """Take a frame apart into what is sent of it, as far as its codec knows of parts."""
    if mime == AV1:
        return split_obus(stream)
    if mime in _NAL_CODECS:  # annex B of either: a zero before a start code belongs to that
        return tuple(part.rstrip(b"\0") for part in stream.split(b"\0\0\1") if part.strip(b"\0"))
    return (stream,)


def _stream(mime: str, units: tuple[bytes, ...]) -> bytes:
    """Put a frame together again, for a decoder."""
    if mime == AV1:
        return join_obus(units)
    start = _START_CODE if mime in _NAL_CODECS else b""
    return b"".join(start + unit for unit in units)


def _check(value: int) -> int:
    return (value ^ value >> 4 ^ value >> 8 ^ 0b0101) & 0xF
