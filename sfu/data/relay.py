"""The data of one room: takes each message once, makes it ready once, and hands it to whomever it is for."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

import trio
from livekit.protocol import models

from rtp.datachannel import ChannelClosed, ChannelMessage, ChannelOpened
from rtp.errors import DecodeError
from sfu.data.calls import ServerCalls
from sfu.data.history import History, Kept, NonceFilter, SequenceFilter
from sfu.data.packets import (
    DATA_TRACK,
    EVERYBODY,
    KINDS,
    LOSSY,
    RELIABLE,
    Drop,
    Person,
    address,
    objection,
    parse_packet,
    sign,
)
from sfu.data.tracks import DataTracks
from sfu.data.writers import Connection, Hold, LossyWriter, ReliableWriter
from sfu.model import ParticipantSid
from sfu.settings import DataSettings

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 0.1
"""How often we look at readers for whom senders wait, and who might have come to a stop."""


class Member:
    """One person's part in a room's data: the channels that it reads on, and what it has sent.

    Without a reliable channel it `waits_from` a message of the room's history on.
    """

    def __init__(self, person: Person, connection: Connection, waits_from: int) -> None:
        self.person = person
        self.connection = connection
        self.waits_from = waits_from
        self.sequences = SequenceFilter()
        self.writers: dict[str, ReliableWriter | LossyWriter] = {}
        self._channels: dict[str, ChannelOpened] = {}

    @property
    def last_sequence(self) -> int:
        """The number of the last reliable packet that was taken from it, 0 before the first."""
        return self.sequences.highest

    @property
    def is_holding(self) -> bool:
        """Whether senders wait for it."""
        return any(isinstance(writer, ReliableWriter) and writer.is_holding for writer in self.writers.values())

    def open(self, channel: ChannelOpened, writer: ReliableWriter | LossyWriter) -> bool:
        """Use a channel from now on. Of several with one label the first is in use: False for the others."""
        label = channel.parameters.label
        if label in self.writers:
            return False
        self._channels[label] = channel
        self.writers[label] = writer
        return True

    @property
    def channels(self) -> list[ChannelOpened]:
        """The channels that are in use."""
        return list(self._channels.values())

    def close(self, channel: ChannelClosed) -> bool:
        """Use a channel no more. False if it was not in use."""
        if (used := self._channels.get(channel.label)) is None or used.channel_id != channel.channel_id:
            return False
        del self._channels[channel.label]
        self._let_go(self.writers.pop(channel.label))
        return True

    def close_all(self) -> None:
        """Use no channel any more."""
        for writer in self.writers.values():
            self._let_go(writer)
        self.writers.clear()
        self._channels.clear()

    def write(self, label: str, data: bytes, hold: Hold, now: float, *, is_text: bool = False) -> None:
        """Send on a channel that is in use. A fault ends this member, and nobody else."""
        writer = self.writers[label]
        try:
            if isinstance(writer, ReliableWriter):
                writer.write(data, hold, now, is_text=is_text)
            else:
                writer.write(data, now, is_text=is_text)
        except Exception as error:  # noqa: BLE001 - the fence: what is wrong with a reader is no fault of the sender's
            self.connection.fail(error)

    def check(self, now: float) -> None:
        """See whether senders need wait for it any longer. A fault ends this member, and nobody else."""
        try:
            for writer in self.writers.values():
                if isinstance(writer, ReliableWriter):
                    writer.check(now)
        except Exception as error:  # noqa: BLE001 - the same fence
            self.connection.fail(error)

    @staticmethod
    def _let_go(writer: ReliableWriter | LossyWriter) -> None:
        if isinstance(writer, ReliableWriter):
            writer.close()


class DataRelay:
    """Who of a room sends and reads data, and the ways between them. Never blocks, but for `run`.

    `calls` are made by the server; their answers are taken out of what the members send.
    """

    def __init__(self, settings: DataSettings, tracks: DataTracks) -> None:
        self.calls = ServerCalls(self.send)
        self._settings = settings
        self._tracks = tracks
        self._members: dict[ParticipantSid, Member] = {}
        self._history = History()
        self._nonces = NonceFilter()
        self._drops: Counter[Drop] = Counter()
        self._held = trio.Event()

    def join(self, person: Person, connection: Connection) -> Member:
        """Let somebody send, and read on the channels of `connection` as they open; reliable messages wait for that."""
        member = Member(person, connection, self._history.next_number)
        self._members[person.sid] = member
        return member

    def take_over(self, former: Member, channels: Sequence[ChannelOpened]) -> Member:
        """Let somebody who was a member elsewhere go on here, with the channels that it used there.

        Its numbers go on too: it may send again what it is not sure of.
        """
        member = self.join(former.person, former.connection)
        member.sequences = former.sequences
        for channel in channels:
            self.channel_opened(member, channel)
        return member

    def leave(self, member: Member) -> None:
        """Send nothing more to somebody. Idempotent."""
        member.close_all()
        if self._members.pop(member.person.sid, None) is not None:
            self.calls.lost(member.person.identity)

    def channel_opened(self, member: Member, channel: ChannelOpened) -> None:
        """Send on this channel from now on: first, if it is the reliable one, what has waited for it."""
        if member.open(channel, self._new_writer(member, channel)) and channel.parameters.label == RELIABLE:
            self._send_history(member)

    def channel_closed(self, member: Member, channel: ChannelClosed) -> None:
        """Send on this channel no more."""
        if member.close(channel) and channel.label == RELIABLE:
            member.waits_from = self._history.next_number

    def receive(self, sender: Member, connection: Connection, message: ChannelMessage) -> None:
        """Take a message that came on a connection of a member's, and pass it on, or count why not."""
        hold = Hold(connection, len(message.data))
        if message.label in KINDS:
            drop = self._receive_packet(sender, message, hold)
        elif message.label == DATA_TRACK:
            drop = self._receive_frame(sender, message, hold)
        else:
            drop = self._receive_raw(sender, message, hold)
        if drop is not None:
            self._drops[drop] += 1

    def send(self, packet: models.DataPacket, kind: models.DataPacket.Kind) -> None:
        """Send a packet of the server's own, which says itself whom it is from."""
        label = LOSSY if kind == models.DataPacket.LOSSY else RELIABLE
        if (drop := self._pass_on(packet, label, None, Hold(None, 0))) is not None:
            self._drops[drop] += 1

    async def run(self) -> NoReturn:
        """See to it, until cancelled, that nobody waits for a reader who has stopped."""
        while True:
            await self._held.wait()
            self._held = trio.Event()
            await trio.sleep(CHECK_SECONDS)
            for member in list(self._members.values()):
                member.check(trio.current_time())
            self._note_holding()

    def statistics(self) -> Mapping[Drop, int]:
        """Return how many messages, or readers' copies of them, went no further, by cause."""
        return {cause: count for cause, count in self._drops.items() if count}

    def _receive_packet(self, sender: Member, message: ChannelMessage, hold: Hold) -> Drop | None:
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
        return self._pass_on(packet, message.label, sender, hold)

    def _receive_frame(self, sender: Member, message: ChannelMessage, hold: Hold) -> Drop | None:
        """Pass a packet of a data track on to those who have subscribed to it."""
        try:
            route = self._tracks.route(sender.person.sid, message.data)
        except DecodeError:
            return Drop.MALFORMED
        if route is None:
            return Drop.UNKNOWN_TRACK
        now = trio.current_time()
        for sid, data in route:
            self._write(self._members[sid], DATA_TRACK, data, hold, now)
        return None

    def _receive_raw(self, sender: Member, message: ChannelMessage, hold: Hold) -> Drop | None:
        """Pass bytes on, unread, to those who have a channel of that label themselves."""
        if not sender.person.grant.may_publish_data:
            return Drop.NOT_ALLOWED
        for member in list(self._members.values()):
            if member is not sender and message.label in member.writers:
                member.write(message.label, message.data, hold, trio.current_time(), is_text=message.is_text)
        self._note_holding()
        return None

    def _pass_on(self, packet: models.DataPacket, label: str, sender: Member | None, hold: Hold) -> Drop | None:
        if not self._nonces.take(packet.user.nonce):
            return Drop.REPEATED_NONCE
        packet.kind = KINDS[label]
        audience = address(packet)
        data = packet.SerializeToString()  # once, however many there are to read it
        now = trio.current_time()
        if label == RELIABLE:
            sid = sender.person.sid if sender is not None else None
            self._history.append(Kept(data, audience, sid, now))
        is_for_all = audience == EVERYBODY
        for member in list(self._members.values()):
            if member is not sender and (is_for_all or audience.includes(member.person)):
                self._write(member, label, data, hold, now)
        if label == RELIABLE:
            self._note_holding()
        return None

    def _write(self, member: Member, label: str, data: bytes, hold: Hold, now: float) -> None:
        if label in member.writers:
            member.write(label, data, hold, now)
        elif label != RELIABLE:  # which waits in the history
            self._drops[Drop.NO_CHANNEL] += 1

    def _send_history(self, member: Member) -> None:
        now = trio.current_time()
        self._history.expire(now)
        self._drops[Drop.OUTDATED] += max(0, self._history.first_number - member.waits_from)
        for kept in self._history.since(member.waits_from):
            if kept.sender != member.person.sid and kept.audience.includes(member.person):
                member.write(RELIABLE, kept.data, Hold(None, 0), now)

    def _note_holding(self) -> None:
        if not self._held.is_set() and any(member.is_holding for member in self._members.values()):
            self._held.set()

    def _new_writer(self, member: Member, channel: ChannelOpened) -> ReliableWriter | LossyWriter:
        parameters, to = channel.parameters, (member.connection, channel.channel_id)
        if parameters.max_retransmits is None and parameters.max_lifetime is None:
            return ReliableWriter(*to, self._settings.slow_threshold, member.person.identity, self._drops)
        if parameters.label == DATA_TRACK:
            return LossyWriter(*to, self._settings.track_latency_seconds, self._drops)
        return LossyWriter(*to, self._settings.lossy_latency_seconds, self._drops)
