"""Sessions whose whole signalling is HTTP, whichever way their media goes (RFC 9725): all but how they begin."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from livekit.protocol.models import ClientInfo

from rtp.errors import DecodeError, RemoteProtocolError
from rtp.sdp.description import Section, Setup, read_description
from rtp.sdp.fragment import Fragment, parse_fragment
from sfu.errors import CloseReason, RoomClosedError, SfuError
from sfu.model import Claims, RoomName, VideoGrant
from sfu.room.joining import Joining
from sfu.room.outgoing import Outgoing
from sfu.room.participant import Participant
from sfu.room.room import Room
from sfu.room.rooms import Rooms
from signaling.door import Door
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.request import Request
from signaling.http.routes import Handler
from signaling.user_agent import complete_client_info
from signaling.wishes import configured_wishes

SDP: Final = "application/sdp"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"

_ENDPOINT: Final = {"Allow": "OPTIONS, POST", "Accept-Post": SDP}
_SESSION: Final = {"Allow": "DELETE, OPTIONS, PATCH", "Accept-Patch": FRAGMENT}


class AnswerSink:
    """Takes what a participant's client would be told, and keeps the answer to its offer."""

    def __init__(self) -> None:
        self.answer = ""

    def send(self, outgoing: Outgoing) -> None:
        """Look at one message. All but an answer is for clients that have a signal connection."""
        if outgoing.message.WhichOneof("message") == "answer":
            self.answer = outgoing.message.answer.sdp

    def close(self) -> None:
        """The client learns from its requests, or from its media, that its session is over."""


@dataclass(frozen=True, slots=True)
class SessionResources:
    """The sessions below `path`, and what is posted to it: `create` answers an admitted bearer's offer by `join`.

    A session is found by the room and the identity that its bearer's token names, so that no other token opens it.
    """

    door: Door
    rooms: Rooms
    path: str
    create: Callable[[Exchange, Claims, VideoGrant], Awaitable[None]]

    def handlers(self) -> dict[str, Handler]:
        """What to answer under which path."""
        return {self.path: self._answer_endpoint, f"{self.path}/": self.answer_session}

    async def _answer_endpoint(self, exchange: Exchange) -> None:
        match exchange.request.method:
            case "POST":
                _check_content_type(exchange, SDP)
                await self.create(exchange, *self._admit_newcomer(exchange))
            case "OPTIONS":
                await exchange.respond(204, headers=_ENDPOINT)
            case _:
                raise HttpError(405, "offers are posted here, and nothing else is done", _ENDPOINT)

    async def join(self, exchange: Exchange, joining: Joining, links: Callable[[str], str] | None = None) -> None:
        """Join the room that the token names, and answer with the session. Raises HttpError.

        `links` returns the `Link` header for the session's path.
        """
        self._admit_newcomer(exchange)  # again: much may have changed while the offer came
        claims = joining.claims
        assert claims.video is not None, "the door lets nobody in without"
        sink = AnswerSink()
        try:
            wishes = configured_wishes(claims.room_config)
            room = await self.rooms.open(RoomName(claims.video.room), wishes, preset=claims.room_preset)
            participant = room.join(joining, sink)
        except RoomClosedError as error:
            raise HttpError(503, "the room is closing") from error
        except SfuError as error:
            raise HttpError(403, f"the room cannot be joined: {error}") from error
        except RemoteProtocolError as error:
            raise HttpError(400, f"the offer cannot be used: {error}") from error
        location = f"{self.path}/{participant.sid}"
        headers = {"Location": location, "ETag": f'"{_entity_tag(participant)}"'}
        if links is not None:
            headers["Link"] = links(location)
        answer, sink.answer = sink.answer, ""  # the sink lives as long as the participant
        await exchange.respond(201, answer.encode(), content_type=SDP, headers=headers)

    async def answer_session(self, exchange: Exchange) -> None:
        """Do what a request asks of its session. Raises HttpError."""
        match exchange.request.method:
            case "PATCH":
                _check_content_type(exchange, FRAGMENT)
                await self._patch(exchange)
            case "DELETE":
                room, participant = self.find(exchange)
                room.remove(participant, CloseReason.CLIENT_LEFT)
                await exchange.respond(200)
            case "OPTIONS":
                await exchange.respond(204, headers=_SESSION)
            case _:
                raise HttpError(405, "a session is patched or deleted, and nothing else is done", _SESSION)

    async def _patch(self, exchange: Exchange) -> None:
        """Take candidates for the session's ICE, or begin a new generation of it (RFC 9725 §4.3)."""
        self.find(exchange)
        wanted = _if_match(exchange)
        try:
            fragment = parse_fragment(await read_text(exchange))
        except DecodeError as error:
            raise HttpError(400, f"the fragment cannot be used: {error}") from error
        _, participant = self.find(exchange)  # again: it may have left while we read
        if "*" in wanted:
            await self._restart_ice(exchange, participant, fragment)
            return
        if _entity_tag(participant) not in wanted:
            raise HttpError(412, "this entity-tag names no ICE session that goes on")
        if fragment.credentials not in {None, participant.publisher.peer.remote_credentials}:
            raise HttpError(400, "the fragment is of another ICE session")
        await exchange.respond(204)  # and that is all: a lite agent answers checks, and sends none

    async def _restart_ice(self, exchange: Exchange, participant: Participant, fragment: Fragment) -> None:
        if fragment.credentials is None:
            raise HttpError(400, "an ICE restart needs a new ice-ufrag and ice-pwd")
        local = participant.restart_ice(fragment.credentials)
        mid = participant.publisher.peer.negotiation.tagged_mid
        assert mid is not None, "an offer without an active section is refused"
        answer = Fragment(local.credentials, (mid,), local.candidates, is_complete=True)
        headers = {"ETag": f'"{_entity_tag(participant)}"'}
        await exchange.respond(200, answer.serialize().encode(), content_type=FRAGMENT, headers=headers)

    def _admit_newcomer(self, exchange: Exchange) -> tuple[Claims, VideoGrant]:
        claims, grant = self._admit(exchange)
        self.door.check_room(claims, grant)
        return claims, grant

    def _admit(self, exchange: Exchange) -> tuple[Claims, VideoGrant]:
        claims, grant = self.door.admit(self.door.authenticate(exchange.request))
        exchange.vouch()
        return claims, grant

    def find(self, exchange: Exchange) -> tuple[Room, Participant]:
        """Return the session that a request is for. Raises HttpError: 404 if the token's bearer has none of this name."""
        claims, grant = self._admit(exchange)
        room = self.rooms.find(RoomName(grant.room))
        participant = None if room is None else room.participants.get(claims.identity)
        sid = exchange.request.path.removeprefix(f"{self.path}/").partition("/")[0]
        if room is None or participant is None or participant.sid != sid or not _is_session(participant):
            raise HttpError(404, "there is no such session (any more): post a new offer")
        return room, participant


