"""Data channels over an SCTP association: DCEP (RFC 8832) and the identifiers of RFC 8831 §8."""

import struct
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final, TypeAlias, assert_never

from rtp.errors import DecodeError, LocalProtocolError
from rtp.sctp.association import (
    MAX_STREAM,
    AssociationClosed,
    AssociationUp,
    MessageReceived,
    SctpAssociation,
    SctpOutput,
    SctpStatistics,
    SendPacket,
    StreamReset,
)
from rtp.sctp.drops import Drop

MAX_CHANNELS: Final = 256
"""Open at once. Clients of LiveKit have three."""
MAX_EARLY_BYTES: Final = 1 << 16
MAX_EARLY_MESSAGES: Final = 64
"""What is kept of messages that came before their DATA_CHANNEL_OPEN; the oldest go first."""

_OPEN_HEAD = struct.Struct("!BBHIHH")  # 3, channel type, priority, reliability, label length, protocol length
_MESSAGE_OPEN, _MESSAGE_ACK = 3, 2
_UNORDERED = 0x80
_RELIABLE, _LIMITED_RETRANSMITS, _LIMITED_LIFETIME = 0, 1, 2  # the channel type's other bits (RFC 8832 §5.1)
_NORMAL_PRIORITY = 256
_MAX_U16 = 0xFFFF
_MAX_U32 = 0xFFFF_FFFF


class PayloadProtocol(IntEnum):
    """Payload protocol identifiers (RFC 8831 §8). The deprecated partial ones, 52 and 54, are in nobody's use."""

    DCEP = 50
    STRING = 51
    BINARY = 53
    STRING_EMPTY = 56
    BINARY_EMPTY = 57


@dataclass(frozen=True, slots=True)
class ChannelParameters:
    """What a channel was opened with (RFC 8832 §5.1).

    At most one of `max_retransmits` and `max_lifetime` (in milliseconds, as on the wire) is not None.
    """

    label: str
    ordered: bool = True
    max_retransmits: int | None = None
    max_lifetime: int | None = None
    protocol: str = ""

    def serialize_open(self) -> bytes:
        """Return the DATA_CHANNEL_OPEN message.

        Raises:
            LocalProtocolError: if these can be no channel's parameters.
        """
        label, protocol = self.label.encode(), self.protocol.encode()
        limits = [limit for limit in (self.max_retransmits, self.max_lifetime) if limit is not None]
        reliability = limits[0] if limits else 0
        if len(limits) > 1 or not 0 <= reliability <= _MAX_U32 or max(len(label), len(protocol)) > _MAX_U16:
            raise LocalProtocolError(f"no data channel can be {self}")
        kind = _RELIABLE
        if self.max_retransmits is not None:
            kind = _LIMITED_RETRANSMITS
        elif self.max_lifetime is not None:
            kind = _LIMITED_LIFETIME
        if not self.ordered:
            kind |= _UNORDERED
        head = _OPEN_HEAD.pack(_MESSAGE_OPEN, kind, _NORMAL_PRIORITY, reliability, len(label), len(protocol))
        return head + label + protocol


def parse_open(message: bytes) -> ChannelParameters:
    """Read a DATA_CHANNEL_OPEN message (RFC 8832 §5.1). The priority is not kept.

    Raises:
        DecodeError: if it is none, or of an unknown channel type, or its lengths are not its own.
    """
    try:
        kind, channel_type, _priority, reliability, label_size, protocol_size = _OPEN_HEAD.unpack_from(message)
        if kind != _MESSAGE_OPEN or len(message) != _OPEN_HEAD.size + label_size + protocol_size:
            raise DecodeError(f"{len(message)} bytes are no DATA_CHANNEL_OPEN")
        label = message[_OPEN_HEAD.size :][:label_size].decode()
        protocol = message[_OPEN_HEAD.size + label_size :].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise DecodeError("DATA_CHANNEL_OPEN cut short, or not UTF-8") from error
    reliable_type = channel_type & ~_UNORDERED
    if reliable_type not in {_RELIABLE, _LIMITED_RETRANSMITS, _LIMITED_LIFETIME}:
        raise DecodeError(f"data channel of unknown type {channel_type:#x}")
    return ChannelParameters(
        label,
        ordered=not channel_type & _UNORDERED,
        max_retransmits=reliability if reliable_type == _LIMITED_RETRANSMITS else None,
        max_lifetime=reliability if reliable_type == _LIMITED_LIFETIME else None,
        protocol=protocol,
    )


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """Both sides know the channel: the peer opened it, or has answered our opening."""

    channel_id: int
    parameters: ChannelParameters


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """A message of the peer's. If `is_text`, `data` should be UTF-8, which nobody has checked."""

    channel_id: int
    label: str
    data: bytes
    is_text: bool


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The channel is gone; its id may come back as another one's."""

    channel_id: int
    label: str


DataChannelOutput: TypeAlias = (
    SendPacket | AssociationUp | ChannelOpened | ChannelMessage | ChannelClosed | AssociationClosed
)


