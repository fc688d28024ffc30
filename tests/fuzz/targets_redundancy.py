"""Redundant audio, and H.265: what is read of a packet, and what is made of it for those who want it otherwise."""

from dataclasses import replace

from rtp.packet import build_packet, parse_header
from rtp.payload.h265 import is_keyframe
from rtp.payload.red import parse_red, serialize_red
from rtp.sdp.codecs import Codec, MediaKind
from rtp.units import Mid, Ssrc
from sfu.media.downtrack import DownTrack
from sfu.media.layers import TrackLayers
from sfu.media.receiver import Receiver
from sfu.media.track import MediaTrack
from sfu.model import Identity, ParticipantSid, TrackSid
from tests.fuzz.target import Target
from tests.rtp.wire import recorded_rtp
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import OPUS
from tests.sfu.media.rig import Connection

RED = Codec("audio/red", 63, 48_000, 2, "111/111")
SSRC = Ssrc(5)


def _payloads() -> list[bytes]:
    recorded = [each for each in recorded_rtp() if each.where.startswith("rtp-red") and each.what == "red"]
    made = serialize_red(111, b"now", [(1920, b"before that"), (960, b"before")])
    return [made, *(each.packet[parse_header(each.packet).size :] for each in recorded[::10])]


def _run_red(data: bytes) -> None:
    *redundant, primary = parse_red(data, 0, len(data))
    if all(block.payload_type == primary.payload_type for block in redundant):
        frames = [(block.timestamp_offset, data[block.start : block.end]) for block in redundant]
        assert serialize_red(primary.payload_type, data[primary.start : primary.end], frames) == data


def _packets() -> list[bytes]:
    """A length, a step of the number and one of time, before each payload."""
    payloads = [payload[:200] for payload in _payloads()]
    steps = [(1, 1), (1, 1), (2, 2), (3, 3), (255, 255), (1, 40)]
    return [
        b"".join(bytes((len(payload), number, time)) + payload for payload in payloads for number, time in steps[at:])
        for at in range(3)
    ]


@in_trio
def _run_formats(data: bytes) -> None:
    """Send it to both kinds of subscriber, as RED and as Opus; `Connection` sees to it that no number is used twice."""
    for published in (RED, OPUS):
        receiver = Receiver(published, MediaKind.AUDIO, TrackLayers(), lambda: None, bare_payload_type=111)
        if published is OPUS:
            receiver = Receiver(published, MediaKind.AUDIO, TrackLayers(), lambda: None)
        track = MediaTrack(TrackSid("TR"), ParticipantSid("PA"), Identity("alice"), Mid("0"), receiver, opus=OPUS)
        connection, stream = Connection(), receiver.add_stream(SSRC, None)
        for number, agreed in enumerate(((OPUS,), (OPUS, RED), (replace(OPUS, payload_type=100),))):
            codec = track.codec_for(agreed)
            assert codec is not None
            down_track = DownTrack(receiver, connection, Ssrc(70 + number), first_sequence=0)
            down_track.bind(payload_type=codec.payload_type, abs_send_time_id=None)
            if (source := track.source_of(codec.mime)) is not receiver:
                down_track.set_source(source)
        sequence = timestamp = at = 0
        while at + 3 <= len(data):
            size, number, time = data[at : at + 3]
            sequence, timestamp = sequence + number - 256 * (number > 250), timestamp + 960 * time
            packet = build_packet(
                payload_type=published.payload_type if time % 16 else 111,
                sequence=sequence & 0xFFFF,
                timestamp=timestamp & 0xFFFF_FFFF,
                ssrc=SSRC,
                payload=data[at + 3 : at + 3 + size],
            )
            receiver.receive(stream, packet, parse_header(packet), at / 100)
            at += 3 + size
        assert connection.failures == []


def _h265() -> list[bytes]:
    units = [b"\x40\x01vps", b"\x42\x01sps", b"\x26\x01slice"]
    aggregated = b"\x60\x01" + b"".join(len(unit).to_bytes(2) + unit for unit in units)
    return [*units, aggregated, b"\x62\x01\xa1sps", b"\x62\x01\x13slice"]


def _run_h265(data: bytes) -> None:
    is_keyframe(data)


TARGETS = [
    Target("red", _payloads, _run_red),
    Target("audio-formats", _packets, _run_formats),
    Target("h265", _h265, _run_h265),
]
