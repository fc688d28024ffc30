"""What a participant says of itself: its name, metadata and attributes, changed by itself or by the API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from sfu.settings import Limits

if TYPE_CHECKING:
    from sfu.room.participant import Participant


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What is to be said from now on. An empty text leaves what was said; an empty attribute is taken away."""

    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def change_profile(participant: "Participant", change: ProfileChange, limits: Limits) -> None:
    """Change what is said of a participant; for each of the three that is now another, everybody is told.

    Raises:
        LimitExceededError: it would say too much. Nothing has changed then.
    """
    claims = participant.claims
    attributes = {name: value for name, value in (claims.attributes | dict(change.attributes)).items() if value}
    name, metadata = change.name or claims.name, change.metadata or claims.metadata
    limits.check_profile(name, metadata, attributes)
    for said in ({"name": name}, {"metadata": metadata}, {"attributes": attributes}):
        changed = msgspec.structs.replace(participant.claims, **said)
        if changed != participant.claims:
            participant.set_claims(changed)
