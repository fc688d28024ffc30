"""How a visitor comes to publish: it announces a track, is answered, offers to send it, and is answered again."""

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TypeAlias

from livekit.protocol.models import TrackInfo
from livekit.protocol.rtc import (
    AddTrackRequest,
    RequestResponse,
    SignalRequest,
    SimulcastCodec,
    SubscribedQualityUpdate,
    SyncState,
    TrackPublishedResponse,
)

from rtp.sdp.codecs import AV1, H264, H265, VP9, MediaKind
from rtp.units import Rid
from triforium.visitor.connections import Connections
from triforium.visitor.errors import PublishRefusedError
from triforium.visitor.publication import Publication
from triforium.visitor.sending import Sender
from triforium.visitor.sources import Source

Send: TypeAlias = Callable[[SignalRequest], None]
WaitUntil: TypeAlias = Callable[[Callable[[], bool]], Awaitable[None]]


class Announcements:
    """The tracks that one visitor has announced, and what the server has said to that."""

    def __init__(self, connections: Connections, send: Send, wait_until: WaitUntil, dice: Random) -> None:
        self._connections = connections
        self._send = send
        self._wait_until = wait_until
        self._dice = dice
        self._waiting: dict[str, AddTrackRequest] = {}
        self._published: dict[str, TrackInfo] = {}
        self._refused: dict[str, RequestResponse] = {}
        self._publications: list[Publication] = []

    async def publish(
        self, kind: MediaKind, streams: Sequence[tuple[Rid | None, Source]], request: AddTrackRequest
    ) -> Publication:
        """Publish one track in one or more streams; return once it was agreed on.

        Raises:
            PublishRefusedError: the server does not take it.
            LeftError: we are no longer in the room.
        """
        request.cid = self._dice.randbytes(8).hex()
        mime = streams[0][1].mime
        if mime in {H264, H265, VP9, AV1}:  # else the server takes what stands first in our offer
            codec = mime.removeprefix("video/").lower()
            request.simulcast_codecs.append(SimulcastCodec(codec=codec, cid=request.cid))
        info = await self._announce(request)
        senders = tuple(self._new_sender(kind, rid, source) for rid, source in streams)
        publication = Publication(info, request.cid, senders, self._connections, self._send)
        self._publications.append(publication)
        self._connections.publish(senders, request.cid)
        await self._wait_until(lambda: self._connections.is_answered(senders))
        if not senders[0].is_agreed:
            publication.unpublish()
            raise PublishRefusedError("UNSUPPORTED_TYPE", f"the server does not take {mime}")
        return publication

    def take_published(self, response: TrackPublishedResponse) -> None:
        """Note that an announcement was taken."""
        self._published[response.cid] = response.track

    def take_refusal(self, response: RequestResponse) -> None:
        """Note that an announcement was refused."""
        self._refused[response.add_track.cid] = response

    def take_demand(self, update: SubscribedQualityUpdate) -> None:
        """Send of a track what is wanted."""
        wanted = {each.quality for codec in update.subscribed_codecs for each in codec.qualities if each.enabled}
        for publication in self._publications:
            if publication.sid == update.track_sid and not publication.is_over:
                publication.send_only(wanted)

    def resume(self) -> None:
        """Say what we believe to publish, and announce again what the server may never have heard of."""
        known = [
            TrackPublishedResponse(cid=each.cid, track=each.info) for each in self._publications if not each.is_over
        ]
        self._send(SignalRequest(sync_state=SyncState(publish_tracks=known)))
        for request in self._waiting.values():
            self._send(SignalRequest(add_track=request))

    async def _announce(self, request: AddTrackRequest) -> TrackInfo:
        cid = request.cid
        self._waiting[cid] = request
        self._send(SignalRequest(add_track=request))
        await self._wait_until(lambda: cid in self._published or cid in self._refused)
        del self._waiting[cid]
        if (refusal := self._refused.pop(cid, None)) is not None:
            raise PublishRefusedError(RequestResponse.Reason.Name(refusal.reason), refusal.message)
        return self._published.pop(cid)

    def _new_sender(self, kind: MediaKind, rid: Rid | None, source: Source) -> Sender:
        link = self._connections.publisher
        rtx_ssrc = link.new_ssrc() if kind is MediaKind.VIDEO else None
        return Sender(kind, source, link.new_ssrc(), self._dice, rtx_ssrc, rid=rid)
