"""WHEP (draft-ietf-wish-whep): whoever can make an offer and post it watches a room, with no more of LiveKit than a token.

The query says what of the room: `participant=IDENTITY`, or `track=SID`, or else all of it; `quality=low|medium|high` says
how good; `hidden=false` lets the others know of the watcher.
"""

from dataclasses import dataclass
from typing import Final

import msgspec
from livekit.protocol.rtc import SessionDescription

from rtp.sdp.codecs import agree
from sfu.media import capabilities
from sfu.media.simulcast import Quality, Wish
from sfu.model import Claims, Identity, TrackSid, VideoGrant
from sfu.room.joining import Joining
from sfu.room.participant import Participant
from sfu.room.rooms import Rooms
from sfu.room.subscriptions import TrackSettings
from sfu.room.watching import SlotSubscriber, Watching
from signaling import whep_extensions as extensions
from signaling.door import Door
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.request import Request
from signaling.http.routes import Handler
from signaling.resources import SessionResources, read_client_info, read_offer, read_text
from signaling.whep_extensions import EventStreams

PATH: Final = "/whep/v1"

MAX_SECTIONS: Final = 64
"""What one watcher may have sent at once: each section has a place of its own among those that packets go out to."""

_QUALITIES: Final = {"": Quality.HIGH, "low": Quality.LOW, "medium": Quality.MEDIUM, "high": Quality.HIGH}


@dataclass(frozen=True, slots=True)
class WhepService:
    """Lets plain WebRTC peers watch: each is a participant that nobody sees, and that publishes nothing."""

    door: Door
    rooms: Rooms
    event_streams: EventStreams

    def handlers(self) -> dict[str, Handler]:
        """What to answer under which path."""
        return self._resources().handlers() | {f"{PATH}/": self._answer}

    async def _answer(self, exchange: Exchange) -> None:
        """Answer what is asked of a session, or of an extension of it. Raises HttpError."""
        _, *names = exchange.request.path.removeprefix(f"{PATH}/").split("/")
        match exchange.request.method, names:
            case _, []:
                await self._resources().answer_session(exchange)
            case _, [extensions.SSE, stream_id]:
                await self.event_streams.answer(exchange, stream_id)
            case "POST", [extensions.SSE]:
                await self.event_streams.create(exchange, self._watcher(exchange))
            case "POST", [extensions.LAYER]:
                await extensions.choose_layer(exchange, self._watcher(exchange))
            case _, [extensions.SSE | extensions.LAYER]:
                raise HttpError(405, "to this is posted, and nothing else is done", {"Allow": "OPTIONS, POST"})
            case _:
                raise HttpError(404, "there is no such extension")

    def _watcher(self, exchange: Exchange) -> Participant:
        """Return whose session a request is for. Raises HttpError: 404 too if it publishes (by WHIP)."""
        _, participant = self._resources().find(exchange)
        if not isinstance(participant.subscriber, SlotSubscriber):
            raise HttpError(404, "this session watches nothing")
        return participant

    def _resources(self) -> SessionResources:
        return SessionResources(self.door, self.rooms, PATH, self._create)

    async def _create(self, exchange: Exchange, claims: Claims, grant: VideoGrant) -> None:
        if not grant.may_subscribe:
            raise HttpError(403, "the token does not allow to subscribe")
        watching, is_hidden = _watching(exchange.request), exchange.request.parameter("hidden") != "false"
        client = read_client_info(exchange.request)
        offer = await read_text(exchange)
        check_offer(offer)
        joining = Joining(
            claims=_as_watcher(claims, grant, is_hidden=is_hidden),
            client_info=client,
            auto_subscribe=True,
            auto_subscribe_data=False,
            single_connection=True,
            offer=SessionDescription(type="offer", sdp=offer),
            has_signal=False,
            watching=watching,
        )
        await self._resources().join(exchange, joining, extensions.links)


def check_offer(offer: str) -> None:
    """Check that an offer asks for media, in codecs that are served.

    Raises:
        HttpError: 400 if it cannot be read or asks for nothing, 406 if not all of it can be served.
    """
    sections = read_offer(offer)
    asking = [section for section in sections if section.is_active and section.direction.receives and section.media]
    if not asking:
        raise HttpError(400, "the offer asks for nothing")
    if len(asking) > MAX_SECTIONS:
        raise HttpError(406, f"the offer asks for {len(asking)} tracks, more than {MAX_SECTIONS}")
    for section in asking:
        assert section.media is not None, "media is asked for here"
        if not agree(capabilities.SEND.codecs(section.media), section.codecs):
            raise HttpError(406, f"the offer asks for {section.media.value} in no codec that is served")


def _watching(request: Request) -> Watching:
    quality = _QUALITIES.get(request.parameter("quality"))
    if quality is None:
        raise HttpError(400, "quality is low, medium or high")
    return Watching(
        publisher=Identity(request.parameter("participant")) or None,
        track=TrackSid(request.parameter("track")) or None,
        settings=TrackSettings(wish=Wish(quality)),
    )


def _as_watcher(claims: Claims, grant: VideoGrant, *, is_hidden: bool) -> Claims:
    """Leave nothing of what the token allows but to watch."""
    video = msgspec.structs.replace(
        grant,
        can_publish=False,
        can_publish_data=False,
        can_update_own_metadata=False,
        hidden=grant.hidden or is_hidden,
    )
    return msgspec.structs.replace(claims, video=video)
