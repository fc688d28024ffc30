"""Who is let into which room: what every way in asks of a token, and of the room that it names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sfu.model import Claims, Identity, RoomName, VideoGrant
from sfu.settings import Limits
from signaling import tokens
from signaling.http.errors import HttpError
from signaling.http.request import Request

NO_ACCESS: Final = "no permissions to access the room"


class RoomDirectory(Protocol):
    """What has to be known of rooms before anybody is let in."""

    def is_open(self, name: RoomName) -> bool:
        """Whether there is a room of this name now."""

    def is_revoked(self, name: RoomName, claims: Claims) -> bool:
        """Whether a token is refused because its bearer was sent out of the room."""

    def is_overloaded(self) -> bool:
        """Whether there is as much media as there may be."""

    def is_taken(self, name: RoomName, identity: Identity) -> bool:
        """Whether somebody of this identity is in the room who is not to be replaced."""


@dataclass(frozen=True, slots=True)
class Door:
    """The door to rooms.

    `keys` are secrets by API key, `wall` gives Unix seconds. Without `auto_create` only rooms that exist are entered.
    `limits` are for the names of rooms and people.
    """

    keys: Mapping[str, str]
    wall: Callable[[], float]
    rooms: RoomDirectory
    auto_create: bool
    limits: Limits

    def authenticate(self, request: Request) -> Claims | None:
        """Read the token that came with a request; None if there is none. Raises TokenError."""
        return tokens.authenticate(request, self.keys, self.wall())

    def admit(self, claims: Claims | None) -> tuple[Claims, VideoGrant]:
        """Check that a token lets its bearer into a room; return it with its grant. Raises HttpError."""
        claims, grant = check_grant(claims, self.limits)
        if self.rooms.is_revoked(RoomName(grant.room), claims):
            raise HttpError(401, "invalid token, error: token has been revoked")
        return claims, grant

    def check_room(self, claims: Claims, grant: VideoGrant) -> None:
        """Check that the room can be entered now, by somebody new. Raises HttpError."""
        name = RoomName(grant.room)
        if not (self.auto_create or grant.room_create or self.rooms.is_open(name)):
            raise HttpError(404, "requested room does not exist")
        if self.rooms.is_overloaded():
            raise HttpError(503, "node has exceeded its configured limit")
        if self.rooms.is_taken(name, claims.identity):
            raise HttpError(403, "a participant with the same identity is already in the room")


def check_grant(claims: Claims | None, limits: Limits) -> tuple[Claims, VideoGrant]:
    """Check that a token lets its bearer into some room; return it with its grant. Raises HttpError."""
    if claims is None or claims.video is None:
        raise HttpError(401, NO_ACCESS)
    grant = claims.video
    if not grant.room_join:
        raise HttpError(401, "permissions denied")
    if not claims.identity:
        raise HttpError(400, "identity cannot be empty")
    if _is_too_long(claims.identity, limits.identity_bytes):
        raise HttpError(400, f"participant identity length exceeds limits: max length {limits.identity_bytes}")
    if not grant.room:
        raise HttpError(400, "no room name")
    if _is_too_long(grant.room, limits.room_name_bytes):
        raise HttpError(400, f"room name length exceeds limits: max length {limits.room_name_bytes}")
    return claims, grant


def _is_too_long(name: str, limit: int) -> bool:
    return 0 < limit < len(name.encode())
