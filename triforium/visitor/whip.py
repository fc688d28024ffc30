"""A peer that knows WebRTC and no LiveKit: it publishes by WHIP (RFC 9725)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from rtp.datachannel import ChannelClosed, ChannelDrained, ChannelMessage, ChannelOpened
from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import Direction
from rtp.sdp.fragment import Fragment, parse_fragment
from rtp.sdp.transceiver import LocalEncoding, LocalTrack
from rtp.units import Address, Mid
from sfu.errors import PeerConnectionLostError
from sfu.transport.connection import PeerConnection
from triforium.visitor.errors import JoinRefusedError
from triforium.visitor.http import Request, Response, ask
from triforium.visitor.link import Link
from triforium.visitor.plan import MediaPlan
from triforium.visitor.sending import Sender
from triforium.visitor.simulcast import Layer
from triforium.visitor.sources import AudioSource, Source, Vp8Source
from triforium.visitor.world import VisitorWorld

ENDPOINT: Final = "/whip/v1"

GOODBYE_SECONDS: Final = 1.0
"""How long leaving may take."""


class WhipVisitor:
    """A publisher. Made by `open_whip`, inside whose block everything of it lives.

    `location` is the path of its session and `etag` names its generation of ICE, as the server said them; `token` goes
    with each request. `connected` is set once media can flow, `lost` once the server is silent or the handshake failed.
    """

    def __init__(self, world: VisitorWorld, server: Address, token: str, layers: Sequence[Layer]) -> None:
        self.location = self.etag = ""
        self.connected = trio.Event()
        self.lost = trio.Event()
        self._world = world
        self._server = server
        self.token = token
        self._link = Link(world, self, cname="whip", tell=lambda: None, sends_rtx=True)
        plan = MediaPlan()
        self.audio = self._sender(MediaKind.AUDIO, AudioSource(plan))
        self.video = (
            [self._sender(MediaKind.VIDEO, layer.media, layer) for layer in layers]
            if layers
            else [self._sender(MediaKind.VIDEO, Vp8Source(plan, world.random))]
        )
        for senders in ([self.audio], self.video):
            self._link.negotiation.add_transceiver(
                senders[0].kind, Direction.SENDONLY, local_track=_local_track(senders)
            )
            for sender in senders:
                self._link.media.add_sender(sender)

    async def enter(self) -> None:
        """Post the offer and take the answer. Raises JoinRefusedError if the server says no, or OSError."""
        offer = self._link.negotiation.create_offer()
        response = await self.ask("POST", ENDPOINT, offer, {"Content-Type": "application/sdp"})
        if response.status != 201:
            raise JoinRefusedError(response.status, response.body.decode())
        self.location, self.etag = response.headers["location"], response.headers["etag"]
        self._link.apply_answer(response.body.decode())
        for transceiver in self._link.negotiation.transceivers:
            for sender in (self.audio, *self.video):
                if sender.kind is transceiver.kind:
                    self._link.start_sender(sender, transceiver)

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
        if response.status == 200:
            fragment = parse_fragment(response.body.decode())
            assert fragment.credentials is not None, "a server that restarts says under which name"
            self.etag = response.headers["etag"]
            self._link.apply_fragment(fragment.credentials, fragment.candidates)
        return response

    async def patch(self, fragment: Fragment, if_match: str) -> Response:
        """Send a fragment to the session."""
        headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": if_match}
        return await self.ask("PATCH", self.location, fragment.serialize(), headers)

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

    def channel_opened(self, connection: PeerConnection, channel: ChannelOpened) -> None:
        """There are none."""

    def channel_message(self, connection: PeerConnection, message: ChannelMessage) -> None:
        """There are none."""

    def channel_closed(self, connection: PeerConnection, channel: ChannelClosed) -> None:
        """There are none."""

    def channel_drained(self, connection: PeerConnection, channel: ChannelDrained) -> None:
        """There are none."""

    def _sender(self, kind: MediaKind, source: Source, layer: Layer | None = None) -> Sender:
        rtx_ssrc = self._link.new_ssrc() if kind is MediaKind.VIDEO else None
        rid = None if layer is None else layer.rid
        return Sender(kind, source, self._link.new_ssrc(), self._world.random, rtx_ssrc, rid=rid)


@asynccontextmanager
async def open_whip(
    world: VisitorWorld, server: Address, token: str, *, layers: Sequence[Layer] = ()
) -> AsyncIterator[WhipVisitor]:
    """Publish audio and video by WHIP inside the block, and end the session with it.

    `layers` are those of simulcast, if any.

    Raises:
        JoinRefusedError: the server said no.
        OSError: nobody is there.
    """
    visitor = WhipVisitor(world, server, token, layers)
    try:
        await visitor.enter()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visitor.run)
            try:
                yield visitor
            finally:
                with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                    await visitor.delete()
                nursery.cancel_scope.cancel("the publisher has left")
    finally:
        visitor.close()


def _local_track(senders: Sequence[Sender]) -> LocalTrack:
    encodings = tuple(LocalEncoding(sender.ssrc, sender.rtx_ssrc, sender.rid) for sender in senders)
    several = encodings if len(encodings) > 1 else ()
    return LocalTrack("whip", senders[0].kind.value, senders[0].ssrc, senders[0].rtx_ssrc, several)
