"""The doors to rooms: statuses and bodies as LiveKit's server 1.13.4 gave them, recorded."""

from urllib.parse import urlencode

import jwt
import pytest
import trio
from livekit.protocol.rtc import AddTrackRequest, JoinRequest

from sfu.model import Claims, Identity, RoomName
from sfu.routing.start import SessionStart
from sfu.settings import Limits
from signaling.door import Door
from signaling.http.exchange import Exchange
from signaling.http.routes import Routes
from signaling.rtc import SignalService
from tests.signaling.client import UPGRADE, Answer, Client, packed

KEY, SECRET, NOW = "devkey", "a secret of more than thirty-two letters", 1_795_372_522.0
ORIGIN = {"Origin": "http://localhost:5173"}
GRANT = {"roomJoin": True, "room": "lobby"}
EMPTY_JOIN = packed(JoinRequest())


class Rooms:
    def __init__(self, *names: str) -> None:
        self.names = names

    def is_open(self, name: RoomName) -> bool:
        return name in self.names

    def is_revoked(self, name: RoomName, claims: Claims) -> bool:
        return claims.metadata == "revoked" or claims.identity == "alice#revoked"

    def is_overloaded(self) -> bool:
        return False

    def is_taken(self, name: RoomName, identity: Identity) -> bool:
        return identity == "taken"


class Sessions:
    """Stands for the sessions behind the doors: remembers who came, and answers."""

    def __init__(self) -> None:
        self.starts: list[SessionStart] = []

    async def start(self, start: SessionStart, exchange: Exchange) -> None:
        self.starts.append(start)
        await exchange.respond(200, b"let in")


def token(video: object = GRANT, **claims: object) -> str:
    every = {"iss": KEY, "sub": "alice", "exp": NOW + 3600, "video": video} | claims
    return jwt.encode({name: value for name, value in every.items() if value is not None}, SECRET)


def door(*rooms: str, auto_create: bool = True) -> Door:
    return Door({KEY: SECRET}, lambda: NOW, Rooms(*rooms), auto_create, Limits())


class House:
    """A server with these doors, and a way to knock."""

    def __init__(self, nursery: trio.Nursery, *, auto_create: bool = True, rooms: tuple[str, ...] = ()) -> None:
        self.sessions = Sessions()
        self._nursery = nursery
        service = SignalService(door(*rooms, auto_create=auto_create), self.sessions.start)
        self._routes = Routes(service.handlers())

    async def ask(self, path: str, headers: dict[str, str] | None = None, method: str = "GET", **query: str) -> Answer:
        target = f"{path}?{urlencode(query)}" if query else path
        return await Client(self._nursery, self._routes).ask(method, target, headers)

    async def validate(self, access_token: str | None = None, version: int = 0, **query: str) -> Answer:
        """Ask one `validate`, with an empty join request where one is needed."""
        if access_token is not None:
            query["access_token"] = access_token
        if version == 1:
            query.setdefault("join_request", EMPTY_JOIN)
        answer = await self.ask("/rtc/v1/validate" if version else "/rtc/validate", ORIGIN, **query)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        return answer

    async def join(self, access_token: str | None = None, path: str = "/rtc", **query: str) -> SessionStart | Answer:
        """Knock: what the session begins with, or the refusal."""
        if access_token is not None:
            query["access_token"] = access_token
        answer = await self.ask(path, UPGRADE | ORIGIN, **query)
        return self.sessions.starts.pop() if answer.text == "let in" else answer


@pytest.fixture
def house(nursery: trio.Nursery) -> House:
    return House(nursery)


async def test_a_good_token_may_come_by_query_or_by_header_and_the_header_wins(house: House) -> None:
    bearer = {"Authorization": f"Bearer {token()}"}
    for answer in (
        await house.validate(token()),
        await house.ask("/rtc/validate", bearer),
        await house.ask("//rtc/validate", bearer),
        await house.ask("/rtc/validate", bearer, "POST"),
        await house.ask("/rtc/validate", bearer, access_token="bad"),
    ):
        assert (answer.status, answer.text) == (200, "success")
    answer = await house.ask("/rtc/validate", {"Authorization": "Bearer bad"}, access_token=token())
    assert (answer.status, answer.text) == (401, "invalid authorization token")


