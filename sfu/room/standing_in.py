"""Keeping a stand-in like the participant in another room for whom it stands."""

from typing import TYPE_CHECKING

import msgspec

from sfu.errors import CloseReason
from sfu.model import FORWARDED, Claims
from sfu.room.outgoing import Outgoing

if TYPE_CHECKING:
    from sfu.room.participant import Participant


class StandInSink:
    """The `SignalSink` of a stand-in, which has no client: the original's is told that somebody gets its tracks."""

    def __init__(self, original: "Participant") -> None:
        self._original = original

    def send(self, outgoing: Outgoing) -> None:
        """Pass on what is news for the original's client, and drop the rest."""
        if outgoing.message.WhichOneof("message") == "track_subscribed":
            self._original.tell_all(outgoing)

    def close(self) -> None:
        """The original's socket is not ours to end."""


def stand_in_claims(claims: Claims, room: str) -> Claims:
    """Return what a stand-in in `room` says of itself: what the original does, and that it is none."""
    assert claims.video is not None, "who is in a room has a grant for it"
    return msgspec.structs.replace(
        claims,
        kind_details=tuple(dict.fromkeys((*claims.kind_details, FORWARDED))),
        video=msgspec.structs.replace(claims.video, room=room, can_subscribe=False),
        room_config=None,
        room_preset="",
    )


def mirror(stand_in: "Participant", original: "Participant") -> None:
    """Let a stand-in say and publish what its original does now."""
    said = original.claims
    stand_in.claims = msgspec.structs.replace(
        stand_in.claims, name=said.name, metadata=said.metadata, attributes=said.attributes
    )
    stand_in.is_publisher = original.is_publisher
    stand_in.publisher.mirror(original.publisher)
    stand_in.room.reconcile_all()  # the original may have said who may have its tracks
    stand_in.room.news.changed(stand_in)


async def follow(stand_in: "Participant", original: "Participant") -> None:
    """Keep a stand-in like its original, until that leaves its room; then the stand-in leaves too."""
    stay = original.sid
    while original.sid == stay and not original.has_left:
        seen = original.changes.version
        mirror(stand_in, original)
        await original.changes.wait_changed(seen)
    stand_in.close(original.close_reason or CloseReason.MOVED)
