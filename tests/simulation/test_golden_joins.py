"""Clients by hand, without any media, knock as it was recorded, and are let in or not, and told what was recorded."""

import json
from collections import Counter
from typing import Any, Final
from urllib.parse import urlencode

import jwt
import pytest
import trio
from google.protobuf.json_format import MessageToDict, ParseDict
from livekit.protocol.rtc import JoinRequest, SignalResponse

from tests.signaling.client import HttpClient
from tests.simulation.back_end import BackEnd, open_back_end
from tests.simulation.house import HTTP, KEY, SECRET, House, open_house
from tests.simulation.recording import TRACES, UNTIMELY, filled
from triforium.config import RoomConfig
from triforium.testing import Link
from triforium.testing.world import wall_clock
from triforium.visitor.errors import JoinRefusedError, SignalLostError
from triforium.visitor.joining import wrap
from triforium.visitor.websocket import WebSocket

Line = dict[str, Any]

BY_CHANCE: Final = {"sid", "turn_password", "sif_trailer", "node_id", "ufrag", "id"}
TIMES: Final = {"creation_time", "creation_time_ms", "joined_at", "joined_at_ms", "iat", "nbf", "exp"}
ELSEWHERE: Final = {
    "sdp",  # compared in other recordings
    "sections",
    "differs_from",
    "sdp_changes",
    "sdp_same_as_previous",
    "jwt_header",
    "ice_servers",  # none are told here: the server has an address that everybody reaches, and no TURN
    "enabled_codecs",  # here, best first, and no word of retransmission
    "enabled_publish_codecs",
}
IGNORED: Final = BY_CHANCE | TIMES | ELSEWHERE

UNLIKE: Final = {
    "join.room.num_participants": "who joins is counted there somewhat later",
    "join.room.active_recording": "the same",
    "leave.can_reconnect": "of an older protocol; here it agrees with the action",
    "refresh_token.jwt_claims.kindDetails": "lost there when a token is made anew",
    "refresh_token.jwt_claims.refreshed": "here such a token says that it is one",
    "join.other_participants": "who has closed its socket in the same millisecond is still there, or no longer",
}
"""What may differ, and why."""

NEVER_THERE: Final = {"second"}
"""People of a full room see strangers go there whom nobody let in: a fault, and not played."""


