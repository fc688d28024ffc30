"""The data of one room: takes each message once, makes it ready once, and hands it to whomever it is for."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import trio
from livekit.protocol import models

from rtp.datachannel import ChannelClosed, ChannelMessage, ChannelOpened
from rtp.errors import DecodeError, SendQueueFullError
from sfu.data.calls import ServerCalls
from sfu.data.history import History, Kept, NonceFilter, SequenceFilter
from sfu.data.packets import KINDS, LOSSY, RELIABLE, Drop, Person, address, objection, parse_packet, sign
from sfu.model import ParticipantSid

logger = logging.getLogger(__name__)


class ChannelSender(Protocol):
    """The connection on which somebody reads data."""

    def send_message(self, channel_id: int, data: bytes, *, is_text: bool = False) -> None:
        """Send on an open channel."""

    def fail(self, error: Exception) -> None:
        """End whoever has this connection, soon."""


class Member:
    """One person's part in a room's data: its open channels to read on, and what it has sent.

    `last_sequence` is the number of the last reliable packet that was taken from it. Without a reliable channel it
    `waits_from` a message of the room's history.
    """

    def __init__(self, person: Person, connection: ChannelSender, waits_from: int) -> None:
        self.person = person
        self.sequences = SequenceFilter()
        self.waits_from = waits_from
        self._connection = connection
        self._channels: dict[str, int] = {}

    @property
    def last_sequence(self) -> int:
        """The number of the last reliable packet that was taken from it, 0 before the first."""
        return self.sequences.highest

    def has_channel(self, label: str) -> bool:
        """Say whether it can read on a channel of this label."""
        return label in self._channels

    def open(self, label: str, channel_id: int) -> bool:
        """Note an open channel. Of several with one label the first counts; False for the others."""
        return self._channels.setdefault(label, channel_id) == channel_id

    def close(self, label: str, channel_id: int) -> bool:
        """Forget a channel. False if it is not the one in use."""
        if self._channels.get(label) != channel_id:
            return False
        del self._channels[label]
        return True

    def send(self, label: str, data: bytes, *, is_text: bool = False) -> None:
        """Send on an open channel. Never raises: a fault ends this member, and nobody else."""
        try:
            self._connection.send_message(self._channels[label], data, is_text=is_text)
        except SendQueueFullError:
            logger.debug("%s reads too slowly: a message on %s was dropped", self.person.identity, label)
        except Exception as error:  # noqa: BLE001 - the fence round each reader, as round each row of a fan-out
            self._connection.fail(error)


class DataRelay:
    """Who of a room sends and reads data, and the ways between them. Never blocks.

    `calls` are made by the server; their answers are taken out of what the members send.
    """

    def __init__(self) -> None:
        self.calls = ServerCalls(self.send)
        self._members: dict[ParticipantSid, Member] = {}
        self._history = History()
        self._nonces = NonceFilter()
        self._drops: Counter[Drop] = Counter()

    def join(self, person: Person, connection: ChannelSender) -> Member:
        """Let somebody send, and read on the channels of `connection` as they open; reliable messages wait for that."""
        member = Member(person, connection, self._history.next_number)
        self._members[person.sid] = member
        return member

    def leave(self, member: Member) -> None:
        """Send nothing more to somebody. Idempotent."""
        if self._members.pop(member.person.sid, None) is not None:
            self.calls.lost(member.person.identity)

    def channel_opened(self, member: Member, channel: ChannelOpened) -> None:
        """Send on this channel from now on: first, if it is the reliable one, what has waited for it."""
        label = channel.parameters.label
        if not member.open(label, channel.channel_id) or label != RELIABLE:
            return
        self._history.expire(trio.current_time())
        self._drops[Drop.OUTDATED] += max(0, self._history.first_number - member.waits_from)
        for kept in self._history.since(member.waits_from):
            if kept.sender != member.person.sid and kept.audience.includes(member.person):
                member.send(label, kept.data)

    def channel_closed(self, member: Member, channel: ChannelClosed) -> None:
        """Send on this channel no more."""
        if member.close(channel.label, channel.channel_id) and channel.label == RELIABLE:
            member.waits_from = self._history.next_number

    def receive(self, sender: Member, message: ChannelMessage) -> None:
        """Take a message from a member and pass it on, or count why not."""
        drop: Drop | None
        match message.label:
            case "_reliable" | "_lossy":
                drop = self._receive_packet(sender, message)
            case "_data_track":
                drop = Drop.UNKNOWN_TRACK
            case _:
                drop = self._receive_raw(sender, message)
        if drop is not None:
            self._drops[drop] += 1

    def send(self, packet: models.DataPacket, kind: models.DataPacket.Kind) -> None:
        """Send a packet of the server's own, which says itself whom it is from."""
        label = LOSSY if kind == models.DataPacket.LOSSY else RELIABLE
        if (drop := self._pass_on(packet, label, None)) is not None:
            self._drops[drop] += 1

    def statistics(self) -> Mapping[Drop, int]:
        """Return how many messages went no further, by cause."""
        return self._drops.copy()

    def _receive_packet(self, sender: Member, message: ChannelMessage) -> Drop | None:
        try:
            packet = parse_packet(message.data)
        except DecodeError:
            return Drop.MALFORMED
        if (drop := objection(packet, sender.person)) is not None:
            return drop
        if message.label == RELIABLE and not sender.sequences.take(packet.sequence):
            return Drop.REPEATED_SEQUENCE
        if self.calls.take(packet, sender.person):
            return None
        sign(packet, sender.person)
        return self._pass_on(packet, message.label, sender)

    def _receive_raw(self, sender: Member, message: ChannelMessage) -> Drop | None:
        """Pass bytes on, unread, to those who have a channel of that label themselves."""
        if not sender.person.grant.may_publish_data:
            return Drop.NOT_ALLOWED
        for member in self._members.values():
            if member is not sender and member.has_channel(message.label):
                member.send(message.label, message.data, is_text=message.is_text)
        return None

    def _pass_on(self, packet: models.DataPacket, label: str, sender: Member | None) -> Drop | None:
        if not self._nonces.take(packet.user.nonce):
            return Drop.REPEATED_NONCE
        packet.kind = KINDS[label]
        audience = address(packet)
        data = packet.SerializeToString()  # once, however many there are to read it
        if label == RELIABLE:
            sid = sender.person.sid if sender is not None else None
            self._history.append(Kept(data, audience, sid, trio.current_time()))
        for member in list(self._members.values()):
            if member is sender or not audience.includes(member.person):
                continue
            if member.has_channel(label):
                member.send(label, data)
            elif label != RELIABLE:  # which waits in the history
                self._drops[Drop.NO_CHANNEL] += 1
        return None
