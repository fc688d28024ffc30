"""What there is, as JSON, for people who look for a reason.

`GET /debug/rooms` and `/debug/agents` are for whoever may list rooms, under `--dev` for anybody; who administers one room
sees that one, and the jobs in it. `/debug/subscriptions` is for whoever is in a room, by the token that it came with, and about what it is sent itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

import msgspec
import trio

from sfu.agents.agents import Agents
from sfu.agents.census import take_census
from sfu.media.ladder import Level
from sfu.model import RoomName, VideoGrant
from sfu.room.debug import describe_decisions, describe_participant, describe_room
from sfu.room.rooms import Rooms
from signaling import tokens
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.routes import Handler


@dataclass(frozen=True, slots=True)
class DebugService:
    """Lets operators look inside. `keys` are secrets by API key, `wall` gives Unix seconds.

    `is_public` spares them the token.
    """

    rooms: Rooms
    agents: Agents
    keys: Mapping[str, str]
    wall: Callable[[], float]
    is_public: bool

    def handlers(self) -> dict[str, Handler]:
        """What to answer under which path."""
        return {
            "/debug/rooms": self._show_rooms,
            "/debug/agents": self._show_agents,
            "/debug/subscriptions": self._show_subscriptions,
        }

    def _authorize(self, exchange: Exchange) -> Callable[[str], bool]:
        """Return which rooms are shown, by their names. Raises HttpError for who may not look."""
        if self.is_public:
            return lambda _: True
        claims = tokens.authenticate(exchange.request, self.keys, self.wall())
        grant = (claims.video if claims is not None else None) or VideoGrant()
        if not (grant.room_list or grant.room_admin):
            raise HttpError(401, "permissions denied")
        return lambda name: grant.room_list or name == grant.room

    async def _show_agents(self, exchange: Exchange) -> None:
        is_shown = self._authorize(exchange)
        census = take_census(self.agents)
        await _respond(exchange, replace(census, jobs=[job for job in census.jobs if is_shown(job.room)]))

    async def _show_subscriptions(self, exchange: Exchange) -> None:
        claims = tokens.authenticate(exchange.request, self.keys, self.wall())
        if claims is None or claims.video is None or not claims.video.room_join:
            raise HttpError(401, "permissions denied")
        room = self.rooms.find(RoomName(claims.video.room))
        participant = None if room is None else room.participants.get(claims.identity)
        if participant is None:
            raise HttpError(404, "you are not in this room")
        await _respond(exchange, {"subscriptions": _plain(describe_decisions(participant))})

    async def _show_rooms(self, exchange: Exchange) -> None:
        is_shown = self._authorize(exchange)
        rooms = []
        for room in self.rooms:
            if not is_shown(room.name):
                continue
            people = []
            for participant in list(room.participants.values()):
                people.append(_plain(describe_participant(participant)))
                await trio.lowlevel.checkpoint()  # media goes first: one at a time
            rooms.append(_plain(describe_room(room)) | {"participants": people})
        await _respond(exchange, {"rooms": rooms})


async def _respond(exchange: Exchange, value: object) -> None:
    await exchange.respond(200, msgspec.json.format(msgspec.json.encode(value)), content_type="application/json")


def _plain(value: Any) -> Any:
    """Make plain data of statistics: an enumeration is its name, also as a key, and a level in words."""
    match value:
        case Enum():
            return value.name
        case Level():
            return str(value)
        case Mapping():
            return {str(_plain(key)): _plain(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each) for each in value]
        case str() | int() | float() | None:
            return value
        case _:
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
