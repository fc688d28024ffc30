"""How long packets take: the publisher writes into each when it was sent, the kernel tells subscribers when it came."""

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import trio

from rtp.errors import DecodeError
from rtp.packet import parse_header, payload_end
from rtp.payload.vp8 import parse_vp8
from rtp.units import Address
from sfu.transport.connection import MediaSink
from sfu.transport.packet_filter import AND, IF_EQUAL, LOAD_BYTE, RETURN, Instruction, attach
from triforium.visitor import CALL_PLAN, MediaPlan
from triforium.visitor.samples import samples

_STAMP: Final = struct.Struct("!Q")  # Unix nanoseconds, at the end of the payload, where samples have filling
_WITHOUT_RTP: Final[tuple[Instruction, ...]] = (  # the UDP header has 8 bytes; RFC 7983 §7, RFC 5761 §4
    (LOAD_BYTE, 0, 0, 8),
    (AND, 0, 0, 0xC0),
    (IF_EQUAL, 0, 4, 0x80),  # else it is not RTP or RTCP
    (LOAD_BYTE, 0, 0, 9),
    (AND, 0, 0, 0xE0),
    (IF_EQUAL, 1, 0, 0xC0),  # RTCP
    (RETURN, 0, 0, 0),
    (RETURN, 0, 0, 0xFFFF_FFFF),
)
_MEMORY: Final = struct.Struct("=9I")  # linux/sock_diag.h: the last is what was dropped
_TIMESPEC: Final = struct.Struct("@ll")  # seconds, nanoseconds
SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h; the socket module has no name for it
SO_ATTACH_FILTER: Final = 26
SO_MEMINFO: Final = 55
MAX_DATAGRAM_BYTES: Final = 2_048
RECEIVE_BUFFER_BYTES: Final = 1 << 20  # the default holds 92 packets, less than a second of video


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedPlan(MediaPlan):
    """A plan whose video says when it was sent."""

    def video_frame(self, number: int, burst: int) -> list[bytes]:
        """Return the payloads, each with the time of this call at its end: they are sent at once."""
        stamp = _STAMP.pack(time.time_ns())
        return [payload[: -_STAMP.size] + stamp for payload in MediaPlan.video_frame(self, number, burst)]


STAMPED_CALL_PLAN: Final = StampedPlan(
    audio_packets_per_second=CALL_PLAN.audio_packets_per_second,
    video_frames_per_second=CALL_PLAN.video_frames_per_second,
    video_bursts=CALL_PLAN.video_bursts,
    video_payload_bytes=CALL_PLAN.video_payload_bytes,
)
LOW_LAYER_PLAN: Final = StampedPlan(audio_packets_per_second=50, video_frames_per_second=30, video_payload_bytes=600)
"""What one sends in a meeting whose pictures are small: 50 packets of sound and 30 of video each second."""

SINGLE_PACKETS_PLAN: Final = StampedPlan(video_frames_per_second=1_000, video_payload_bytes=1_150)
"""Frames of one packet, for a source that has a pace of its own."""

_AUDIO: Final = frozenset(samples("opus").frames)
_VIDEO: Final = frozenset(
    payload[: -_STAMP.size]
    for plan in (CALL_PLAN, LOW_LAYER_PLAN, SINGLE_PACKETS_PLAN)
    for number in range(len(samples("vp8 ").frames))
    for burst in range(len(plan.video_bursts))
    for payload in plan.video_frame(number, burst)
)


class KernelTimedSocket:
    """A `DatagramSocket` whose times of arrival are the kernel's: waiting for this process is not in them.

    The kernel has Unix time and trio a clock of its own; `epoch` is what lies between. `arrived_at` is when the newest
    datagram came, in Unix seconds.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._socket.bind((host, port))
        self.address: Address = self._socket.getsockname()
        self.kernel_drops = 0
        self.arrived_at = 0.0
        self.epoch = time.time() - trio.current_time()

    async def wait_readable(self) -> None:
        """Return when there may be something to receive."""
        await trio.lowlevel.wait_readable(self._socket)

    def receive_batch(self, limit: int) -> list[tuple[bytes, Address, float]]:
        """Receive until the kernel has no more, or `limit` is reached."""
        received: list[tuple[bytes, Address, float]] = []
        try:
            while len(received) < limit:
                data, [(_, _, timespec)], _, source = self._socket.recvmsg(MAX_DATAGRAM_BYTES, 64)
                seconds, nanoseconds = _TIMESPEC.unpack(timespec)
                self.arrived_at = seconds + nanoseconds * 1e-9
                received.append((data, source, self.arrived_at - self.epoch))
        except BlockingIOError:
            pass
        return received

    def send_batch(self, datagrams: Sequence[tuple[bytes, Address]]) -> int:
        """Send each datagram."""
        for data, to in datagrams:
            self._socket.sendto(data, to)
        return len(datagrams)

    def close(self) -> None:
        """Close the kernel's socket."""
        self._socket.close()


class CountingSocket(KernelTimedSocket):
    """A socket that RTP does not get through: the kernel counts it, and nobody is woken."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        attach(self._socket, SO_ATTACH_FILTER, _WITHOUT_RTP)

    @property
    def packets(self) -> int:
        """How many packets of RTP have come."""
        memory = self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMORY.size)
        return int(_MEMORY.unpack(memory)[-1])


class Tap:
    """Stands in front of a visitor's `MediaSink`: checks each packet in clear, and takes its delay.

    `wrong` counts packets whose payload nobody has sent, `delays` are in seconds.
    """

    def __init__(self, sink: MediaSink) -> None:
        self.packets = self.wrong = 0
        self.delays: list[float] = []
        self._sink = sink
        self._epoch = time.time() - trio.current_time()
        self.receive_rtcp = sink.receive_rtcp
        self.transport_changed = sink.transport_changed
        self.next_timeout = sink.next_timeout
        self.handle_timeout = sink.handle_timeout

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Take one packet of audio or video."""
        self.packets += 1
        header = parse_header(packet)
        payload = packet[header.size : payload_end(packet, header)]
        if payload not in _AUDIO:
            self._check_video(payload, now)
        self._sink.receive_rtp(packet, now)

    def _check_video(self, payload: bytes, now: float) -> None:
        try:
            start = parse_vp8(payload).size
        except DecodeError:
            self.wrong += 1
            return
        if payload[start : -_STAMP.size] in _VIDEO:
            (sent_at,) = _STAMP.unpack_from(payload, len(payload) - _STAMP.size)
            self.delays.append(now + self._epoch - sent_at * 1e-9)
        else:
            self.wrong += 1
