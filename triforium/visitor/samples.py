"""The media that visitors send: a few Opus packets and short VP8 loops, made by `tools/make_media.py`.

The file holds streams one after another, all numbers in network byte order:

    4 bytes   kind: "opus" or "vp8 "
    u16, u16  width and height in pixels; 0 for sound
    u16       how many frames follow
    frames    each a u16 length and that many bytes, as an encoder put them out
"""

import struct
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from rtp.errors import DecodeError

SAMPLES_FILE: Final = "media/samples.bin"
"""Beside this module."""

OPUS_FRAME_SECONDS: Final = 0.02
"""What one Opus sample holds: a tone of 450 Hz in 80 bytes."""

_STREAM: Final = struct.Struct("!4sHHH")
_LENGTH: Final = struct.Struct("!H")


@dataclass(frozen=True, slots=True)
class SampleStream:
    """The encoded frames of one stream, to be sent round and round.

    VP8 begins with a key frame, which need not come again: the frames after it can be read after any of them.
    """

    kind: str
    width: int
    height: int
    frames: tuple[bytes, ...]

    def serialize(self) -> bytes:
        """Return the stream as it stands in the file."""
        head = _STREAM.pack(self.kind.encode(), self.width, self.height, len(self.frames))
        return head + b"".join(_LENGTH.pack(len(frame)) + frame for frame in self.frames)


def parse_samples(data: bytes) -> list[SampleStream]:
    """Read all streams of a file.

    Raises:
        DecodeError: if it is cut short.
    """
    streams = []
    at = 0
    try:
        while at < len(data):
            kind, width, height, count = _STREAM.unpack_from(data, at)
            at += _STREAM.size
            frames = []
            for _ in range(count):
                (length,) = _LENGTH.unpack_from(data, at)
                at += _LENGTH.size + length
                frames.append(data[at - length : at])
            streams.append(SampleStream(kind.decode(), width, height, tuple(frames)))
    except (struct.error, UnicodeDecodeError) as error:
        raise DecodeError("media samples cut short") from error
    if at != len(data):
        raise DecodeError("media samples cut short")
    return streams


@cache
def samples(kind: str) -> SampleStream:
    """Return the stream of a kind: "opus" or "vp8 ". Reads the file the first time."""
    data = resources.files(__package__).joinpath(SAMPLES_FILE).read_bytes()
    return next(stream for stream in parse_samples(data) if stream.kind == kind)
