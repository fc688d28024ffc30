"""What is read of each packet of a source, once for all who get it: its place to start, its ids and its frame."""

from dataclasses import replace
from typing import Final, NamedTuple

from rtp.errors import DecodeError
from rtp.extensions import find_extension
from rtp.packet import RtpHeader
from rtp.payload import av1, h264, h265, vp8
from rtp.payload.h264_sps import parse_picture_size
from rtp.sdp.codecs import AV1, DESCRIBED, H264, H265, VP9, Codec, sprop_parameter_sets
from sfu.media.fanout import MAX_PAYLOAD_BYTES
from sfu.media.frame_rate import FrameRate
from sfu.media.frames import FrameFacts, FrameReader
from sfu.media.parameter_sets import ParameterSets
from sfu.media.vp8_munger import Vp8Facts, Vp8Source

VP8: Final = "video/VP8"

VP8_HEAD_BYTES: Final = 7
"""The longest payload descriptor (RFC 7741 §4.2) and the first byte of the frame: what tells a key frame."""

VP9_HEAD_BYTES: Final = 1200
"""More than the longest payload descriptor with its scalability structure (RFC 9628 §4.2.1)."""

_BLOCK_BYTES: Final = 24
"""What a dependency descriptor may cost besides itself: a block in the two-byte form, and a mask of decode targets."""


class Reading(NamedTuple):
    """What a packet says. `starts`: a video decoder can start at it. `is_malformed`: it said nothing that makes sense.

    `lacks` are payloads that a decoder has to be given before it, for that.
    """

    starts: bool = False
    vp8: Vp8Facts | None = None
    frame: FrameFacts | None = None
    is_malformed: bool = False
    lacks: tuple[bytes, ...] = ()


NOTHING_READ: Final = Reading()


class PayloadReader:
    """Reads the packets of one source. Only what is in clear whatever frames are encrypted with decides on anything."""

    def __init__(self, codec: Codec, descriptor_id: int | None) -> None:
        self._mime = mime = codec.mime
        self._clock_rate = codec.clock_rate
        # Of other codecs, whose layers are told elsewhere, it would cost room and time in each packet to each subscriber.
        self._descriptor_id = descriptor_id if mime in DESCRIBED else None
        self._parameter_sets = ParameterSets(sprop_parameter_sets(codec) if mime == H264 else ())
        self.restart()

    def restart(self) -> None:
        """Read what follows anew; but what a decoder needs holds until it is sent again."""
        self.frames = FrameReader()
        self.frame_rate = FrameRate(self._clock_rate)
        self._vp8 = Vp8Source()
        self._told = self.frames.scalability

    def read(self, packet: bytes, header: RtpHeader, end: int) -> Reading:
        """Read a packet whose payload ends at `end`. Raises DecodeError: its header extensions are cut short."""
        identifier = self._descriptor_id
        data = None if identifier is None else find_extension(packet, header, identifier)
        start = header.size
        try:
            described = None if data is None else self.frames.read_descriptor(data)
            if described is not None and end - start + len(data or b"") > MAX_PAYLOAD_BYTES - _BLOCK_BYTES:
                described = replace(described, descriptor=None)  # there is no room for it beside the payload
            if self._mime == VP8:
                return self._read_vp8(packet[start : min(end, start + VP8_HEAD_BYTES)], described)
            if self._mime == VP9:
                frame, starts = self.frames.read_vp9(
                    packet[start : min(end, start + VP9_HEAD_BYTES)], is_described=described is not None
                )
                return Reading(starts, None, described or frame)
            if self._mime == AV1:
                starts = av1.starts_sequence(packet[start : start + 1])
                return Reading(starts, None, described)
            if self._mime == H264:
                payload = packet[start:end]
                if h264.is_continuation(payload):
                    return NOTHING_READ
                lacks = self._parameter_sets.receive(payload, header.timestamp)
                return Reading(bool(lacks) or h264.is_keyframe(payload), lacks=lacks)
            if self._mime == H265:
                return Reading(h265.is_keyframe(packet[start:end]), None, described)
        except DecodeError:
            return Reading(is_malformed=True)
        return NOTHING_READ

    def picture_size(self, payload: bytes) -> tuple[int, int] | None:
        """Return width and height, in pixels, of the picture that begins in a payload where a decoder can start.

        None: that is not told. Of several spatial layers it is the highest that counts.
        """
        try:
            if self._mime == VP8:
                return vp8.parse_keyframe_dimensions(payload, vp8.parse_vp8(payload))
            if self._mime == H264:
                unit = self._parameter_sets.of_sequence
                return None if unit is None else parse_picture_size(unit)
        except DecodeError:
            return None
        sizes = self.frames.scalability.sizes
        return sizes[-1] if sizes else None

    def take_news(self, timestamp: int, *, is_late: bool) -> bool:
        """Return whether layers or frame rate are others than at the last time, after a packet with this timestamp."""
        has_rate_changed = not is_late and self.frame_rate.receive_packet(timestamp)
        if self.frames.scalability is self._told and not has_rate_changed:
            return False
        self._told = self.frames.scalability
        return True

    def _read_vp8(self, head: bytes, described: FrameFacts | None) -> Reading:
        descriptor = vp8.parse_vp8(head)
        facts, starts = self._vp8.read(descriptor), vp8.is_keyframe(head, descriptor)
        return Reading(starts, facts, described or self.frames.read_vp8(facts, is_keyframe=starts))
