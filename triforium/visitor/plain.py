"""A peer that knows WebRTC and no LiveKit: it publishes by WHIP (RFC 9725), or watches by WHEP."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import trio

from rtp.datachannel import ChannelClosed, ChannelDrained, ChannelMessage, ChannelOpened
from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import Direction
from rtp.sdp.fragment import Fragment, parse_fragment
from rtp.sdp.transceiver import LocalEncoding, LocalTrack, Transceiver
from rtp.units import Address, Mid, Rid
from sfu.errors import PeerConnectionLostError
from sfu.transport.connection import PeerConnection
from triforium.visitor.errors import JoinRefusedError
from triforium.visitor.events import EventReader, open_events
from triforium.visitor.http import Request, Response, ask
from triforium.visitor.link import Link
from triforium.visitor.plan import MediaPlan
from triforium.visitor.receiving import ReceivedTrack, Watch
from triforium.visitor.sending import Sender
from triforium.visitor.simulcast import Layer
from triforium.visitor.sources import AudioSource, Source, Vp8Source
from triforium.visitor.world import VisitorWorld

WHIP: Final = "/whip/v1"
WHEP: Final = "/whep/v1"

EVENTS_EXTENSION: Final = "urn:ietf:params:whep:ext:core:server-sent-events"
LAYER_EXTENSION: Final = "urn:ietf:params:whep:ext:core:layer"

_LINK: Final = re.compile(r'<([^>]*)>; rel="([^"]*)"')

GOODBYE_SECONDS: Final = 1.0
"""How long leaving may take."""


class PlainPeer:
    """A publisher or a watcher. Made by `open_whip` or `open_whep`, inside whose block everything of it lives.

    `location` is the path of its session and `etag` names its generation of ICE, as the server said them; `token` goes
    with each request. `extensions` are the paths of what the server can do beyond, by their names. `received` are the tracks of the answer, in its order. `connected` is set once media can flow,
    `lost` once the server is silent or the handshake failed.
    """

    def __init__(self, world: VisitorWorld, server: Address, token: str, watch: Watch | None = None) -> None:
        self.location = self.etag = ""
        self.token = token
        self.extensions: dict[str, str] = {}
        self.received: list[ReceivedTrack] = []
        self.connected = trio.Event()
        self.lost = trio.Event()
        self._world = world
        self._server = server
        self._watch = watch
        self._link = Link(world, self, cname="plain", tell=lambda: None, sends_rtx=True)
        self._senders: dict[Sender, Transceiver] = {}

    def publish(self, kind: MediaKind, streams: Sequence[tuple[Rid | None, Source]]) -> None:
        """Offer to send a track, in one stream or in several layers."""
        senders = [self._sender(kind, rid, source) for rid, source in streams]
        encodings = tuple(LocalEncoding(sender.ssrc, sender.rtx_ssrc, sender.rid) for sender in senders)
        several = encodings if len(encodings) > 1 else ()
        track = LocalTrack("plain", kind.value, senders[0].ssrc, senders[0].rtx_ssrc, several)
        transceiver = self._link.negotiation.add_transceiver(kind, Direction.SENDONLY, local_track=track)
        for sender in senders:
            self._senders[sender] = transceiver
            self._link.media.add_sender(sender)

    def watch(self, kind: MediaKind) -> None:
        """Offer to receive a track."""
        self._link.negotiation.add_transceiver(kind, Direction.RECVONLY)

    async def enter(self, endpoint: str) -> None:
        """Post the offer and take the answer. Raises JoinRefusedError if the server says no, or OSError."""
        offer = self._link.negotiation.create_offer()
        response = await self.ask("POST", endpoint, offer, {"Content-Type": "application/sdp"})
        if response.status != HTTPStatus.CREATED:
            raise JoinRefusedError(response.status, response.body.decode())
        self.location, self.etag = response.headers["location"], response.headers["etag"]
        self.extensions = {name: path for path, name in _LINK.findall(response.headers.get("link", ""))}
        self._link.apply_answer(response.body.decode())
        for sender, transceiver in self._senders.items():
            self._link.start_sender(sender, transceiver)
        self.received = [track for each in self._link.negotiation.transceivers if (track := self._track(each))]
        self._link.media.expect({track.ssrc: track for track in self.received})

    async def run(self) -> None:
        """Carry media until cancelled, or until the handshake fails."""
        try:
            await self._link.run()
        except* PeerConnectionLostError:
            self.lost.set()

    async def trickle(self) -> Response:
        """Tell the server where we are, which it finds out by itself."""
        return await self.patch(self.fragment(), self.etag)

    async def restart(self, host: str) -> Response:
        """Move to another address and begin a new generation of ICE from there."""
        self._link.socket.move(host)
        self._link.restart_ice()
        response = await self.patch(self.fragment(), "*")
        if response.status == HTTPStatus.OK:
            fragment = parse_fragment(response.body.decode())
            assert fragment.credentials is not None, "a server that restarts says under which name"
            self.etag = response.headers["etag"]
            self._link.apply_fragment(fragment.credentials, fragment.candidates)
        return response

    async def patch(self, fragment: Fragment, if_match: str) -> Response:
        """Send a fragment to the session."""
        headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": if_match}
        return await self.ask("PATCH", self.location, fragment.serialize(), headers)

    @asynccontextmanager
    async def open_events(self, *events: str) -> AsyncIterator[EventReader]:
        """Read these events, or all, inside the block. Raises KeyError if the server does not send events."""
        headers = {"Content-Type": "application/json"}
        wanted = json.dumps(events) if events else ""
        response = await self.ask("POST", self.extensions[EVENTS_EXTENSION], wanted, headers)
        assert response.status == HTTPStatus.CREATED, response
        async with open_events(self._world, self._server, response.headers["location"]) as reader:
            yield reader

    async def choose_layer(self, **choice: str | int) -> Response:
        """Ask for a layer, by the names that WHEP's extension has for its properties."""
        headers = {"Content-Type": "application/json"}
        return await self.ask("POST", self.extensions[LAYER_EXTENSION], json.dumps(choice), headers)

    async def delete(self) -> Response:
        """End the session."""
        return await self.ask("DELETE", self.location)

    async def ask(self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> Response:
        """Ask the server anything, with our token."""
        every = {"Authorization": f"Bearer {self.token}"} | (headers or {})
        return await ask(self._world, self._server, Request(method, path, every, body.encode()))

    def fragment(self) -> Fragment:
        """Say all that there is to say of our ICE."""
        return Fragment(
            self._link.negotiation.local.credentials, (Mid("0"),), (self._link.candidate,), is_complete=True
        )

    def vanish(self) -> None:
        """Send and receive nothing more, without a word."""
        self._link.socket.is_silent = True

    def hang_up(self) -> None:
        """Say goodbye to the server's transport, as browsers do that close a connection."""
        self._link.hang_up()

    def come_back(self) -> None:
        """Send and receive again."""
        self._link.socket.is_silent = False

    def close(self) -> None:
        """Give the socket back, if `run` was never called."""
        self._link.socket.close()

    # What the connection tells (ConnectionOwner)

    def connection_established(self, connection: PeerConnection) -> None:  # noqa: ARG002 - a protocol's
        """Note that media can flow."""
        self.connected.set()

    def connection_lost(self, connection: PeerConnection, reason: str) -> None:  # noqa: ARG002 - a protocol's
        """Note it; a restart can bring us back."""
        self.lost.set()

    def connection_closed(self, connection: PeerConnection) -> None:  # noqa: ARG002 - a protocol's
        """The session is over."""
        self.lost.set()

    def channel_opened(self, connection: PeerConnection, channel: ChannelOpened) -> None:
        """There are none."""

    def channel_message(self, connection: PeerConnection, message: ChannelMessage) -> None:
        """There are none."""

    def channel_closed(self, connection: PeerConnection, channel: ChannelClosed) -> None:
        """There are none."""

    def channel_drained(self, connection: PeerConnection, channel: ChannelDrained) -> None:
        """There are none."""

    def _sender(self, kind: MediaKind, rid: Rid | None, source: Source) -> Sender:
        rtx_ssrc = self._link.new_ssrc() if kind is MediaKind.VIDEO else None
        return Sender(kind, source, self._link.new_ssrc(), self._world.random, rtx_ssrc, rid=rid)

    def _track(self, transceiver: Transceiver) -> ReceivedTrack | None:
        """Return what is to come in a section."""
        remote = transceiver.remote_track
        if remote is None or (ssrc := remote.encodings[0].ssrc) is None:
            return None
        codec = transceiver.codecs[0]
        return ReceivedTrack(
            remote.track_id,
            transceiver.kind,
            codec.clock_rate,
            MediaPlan().known_payloads(),
            ssrc,
            payload_type=codec.payload_type,
            rtx_ssrc=remote.encodings[0].rtx_ssrc,
            mime=codec.mime,
            watch=self._watch,
        )


@asynccontextmanager
async def open_whip(
    world: VisitorWorld, server: Address, token: str, *, layers: Sequence[Layer] = (), media: Source | None = None
) -> AsyncIterator[PlainPeer]:
    """Publish audio and video by WHIP inside the block, and end the session with it.

    `media` is the video, by default the VP8 loop; or `layers` are those of simulcast.

    Raises:
        JoinRefusedError: the server said no.
        OSError: nobody is there.
    """
    plan = MediaPlan()
    peer = PlainPeer(world, server, token)
    peer.publish(MediaKind.AUDIO, [(None, AudioSource(plan))])
    video = [(layer.rid, layer.media) for layer in layers]
    peer.publish(MediaKind.VIDEO, video or [(None, media or Vp8Source(plan, world.random))])
    async with _staying(peer, WHIP):
        yield peer


@asynccontextmanager
async def open_whep(
    world: VisitorWorld,
    server: Address,
    token: str,
    *,
    query: str = "",
    kinds: Sequence[MediaKind] = (MediaKind.AUDIO, MediaKind.VIDEO),
    watch: Watch | None = None,
) -> AsyncIterator[PlainPeer]:
    """Watch by WHEP inside the block, in a section for each of `kinds`. Raises as `open_whip`.

    `watch` is called with each packet that comes, once; it neither raises nor waits.
    """
    peer = PlainPeer(world, server, token, watch)
    for kind in kinds:
        peer.watch(kind)
    async with _staying(peer, f"{WHEP}?{query}" if query else WHEP):
        yield peer


@asynccontextmanager
async def _staying(peer: PlainPeer, endpoint: str) -> AsyncIterator[None]:
    try:
        await peer.enter(endpoint)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.run)
            try:
                yield
            finally:
                with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                    await peer.delete()
                nursery.cancel_scope.cancel("the peer has left")
    finally:
        peer.close()
