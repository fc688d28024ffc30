"""Who is in the room, as the server tells a participant."""

from livekit.protocol.models import ParticipantInfo
from livekit.protocol.rtc import JoinResponse, RoomMovedResponse


class Roster:
    """What the server last said of us (`me`) and of others, by identity.

    `stale_updates` counts what was older than what we knew, and was ignored.
    """

    def __init__(self) -> None:
        self.me = ParticipantInfo()
        self.others: dict[str, ParticipantInfo] = {}
        self.stale_updates = 0

    def join(self, join: JoinResponse) -> None:
        """Begin with the server's first message."""
        self.me = join.participant
        self.others = {participant.identity: participant for participant in join.other_participants}

    def move(self, moved: RoomMovedResponse) -> None:
        """Be in another room, among others."""
        self.me = moved.participant
        self.others = {participant.identity: participant for participant in moved.other_participants}

    def update(self, participant: ParticipantInfo) -> None:
        """Take in one entry of a participant update."""
        if participant.sid == self.me.sid:
            self.me = participant
            return
        known = self.others.get(participant.identity)
        if participant.state == ParticipantInfo.State.DISCONNECTED:
            # By identity, as livekit-client does: a server must not say it of somebody who has come back.
            self.others.pop(participant.identity, None)
        elif known is not None and known.sid == participant.sid and known.version > participant.version:
            self.stale_updates += 1
        else:
            self.others[participant.identity] = participant
