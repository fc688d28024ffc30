"""The codecs and header extensions that we serve, with the payload types of our own offers."""

from dataclasses import replace
from typing import Final

from rtp.extensions import ABS_SEND_TIME, AUDIO_LEVEL, MID, REPAIRED_RID, RID
from rtp.sdp.codecs import Codec
from rtp.sdp.transceiver import Capabilities

_OPUS: Final = Codec("audio/opus", 111, 48000, 2, "minptime=10;useinbandfec=1", ("nack",), None)
_VIDEO_FEEDBACK: Final = ("ccm fir", "nack", "nack pli")

RECEIVE: Final = Capabilities(
    audio=(_OPUS,),
    video=(Codec("video/VP8", 96, 90000, 1, "", _VIDEO_FEEDBACK, 97),),
    audio_extensions=(MID, AUDIO_LEVEL),
    video_extensions=(MID, RID, REPAIRED_RID),
)
"""What a publisher may send us. Repaired RIDs are understood so that retransmissions are known for what they are."""

SEND: Final = Capabilities(
    audio=(_OPUS,),
    video=(Codec("video/VP8", 96, 90000, 1, "", (*_VIDEO_FEEDBACK, "goog-remb"), 97),),
    video_extensions=(ABS_SEND_TIME,),
)
"""What subscribers get. The send time is what their bandwidth estimate (REMB) goes by."""

SEND_BESIDE_RECEIVING: Final = replace(
    SEND,
    audio_extensions=(*SEND.audio_extensions, *RECEIVE.audio_extensions),
    video_extensions=(*SEND.video_extensions, *RECEIVE.video_extensions),
)
"""The same on a single connection. A client whose receiving sections lose an extension leaves it out of what it publishes
later: libwebrtc in the Rust SDK then sends no audio levels, and refuses its own offer of simulcast for want of RIDs."""
