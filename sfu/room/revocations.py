"""Tokens that open a room no more, because their bearer was sent out of it."""

from typing import Final

from sfu.model import Claims, Identity, RoomName

MAX_REVOCATIONS: Final = 10_000
"""The oldest are forgotten first. Those of tokens that have expired do no harm, and no good."""


class Revocations:
    """Who was sent out of which room, and when: in memory only."""

    def __init__(self) -> None:
        self._until: dict[tuple[RoomName, Identity], float] = {}

    def revoke(self, room: RoomName, identity: Identity, until: float) -> None:
        """Refuse somebody's tokens that were made until then, in Unix seconds; what was refused already stays so."""
        until = max(until, self._until.pop((room, identity), until))
        self._until[room, identity] = until
        if len(self._until) > MAX_REVOCATIONS:
            del self._until[next(iter(self._until))]

    def cover(self, room: RoomName, claims: Claims) -> bool:
        """Say whether a token is refused. One that does not say when it was made is, whenever that was."""
        until = self._until.get((room, claims.identity))
        return until is not None and (claims.made_at is None or claims.made_at <= until)
