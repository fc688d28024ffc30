"""What a visitor receives: each track is counted, checked against the samples, and nothing is played. Does no I/O."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from rtp.extensions import DEPENDENCY_DESCRIPTOR, parse_extensions
from rtp.nack import NackGenerator, NackStatistics, Request
from rtp.packet import RtpHeader, parse_header, payload_end
from rtp.payload.rtx import parse_retransmission
from rtp.payload.vp8 import is_keyframe, parse_vp8
from rtp.reception import Reception, Verdict
from rtp.rtcp.reports import ReportBlock
from rtp.sdp.codecs import MediaKind
from rtp.units import Ssrc
from triforium.visitor.sources import VP8

REMEMBERED_ARRIVALS: Final = 512
"""How many arrivals of packets are kept for each track."""

PLI_INTERVAL_SECONDS: Final = 1.0
"""The least time between two requests for a key frame of one track."""


@dataclass(frozen=True, slots=True)
class TrackStatistics:
    """What came of a track on its present SSRC. Times are in seconds on the visitor's monotonic clock.

    `lost`, `late` and `duplicates` are judged by sequence numbers; `suspects` fitted no stream and `restarts` are
    jumps to a new one: a server that forwards well causes neither. `frames` counts last packets of VP8 frames, and
    `picture_gaps` how often a frame's picture id was not the one after the frame before. `unknown_payloads` equalled
    none of the samples, `arrivals` are the times of the last few hundred packets, and `nacks` what was asked for again.
    """

    packets: int
    octets: int
    lost: int
    late: int
    duplicates: int
    suspects: int
    restarts: int
    frames: int
    key_frames: int
    picture_gaps: int
    unknown_payloads: int
    first_arrival: float | None
    last_arrival: float | None
    last_key_frame: float | None
    arrivals: tuple[float, ...]
    nacks: NackStatistics


@dataclass(frozen=True, slots=True)
class ReceivedPacket:
    """A packet of a track that had not come before, first hand or sent again.

    `sequence` is unwrapped, `timestamp` is as sent; the payload is without padding. `extensions` are those that
    were agreed on, by URI.
    """

    sequence: int
    timestamp: int
    marker: bool
    payload_type: int
    payload: bytes
    arrived_at: float
    extensions: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def descriptor(self) -> bytes | None:
        """The dependency descriptor, if there is one."""
        return self.extensions.get(DEPENDENCY_DESCRIPTOR)


Watch: TypeAlias = Callable[["ReceivedTrack", ReceivedPacket], None]
"""Who looks at each packet as it comes."""


class ReceivedTrack:
    """Keeps the books on a track that somebody else publishes, and asks for what is missing. Does no I/O."""

    def __init__(
        self,
        sid: str,
        kind: MediaKind,
        clock_rate: int,
        known_payloads: frozenset[bytes],
        ssrc: Ssrc,
        *,
        payload_type: int,
        rtx_ssrc: Ssrc | None = None,
        mime: str = VP8,
        watch: Watch | None = None,
        extension_ids: Mapping[str, int] | None = None,
    ) -> None:
        self.sid = sid
        self.kind = kind
        self.ssrc = ssrc
        self.rtx_ssrc = rtx_ssrc
        self.mime = mime
        self._payload_type = payload_type
        self._watch = watch
        self._extension_uris = {identifier: uri for uri, identifier in (extension_ids or {}).items()}
        self._key_frame_wanted = False
        self._nacks = NackGenerator()
        self._known_payloads = known_payloads
        self._reception = Reception(clock_rate)
        self._arrivals: deque[float] = deque(maxlen=REMEMBERED_ARRIVALS)
        self._frames = self._key_frames = self._picture_gaps = self._unknown_payloads = 0
        self._first_arrival: float | None = None
        self._last_key_frame: float | None = None
        self._picture_id: int | None = None
        self._pli_at = float("-inf")

    @property
    def packets(self) -> int:
        """How many packets came that had not come before."""
        return self._reception.statistics().packets

    @property
    def frames(self) -> int:
        """How many VP8 frames came to their end."""
        return self._frames

    def statistics(self) -> TrackStatistics:
        """Return counts so far."""
        reception = self._reception.statistics()
        return TrackStatistics(
            packets=reception.packets,
            octets=reception.octets,
            lost=reception.lost,
            late=reception.late,
            duplicates=reception.duplicates,
            suspects=reception.suspects,
            restarts=reception.restarts,
            frames=self._frames,
            key_frames=self._key_frames,
            picture_gaps=self._picture_gaps,
            unknown_payloads=self._unknown_payloads,
            first_arrival=self._first_arrival,
            last_arrival=self._arrivals[-1] if self._arrivals else None,
            last_key_frame=self._last_key_frame,
            arrivals=tuple(self._arrivals),
            nacks=self._nacks.statistics(),
        )

    def receive(self, packet: bytes, header: RtpHeader, now: float) -> None:
        """Take one packet of this track, or of its retransmissions.

        Raises:
            DecodeError: if its padding or its VP8 descriptor makes no sense, or the retransmission is too short.
        """
        is_resend = header.ssrc == self.rtx_ssrc
        if is_resend:
            original = parse_retransmission(packet, header, ssrc=self.ssrc, payload_type=self._payload_type)
            if original is None:
                return
            packet, header = original, parse_header(original)
        payload = packet[header.size : payload_end(packet, header)]
        arrival = self._reception.receive(header, now, len(payload))
        verdict = arrival.verdict
        if verdict is Verdict.DUPLICATE or verdict is Verdict.SUSPECT or verdict is Verdict.EARLY:
            return
        if verdict is Verdict.RESTARTED:
            self._nacks = NackGenerator()
        self._nacks.receive_packet(arrival.sequence, now, is_resend=is_resend)
        self._arrivals.append(now)
        if self._first_arrival is None:
            self._first_arrival = now
        if self._watch is not None:
            uris, found = self._extension_uris, parse_extensions(packet, header).items()
            extensions = {uris[identifier]: data for identifier, data in found if identifier in uris}
            self._watch(
                self,
                ReceivedPacket(
                    arrival.sequence, header.timestamp, header.marker, header.payload_type, payload, now, extensions
                ),
            )
        if not payload:
            return
        if self._is_vp8:
            payload = self._open_vp8(payload, header, verdict, now)
        if payload not in self._known_payloads:
            self._unknown_payloads += 1

    def receive_sender_report(self, ntp: int, rtp_timestamp: int, now: float) -> None:
        """Note a sender report on this track's SSRC."""
        self._reception.receive_sender_report(ntp, rtp_timestamp, now)

    def report_block(self, now: float) -> ReportBlock | None:
        """Return what to report of this track; None before its first packet."""
        return self._reception.report_block(self.ssrc, now)

    def next_timeout(self) -> float | None:
        """Return when there may be something to ask for."""
        return self._nacks.next_timeout()

    def take_missing(self, now: float) -> tuple[int, ...]:
        """Return the numbers, as sent, of what is to be asked for now."""
        outputs = self._nacks.handle_timeout(now)
        return tuple(
            number & 0xFFFF for output in outputs if isinstance(output, Request) for number in output.sequences
        )

    def request_key_frame(self) -> None:
        """Ask for a key frame with the next packet that comes, if none was asked for in the last second."""
        self._key_frame_wanted = True

    def wants_key_frame(self, now: float) -> bool:
        """Say whether to ask for a key frame now: video came, and nothing to start it with. At most once a second."""
        waits = self._is_vp8 and self._first_arrival is not None and self._last_key_frame is None
        if not (waits or self._key_frame_wanted) or now < self._pli_at + PLI_INTERVAL_SECONDS:
            return False
        self._pli_at = now
        self._key_frame_wanted = False
        return True

    @property
    def _is_vp8(self) -> bool:
        return self.kind is MediaKind.VIDEO and self.mime == VP8

    def _open_vp8(self, payload: bytes, header: RtpHeader, verdict: Verdict, now: float) -> bytes:
        """Look at the VP8 descriptor and return what follows it."""
        descriptor = parse_vp8(payload)
        self._frames += header.marker
        if is_keyframe(payload, descriptor):
            self._key_frames += 1
            self._last_key_frame = now
        if descriptor.start_of_frame and descriptor.picture_id is not None and verdict is not Verdict.LATE:
            expected = None if self._picture_id is None else self._picture_id + 1 & 0x7FFF
            self._picture_gaps += expected not in {None, descriptor.picture_id}
            self._picture_id = descriptor.picture_id
        return payload[descriptor.size :]
