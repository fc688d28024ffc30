"""What a visitor sends: a source on its beat, as RTP. Does no I/O."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from rtp.extensions import (
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    DEPENDENCY_DESCRIPTOR,
    MID,
    REPAIRED_RID,
    RID,
    abs_send_time,
    find_extension,
    serialize_extensions,
)
from rtp.history import MAX_VIDEO_PACKETS, PacketHistory
from rtp.packet import RtpHeader, build_packet, parse_header
from rtp.payload.rtx import rtx_payload
from rtp.rtcp.reports import SenderReport
from rtp.sdp.codecs import MediaKind
from rtp.serial import ntp_time, unwrap
from rtp.units import Mid, Rid, Ssrc
from triforium.visitor.sources import DescribedSource, Source

LOUDNESS: Final = bytes((0x80 | 12,))
"""The tone's level as RFC 6464 has it: voice, 12 dB below the loudest."""

MAX_LAG_SECONDS: Final = 0.5
"""Beats that are later than this are left out, not made up for."""


class Sender:
    """Sends one source on one SSRC, on a beat that does not drift. Does no I/O.

    It waits until `agree` has told what was negotiated and `start` that the way is clear. What is lost it sends again
    on `rtx_ssrc` if that was agreed, and else as it was. `packets` and `octets` are without that, which is `resent`.
    A layer of simulcast may have a `rid`, which its packets then say. Nothing is sent while the track is muted, or its
    layer stopped.
    """

    def __init__(
        self,
        kind: MediaKind,
        source: Source,
        ssrc: Ssrc,
        random: Random,
        rtx_ssrc: Ssrc | None = None,
        *,
        rid: Rid | None = None,
    ) -> None:
        self.kind = kind
        self.mime = source.mime
        self.rid = rid
        self.ssrc = ssrc
        self.rtx_ssrc = rtx_ssrc
        self.is_muted = False
        self.is_stopped = False
        self.key_frames_requested = 0
        self.packets = self.octets = self.resent = 0
        self._source = source
        self._described = source if isinstance(source, DescribedSource) else None
        self._random = random
        self._started_at: float | None = None
        self._due = 0.0
        self._payload_type: int | None = None
        self._rtx_payload_type: int | None = None
        self._names: tuple[tuple[int, bytes], ...] = ()
        self._repair_names: tuple[tuple[int, bytes], ...] = ()
        self._is_known = False
        self._fixed: tuple[tuple[int, bytes], ...] = ()
        self._send_time_id: int | None = None
        self._descriptor_id: int | None = None
        self._draw_numbers()

    def agree(
        self, payload_type: int, mid: Mid, extensions: Mapping[str, int], rtx_payload_type: int | None = None
    ) -> None:
        """Learn what the descriptions say about this SSRC's packets."""
        self._payload_type = payload_type
        self._rtx_payload_type = rtx_payload_type
        names = {MID: mid.encode()} if self.rid is None else {MID: mid.encode(), RID: self.rid.encode()}
        repairs = names if self.rid is None else {MID: mid.encode(), REPAIRED_RID: self.rid.encode()}
        self._names = tuple((extensions[uri], name) for uri, name in names.items() if uri in extensions)
        self._repair_names = tuple((extensions[uri], name) for uri, name in repairs.items() if uri in extensions)
        is_loud = self.kind is MediaKind.AUDIO and AUDIO_LEVEL in extensions
        self._fixed = ((extensions[AUDIO_LEVEL], LOUDNESS),) if is_loud else ()
        self._send_time_id = extensions.get(ABS_SEND_TIME)
        self._descriptor_id = extensions.get(DEPENDENCY_DESCRIPTOR)

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

    def stop_layer(self) -> None:
        """Send nothing of this layer, as browsers do with one that nobody wants or that they cannot afford."""
        self.is_stopped = True

    def start_layer(self, now: float) -> None:
        """Go on with it, with a key frame, at once."""
        self.is_stopped = False
        self._due = max(self._due, now)
        self._source.request_key_frame()

    def restart(self, ssrc: Ssrc, rtx_ssrc: Ssrc | None) -> None:
        """Go on as somebody else: other SSRCs, numbers and media time, a key frame first, and names until reported on."""
        self.ssrc = ssrc
        self.rtx_ssrc = rtx_ssrc
        self.packets = self.octets = 0
        self._is_known = False
        self._draw_numbers()
        self._source.request_key_frame()

    def request_key_frame(self) -> None:
        """Let the next frame be one that a decoder can start with."""
        self.key_frames_requested += 1
        self._source.request_key_frame()

    def reported(self) -> None:
        """Learn that the peer reports on this SSRC: it needs to be told its names no longer, as browsers reckon."""
        self._is_known = True

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
            blocks = self._blocks(len(payloads), now)
            for index, (payload, block) in enumerate(zip(payloads, blocks, strict=True), 1):
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
        # What repairs a layer says so for ever: nobody reports on it.
        names = () if self._is_known and self.rid is None else self._repair_names
        self._rtx_sequence += 1
        return build_packet(
            payload_type=payload_type,
            sequence=self._rtx_sequence & 0xFFFF,
            timestamp=header.timestamp,
            ssrc=ssrc,
            payload=rtx_payload(header.sequence, packet[header.size :]),
            marker=header.marker,
            extensions=self._extensions((*names, *self._sent_descriptor(packet, header)), now),
        )

    @property
    def _is_ready(self) -> bool:
        return (
            self._started_at is not None and self._payload_type is not None and not (self.is_muted or self.is_stopped)
        )

    def _timestamp(self, at: float) -> int:
        assert self._started_at is not None, "media time begins with the start"
        elapsed = round((at - self._started_at) * self._source.clock_rate)
        return (self._first_timestamp + elapsed) & 0xFFFF_FFFF

    def _extensions(self, names: Iterable[tuple[int, bytes]], now: float) -> bytes:
        elements = [*self._fixed, *names]
        if self._send_time_id is not None:
            elements.append((self._send_time_id, abs_send_time(now)))
        return serialize_extensions(elements)

    def _blocks(self, count: int, now: float) -> list[bytes]:
        """Return the extensions of each packet of a burst."""
        names = () if self._is_known else self._names
        if self._descriptor_id is None or self._described is None:
            return [self._extensions(names, now)] * count
        return [
            self._extensions((*names, (self._descriptor_id, data)), now) for data in self._described.last_descriptors()
        ]

    def _sent_descriptor(self, packet: bytes, header: RtpHeader) -> tuple[tuple[int, bytes], ...]:
        if self._descriptor_id is None:
            return ()
        data = find_extension(packet, header, self._descriptor_id)
        return () if data is None else ((self._descriptor_id, data),)

    def _draw_numbers(self) -> None:
        self._sequence = self._random.randrange(1 << 15)  # RFC 3711 §3.3.1: not near the wrap, while keys are new
        self._rtx_sequence = self._random.randrange(1 << 15)
        self._first_timestamp = self._random.randrange(1 << 32)
        self._history: PacketHistory[None] = PacketHistory(max_packets=MAX_VIDEO_PACKETS)
