"""How many people a room has, of which sort: kept, for everybody who joins is told, and counting them takes time."""

from typing import TYPE_CHECKING

from sfu.model import Identity

if TYPE_CHECKING:
    from sfu.room.participant import Participant


class Headcount:
    """Who in a room is there of their own accord, who publishes, and who records."""

    def __init__(self) -> None:
        self.independent: set[Identity] = set()
        """Those who keep a room open, and count in its limit."""
        self.publishers: set[Identity] = set()
        self.recorders: set[Identity] = set()

    def note(self, participant: "Participant") -> None:
        """Take somebody as it is now: after it has come in, and after each change. Idempotent."""
        self.forget(participant.identity)
        if not participant.claims.is_dependent:
            self.independent.add(participant.identity)
        if participant.is_publisher:
            self.publishers.add(participant.identity)
        if participant.claims.is_recorder:
            self.recorders.add(participant.identity)

    def forget(self, identity: Identity) -> None:
        """Count somebody no longer. Idempotent."""
        self.independent.discard(identity)
        self.publishers.discard(identity)
        self.recorders.discard(identity)
