"""What a session begins with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from sfu.model import Claims
from sfu.room.watching import Watching

if TYPE_CHECKING:
    from sfu.room.participant import Participant


@dataclass(frozen=True, slots=True)
class Joining:
    """What somebody asks for who joins.

    `offer` and its id come with the join on the single connection, where `single_connection` is true. Without
    `has_signal` that is all that we are told, and our answer is all that we can tell: the candidates stand in it. Who is
    `watching` has offered all sections that it will ever have. Who `stands_for` somebody in another room has no client.
    `may_pause` says whether videos may be paused for want of bandwidth, if the client says so.
    """

    claims: Claims
    client_info: models.ClientInfo
    auto_subscribe: bool
    auto_subscribe_data: bool
    single_connection: bool
    offer: rtc.SessionDescription | None = None
    add_tracks: tuple[rtc.AddTrackRequest, ...] = ()
    has_signal: bool = True
    may_pause: bool | None = None
    watching: Watching | None = None
    stands_for: "Participant | None" = None
