"""Two ends of a negotiation, and the descriptions recorded between published clients and a LiveKit server 1.13.4."""

from dataclasses import replace
from pathlib import Path

from rtp.certificate import parse_fingerprint
from rtp.extensions import (
    ABS_CAPTURE_TIME,
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    DEPENDENCY_DESCRIPTOR,
    MID,
    REPAIRED_RID,
    RID,
    TRANSPORT_CC,
)
from rtp.ice.candidates import IceCredentials, host_candidate
from rtp.sdp.codecs import Codec
from rtp.sdp.negotiation import Capabilities, LocalTrack, LocalTransport, Negotiation, Setup
from rtp.units import Ssrc

VECTORS = Path(__file__).parents[2] / "vectors" / "sdp"

OPUS = Codec("audio/opus", 111, 48000, channels=2, fmtp="minptime=10;useinbandfec=1")
RED = Codec("audio/red", 63, 48000, channels=2, fmtp="111/111")
VP8 = Codec("video/VP8", 96, 90000, feedback=("ccm fir", "nack pli", "goog-remb", "transport-cc"))

AUDIO_EXTENSIONS = (MID, AUDIO_LEVEL, ABS_CAPTURE_TIME)
VIDEO_EXTENSIONS = (MID, RID, REPAIRED_RID, DEPENDENCY_DESCRIPTOR, TRANSPORT_CC, ABS_SEND_TIME, ABS_CAPTURE_TIME)

MODEST = Capabilities((OPUS,), (VP8,), AUDIO_EXTENSIONS, VIDEO_EXTENSIONS)
"""Opus and VP8 alone, without retransmission."""


def _video(name: str, payload_type: int, fmtp: str = "") -> Codec:
    feedback = ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")
    return Codec(f"video/{name}", payload_type, 90000, 1, fmtp, feedback, payload_type + 1)


def _h264(payload_type: int, mode: int) -> Codec:
    fmtp = f"level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id=42e01f"
    return _video("H264", payload_type, fmtp)


LIVEKIT = Capabilities(
    audio=(OPUS, RED, Codec("audio/PCMU", 0, 8000), Codec("audio/PCMA", 8, 8000)),
    video=(
        _video("VP8", 96),
        _video("VP9", 98, "profile-id=0"),
        _video("VP9", 100, "profile-id=1"),
        _h264(125, 0),
        _h264(108, 1),
        _video("AV1", 35, "level-idx=5;profile=0;tier=0"),
        _video("H265", 116),
    ),
    audio_extensions=AUDIO_EXTENSIONS,
    video_extensions=VIDEO_EXTENSIONS,
)
"""What the recorded server had, as far as the recorded clients could see."""

SERVER_TRANSPORT = LocalTransport(
    credentials=IceCredentials("serverufrag", "serverpasswordserverpassword"),
    fingerprint=parse_fingerprint("sha-256 " + ":".join(["5E"] * 32)),
    candidates=(host_candidate(("192.0.2.1", 7882), 0),),
    lite=True,
    setup=Setup.PASSIVE,
)

CLIENT_TRANSPORT = LocalTransport(
    credentials=IceCredentials("clientufrag", "clientpasswordclientpassword"),
    fingerprint=parse_fingerprint("sha-256 " + ":".join(["C1"] * 32)),
    candidates=(),
    lite=False,
    setup=Setup.ACTIVE,
)


def server(capabilities: Capabilities = MODEST, *, setup: Setup = Setup.PASSIVE, with_data: bool = True) -> Negotiation:
    transport = replace(SERVER_TRANSPORT, setup=setup)
    return Negotiation(transport, receive=capabilities, send=capabilities, session_id=1, with_data=with_data)


def client(capabilities: Capabilities = MODEST) -> Negotiation:
    return Negotiation(CLIENT_TRANSPORT, receive=capabilities, send=capabilities, session_id=2, with_data=True)


def negotiate(offerer: Negotiation, answerer: Negotiation) -> None:
    """Take both through one round."""
    answerer.receive_offer(offerer.create_offer())
    offerer.receive_answer(answerer.create_answer())


def track(name: str, ssrc: int, stream: str = "PA_alice") -> LocalTrack:
    return LocalTrack(f"{stream}|TR_{name}", f"TR_{name}", Ssrc(ssrc))


def recorded(name: str) -> str:
    return (VECTORS / f"{name}.sdp").read_bytes().decode()


def recorded_names(ending: str = "") -> list[str]:
    """Return the names of the recorded descriptions that end like this."""
    return sorted(path.stem for path in VECTORS.glob(f"*{ending}.sdp"))
