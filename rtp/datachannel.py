"""Data channels over an SCTP association (RFC 8831)."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias, assert_never

from rtp.dcep import MESSAGE_ACK, ChannelParameters, PayloadProtocol, parse_open
from rtp.errors import DecodeError, LocalProtocolError, SendQueueFullError
from rtp.sctp.association import MAX_STREAM, SctpAssociation
from rtp.sctp.drops import Drop
from rtp.sctp.outputs import (
    AssociationClosed,
    AssociationUp,
    MessageReceived,
    SctpOutput,
    SctpStatistics,
    SendPacket,
    StreamDrained,
    StreamReset,
)

MAX_CHANNELS: Final = 256
"""Open at once. Clients of LiveKit have three."""
MAX_OPENING_BYTES: Final = 2048
"""The longest DATA_CHANNEL_OPEN taken: label and protocol are kept for as long as the channel is."""
MAX_EARLY_BYTES: Final = 1 << 16
MAX_EARLY_MESSAGES: Final = 64
"""What is kept of messages that came before their DATA_CHANNEL_OPEN; the oldest go first."""


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


@dataclass(frozen=True, slots=True)
class ChannelDrained:
    """What is buffered of a channel has fallen to its drain threshold or below: there is room for more."""

    channel_id: int


DataChannelOutput: TypeAlias = (
    SendPacket | AssociationUp | ChannelOpened | ChannelMessage | ChannelDrained | ChannelClosed | AssociationClosed
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
            SendQueueFullError: too much waits to be sent; no channel was opened.
        """
        opening = parameters.serialize_open()
        if len(self._channels) >= MAX_CHANNELS:
            raise LocalProtocolError(f"{MAX_CHANNELS} data channels are open already")
        while self._next_id in self._channels:
            self._next_id = self._id_after(self._next_id)
        channel_id = self._next_id
        outputs = self._send(channel_id, PayloadProtocol.DCEP, opening, now)
        self._next_id = self._id_after(channel_id)
        self._channels[channel_id] = DataChannel(channel_id, parameters)
        return channel_id, outputs

    def send(self, channel_id: int, data: bytes, now: float, *, is_text: bool = False) -> list[DataChannelOutput]:
        """Send one message by the channel's own rules.

        Raises:
            SendQueueFullError: too much waits to be sent; the message was refused, and nothing has been done.
            LocalProtocolError: if there is no such channel, or it is closing.
        """
        channel = self._open_channel(channel_id)
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
        channel.messages_sent += 1
        return self._translate(outputs, now)

    def buffered_bytes(self, channel_id: int) -> int:
        """Return how many bytes of a channel's messages the peer has not acknowledged: waiting, or under way.

        0 if there is no such channel. Its DATA_CHANNEL_OPEN, or the answer to the peer's, counts too.
        """
        return self._association.buffered_bytes(channel_id)

    def set_drain_threshold(self, channel_id: int, threshold: int) -> None:
        """Put out `ChannelDrained` each time the channel's `buffered_bytes` falls to `threshold` or below.

        Falls: nothing is put out for what is there or below already. Holds until the channel is closed.

        Raises:
            LocalProtocolError: if there is no such channel, or it is closing.
        """
        self._open_channel(channel_id)
        self._association.set_drain_threshold(channel_id, threshold)

    def drop_unsent(self, channel_id: int, keep_bytes: int) -> int:
        """Drop the oldest messages of a lossy channel that wait to be sent, and return how many.

        It stops as soon as no more than `keep_bytes` wait. A message of which a part has been sent stays, and so do
        all of a channel without limits to retransmission. The next call returns `ChannelDrained` if that is due.
        """
        return self._association.drop_unsent(channel_id, keep_bytes)

    def hold(self, size: int) -> None:
        """Count `size` bytes of messages received against the receive window: the application has them still.

        The peer is slowed down as they add up to the window (1 MiB), and stopped there. After the association's end
        this does nothing, as `release` does.
        """
        self._association.hold(size)

    def release(self, size: int, now: float) -> list[DataChannelOutput]:
        """Give back what `hold` took, in any portions. The peer is told when the window has opened notably.

        More than is held is a bug of the caller's: AssertionError.
        """
        return self._translate(self._association.release(size, now), now)

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

    def path_changed(self, now: float) -> list[DataChannelOutput]:
        """Take in that packets go another way from now on."""
        return self._translate(self._association.path_changed(now), now)

    def statistics(self) -> DataChannelStatistics:
        """Return a snapshot."""
        return DataChannelStatistics(
            open_channels=sum(channel.is_open for channel in self._channels.values()),
            channels_opened=self._opened,
            channels_closed=self._closed,
            drops=MappingProxyType(self._drops.copy()),
            association=self._association.statistics(),
        )

    def _open_channel(self, channel_id: int) -> DataChannel:
        channel = self._channels.get(channel_id)
        if channel is None or channel.is_closing:
            raise LocalProtocolError(f"data channel {channel_id} is not open")
        return channel

    def _translate(self, outputs: list[SctpOutput], now: float) -> list[DataChannelOutput]:
        translated: list[DataChannelOutput] = []
        for output in outputs:
            match output:
                case MessageReceived():
                    translated += self._receive_message(output, now)
                case StreamDrained(stream):
                    translated.append(ChannelDrained(stream))
                case StreamReset(streams):
                    self._drop_early(streams)
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
        if data[0] == MESSAGE_ACK:
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
        is_too_long = len(data) > MAX_OPENING_BYTES
        if is_too_long or len(self._channels) >= MAX_CHANNELS:
            self._drops[Drop.MESSAGE_TOO_LARGE if is_too_long else Drop.TOO_MANY_CHANNELS] += 1
            return self._translate(self._association.reset_stream(channel_id, now), now)  # how a channel is refused
        try:
            acknowledgement = self._send(channel_id, PayloadProtocol.DCEP, bytes((MESSAGE_ACK,)), now)
        except SendQueueFullError:  # counted by the association; a channel that is never answered is never used
            return []
        self._channels[channel_id] = channel = DataChannel(channel_id, parameters)
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

    def _drop_early(self, streams: tuple[int, ...]) -> None:
        """Let go of what waits on streams that the peer has reset, all if none is named: it is not the next channel's."""
        if not self._early:
            return
        gone = frozenset(streams)
        kept = [message for message in self._early if gone and message.stream not in gone]
        self._drops[Drop.UNKNOWN_CHANNEL] += len(self._early) - len(kept)
        self._early = deque(kept)
        self._early_bytes = sum(len(message.data) for message in kept)

    def _close_by_peer(self, channel_id: int, now: float) -> list[DataChannelOutput]:
        """Answer the peer's reset of its stream with the reset of ours, unless that is done."""
        channel = self._channels.get(channel_id)
        if channel is None:
            return []
        answer = [] if channel.is_closing else self._association.reset_stream(channel_id, now)
        return [*self._translate(answer, now), *self._remove(channel_id)]

    def _remove(self, channel_id: int) -> list[DataChannelOutput]:
        channel = self._channels.pop(channel_id)
        self._association.set_drain_threshold(channel_id, None)
        self._closed += 1
        return [ChannelClosed(channel_id, channel.parameters.label)]

    @staticmethod
    def _id_after(channel_id: int) -> int:
        return channel_id + 2 if channel_id + 2 <= MAX_STREAM else channel_id % 2


_USER_PROTOCOLS: Final = frozenset(PayloadProtocol) - {PayloadProtocol.DCEP}
