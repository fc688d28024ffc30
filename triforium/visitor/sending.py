"""What a visitor sends: the samples on their beat, as RTP. Does no I/O."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from random import Random
from typing import Final, Protocol

from rtp.extensions import ABS_SEND_TIME, AUDIO_LEVEL, MID, abs_send_time, serialize_extensions
from rtp.history import MAX_VIDEO_PACKETS, PacketHistory
from rtp.packet import build_packet, parse_header
from rtp.payload.rtx import rtx_payload
from rtp.rtcp.reports import SenderReport
from rtp.sdp.codecs import MediaKind
from rtp.serial import ntp_time, unwrap
from rtp.units import Mid, Ssrc
from triforium.visitor.plan import MediaPlan
from triforium.visitor.samples import samples

LOUDNESS: Final = bytes((0x80 | 12,))
"""The tone's level as RFC 6464 has it: voice, 12 dB below the loudest."""

MAX_LAG_SECONDS: Final = 0.5
"""Beats that are later than this are left out, not made up for."""


class Source(Protocol):
    """Where payloads come from, a burst at each beat."""

    interval_seconds: float
    clock_rate: int

    @abstractmethod
    def next_burst(self) -> list[bytes]:
        """Return the payloads of one frame."""

    @abstractmethod
    def request_key_frame(self) -> None:
        """Let the next frame be one that a decoder can start with."""


class AudioSource:
    """The tone, a packet at a time."""

    clock_rate = 48_000

    def __init__(self, plan: MediaPlan) -> None:
        self.interval_seconds = 1 / plan.audio_packets_per_second
        self._frames = samples("opus").frames
        self._sent = 0

    def next_burst(self) -> list[bytes]:
        """Return the next sample."""
        self._sent += 1
        return [self._frames[self._sent % len(self._frames)]]

    def request_key_frame(self) -> None:
        """Do nothing: every packet is one."""


class Vp8Source:
    """The VP8 loop, each payload behind a descriptor with picture id and TL0PICIDX (RFC 7741 §4.2)."""

    clock_rate = 90_000

    def __init__(self, plan: MediaPlan, random: Random) -> None:
        self.interval_seconds = 1 / plan.video_frames_per_second
        self._plan = plan
        self._length = len(samples("vp8 ").frames)
        self._picture_id = random.randrange(1 << 15)
        self._tl0 = random.randrange(1 << 8)
        self._key_frame_wanted = True
        self._sample = 0
        self._sent = self._since_key_frame = 0

    def next_burst(self) -> list[bytes]:
        """Return the packets of the next frame: a key frame if one is due, else the loop goes on."""
        interval = self._plan.key_frame_interval
        if self._key_frame_wanted or (interval is not None and self._since_key_frame >= interval):
            self._key_frame_wanted = False
            self._sample = self._since_key_frame = 0
        else:
            self._sample = self._sample % (self._length - 1) + 1  # 1, 2, … and round again: see SampleStream
        payloads = self._plan.video_frame(self._sample, self._sent)
        self._sent += 1
        self._since_key_frame += 1
        self._picture_id = (self._picture_id + 1) & 0x7FFF
        self._tl0 = (self._tl0 + 1) & 0xFF
        # X | S (in the first packet only); I, L, T; M and 15 bits of picture id; TL0PICIDX; TID 0
        tail = bytes((0xE0, 0x80 | self._picture_id >> 8, self._picture_id & 0xFF, self._tl0, 0))
        return [bytes((0x90 if index == 0 else 0x80,)) + tail + payload for index, payload in enumerate(payloads)]

    def request_key_frame(self) -> None:
        """Begin the loop anew with the next frame."""
        self._key_frame_wanted = True


