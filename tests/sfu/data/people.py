"""People of a room, as data sees them."""

from dataclasses import dataclass

from sfu.model import Claims, Identity, ParticipantKind, ParticipantSid, VideoGrant


@dataclass
class Someone:
    """Stands in for a participant."""

    identity: Identity
    sid: ParticipantSid
    claims: Claims

    @property
    def grant(self) -> VideoGrant:
        return self.claims.video or VideoGrant()


def someone(name: str, *, kind: ParticipantKind = ParticipantKind.STANDARD, **grant: object) -> Someone:
    """Make somebody called `name`, with the sid `PA_name`."""
    return Someone(Identity(name), ParticipantSid(f"PA_{name}"), Claims(kind=kind, video=VideoGrant(**grant)))
