"""What rooms need configured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """How long a room outlives its people: `empty` if nobody came, `departure` after the last has left."""

    auto_create: bool = True
    empty_timeout_seconds: int = 300
    departure_timeout_seconds: int = 20