@pytest.mark.parametrize("scheme", ["", "bearer ", "Basic "])
async def test_a_header_must_start_with_bearer(house: House, scheme: str) -> None:
    answer = await house.ask("/rtc/validate", {"Authorization": scheme + token()})
    assert (answer.status, answer.text) == (401, "invalid authorization header. Must start with Bearer ")


EXPIRED = "invalid token, error: token has invalid claims: token is expired"
REFUSALS = [
    (None, 401, "no permissions to access the room"),
    ("garbage", 401, "invalid authorization token"),
    (token(iss="nokey"), 401, "invalid API key: nokey"),
    (token(exp=NOW - 3600), 401, EXPIRED),
    (token(metadata="revoked"), 401, "invalid token, error: token has been revoked"),
    (token(sub="taken"), 403, "a participant with the same identity is already in the room"),
    (token(video=None), 401, "no permissions to access the room"),
    (token(video={"room": "lobby"}), 401, "permissions denied"),
    (token(sub=None), 400, "identity cannot be empty"),
    (token(sub=""), 400, "identity cannot be empty"),
    (token(sub="i" * 257), 400, "participant identity length exceeds limits: max length 256"),
    (token(video={"roomJoin": True}), 400, "no room name"),
    (token(video=GRANT | {"room": "r" * 257}), 400, "room name length exceeds limits: max length 256"),
]


@pytest.mark.parametrize(("access_token", "status", "body"), REFUSALS)
@pytest.mark.parametrize("version", [0, 1])
async def test_what_is_refused_and_how(
    house: House, access_token: str | None, status: int, body: str, version: int
) -> None:
    answer = await house.validate(access_token, version)
    assert (answer.status, answer.text) == (status, body)
    refused = await house.join(access_token, "/rtc/v1" if version else "/rtc", join_request=EMPTY_JOIN)
    assert isinstance(refused, Answer)
    assert (refused.status, refused.text) == (status, body)
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": None, "jti": "by-jti"},
        {"sub": "i" * 256},
        {"video": GRANT | {"room": "r" * 256}},
        {"exp": NOW - 30},
        {"roomPreset": "nosuch"},
        {"metadata": "x" * 70_000},
        {"kind": "martian"},
    ],
)
async def test_what_is_let_in(house: House, claims: dict[str, object]) -> None:
    video = claims.pop("video", GRANT)
    assert (await house.validate(token(video, **claims))).text == "success"


@pytest.mark.parametrize("path", ["/rtc", "/rtc/v1"])
@pytest.mark.parametrize("query", [{}, {"access_token": token()}])
async def test_without_an_upgrade_there_is_nothing_here(house: House, path: str, query: dict[str, str]) -> None:
    answer = await house.ask(path, ORIGIN, **query)
    assert (answer.status, answer.body) == (404, b"")
    assert answer.headers == {
        "Access-Control-Allow-Origin": "http://localhost:5173",
        "Access-Control-Expose-Headers": "*",
        "Vary": "Origin",
        "Content-Length": "0",
    }


async def test_the_new_layout_wants_its_join_request(house: House) -> None:
    for answer in (await house.validate(token(), 1, join_request=""), await house.join(token(), "/rtc/v1")):
        assert isinstance(answer, Answer)
        assert (answer.status, answer.text) == (400, "join_request is required")


async def test_a_join_request_that_cannot_be_read_is_refused(house: House) -> None:
    answer = await house.validate(token(), 1, join_request="!!!")
    assert (answer.status, answer.text) == (400, "cannot base64 decode wrapped join request")


@pytest.mark.parametrize("join", [JoinRequest(metadata="m"), JoinRequest(participant_attributes={"a": "b"})])
async def test_own_metadata_needs_the_grant(house: House, join: JoinRequest) -> None:
    answer = await house.validate(token(), 1, join_request=packed(join))
    assert (answer.status, answer.text) == (401, "no permissions to access the room")


async def test_own_metadata_is_taken_where_allowed(house: House) -> None:
    join = JoinRequest(metadata="mine", participant_attributes={"a": "b"})
    allowed = token(GRANT | {"canUpdateOwnMetadata": True}, metadata="theirs", attributes={"c": "d"})
    start = await house.join(allowed, "/rtc/v1", join_request=packed(join))
    assert isinstance(start, SessionStart)
    assert (start.claims.metadata, start.claims.attributes) == ("mine", {"c": "d", "a": "b"})


