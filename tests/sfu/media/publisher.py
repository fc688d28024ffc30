"""A publisher as a receiver hears it: RTP packets of one SSRC, well made."""

from rtp.packet import build_packet
from rtp.sdp.codecs import Codec

OPUS = Codec("audio/opus", 111, 48_000, 2)
VP8 = Codec("video/VP8", 96, 90_000, 1)
KEY_FRAME = bytes.fromhex("10 10 02 00 9d 01 2a 40 01 b4 00")
DELTA_FRAME = bytes.fromhex("10 11 02 00")
REST_OF_FRAME = b"\x00rest"


class Source:
    """Makes packets in sequence; each has a payload of its own, and may be kept back to be sent late."""

    def __init__(self, ssrc: int, codec: Codec = OPUS, *, sequence: int = 1000, timestamp: int = 5000) -> None:
        self.ssrc = ssrc
        self.codec = codec
        self.sequence = sequence
        self.timestamp = timestamp
        self.made = 0

    def next(
        self,
        payload: bytes = b"\xf8",
        *,
        marker: bool = False,
        payload_type: int | None = None,
        same_frame: bool = False,
    ) -> bytes:
        self._advance(0 if same_frame else self.codec.clock_rate // 50)
        self.made += 1
        return build_packet(
            payload_type=self.codec.payload_type if payload_type is None else payload_type,
            sequence=self.sequence,
            timestamp=self.timestamp,
            ssrc=self.ssrc,
            marker=marker,
            payload=payload + self.ssrc.to_bytes(4) + self.made.to_bytes(4),
        )

    def padding(self) -> bytes:
        """A bandwidth probe: it has the timestamp of the packet before it, as libwebrtc makes them."""
        self._advance(0)
        packet = build_packet(
            payload_type=self.codec.payload_type,
            sequence=self.sequence,
            timestamp=self.timestamp,
            ssrc=self.ssrc,
            payload=bytes(3) + b"\x04",
        )
        return bytes((packet[0] | 0x20,)) + packet[1:]

    def lose(self, count: int) -> None:
        for _ in range(count):
            self._advance(self.codec.clock_rate // 50)

    def restart(self, *, sequence: int, timestamp: int) -> None:
        self.sequence, self.timestamp = sequence & 0xFFFF, timestamp & 0xFFFF_FFFF

    def _advance(self, ticks: int) -> None:
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + ticks) & 0xFFFF_FFFF
