"""The codecs and header extensions that we serve, with the payload types of our own offers."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from rtp.extensions import (
    ABS_CAPTURE_TIME,
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    DEPENDENCY_DESCRIPTOR,
    MID,
    PLAYOUT_DELAY,
    REPAIRED_RID,
    RID,
    TRANSPORT_CC,
)
from rtp.sdp.codecs import AV1, H264, H265, PCMA, PCMU, RED, VP9, Codec
from rtp.sdp.transceiver import Capabilities

_OPUS: Final = Codec("audio/opus", 111, 48000, 2, "minptime=10;useinbandfec=1", ("nack",), None)
_RED: Final = Codec(RED, 63, 48000, 2, "111/111")
"""What is lost of it is in the packets after it: nobody asks for it again."""
_PCMU: Final = Codec(PCMU, 0, 8000)
_PCMA: Final = Codec(PCMA, 8, 8000)
_AUDIO: Final = (_OPUS, _RED, _PCMU, _PCMA)
_VIDEO_FEEDBACK: Final = ("ccm fir", "nack", "nack pli")
TRANSPORT_CC_FEEDBACK: Final = "transport-cc"
"""That the sender is told when each packet came, for its bandwidth estimate."""


def _h264(payload_type: int, mode: int, rtx_payload_type: int) -> Codec:
    """Return constrained baseline, which every browser decodes, at any level (RFC 6184 §8.1)."""
    fmtp = f"level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id=42e01f"
    return Codec(H264, payload_type, 90000, 1, fmtp, _VIDEO_FEEDBACK, rtx_payload_type)


_VP8: Final = Codec("video/VP8", 96, 90000, 1, "", _VIDEO_FEEDBACK, 97)
_VP9: Final = Codec(VP9, 98, 90000, 1, "profile-id=0", _VIDEO_FEEDBACK, 99)
"""The profile that every browser decodes (RFC 9628 §6)."""
_VP9_DEEP: Final = Codec(VP9, 37, 90000, 1, "profile-id=2", _VIDEO_FEEDBACK, 38)
"""The profile of ten bits and twelve, which Chromium sends too. No browser sends the others: they would but make every
section of every offer longer."""
_AV1: Final = Codec(AV1, 35, 90000, 1, "", _VIDEO_FEEDBACK, 36)
_H264: Final = _h264(108, 1, 109)
_H264_SINGLE_NAL: Final = _h264(125, 0, 126)
_H265: Final = Codec(H265, 116, 90000, 1, "", _VIDEO_FEEDBACK, 117)
"""Main profile, at any level (RFC 7798 §7.1)."""
_VIDEO: Final = (_VP8, _H264, _H264_SINGLE_NAL, _VP9, _VP9_DEEP, _AV1, _H265)

RECEIVE: Final = Capabilities(
    audio=_AUDIO,
    video=tuple(replace(codec, feedback=(TRANSPORT_CC_FEEDBACK, *codec.feedback)) for codec in _VIDEO),
    audio_extensions=(MID, AUDIO_LEVEL, ABS_CAPTURE_TIME),
    video_extensions=(MID, RID, REPAIRED_RID, TRANSPORT_CC, DEPENDENCY_DESCRIPTOR, ABS_CAPTURE_TIME),
)
"""What a publisher may send us, best first. Repaired RIDs are understood so that retransmissions are known for what they are."""

SEND: Final = Capabilities(
    audio=_AUDIO,
    video=tuple(replace(codec, feedback=(TRANSPORT_CC_FEEDBACK, *codec.feedback, "goog-remb")) for codec in _VIDEO),
    audio_extensions=(ABS_CAPTURE_TIME,),
    video_extensions=(TRANSPORT_CC, ABS_SEND_TIME, DEPENDENCY_DESCRIPTOR, ABS_CAPTURE_TIME),
)
"""What subscribers get: whatever a publisher sends can go out, to those who know the same codec and profile.

Who agrees to transport-wide numbers tells when each of them came (and libwebrtc then tells nothing else); for others the
send time is what their own estimate goes by (REMB).
"""

SEND_BESIDE_RECEIVING: Final = replace(
    SEND,
    audio_extensions=RECEIVE.audio_extensions,
    video_extensions=(ABS_SEND_TIME, *RECEIVE.video_extensions),
)
"""The same on a single connection. A client whose receiving sections lose an extension leaves it out of what it publishes
later: libwebrtc in the Rust SDK then sends no audio levels, and refuses its own offer of simulcast for want of RIDs."""


def with_playout_delay(capabilities: Capabilities) -> Capabilities:
    """Return the same for a room that tells subscribers how long to hold pictures back."""
    return replace(capabilities, video_extensions=(*capabilities.video_extensions, PLAYOUT_DELAY))


def without(capabilities: Capabilities, mimes: Collection[str]) -> Capabilities:
    """Return the same for a client that is not to use the codecs of these MIME types."""
    return replace(
        capabilities,
        audio=tuple(codec for codec in capabilities.audio if codec.mime not in mimes),
        video=tuple(codec for codec in capabilities.video if codec.mime not in mimes),
    )