async def test_attributes_of_the_old_layout(house: House) -> None:
    answer = await house.validate(token(), attributes="%%%")
    assert (answer.status, answer.text) == (400, "cannot decode attributes")
    answer = await house.validate(token(), attributes="eyJhIjoiYiJ9")
    assert (answer.status, answer.text) == (401, "no permissions to access the room")
    assert isinstance(await house.join(token(), attributes="%%%"), SessionStart)


async def test_the_publish_parameter_makes_a_second_identity_that_only_publishes(house: House) -> None:
    start = await house.join(token(), publish="x")
    assert isinstance(start, SessionStart)
    assert start.claims.identity == "alice#x"
    assert start.claims.video is not None
    assert not start.claims.video.may_subscribe
    answer = await house.validate(token(GRANT | {"canPublish": False}), publish="x")
    assert (answer.status, answer.text) == (401, "no permissions to access the room")


async def test_the_second_identity_of_who_publishes_is_judged_as_any_other(house: House) -> None:
    longest = Limits().identity_bytes - len("alice#")
    assert (await house.validate(token(), publish="x" * longest)).status == 200
    answer = await house.validate(token(), publish="x" * (longest + 1))
    assert answer.text == f"participant identity length exceeds limits: max length {Limits().identity_bytes}"
    answer = await house.validate(token(), publish="revoked")
    assert (answer.status, answer.text) == (401, "invalid token, error: token has been revoked")


@pytest.mark.parametrize("version", [0, 1])
async def test_rooms_that_nobody_may_create(nursery: trio.Nursery, version: int) -> None:
    closed, open_ = House(nursery, auto_create=False), House(nursery, auto_create=False, rooms=("lobby",))
    answer = await closed.validate(token(), version)
    assert (answer.status, answer.text) == (404, "requested room does not exist")
    assert (await closed.validate(token(GRANT | {"roomCreate": True}), version)).text == "success"
    assert (await open_.validate(token(), version)).text == "success"


async def test_a_resume_is_never_refused_for_a_room_that_is_gone(nursery: trio.Nursery) -> None:
    # JavaScript clients would take the 404 for final, where a leave from the session makes them join anew.
    start = await House(nursery, auto_create=False).join(token(), reconnect="1", sid="PA_x")
    assert isinstance(start, SessionStart)
    assert (start.join.reconnect, start.join.participant_sid) == (True, "PA_x")


async def test_what_a_session_of_the_old_layout_begins_with(house: House) -> None:
    start = await house.join(token(name="Alice"), sdk="js", protocol="17", adaptive_stream="1")
    assert isinstance(start, SessionStart)
    assert (start.room, start.claims.identity, start.claims.name) == ("lobby", "alice", "Alice")
    assert (start.join.client_info.sdk, start.join.client_info.protocol) == (1, 17)
    settings = start.join.connection_settings
    assert (settings.auto_subscribe, settings.adaptive_stream, start.single_connection) == (True, True, False)
    assert not start.join.HasField("publisher_offer")


@pytest.mark.parametrize("path", ["/rtc", "/rtc/v1"])
async def test_a_join_request_selects_the_single_connection_on_either_path(house: House, path: str) -> None:
    join = JoinRequest(add_track_requests=[AddTrackRequest(cid="c1")])
    join.publisher_offer.sdp = "v=0"
    start = await house.join(token(), path, join_request=packed(join))
    assert isinstance(start, SessionStart)
    assert start.single_connection
    assert not start.join.connection_settings.auto_subscribe  # absent means no here
    assert start.join.publisher_offer.sdp == "v=0"
    assert [request.cid for request in start.join.add_track_requests] == ["c1"]


async def test_a_handshake_of_another_version_is_refused(house: House) -> None:
    answer = await house.ask("/rtc", UPGRADE | {"Sec-WebSocket-Version": "12"}, access_token=token())
    assert (answer.status, house.sessions.starts) == (400, [])


@pytest.mark.parametrize(("path", "query"), [("/rtc", {"sdk": "js"}), ("/rtc/v1", {"join_request": EMPTY_JOIN})])
async def test_a_browser_that_does_not_name_itself_is_known_by_its_user_agent(
    house: House, path: str, query: dict[str, str]
) -> None:
    browser = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"}
    answer = await house.ask(path, UPGRADE | ORIGIN | browser, access_token=token(), **query)
    assert answer.text == "let in"
    client = house.sessions.starts.pop().join.client_info
    assert (client.browser, client.os) == ("Firefox", "Linux")