class Socket:
    """A recorded socket, opened again."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.websocket = WebSocket(stream)
        self.told: list[tuple[str, Line]] = []

    async def listen(self) -> None:
        """Note what the server says until it is over."""
        try:
            while True:
                response = SignalResponse.FromString(await self.websocket.receive())
                ((kind, fields),) = MessageToDict(response, preserving_proto_field_name=True).items()
                if kind == "refresh_token":
                    fields = {"jwt_claims": jwt.decode(fields, options={"verify_signature": False})}
                if kind not in UNTIMELY:
                    self.told.append((kind, fields))
        except SignalLostError:
            pass


class Player:
    """Does what was recorded of clients, when they did it, and compares how they are received."""

    def __init__(self, house: House, api: BackEnd, lines: list[Line], nursery: trio.Nursery) -> None:
        self.sockets: dict[str, Socket] = {}
        self.differences: list[object] = []
        self._house = house
        self._api = api
        self._lines = lines
        self._nursery = nursery
        self._claims: dict[str, Line] = {}

    async def play(self) -> None:
        start = trio.current_time()
        for at, line in enumerate(self._lines):
            if line.get("d") != "c>s":
                continue
            await trio.sleep_until(start + line["t"] / 1000)
            rest = self._lines[at + 1 :]
            if line["k"] == "ws-open":
                self._expect(line, await self._open(line), rest, {"ws-accepted", "ws-refused"})
            elif line["k"] == "ws-close":
                await self.sockets[line["c"]].websocket.close()
            elif line["k"] == "http":
                self._expect(line, await self._ask(line), rest, {"http"})

    def _expect(self, asked: Line, ours: tuple[int, str], rest: list[Line], kinds: set[str]) -> None:
        answer = next(each for each in rest if each["c"] == asked["c"] and each["k"] in kinds)
        body = answer.get("body", "")
        theirs = (answer["status"], body if isinstance(body, str) else "")
        if ours != theirs:
            self.differences.append((asked["t"], asked["path"], ours, theirs))

    async def _open(self, line: Line) -> tuple[int, str]:
        stream = await self._house.network.connect_tcp(self._house.new_host(), HTTP)
        target, headers = self._request(line)
        socket = self.sockets[line["c"]] = Socket(stream)
        try:
            await socket.websocket.open("server", target, [(key.encode(), headers[key].encode()) for key in headers])
        except JoinRefusedError as refused:
            return refused.status, refused.body
        self._nursery.start_soon(socket.listen)
        return 101, ""

    async def _ask(self, line: Line) -> tuple[int, str]:
        if "body" in line:
            path = line["path"].removeprefix("/twirp/livekit.")
            token = self._token(line["c"], line["headers"]["authorization"]["token"])
            answer = await self._api.post(path, json.dumps(line["body"]["protobuf"]).encode(), token=token)
            return answer.status, ""
        target, headers = self._request(line)
        async with await self._house.network.connect_tcp(self._house.new_host(), HTTP) as stream:
            answer = await HttpClient(stream).ask("GET", target, headers)
            return answer.status, answer.text

    def _request(self, line: Line) -> tuple[str, dict[str, str]]:
        """Return path, query and headers of a recorded request, with a token that is as good now as theirs was then."""
        query, headers = dict(line.get("query", {})), dict(line["headers"])
        if "access_token" in query:
            query["access_token"] = self._token(line["c"], query["access_token"])
        else:
            headers["Authorization"] = f"Bearer {self._token(line['c'], headers['Authorization']['token'])}"
        if packed := query.get("join_request"):
            wrapped = wrap(ParseDict(packed["decoded"], JoinRequest()))
            query["join_request"] = wrapped if packed["padded"] else wrapped.rstrip("=")
        return f"{line['path']}?{urlencode(query)}", headers

    def _token(self, client: str, said: Line) -> str:
        who = client.partition("#")[0]
        if isinstance(claims := said["jwt_claims"], dict):
            self._claims[who] = filled(claims)
        else:
            assert claims.startswith(f"(same claims as the earlier token of '{who}'")
        wall = round(wall_clock())
        return jwt.encode(self._claims[who] | {"iss": KEY, "nbf": wall - 5, "exp": wall + 3600}, SECRET)


def said(lines: list[Line], client: str) -> list[tuple[str, Line]]:
    """Return what the recorded server said on a socket, without its faults, and without what has its own time."""
    messages = []
    for line in lines:
        if (line.get("c"), line.get("d")) == (client, "s>c") and "m" in line and line["k"] not in UNTIMELY:
            fields = dict(line["m"])
            if people := fields.get("participants"):
                fields["participants"] = people = [info for info in people if info["identity"] not in NEVER_THERE]
            if people != []:
                messages.append((line["k"], fields))
    return messages


def compare(ours: list[tuple[str, Line]], theirs: list[tuple[str, Line]]) -> list[str]:
    """Say what is told otherwise here. First comes the answer to the knock; tasks race for the rest."""
    here, there = ([kind for kind, _ in each] for each in (ours, theirs))
    if here[:1] != there[:1] or Counter(here) != Counter(there):
        return [f"here {here}, there {there}"]
    by_kind = {kind: iter([fields for each, fields in ours if each == kind]) for kind in here}
    return [each for kind, fields in theirs for each in unlike(next(by_kind[kind]), fields, kind)]


def unlike(ours: object, theirs: object, path: str) -> list[str]:
    """Say where two values differ, but for what is by chance, and what the recording does not repeat."""
    if path in UNLIKE or (isinstance(theirs, str) and theirs.startswith(("(same ", "(as in "))):
        return []
    if isinstance(ours, dict) and isinstance(theirs, dict):
        known = set(theirs.get("_as_in_the_first_join", ()))
        missing = known - ours.keys() - IGNORED
        names = {name for name in theirs if not name.startswith("_")} | (set() if "_rest" in theirs else ours.keys())
        found = [f"{path}: here no {missing}"] if missing else []
        for name in sorted(names - known - IGNORED):
            found += unlike(ours.get(name), theirs.get(name), f"{path}.{name}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [each for pair in zip(ours, theirs, strict=True) for each in unlike(*pair, path)]
    return [] if ours == theirs else [f"{path}: here {ours}, there {theirs}"]


@pytest.mark.parametrize("name", ["limits-and-kinds", "auto-create-off", "default-ice-servers", "join-refused"])
async def test_who_knocks_by_hand_is_received_and_told_as_recorded(autojump_clock, name) -> None:
    text = (TRACES / f"s13-{name}.raw.jsonl").read_text()
    lines = [filled(json.loads(line)) for line in text.splitlines()]
    room = RoomConfig(auto_create=name != "auto-create-off")
    async with (
        open_house(link=Link(), room=room) as house,
        open_back_end(house) as api,
        trio.open_nursery() as nursery,
    ):
        player = Player(house, api, lines, nursery)
        await player.play()
        await trio.sleep(room.empty_timeout)  # one room was made for somebody who was not let in
        nursery.cancel_scope.cancel("nobody listens any more")
    assert player.differences == []
    found = {client: compare(socket.told, said(lines, client)) for client, socket in player.sockets.items()}
    assert {client: each for client, each in found.items() if each} == {}