def _is_session(participant: Participant) -> bool:
    """Whether it has a client that signals by HTTP: a stand-in, of its original's identity and sid, has none at all."""
    return not participant.has_signal and participant.stands_for is None


async def read_text(exchange: Exchange) -> str:
    """Read the body of a request. Raises HttpError."""
    try:
        return (await exchange.body()).decode()
    except UnicodeDecodeError as error:
        raise HttpError(400, "a body that is not UTF-8") from error


def read_client_info(request: Request) -> ClientInfo:
    """Return what is known of a client that says nothing of itself but in its headers."""
    client = ClientInfo()
    complete_client_info(client, request.header("User-Agent"))
    return client


def read_offer(offer: str) -> Sequence[Section]:
    """Read an offer, of which all is to be served or nothing (RFC 9725 §4.2).

    Raises:
        HttpError: 400 if it cannot be read, 406 if a section is of what is not served at all.
    """
    try:
        sections = read_description(offer, absent_setup=Setup.ACTPASS).sections
    except RemoteProtocolError as error:
        raise HttpError(400, f"the offer cannot be used: {error}") from error
    if any(section.media is None and not section.is_data for section in sections):
        raise HttpError(406, "the offer has a section that is neither audio nor video nor data")
    return sections


def _check_content_type(exchange: Exchange, wanted: str) -> None:
    """Raise HttpError (415) if the body is of another media type; its parameters do not matter (RFC 9110 §8.3.1)."""
    if exchange.request.header("Content-Type").partition(";")[0].strip().lower() != wanted:
        raise HttpError(415, f"the body is to be {wanted}", _ENDPOINT if wanted == SDP else _SESSION)


def _entity_tag(participant: Participant) -> str:
    """Name the session's present generation of ICE: by our ufrag, which stays in the alphabet of entity-tags."""
    return participant.publisher.peer.negotiation.local.credentials.ufrag


def _if_match(exchange: Exchange) -> set[str]:
    """Return the entity-tags of `If-Match`, without the quotes that some clients leave out. Raises HttpError (428)."""
    if not (header := exchange.request.header("If-Match")):
        raise HttpError(428, "If-Match is to name the ICE session: its entity-tag, or * for a new one")
    return {word.strip().strip('"') for word in header.split(",")}
