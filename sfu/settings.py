"""What rooms need configured, and what one may ask of a room that is to be made."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sfu.errors import Limited, LimitExceededError


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the texts may be that people and rooms carry, in bytes, and how much media there may be; 0: any.

    `attributes_bytes` is for all of them together, names and values. The subscriptions are those of one participant.
    `tracks` are all that come in and go out, `bytes_per_second` their media: with more, nobody new is let in.
    """

    metadata_bytes: int = 512 * 1024
    attributes_bytes: int = 64 * 1024
    room_name_bytes: int = 256
    identity_bytes: int = 256
    name_bytes: int = 256
    audio_subscriptions: int = 0
    video_subscriptions: int = 0
    tracks: int = 0
    bytes_per_second: int = 0

    def check_metadata(self, metadata: str) -> None:
        """Check the metadata of a participant or a room. Raises LimitExceededError."""
        _check(Limited.METADATA, len(metadata.encode()), self.metadata_bytes)

    def check_profile(self, name: str, metadata: str, attributes: Mapping[str, str]) -> None:
        """Check what a participant is to say about itself. Raises LimitExceededError."""
        _check(Limited.NAME, len(name.encode()), self.name_bytes)
        self.check_metadata(metadata)
        size = sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items())
        _check(Limited.ATTRIBUTES, size, self.attributes_bytes)


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What data there is, and what is asked of those who read it.

    A reader of reliable messages that takes fewer than `slow_threshold` bytes a second is not waited for, and misses
    some; 0: everybody is waited for. Lossy messages that wait longer than their target latency are dropped; 0: never.
    """

    slow_threshold: int
    lossy_latency_seconds: float
    track_latency_seconds: float
    has_tracks: bool = True
    has_blobs: bool = False


@dataclass(frozen=True, slots=True)
class CongestionSettings:
    """What is done where a subscriber's connection cannot carry all that it wants.

    Nothing, unless it is `enabled`. With `may_pause` a video may be paused; else each goes on in its lowest layer.
    """

    enabled: bool = True
    may_pause: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long somebody is waited for of whom nothing is heard any more, in seconds.

    After `consent_seconds` without a sign of life its media path is given up (RFC 7675 §5.1), and whoever has not come
    back by a new signal connection `resume_seconds` later is removed.
    """

    consent_seconds: float = 15.0
    resume_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class PlayoutDelay:
    """How long subscribers hold pictures back before they show them: at least, and at most."""

    min_ms: int = 0
    max_ms: int = 0


NO_PLAYOUT_DELAY: Final = PlayoutDelay()


@dataclass(frozen=True, slots=True)
class AgentWish:
    """Which agents are sent to a room, and what they are told; without a name, whoever has none."""

    agent_name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class RoomWishes:
    """What is asked of a room by whoever makes it: zero, or nothing, where the server is to say."""

    empty_timeout_seconds: int = 0
    departure_timeout_seconds: int = 0
    max_participants: int = 0
    metadata: str = ""
    agents: tuple[AgentWish, ...] = ()
    sync_streams: bool = False
    playout_delay: PlayoutDelay = NO_PLAYOUT_DELAY


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """What a room begins with.

    It outlives its people: for `empty_timeout_seconds` if nobody came, for `departure_timeout_seconds` after the last
    has left. `max_participants` of 0 stands for any number. With `replaces_duplicates` a newcomer
    takes the place of whoever has its identity; else it is turned away. With `sync_streams` what belongs together of a
    publisher, as camera and microphone, is one stream to subscribers, which they play in time. Without a `playout_delay` they are told
    of none, and go by the network alone.
    """

    empty_timeout_seconds: int = 300
    departure_timeout_seconds: int = 20
    max_participants: int = 0
    metadata: str = ""
    replaces_duplicates: bool = True
    agents: tuple[AgentWish, ...] = ()
    sync_streams: bool = False
    playout_delay: PlayoutDelay | None = None

    def granting(self, wishes: RoomWishes) -> "RoomSettings":
        """Return these settings with what `wishes` say in their place."""
        return replace(
            self,
            empty_timeout_seconds=wishes.empty_timeout_seconds or self.empty_timeout_seconds,
            departure_timeout_seconds=wishes.departure_timeout_seconds or self.departure_timeout_seconds,
            max_participants=wishes.max_participants or self.max_participants,
            metadata=wishes.metadata or self.metadata,
            agents=wishes.agents or self.agents,
            sync_streams=wishes.sync_streams or self.sync_streams,
            playout_delay=self.playout_delay if wishes.playout_delay == NO_PLAYOUT_DELAY else wishes.playout_delay,
        )


def _check(what: Limited, size: int, limit: int) -> None:
    if limit and size > limit:
        raise LimitExceededError(what, limit)
