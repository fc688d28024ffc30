"""`/rtc` and `/rtc/v1`: who may start a session, and `validate`, which says why not.

A client whose WebSocket was refused cannot see the answer in a browser, so it asks `validate` the same question.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from livekit.protocol.models import ClientInfo
from livekit.protocol.rtc import JoinRequest

from sfu.model import Claims, Identity, RoomName, VideoGrant
from sfu.routing.start import SessionStart
from signaling.door import NO_ACCESS, Door
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.request import Request
from signaling.http.routes import Handler
from signaling.join import parse_attributes, parse_join_request, parse_query
from signaling.user_agent import complete_client_info

StartSession: TypeAlias = Callable[[SessionStart, Exchange], Awaitable[None]]
"""Serves a session: upgrades the exchange, or answers it otherwise, and returns when the socket is over."""


@dataclass(frozen=True, slots=True)
class SignalService:
    """Lets clients through the door, to sessions that `start_session` serves."""

    door: Door
    start_session: StartSession

    def handlers(self) -> dict[str, Handler]:
        """What to answer under which path."""
        return {
            "/rtc": self._join_v0,
            "/rtc/v1": self._join_v1,
            "/rtc/validate": self._validate_v0,
            "/rtc/v1/validate": self._validate_v1,
        }

    async def _join_v0(self, exchange: Exchange) -> None:
        await self._join(exchange, needs_join_request=False)

    async def _join_v1(self, exchange: Exchange) -> None:
        await self._join(exchange, needs_join_request=True)

    async def _validate_v0(self, exchange: Exchange) -> None:
        await self._validate(exchange, needs_join_request=False)

    async def _validate_v1(self, exchange: Exchange) -> None:
        await self._validate(exchange, needs_join_request=True)

    async def _join(self, exchange: Exchange, *, needs_join_request: bool) -> None:
        if not exchange.request.wants_websocket:
            raise HttpError(404)
        # Not kept in a variable: what a client asked for lives no longer than its session has use for it.
        await self.start_session(self._check_join(exchange, needs_join_request=needs_join_request), exchange)

    def _check_join(self, exchange: Exchange, *, needs_join_request: bool) -> SessionStart:
        start = self._check(exchange, needs_join_request=needs_join_request, is_strict=False)
        exchange.check_upgrade()
        return start

    async def _validate(self, exchange: Exchange, *, needs_join_request: bool) -> None:
        anybody = {"Access-Control-Allow-Origin": "*"}
        try:
            self._check(exchange, needs_join_request=needs_join_request, is_strict=True)
        except HttpError as error:
            raise HttpError(error.status, error.body, anybody) from error
        await exchange.respond(200, b"success", headers=anybody)

    def _check(self, exchange: Exchange, *, needs_join_request: bool, is_strict: bool) -> SessionStart:
        """Read and judge a request. Raises HttpError."""
        request = exchange.request
        claims = self.door.authenticate(request)
        packed = request.parameter("join_request")
        if needs_join_request and not packed:
            raise HttpError(400, "join_request is required")
        claims, grant = self.door.admit(claims)
        exchange.vouch()  # from here on a known bearer's words are read
        if packed:
            join = parse_join_request(packed)
        else:
            join = parse_query(request)
            join.participant_attributes.update(_query_attributes(request, is_strict=is_strict))
            # Under its other name it is somebody else, who may be kept out as well.
            claims, grant = self.door.admit(_as_publisher(claims, grant, request.parameter("publish")))
        # A client that resumes takes a refusal for final; the session tells it in its own words that it is unknown.
        if not join.reconnect:
            self.door.check_room(claims, grant)
        complete_client_info(join.client_info, request.header("User-Agent"))
        _keep_known_capabilities(join.client_info)
        return SessionStart(RoomName(grant.room), _with_own_metadata(claims, grant, join), join, bool(packed))


def _query_attributes(request: Request, *, is_strict: bool) -> dict[str, str]:
    text = request.parameter("attributes")
    if not text:
        return {}
    try:
        return parse_attributes(text)
    except HttpError:
        if is_strict:
            raise
        return {}


def _as_publisher(claims: Claims, grant: VideoGrant, suffix: str) -> Claims:
    """Make a session that only publishes, beside the one of the same person, if `suffix` asks for one."""
    if not suffix:
        return claims
    if not grant.may_publish:
        raise HttpError(401, NO_ACCESS)
    return msgspec.structs.replace(
        claims,
        identity=Identity(f"{claims.identity}#{suffix}"),
        video=msgspec.structs.replace(grant, can_subscribe=False),
    )


def _keep_known_capabilities(client: ClientInfo) -> None:
    """Keep each capability once, of those that we know: everybody is told of them, however many a client names."""
    values = frozenset(ClientInfo.Capability.values())
    known = [each for each in dict.fromkeys(client.capabilities) if each in values]
    client.ClearField("capabilities")
    client.capabilities.extend(known)


def _with_own_metadata(claims: Claims, grant: VideoGrant, join: JoinRequest) -> Claims:
    if not join.metadata and not join.participant_attributes:
        return claims
    if not grant.may_update_own_metadata:
        raise HttpError(401, NO_ACCESS)
    return msgspec.structs.replace(
        claims,
        metadata=join.metadata or claims.metadata,
        attributes=claims.attributes | {name: value for name, value in join.participant_attributes.items() if value},
    )
