"""LiveKit's data packets: what is read of one, what the server writes into it, and whom it is for."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from google.protobuf.message import DecodeError as ProtobufDecodeError
from livekit.protocol import models

from rtp.errors import DecodeError
from sfu.model import Claims, Identity, ParticipantSid, VideoGrant

RELIABLE: Final = "_reliable"
LOSSY: Final = "_lossy"
DATA_TRACK: Final = "_data_track"
"""The labels of LiveKit's channels."""

KINDS: Final = {RELIABLE: models.DataPacket.RELIABLE, LOSSY: models.DataPacket.LOSSY}
"""What a packet is, by the channel that it comes and goes on."""


class Drop(Enum):
    """Why a message, or one reader's copy of it, went no further."""

    MALFORMED = auto()
    NOT_ALLOWED = auto()
    """The sender may not publish data."""
    NOT_AN_AGENT = auto()
    """Only agents transcribe."""
    REPEATED_SEQUENCE = auto()
    """A reliable packet that came before: clients send again what they are not sure of when they resume."""
    REPEATED_NONCE = auto()
    UNKNOWN_TRACK = auto()
    """A frame of a data track that its sender has not published."""
    NO_CHANNEL = auto()
    """The reader has no such channel (yet), and the message is of no use later."""
    SLOW_READER = auto()
    """A reliable message, for a reader who does not keep up with the others."""
    LATE = auto()
    """A lossy message that a newer one has overtaken."""
    QUEUE_FULL = auto()
    """A reader has as much to read as we keep for anybody."""
    OUTDATED = auto()
    """Kept for a reader whose channel was not open, until there was too much of it, or too long."""


class Person(Protocol):
    """Who sends or reads data, as its packets and their ways depend on it. What it may do can change at any time."""

    @property
    def identity(self) -> Identity:
        """Who it is."""

    @property
    def sid(self) -> ParticipantSid:
        """Which stay of it."""

    @property
    def claims(self) -> Claims:
        """What kind of participant it is."""

    @property
    def grant(self) -> VideoGrant:
        """What it may do."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a packet is for: those named, or everybody if nobody is; of metrics, only who may have them."""

    identities: frozenset[str] = frozenset()
    sids: frozenset[str] = frozenset()
    is_metrics: bool = False

    def includes(self, person: Person) -> bool:
        """Say whether `person` is to get it."""
        if self.is_metrics and not person.grant.can_subscribe_metrics:
            return False
        return not (self.identities or self.sids) or person.identity in self.identities or person.sid in self.sids


EVERYBODY: Final = Audience()


def parse_packet(data: bytes) -> models.DataPacket:
    """Read a packet. Fields and values that we do not know stay in it.

    Raises:
        DecodeError: if it is none.
    """
    try:
        return models.DataPacket.FromString(data)
    except ProtobufDecodeError as error:
        raise DecodeError("no data packet") from error


def objection(packet: models.DataPacket, sender: Person) -> Drop | None:
    """Return why `sender` may not send this, or None."""
    if not sender.grant.may_publish_data:
        return Drop.NOT_ALLOWED
    if packet.HasField("transcription") and not sender.claims.is_agent:
        return Drop.NOT_AN_AGENT
    return None


def sign(packet: models.DataPacket, sender: Person) -> None:
    """Write the true sender into a packet, whatever it says of itself.

    Of a hidden sender only the sid is told. An agent may write in somebody else's name where readers can be told so.
    """
    identity = "" if sender.grant.hidden else sender.identity
    packet.participant_sid = sender.sid
    if not _speaks_for_another(packet, sender):
        packet.participant_identity = identity
    if packet.HasField("user"):  # what clients read before packets had senders of their own
        packet.user.participant_identity = identity
        packet.user.participant_sid = "" if sender.grant.hidden else sender.sid


def address(packet: models.DataPacket) -> Audience:
    """Return whom a packet is for. The two places where it can say so are made equal: clients read one or the other."""
    is_metrics = packet.HasField("metrics")
    if not packet.HasField("user"):
        return Audience(frozenset(packet.destination_identities), is_metrics=is_metrics)
    if packet.destination_identities:
        packet.user.destination_identities[:] = packet.destination_identities
    else:
        packet.destination_identities[:] = packet.user.destination_identities
    return Audience(frozenset(packet.destination_identities), frozenset(packet.user.destination_sids))


def _speaks_for_another(packet: models.DataPacket, sender: Person) -> bool:
    """Let an agent write in another's name, in what can be marked as made by a machine: chat messages and texts."""
    if not sender.claims.is_agent or packet.participant_identity in {"", sender.identity}:
        return False
    if packet.HasField("chat_message"):
        packet.chat_message.generated = True
        return True
    if packet.HasField("stream_header") and packet.stream_header.HasField("text_header"):
        packet.stream_header.text_header.generated = True
        return True
    return False
