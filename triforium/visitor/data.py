"""A visitor's data: packets as LiveKit's clients send and read them."""

from dataclasses import dataclass
from typing import Final

from livekit.protocol.models import DataPacket, UserPacket

from rtp.datachannel import ChannelMessage
from rtp.dcep import ChannelParameters
from sfu.transport.connection import PeerConnection

RELIABLE: Final = "_reliable"
LOSSY: Final = "_lossy"


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """What came on a data channel, at `at` seconds on the monotonic clock."""

    at: float
    label: str
    data: bytes
    is_text: bool

    @property
    def packet(self) -> DataPacket:
        """The same, read as a data packet. Raises google.protobuf's DecodeError if it is none."""
        return DataPacket.FromString(self.data)


class VisitorData:
    """Sends on one connection, and keeps what came on any. `received` is in the order of arrival.

    Reliable packets are numbered from 1, `last_sequence` is the last one's number.
    """

    def __init__(self, connection: PeerConnection) -> None:
        self.received: list[ReceivedMessage] = []
        self.last_sequence = 0
        self._connection = connection

    @property
    def packets(self) -> list[DataPacket]:
        """What came as data packets, reliable and lossy."""
        return [message.packet for message in self.received if message.label in {RELIABLE, LOSSY}]

    @property
    def payloads(self) -> list[bytes]:
        """What came in user packets."""
        return [packet.user.payload for packet in self.packets if packet.HasField("user")]

    def can_send(self, label: str) -> bool:
        """Say whether our own channel of this label is open."""
        channels = self._connection.transport.channels
        channel = channels.by_label(label) if channels is not None else None
        return channel is not None and channel.is_open

    def publish(self, payload: bytes, *, topic: str = "", to: tuple[str, ...] = (), reliable: bool = True) -> None:
        """Send a user packet to the identities in `to`, or to everybody."""
        user = UserPacket(payload=payload, topic=topic, destination_identities=to)
        self.send(DataPacket(user=user), reliable=reliable)

    def send(self, packet: DataPacket, *, reliable: bool = True) -> None:
        """Send any packet, numbered if it is reliable and has no number."""
        if reliable and not packet.sequence:
            self.last_sequence += 1
            packet.sequence = self.last_sequence
        self.send_bytes(RELIABLE if reliable else LOSSY, packet.SerializeToString())

    def send_bytes(self, label: str, data: bytes, *, is_text: bool = False) -> None:
        """Send any bytes on our channel of this label, which has to be there."""
        channels = self._connection.transport.channels
        channel = channels.by_label(label) if channels is not None else None
        assert channel is not None, f"no channel {label}"
        self._connection.send_message(channel.channel_id, data, is_text=is_text)

    def open(self, parameters: ChannelParameters) -> None:
        """Open one more channel."""
        self._connection.do(lambda now: self._connection.transport.open_channel(parameters, now))

    def take(self, message: ChannelMessage, now: float) -> None:
        """Keep what came."""
        self.received.append(ReceivedMessage(now, message.label, message.data, message.is_text))

    def waiting(self, label: str) -> int:
        """Return how many bytes the server has not acknowledged on our channel of this label."""
        channels = self._connection.transport.channels
        channel = channels.by_label(label) if channels is not None else None
        return 0 if channel is None else self._connection.buffered_bytes(channel.channel_id)
