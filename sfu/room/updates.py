"""News of participants: at once from those who publish, gathered for a moment from those who only listen."""

from typing import TYPE_CHECKING, Final

import trio
from livekit.protocol import models, rtc

from sfu.errors import CloseReason
from sfu.model import Identity
from sfu.room.outgoing import Outgoing
from sfu.room.projections import as_element, participant_info, updates

if TYPE_CHECKING:
    from sfu.room.participant import Participant
    from sfu.room.room import Room

MAX_DEPARTED: Final = 1_000
"""People remembered after they have gone, for those who were away meanwhile; the longest gone are forgotten first."""

UPDATE_INTERVAL_SECONDS: Final = 3.0
"""For how long news of people who publish nothing may wait."""


MISSED_SECONDS: Final = 2 * UPDATE_INTERVAL_SECONDS
"""How long before a client spoke last somebody may have gone of whom it has not heard."""


class ParticipantNews:
    """What is still to be told of each identity. At most one piece of news waits for each: the newest."""

    def __init__(self, room: "Room") -> None:
        self._room = room
        self._pending: dict[str, models.ParticipantInfo] = {}
        self._departed: dict[str, tuple[float, models.ParticipantInfo]] = {}  # by identity, with the time
        self.shown: dict[Identity, bytes] = {}
        """What is told of each who is not hidden, as `projections.as_element` has it: everybody who comes is told of all."""

    def changed(self, participant: "Participant", *, immediately: bool = False, knows: bool = False) -> None:
        """Tell everybody what has become of `participant`: at once, or with the next flush.

        Of one who is hidden only that one is told, unless it `knows`.
        """
        participant.version += 1
        participant.changes.notify()
        participant.news = info = participant_info(participant)
        if not participant.has_left:
            self._room.headcount.note(participant)
            self._show(participant, info)
        self._note_departure(participant, info)
        if participant.is_hidden:
            if not knows:
                participant.tell(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=[info])))
            return
        if participant.close_reason is CloseReason.DUPLICATE_IDENTITY:
            # Its successor's news takes the place of its own: clients go by identity, and would lose them both.
            self._pending.pop(participant.identity, None)
            return
        if immediately or participant.is_publisher:
            self._pending.pop(participant.identity, None)
            self._send([info])
        else:
            self._pending[participant.identity] = info

    def vanished(self, participant: "Participant") -> None:
        """Tell the others of somebody who is hidden from now on as of one who has left."""
        self._pending.pop(participant.identity, None)
        info = models.ParticipantInfo(
            sid=participant.sid,
            identity=participant.identity,
            state=models.ParticipantInfo.DISCONNECTED,
            version=participant.version,
        )
        self._note_gone(info)
        outgoing = Outgoing(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=[info])))
        for person in self._room.participants.values():
            if person is not participant:
                person.tell_all(outgoing)

    def forget(self, identity: Identity) -> None:
        """Show somebody no longer to those who come. Idempotent."""
        self.shown.pop(identity, None)

    def flush(self) -> None:
        """Tell what has waited."""
        if self._pending:
            infos = list(self._pending.values())
            self._pending.clear()
            self._send(infos)

    def departed_since(self, time: float) -> list[models.ParticipantInfo]:
        """Return those who have gone and not come back, with no more than that said of each.

        They are those of whom somebody may not have heard from whom we heard last at `time`: what we told shortly before
        that may have waited, or have been on its way.
        """
        return [info for gone_at, info in self._departed.values() if gone_at >= time - MISSED_SECONDS]

    def _show(self, participant: "Participant", info: models.ParticipantInfo) -> None:
        if participant.is_hidden:
            self.forget(participant.identity)
        else:
            self.shown[participant.identity] = as_element(info)

    def _note_departure(self, participant: "Participant", info: models.ParticipantInfo) -> None:
        if participant.is_hidden:  # of whom nobody hears anything but, perhaps, that it has vanished
            return
        self._departed.pop(participant.identity, None)
        if participant.has_left:
            bare = models.ParticipantInfo(sid=info.sid, identity=info.identity, state=info.state, version=info.version)
            self._note_gone(bare)

    def _note_gone(self, bare: models.ParticipantInfo) -> None:
        self._departed.pop(bare.identity, None)
        self._departed[bare.identity] = trio.current_time(), bare
        if len(self._departed) > MAX_DEPARTED:
            del self._departed[next(iter(self._departed))]

    def _send(self, infos: list[models.ParticipantInfo]) -> None:
        for update in updates(infos):
            outgoing = Outgoing(update)
            for person in self._room.participants.values():
                person.tell_all(outgoing)
