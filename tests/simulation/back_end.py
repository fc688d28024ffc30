"""An operator's back end: calls the server API by hand, in either form, and reads what comes back."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from google.protobuf.message import Message

from sfu.model import Claims, SipGrant, VideoGrant
from signaling import tokens
from tests.signaling.client import Answer, HttpClient
from tests.simulation.house import HTTP, KEY, ROOM, SECRET, House
from triforium.testing.world import wall_clock

T = TypeVar("T", bound=Message)

ALL_GRANTS = {
    "room_create": True,
    "room_list": True,
    "room_admin": True,
    "room": ROOM,
    "destination_room": "dest",
    "room_record": True,
    "ingress_admin": True,
}


class CallError(Exception):
    """A call that was refused, with what the SDKs read of it."""

    def __init__(self, answer: Answer) -> None:
        assert answer.headers["Content-Type"] == "application/json", "the JavaScript SDK wants exactly this type"
        body = json.loads(answer.body)
        super().__init__(answer.status, body["code"], body["msg"])
        self.status: int = answer.status
        self.code: str = body["code"]
        self.message: str = body["msg"]
        self.meta: dict[str, str] = body.get("meta", {})


def api_token(*, sip: SipGrant | None = None, **grant: object) -> str:
    """Make a token with the fields of the video grant given, or with all that the API knows."""
    video = VideoGrant(**(grant or ALL_GRANTS))
    return tokens.mint(Claims(video=video, sip=sip), KEY, SECRET, wall=wall_clock(), lifetime_seconds=3600)


class BackEnd:
    """One connection to the API, with a token that opens everything."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self.token = api_token(sip=SipGrant(admin=True, call=True), **ALL_GRANTS)

    async def post(
        self, path: str, body: bytes, content_type: str = "application/json", *, token: str | None = None
    ) -> Answer:
        """Post anything to `path` below `/twirp/livekit.`; an empty token sends none."""
        headers = {"Content-Type": content_type} if content_type else {}
        if token is None or token:
            headers["Authorization"] = f"Bearer {self.token if token is None else token}"
        return await self._http.ask("POST", f"/twirp/livekit.{path}", headers, body)

    async def get(self, path: str) -> Answer:
        return await self._http.get(path, {"Authorization": f"Bearer {self.token}"} if self.token else {})

    async def call(self, method: str, /, *, service: str = "RoomService", **fields: object) -> dict[str, object]:
        """Call a method in JSON. Raises CallError."""
        answer = await self.post(f"{service}/{method}", json.dumps(fields).encode())
        if answer.status != 200:
            raise CallError(answer)
        assert answer.headers["Content-Type"] == "application/json"
        return json.loads(answer.body)

    async def call_protobuf(self, method: str, request: Message, response: type[T]) -> T:
        """Call a method in protobuf. Raises CallError."""
        answer = await self.post(f"RoomService/{method}", request.SerializeToString(), "application/protobuf")
        if answer.status != 200:
            raise CallError(answer)
        assert answer.headers["Content-Type"] == "application/protobuf"
        return response.FromString(answer.body)


@asynccontextmanager
async def open_back_end(house: House) -> AsyncIterator[BackEnd]:
    """Connect a back end to a house."""
    async with await house.network.connect_tcp(house.new_host(), HTTP) as stream:
        yield BackEnd(HttpClient(stream))
