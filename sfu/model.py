"""Ids, and plain facts that every part of the server speaks of."""

from enum import StrEnum
from random import Random
from typing import Final, NewType

from msgspec import Struct, field

RoomName = NewType("RoomName", str)
"""What clients call a room."""

Identity = NewType("Identity", str)
"""Who a participant is: unique in a room, chosen by whoever made the token."""

ParticipantSid = NewType("ParticipantSid", str)
"""One stay of a participant in a room: `PA_` and twelve characters."""

TrackSid = NewType("TrackSid", str)
"""One published track: `TR_`, a letter for its kind, one for its source, and twelve characters."""


class ParticipantKind(StrEnum):
    """What a participant is, as tokens spell it."""

    STANDARD = "standard"
    INGRESS = "ingress"
    EGRESS = "egress"
    SIP = "sip"
    AGENT = "agent"
    CONNECTOR = "connector"
    BRIDGE = "bridge"


FORWARDED: Final = "forwarded"
"""The detail of its kind that marks who is in a room only to show there what it publishes in another."""


class VideoGrant(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a token allows (its `video` claim).

    Fields hold what the token says; where `None` is possible the token may also say nothing, and a `may_` property
    tells what holds then.
    """

    room_create: bool = False
    room_list: bool = False
    room_record: bool = False
    room_admin: bool = False
    room_join: bool = False
    room: str = ""
    destination_room: str = ""
    can_publish: bool | None = None
    can_subscribe: bool | None = None
    can_publish_data: bool | None = None
    can_publish_sources: tuple[str, ...] = ()
    can_update_own_metadata: bool | None = None
    can_subscribe_metrics: bool | None = None
    can_manage_agent_session: bool | None = None
    ingress_admin: bool = False
    hidden: bool = False
    recorder: bool = False
    agent: bool = False

    @property
    def may_publish(self) -> bool:
        """Media tracks: allowed unless forbidden."""
        return self.can_publish is not False

    @property
    def may_subscribe(self) -> bool:
        """Allowed unless forbidden."""
        return self.can_subscribe is not False

    @property
    def may_publish_data(self) -> bool:
        """Data packets and data tracks: like media if the token does not say."""
        return self.may_publish if self.can_publish_data is None else self.can_publish_data

    @property
    def may_update_own_metadata(self) -> bool:
        """Own name, metadata and attributes: forbidden unless allowed."""
        return self.can_update_own_metadata is True

    def may_publish_source(self, source: str) -> bool:
        """Whether a track of this source (`camera`, `microphone`, `screen_share`, …) may be published."""
        return self.may_publish and (not self.can_publish_sources or source in self.can_publish_sources)


class SipGrant(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a token allows of telephony (its `sip` claim)."""

    admin: bool = False
    call: bool = False


class Claims(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a token says about its bearer, under the names of LiveKit's tokens.

    `expires_at` is in Unix seconds. `is_refreshed` is our own: true in the tokens that a participant gets to come back
    with, also to a server that has been restarted meanwhile. `room_config` is a RoomConfiguration as proto3 JSON, for
    the room that this join may create.
    """

    identity: Identity = Identity("")
    name: str = ""
    kind: str = ParticipantKind.STANDARD
    kind_details: tuple[str, ...] = ()
    video: VideoGrant | None = None
    sip: SipGrant | None = None
    metadata: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    room_config: dict[str, object] | None = None
    room_preset: str = ""
    sha256: str = ""
    api_key: str = field(default="", name="iss")
    expires_at: float = field(default=0.0, name="exp")
    issued_at: float | None = field(default=None, name="iat")
    not_before: float | None = field(default=None, name="nbf")
    is_refreshed: bool = field(default=False, name="refreshed")

    @property
    def made_at(self) -> float | None:
        """When the token was made, in Unix seconds, as far as it says."""
        return self.not_before if self.issued_at is None else self.issued_at

    @property
    def participant_kind(self) -> ParticipantKind:
        """The kind, of which an unknown spelling means a standard participant."""
        try:
            return ParticipantKind(self.kind)
        except ValueError:
            return ParticipantKind.STANDARD

    @property
    def is_agent(self) -> bool:
        """Whether the participant is an agent, by its kind or by its grant."""
        return self.kind == ParticipantKind.AGENT or (self.video is not None and self.video.agent)

    @property
    def is_dependent(self) -> bool:
        """Whether the participant is here for others: it keeps no room open and counts in no limit."""
        return self.is_agent or self.is_recorder

    @property
    def is_recorder(self) -> bool:
        """Whether the participant records what happens, by its kind or by its grant: people are to know."""
        return self.kind == ParticipantKind.EGRESS or (self.video is not None and self.video.recorder)


MAX_SID_LENGTH: Final = 64
"""No id of ours is longer, so a longer one that a client speaks of is nobody's, and need not be remembered."""

SID_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Digits and letters without those that look alike."""


def new_sid(prefix: str, dice: Random) -> str:
    """Return an id that nobody else has: `prefix` and twelve characters."""
    return prefix + "".join(dice.choices(SID_ALPHABET, k=12))
