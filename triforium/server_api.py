"""A server's API as its operator calls it: Twirp in protobuf, with a token made for each call."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias, TypeVar

import msgspec
from google.protobuf.message import DecodeError, Message
from livekit.protocol.models import ParticipantInfo, Room
from livekit.protocol.room import (
    DeleteRoomRequest,
    DeleteRoomResponse,
    ListParticipantsRequest,
    ListParticipantsResponse,
    ListRoomsRequest,
    ListRoomsResponse,
    MuteRoomTrackRequest,
    MuteRoomTrackResponse,
    RemoveParticipantResponse,
    RoomParticipantIdentity,
)

from sfu.agents.census import AgentCensus
from sfu.model import Claims, VideoGrant
from signaling import tokens

Ask: TypeAlias = Callable[[str, bytes | None, Mapping[str, str]], Awaitable[tuple[int, bytes]]]
"""Posts a body to a path of the server, or gets the path if there is no body; returns the answer's status and body.

Raises ServerApiError.
"""

TOKEN_SECONDS: Final = 60
"""A token is for one call, and that starts at once."""

_ROOM_SERVICE: Final = "/twirp/livekit.RoomService/"
_AGENTS: Final = "/debug/agents"
_INNER: Final = "twirp error unknown: "

T = TypeVar("T", bound=Message)


class ServerApiError(Exception):
    """A call that failed; the text is one line for the operator."""


class ServerApi:
    """Calls `RoomService`, and looks inside. Each method raises ServerApiError, and is a checkpoint.

    `ask` reaches the server, `wall` gives Unix seconds.
    """

    def __init__(self, ask: Ask, key: str, secret: str, wall: Callable[[], float]) -> None:
        self._ask = ask
        self._key = key
        self._secret = secret
        self._wall = wall

    async def rooms(self) -> list[Room]:
        """Return the rooms that are open."""
        response = await self._call("ListRooms", ListRoomsRequest(), ListRoomsResponse, VideoGrant(room_list=True))
        return list(response.rooms)

    async def room(self, name: str) -> Room:
        """Return an open room; that there is none of that name is an error, too."""
        request = ListRoomsRequest(names=[name])
        response = await self._call("ListRooms", request, ListRoomsResponse, VideoGrant(room_list=True))
        if not response.rooms:
            raise ServerApiError(f"no such room: {name}")
        return response.rooms[0]

    async def close_room(self, name: str) -> None:
        """End a room; everybody in it has been told when this returns."""
        await self._call("DeleteRoom", DeleteRoomRequest(room=name), DeleteRoomResponse, VideoGrant(room_create=True))

    async def participants(self, room: str) -> list[ParticipantInfo]:
        """Return who is in a room: nobody, if there is no such room."""
        request = ListParticipantsRequest(room=room)
        response = await self._call("ListParticipants", request, ListParticipantsResponse, _administrator(room))
        return list(response.participants)

    async def participant(self, room: str, identity: str) -> ParticipantInfo:
        """Return somebody who is in a room."""
        request = RoomParticipantIdentity(room=room, identity=identity)
        return await self._call("GetParticipant", request, ParticipantInfo, _administrator(room))

    async def remove_participant(self, room: str, identity: str) -> None:
        """End somebody's session."""
        request = RoomParticipantIdentity(room=room, identity=identity)
        await self._call("RemoveParticipant", request, RemoveParticipantResponse, _administrator(room))

    async def mute(self, room: str, identity: str, track_sid: str) -> None:
        """Mute somebody's track. That it has just gone is no error."""
        request = MuteRoomTrackRequest(room=room, identity=identity, track_sid=track_sid, muted=True)
        await self._call("MutePublishedTrack", request, MuteRoomTrackResponse, _administrator(room))

    async def agents(self) -> AgentCensus:
        """Return the agents' workers that are registered, and the jobs that are not over."""
        body = await self._fetch(_AGENTS, None, VideoGrant(room_list=True))
        try:
            return msgspec.json.decode(body, type=AgentCensus)
        except msgspec.DecodeError as error:
            raise ServerApiError("what answers there is no Triforium server") from error

    async def _call(self, method: str, request: Message, response: type[T], grant: VideoGrant) -> T:
        body = await self._fetch(_ROOM_SERVICE + method, request.SerializeToString(), grant)
        try:
            return response.FromString(body)
        except DecodeError as error:
            raise ServerApiError("what answers there is no LiveKit server") from error

    async def _fetch(self, path: str, content: bytes | None, grant: VideoGrant) -> bytes:
        token = tokens.mint(
            Claims(video=grant), self._key, self._secret, wall=self._wall(), lifetime_seconds=TOKEN_SECONDS
        )
        headers = {"Authorization": f"Bearer {token}"}
        if content is not None:
            headers["Content-Type"] = "application/protobuf"
        status, body = await self._ask(path, content, headers)
        if status != 200:
            raise ServerApiError(_reason(status, body))
        return body


def _administrator(room: str) -> VideoGrant:
    return VideoGrant(room_admin=True, room=room)


def _reason(status: int, body: bytes) -> str:
    """Return what the server says was wrong: in Twirp's JSON, or, of a token that is no good, in plain words."""
    text = body.decode(errors="replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict) and isinstance(message := said.get("msg"), str):
        return message.removeprefix(_INNER)
    if status == 401:
        return f"the server refuses the key or its secret: {text.strip():.200}"
    return f"what answers there is no LiveKit server: it says {status}"
