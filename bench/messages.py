"""Messages on data channels that say when they were sent, and what looks at them where they come."""

import struct
import time
from typing import Final

import trio
from google.protobuf.message import DecodeError

from bench.stamps import KernelTimedSocket
from rtp.datachannel import ChannelMessage
from sfu.transport.connection import PeerConnection
from triforium.visitor import Visitor
from triforium.visitor.data import LOSSY, RELIABLE, ReceivedMessage, VisitorData

BULK_BYTES: Final = 16 << 10
WINDOW_BYTES: Final = 256 << 10
"""What the sender of bulk keeps unacknowledged: as much as the server keeps for a reader before the sender waits."""

BEAT_SECONDS: Final = 0.001
"""How often the sender of bulk looks for room: at 80 Mbit/s, 10 KB are sent meanwhile."""

LOSSY_BYTES: Final = 200
LOSSY_PER_SECOND: Final = 30

STEADY_BYTES: Final = 1000
STEADY_PER_SECOND: Final = 100

_HEAD: Final = struct.Struct("!QQ")  # number from 1, Unix nanoseconds
_FILLING: Final = bytes(range(256)) * (BULK_BYTES // 256)


def message(number: int, size: int) -> bytes:
    """Return the message of this number, which is sent now."""
    return _HEAD.pack(number, time.time_ns()) + _FILLING[: size - _HEAD.size]


class MessageSource:
    """What one visitor sends on a data channel: as much as the server takes, or a message at a steady pace."""

    def __init__(self, visitor: Visitor) -> None:
        self.messages = 0
        self._visitor = visitor

    async def send_bulk(self) -> None:
        """Keep the window full, until cancelled."""
        await self._visitor.wait_until(lambda: self._visitor.data.can_send(RELIABLE))
        while True:
            while self._visitor.data.waiting(RELIABLE) < WINDOW_BYTES:
                self._publish(BULK_BYTES, reliable=True)
            await trio.sleep(BEAT_SECONDS)

    async def send_lossy(self) -> None:
        """Send small messages that may be lost, until cancelled."""
        await self._send_steadily(LOSSY_BYTES, LOSSY_PER_SECOND, reliable=False)

    async def send_reliable(self) -> None:
        """Send messages that may not be lost, until cancelled."""
        await self._send_steadily(STEADY_BYTES, STEADY_PER_SECOND, reliable=True)

    async def _send_steadily(self, size: int, per_second: float, *, reliable: bool) -> None:
        await self._visitor.wait_until(lambda: self._visitor.data.can_send(RELIABLE if reliable else LOSSY))
        due = trio.current_time()
        while True:
            due += 1 / per_second
            await trio.sleep_until(due)
            self._publish(size, reliable=reliable)

    def _publish(self, size: int, *, reliable: bool) -> None:
        self.messages += 1
        self._visitor.data.publish(message(self.messages, size), reliable=reliable)


class MessageTap(VisitorData):
    """Checks each message instead of keeping it, and takes its delay, up to the datagram that it was read from.

    `wrong` counts those that nobody has sent, or that came out of order; `lost` those left out. `delays` are in seconds.
    """

    def __init__(self, connection: PeerConnection, reading: KernelTimedSocket) -> None:
        super().__init__(connection)
        self.messages = self.wrong = self.lost = 0
        self.delays: list[float] = []
        self._reading = reading
        self._last: int | None = None  # nothing has come; the first may be any, since its sender may have been earlier

    def take(self, message: ChannelMessage, now: float) -> None:
        """Look at one message."""
        try:
            payload = ReceivedMessage(now, message.label, message.data, message.is_text).packet.user.payload
            number, sent_at = _HEAD.unpack_from(payload)
        except (DecodeError, struct.error):
            self.wrong += 1
            return
        self.messages += 1
        missing = 0 if self._last is None else number - self._last - 1
        self.wrong += missing < 0 or payload[_HEAD.size :] != _FILLING[: len(payload) - _HEAD.size]
        self.lost += max(0, missing)
        self._last = number
        self.delays.append(self._reading.arrived_at - sent_at * 1e-9)