class Sender:
    """Sends one source on one SSRC, on a beat that does not drift. Does no I/O.

    It waits until `agree` has told what was negotiated and `start` that the way is clear. What is lost it sends again
    on `rtx_ssrc` if that was agreed, and else as it was. `packets` and `octets` are without that, which is `resent`.
    """

    def __init__(
        self, kind: MediaKind, source: Source, ssrc: Ssrc, random: Random, rtx_ssrc: Ssrc | None = None
    ) -> None:
        self.kind = kind
        self.ssrc = ssrc
        self.rtx_ssrc = rtx_ssrc
        self.is_muted = False
        self.key_frames_requested = 0
        self.packets = self.octets = self.resent = 0
        self._source = source
        self._sequence = random.randrange(1 << 15)  # RFC 3711 §3.3.1: not near the wrap, while keys are new
        self._rtx_sequence = random.randrange(1 << 15)
        self._history: PacketHistory[None] = PacketHistory(max_packets=MAX_VIDEO_PACKETS)
        self._first_timestamp = random.randrange(1 << 32)
        self._started_at: float | None = None
        self._due = 0.0
        self._payload_type: int | None = None
        self._rtx_payload_type: int | None = None
        self._mid: tuple[int, bytes] | None = None
        self._fixed: tuple[tuple[int, bytes], ...] = ()
        self._send_time_id: int | None = None
        self._block = b""

    def agree(
        self, payload_type: int, mid: Mid, extensions: Mapping[str, int], rtx_payload_type: int | None = None
    ) -> None:
        """Learn what the descriptions say about this SSRC's packets."""
        self._payload_type = payload_type
        self._rtx_payload_type = rtx_payload_type
        self._mid = (extensions[MID], mid.encode()) if MID in extensions else None
        is_loud = self.kind is MediaKind.AUDIO and AUDIO_LEVEL in extensions
        self._fixed = ((extensions[AUDIO_LEVEL], LOUDNESS),) if is_loud else ()
        self._send_time_id = extensions.get(ABS_SEND_TIME)
        self._block = self._extensions(0.0)

    @property
    def is_agreed(self) -> bool:
        """Whether a description has said how to send."""
        return self._payload_type is not None

    def start(self, now: float) -> None:
        """Send from now on; later calls change nothing."""
        if self._started_at is None:
            self._started_at = self._due = now

    def mute(self) -> None:
        """Send nothing."""
        self.is_muted = True

    def unmute(self, now: float) -> None:
        """Go on with a key frame, at once."""
        self.is_muted = False
        self._due = max(self._due, now)
        self._source.request_key_frame()

    def request_key_frame(self) -> None:
        """Let the next frame be one that a decoder can start with."""
        self.key_frames_requested += 1
        self._source.request_key_frame()

    def reported(self) -> None:
        """Learn that the peer reports on this SSRC: it needs to be told its MID no longer, as browsers reckon."""
        if self._mid is not None:
            self._mid = None
            self._block = self._extensions(0.0)

    def next_timeout(self) -> float | None:
        """Return when the next burst is due."""
        return self._due if self._is_ready else None

    def take(self, now: float) -> list[bytes]:
        """Return the packets that are due."""
        packets: list[bytes] = []
        if not self._is_ready:
            return packets
        assert self._started_at is not None, "a sender that is ready was started"
        assert self._payload_type is not None, "a sender that is ready knows its payload type"
        interval = self._source.interval_seconds
        if now - self._due > MAX_LAG_SECONDS:
            self._due += int((now - self._due) / interval) * interval
        while self._due <= now:
            timestamp = self._timestamp(self._due)
            self._due += interval
            payloads = self._source.next_burst()
            block = self._block if self._send_time_id is None else self._extensions(now)
            for index, payload in enumerate(payloads, 1):
                packet = build_packet(
                    payload_type=self._payload_type,
                    sequence=self._sequence & 0xFFFF,
                    timestamp=timestamp,
                    ssrc=self.ssrc,
                    payload=payload,
                    marker=self.kind is MediaKind.VIDEO and index == len(payloads),
                    extensions=block,
                )
                packets.append(packet)
                self._history.put(self._sequence, packet, None)
                self._sequence += 1
                self.packets += 1
                self.octets += len(payload)
        return packets

    def resend(self, sequences: Iterable[int], now: float) -> list[bytes]:
        """Return the packets of these numbers, as sent, once more, as far as they are still known."""
        found = [self._history.get(unwrap(sequence, near=self._sequence)) for sequence in sequences]
        packets = [packet for packet, _ in filter(None, found)]
        self.resent += len(packets)
        if self.rtx_ssrc is None or self._rtx_payload_type is None:
            return packets
        return [self._retransmission(packet, self.rtx_ssrc, self._rtx_payload_type, now) for packet in packets]

    def report(self, now: float, wall: float) -> SenderReport | None:
        """Return a sender report; None before the first packet."""
        if not self.packets:
            return None
        return SenderReport(
            self.ssrc, ntp_time(wall), self._timestamp(now), self.packets & 0xFFFF_FFFF, self.octets & 0xFFFF_FFFF
        )

    def _retransmission(self, packet: bytes, ssrc: Ssrc, payload_type: int, now: float) -> bytes:
        header = parse_header(packet)
        self._rtx_sequence += 1
        return build_packet(
            payload_type=payload_type,
            sequence=self._rtx_sequence & 0xFFFF,
            timestamp=header.timestamp,
            ssrc=ssrc,
            payload=rtx_payload(header.sequence, packet[header.size :]),
            marker=header.marker,
            extensions=self._extensions(now),
        )

    @property
    def _is_ready(self) -> bool:
        return self._started_at is not None and self._payload_type is not None and not self.is_muted

    def _timestamp(self, at: float) -> int:
        assert self._started_at is not None, "media time begins with the start"
        elapsed = round((at - self._started_at) * self._source.clock_rate)
        return (self._first_timestamp + elapsed) & 0xFFFF_FFFF

    def _extensions(self, now: float) -> bytes:
        elements = [*self._fixed]
        if self._mid is not None:
            elements.append(self._mid)
        if self._send_time_id is not None:
            elements.append((self._send_time_id, abs_send_time(now)))
        return serialize_extensions(elements)
