"""WHIP (RFC 9725): whoever can make an offer and post it publishes in a room, with no more of LiveKit than a token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from livekit.protocol import models
from livekit.protocol.rtc import AddTrackRequest, SessionDescription

from rtp.sdp.codecs import OPUS, Codec, MediaKind, agree
from rtp.sdp.description import Section
from rtp.sdp.transceiver import Capabilities
from sfu.media import capabilities
from sfu.model import Claims, ParticipantKind, VideoGrant
from sfu.room.joining import Joining
from sfu.room.publisher import MAX_PENDING_TRACKS
from sfu.room.quirks import unpublished_mimes
from sfu.room.rooms import Rooms
from signaling.door import Door
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.routes import Handler
from signaling.resources import SessionResources, read_client_info, read_offer, read_text

PATH: Final = "/whip/v1"

_QUALITIES: Final = (models.LOW, models.MEDIUM, models.HIGH)


@dataclass(frozen=True, slots=True)
class WhipService:
    """Lets plain WebRTC peers publish: each is a participant that listens to nobody."""

    door: Door
    rooms: Rooms

    def handlers(self) -> dict[str, Handler]:
        """What to answer under which path."""
        return self._resources().handlers()

    def _resources(self) -> SessionResources:
        return SessionResources(self.door, self.rooms, PATH, self._create)

    async def _create(self, exchange: Exchange, claims: Claims, grant: VideoGrant) -> None:
        if not grant.may_publish:
            raise HttpError(403, "the token does not allow to publish")
        client = read_client_info(exchange.request)
        offer = await read_text(exchange)
        tracks = offered_tracks(offer, capabilities.without(capabilities.RECEIVE, unpublished_mimes(client)))
        for track in tracks:
            if not grant.may_publish_source(source := models.TrackSource.Name(track.source).lower()):
                raise HttpError(403, f"the token does not allow to publish a {source}")
        joining = Joining(
            claims=_as_ingress(claims),
            client_info=client,
            auto_subscribe=False,
            auto_subscribe_data=False,
            single_connection=True,
            offer=SessionDescription(type="offer", sdp=offer),
            add_tracks=tracks,
            has_signal=False,
        )
        await self._resources().join(exchange, joining)


def offered_tracks(offer: str, receives: Capabilities) -> tuple[AddTrackRequest, ...]:
    """Announce what an offer sends, in the words in which LiveKit's clients do that before they offer.

    Raises:
        HttpError: 400 if the offer cannot be read or sends nothing, 406 if not all of it can be served: then no part of
            it is (RFC 9725 §4.2).
    """
    sections = read_offer(offer)
    sending = [section for section in sections if section.track is not None]
    if not sending:
        raise HttpError(400, "the offer sends nothing")
    if len(sending) > MAX_PENDING_TRACKS:
        raise HttpError(406, f"the offer sends {len(sending)} tracks, more than {MAX_PENDING_TRACKS}")
    requests: dict[str, AddTrackRequest] = {}
    for section in sending:
        request = _announcement(section, receives)
        if not request.cid or request.cid in requests:
            request.cid = f"section {section.mid}"
        requests[request.cid] = request
    return tuple(requests.values())


def _announcement(section: Section, receives: Capabilities) -> AddTrackRequest:
    assert section.media is not None, "media is sent here"
    assert section.track is not None, "media is sent here"
    codecs = agree(receives.codecs(section.media), section.codecs)
    if not codecs:
        raise HttpError(406, f"the offer sends {section.media.value} in no codec that is served")
    if section.media is MediaKind.AUDIO:
        # What encodes for a stream has no reason to save on silence, and says itself whether it has two channels.
        return AddTrackRequest(
            cid=section.track.track_id,
            type=models.AUDIO,
            source=models.MICROPHONE,
            stereo=_is_stereo(codecs),
            disable_dtx=True,
        )
    layers = min(len(section.track.encodings), len(_QUALITIES))
    return AddTrackRequest(
        cid=section.track.track_id,
        type=models.VIDEO,
        source=models.CAMERA,
        layers=[models.VideoLayer(quality=quality) for quality in _QUALITIES[:layers]] if layers > 1 else [],
    )


def _is_stereo(codecs: Sequence[Codec]) -> bool:
    words = {word.strip() for codec in codecs if codec.mime == OPUS for word in codec.fmtp.split(";")}
    return not words.isdisjoint({"stereo=1", "sprop-stereo=1"})


def _as_ingress(claims: Claims) -> Claims:
    """Say what kind of participant this is, unless the token says something more particular."""
    if claims.participant_kind is not ParticipantKind.STANDARD:
        return claims
    return msgspec.structs.replace(claims, kind=ParticipantKind.INGRESS)