@dataclass(slots=True)
class DataChannel:
    """One channel. `is_open`: the peer is known to know it; `is_closing`: we have asked for its end."""

    channel_id: int
    parameters: ChannelParameters
    is_open: bool = False
    is_closing: bool = False
    messages_received: int = 0
    messages_sent: int = 0


@dataclass(frozen=True, slots=True)
class DataChannelStatistics:
    """A snapshot: open channels, those ever opened and closed, messages dropped up here, and the association's own."""

    open_channels: int
    channels_opened: int
    channels_closed: int
    drops: Mapping[Drop, int]
    association: SctpStatistics


class DataChannels:
    """The data channels of one association, by id. Does no I/O.

    Each call returns all it wants done, in order. `now` is in seconds, on one monotonic clock.
    """

    def __init__(self, association: SctpAssociation, *, is_dtls_client: bool) -> None:
        self._association = association
        self._next_id = 0 if is_dtls_client else 1  # RFC 8832 §6: the client's are even
        self._channels: dict[int, DataChannel] = {}
        self._view = MappingProxyType(self._channels)
        self._early: deque[MessageReceived] = deque()
        self._early_bytes = 0
        self._drops: Counter[Drop] = Counter()
        self._opened = self._closed = 0

    @property
    def channels(self) -> Mapping[int, DataChannel]:
        """All channels by id, in the order of their opening, those that are still opening or closing too."""
        return self._view

    def by_label(self, label: str) -> DataChannel | None:
        """Return the oldest channel of that label that is not closing."""
        for channel in self._channels.values():
            if channel.parameters.label == label and not channel.is_closing:
                return channel
        return None

    def connect(self, now: float) -> list[DataChannelOutput]:
        """Begin the association from our side, unless the peer has."""
        return self._translate(self._association.connect(now), now)

    def open(self, parameters: ChannelParameters, now: float) -> tuple[int, list[DataChannelOutput]]:
        """Open a channel; return its id. Its opening waits until the association is up.

        Raises:
            LocalProtocolError: if the parameters contradict themselves, or there are too many channels.
        """
        opening = parameters.serialize_open()
        if len(self._channels) >= MAX_CHANNELS:
            raise LocalProtocolError(f"{MAX_CHANNELS} data channels are open already")
        while self._next_id in self._channels:
            self._next_id = self._id_after(self._next_id)
        channel_id, self._next_id = self._next_id, self._id_after(self._next_id)
        self._channels[channel_id] = DataChannel(channel_id, parameters)
        return channel_id, self._send(channel_id, PayloadProtocol.DCEP, opening, now)

    def send(self, channel_id: int, data: bytes, now: float, *, is_text: bool = False) -> list[DataChannelOutput]:
        """Send one message by the channel's own rules. A full send queue drops it; see `SctpAssociation.send`.

        Raises:
            LocalProtocolError: if there is no such channel, or it is closing.
        """
        channel = self._channels.get(channel_id)
        if channel is None or channel.is_closing:
            raise LocalProtocolError(f"data channel {channel_id} is not open")
        channel.messages_sent += 1
        parameters = channel.parameters
        protocol = PayloadProtocol.STRING if is_text else PayloadProtocol.BINARY
        if not data:  # which SCTP cannot send: RFC 8831 §6.6
            protocol = PayloadProtocol.STRING_EMPTY if is_text else PayloadProtocol.BINARY_EMPTY
        outputs = self._association.send(
            channel_id,
            protocol,
            data or b"\0",
            now,
            ordered=parameters.ordered or not channel.is_open,  # or it could overtake its DATA_CHANNEL_OPEN (§6)
            max_retransmits=parameters.max_retransmits,
            lifetime_seconds=None if parameters.max_lifetime is None else parameters.max_lifetime / 1000,
        )
        return self._translate(outputs, now)

    def close_channel(self, channel_id: int, now: float) -> list[DataChannelOutput]:
        """Begin to close a channel, once what was sent on it has arrived (RFC 8831 §6.7). Unknown ones are closed."""
        channel = self._channels.get(channel_id)
        if channel is None or channel.is_closing:
            return []
        channel.is_closing = True
        return self._translate(self._association.reset_stream(channel_id, now), now)

    def close(self, now: float) -> list[DataChannelOutput]:
        """End the association and all channels with it."""
        return self._translate(self._association.close(), now)

    def receive(self, packet: bytes, now: float) -> list[DataChannelOutput]:
        """Take one packet out of DTLS. Never raises: what is wrong with it is counted."""
        return self._translate(self._association.receive(packet, now), now)

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is wanted; None: not until something else has happened."""
        return self._association.next_timeout()

    def handle_timeout(self, now: float) -> list[DataChannelOutput]:
        """Do what is due. Harmless if early."""
        return self._translate(self._association.handle_timeout(now), now)

    def statistics(self) -> DataChannelStatistics:
        """Return a snapshot."""
        return DataChannelStatistics(
            open_channels=sum(channel.is_open for channel in self._channels.values()),
            channels_opened=self._opened,
            channels_closed=self._closed,
            drops=MappingProxyType(self._drops.copy()),
            association=self._association.statistics(),
        )

    def _translate(self, outputs: list[SctpOutput], now: float) -> list[DataChannelOutput]:
        translated: list[DataChannelOutput] = []
        for output in outputs:
            match output:
                case MessageReceived():
                    translated += self._receive_message(output, now)
                case StreamReset(streams):
                    for stream in streams or tuple(self._channels):
                        translated += self._close_by_peer(stream, now)
                case AssociationClosed():
                    translated += [
                        closed for channel_id in tuple(self._channels) for closed in self._remove(channel_id)
                    ]
                    translated.append(output)
                case SendPacket() | AssociationUp():
                    translated.append(output)
                case _:
                    assert_never(output)
        return translated

    def _receive_message(self, message: MessageReceived, now: float) -> list[DataChannelOutput]:
        channel_id, data = message.stream, message.data
        if message.protocol == PayloadProtocol.DCEP:
            return self._receive_dcep(channel_id, data, now)
        if message.protocol not in _USER_PROTOCOLS:
            self._drops[Drop.UNKNOWN_PROTOCOL] += 1
            return []
        channel = self._channels.get(channel_id)
        if channel is None:
            self._keep_early(message)
            return []
        channel.messages_received += 1
        is_text = message.protocol in {PayloadProtocol.STRING, PayloadProtocol.STRING_EMPTY}
        if message.protocol in {PayloadProtocol.STRING_EMPTY, PayloadProtocol.BINARY_EMPTY}:
            data = b""
        return [ChannelMessage(channel_id, channel.parameters.label, data, is_text)]

    def _receive_dcep(self, channel_id: int, data: bytes, now: float) -> list[DataChannelOutput]:
        channel = self._channels.get(channel_id)
        if data[0] == _MESSAGE_ACK:
            if channel is None or channel.is_open:
                self._drops[Drop.CHANNEL_IN_USE if channel else Drop.UNKNOWN_CHANNEL] += 1
                return []
            return self._mark_open(channel_id, channel)
        try:
            parameters = parse_open(data)
        except DecodeError:
            self._drops[Drop.MALFORMED] += 1
            return []
        if channel is not None or channel_id > MAX_STREAM:
            self._drops[Drop.CHANNEL_IN_USE] += 1
            return []
        if len(self._channels) >= MAX_CHANNELS:
            self._drops[Drop.TOO_MANY_CHANNELS] += 1
            return self._translate(self._association.reset_stream(channel_id, now), now)  # how a channel is refused
        self._channels[channel_id] = channel = DataChannel(channel_id, parameters)
        acknowledgement = self._send(channel_id, PayloadProtocol.DCEP, bytes((_MESSAGE_ACK,)), now)
        return [*acknowledgement, *self._mark_open(channel_id, channel), *self._release_early(channel_id, now)]

    def _mark_open(self, channel_id: int, channel: DataChannel) -> list[DataChannelOutput]:
        channel.is_open = True
        self._opened += 1
        return [ChannelOpened(channel_id, channel.parameters)]

    def _send(self, channel_id: int, protocol: PayloadProtocol, data: bytes, now: float) -> list[DataChannelOutput]:
        """Send reliably and in order, as DCEP must be on every channel (RFC 8832 §6)."""
        return self._translate(self._association.send(channel_id, protocol, data, now), now)

    def _keep_early(self, message: MessageReceived) -> None:
        self._early.append(message)
        self._early_bytes += len(message.data)
        while self._early_bytes > MAX_EARLY_BYTES or len(self._early) > MAX_EARLY_MESSAGES:
            self._early_bytes -= len(self._early.popleft().data)
            self._drops[Drop.UNKNOWN_CHANNEL] += 1

    def _release_early(self, channel_id: int, now: float) -> list[DataChannelOutput]:
        waiting = [message for message in self._early if message.stream == channel_id]
        if not waiting:
            return []
        self._early = deque(message for message in self._early if message.stream != channel_id)
        self._early_bytes -= sum(len(message.data) for message in waiting)
        return [output for message in waiting for output in self._receive_message(message, now)]

    def _close_by_peer(self, channel_id: int, now: float) -> list[DataChannelOutput]:
        """Answer the peer's reset of its stream with the reset of ours, unless that is done."""
        channel = self._channels.get(channel_id)
        if channel is None:
            return []
        answer = [] if channel.is_closing else self._association.reset_stream(channel_id, now)
        return [*self._translate(answer, now), *self._remove(channel_id)]

    def _remove(self, channel_id: int) -> list[DataChannelOutput]:
        channel = self._channels.pop(channel_id)
        self._closed += 1
        return [ChannelClosed(channel_id, channel.parameters.label)]

    @staticmethod
    def _id_after(channel_id: int) -> int:
        return channel_id + 2 if channel_id + 2 <= MAX_STREAM else channel_id % 2


_USER_PROTOCOLS: Final = frozenset(PayloadProtocol) - {PayloadProtocol.DCEP}
