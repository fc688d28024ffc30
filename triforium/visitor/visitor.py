"""A participant of our own: joins by token, publishes samples, subscribes, and tells what came."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import trio
from livekit.protocol.models import DisconnectReason, ParticipantInfo, TrackSource, TrackType, VideoQuality
from livekit.protocol.rtc import (
    AddTrackRequest,
    JoinResponse,
    LeaveRequest,
    Ping,
    SignalRequest,
    SignalResponse,
    SubscriptionPermission,
    UpdateSubscription,
    UpdateTrackSettings,
)

from rtp.datachannel import ChannelClosed, ChannelDrained, ChannelMessage, ChannelOpened
from rtp.sdp.codecs import MediaKind
from sfu.errors import PeerConnectionLostError
from sfu.notifier import Notifier
from sfu.transport.connection import PeerConnection
from triforium.visitor.announcing import Announcements
from triforium.visitor.connections import Connections, Habits
from triforium.visitor.data import VisitorData
from triforium.visitor.errors import JoinRefusedError, LeftError, SignalLostError
from triforium.visitor.feedback import BandwidthFeedback
from triforium.visitor.joining import dual_path, single_path
from triforium.visitor.link import Link
from triforium.visitor.plan import MediaPlan
from triforium.visitor.publication import Publication
from triforium.visitor.receiving import ReceivedTrack, Watch
from triforium.visitor.roster import Roster
from triforium.visitor.signal import SignalConnection, SignalMessage
from triforium.visitor.simulcast import Layer, sample_layers
from triforium.visitor.sources import AudioSource, Source, Vp8Source
from triforium.visitor.world import VisitorWorld

REMEMBERED_MESSAGES: Final = 4_096
"""How many signal messages are kept."""

OUTBOX_MESSAGES: Final = 256

GOODBYE_SECONDS: Final = 1.0
"""How long leaving may take."""

RESUME_DELAYS_SECONDS: Final = (0.0, 0.3, 1.2, 2.7, 4.8)
"""Before each attempt to come back, as livekit-client waits, without its dice."""

FIRST_PING_SECONDS: Final = 0.04
"""From joining to the Rust core's first ping, which does not wait for the interval."""


class Visitor:
    """A participant. Made by `open_visitor`, inside whose block everything of it lives.

    `join` is the server's first message, `roster` who is in the room, `messages` the last few thousand signal messages,
    both ways, in order. `data` sends and keeps what goes through data channels. `token` is the newest that the server
    has given us. `left` is the server's leave message, `signal_code` the close code of the WebSocket,
    `connection_errors` what became of connections that were lost; `resumptions` counts how often the session went on
    with another signal connection.
    `joined_at` and `connected_at` are in seconds on the monotonic clock.
    """

    def __init__(
        self,
        world: VisitorWorld,
        *,
        single_connection: bool,
        habits: Habits = Habits.JAVASCRIPT,
        plan: MediaPlan | None = None,
        auto_subscribe: bool = True,
        resumes: bool = False,
        dynacast: bool = False,
        watch: Watch | None = None,
        feedback: BandwidthFeedback = BandwidthFeedback.PLENTY,
        knock: Callable[[str, str], Awaitable[SignalConnection]],
    ) -> None:
        self.join = JoinResponse()
        self.roster = Roster()
        self.messages: deque[SignalMessage] = deque(maxlen=REMEMBERED_MESSAGES)
        self.open_channels: set[str] = set()
        self.token = ""
        self.left: LeaveRequest | None = None
        self.signal_code: int | None = None
        self.connection_errors: list[PeerConnectionLostError] = []
        self.resumptions = 0
        self.joined_at: float | None = None
        self.connected_at: float | None = None
        self._world = world
        self._single = single_connection
        self._habits = habits
        self._plan = plan or MediaPlan()
        self._auto_subscribe = auto_subscribe
        self._resumes = resumes
        self._dynacast = dynacast
        self._knock = knock
        self._signal: SignalConnection | None = None
        self._changes = Notifier()
        self._waiting = 0
        self._over = trio.Event()
        self._vanished = False
        self._is_leaving = False
        self._outbox, self._queued = trio.open_memory_channel[SignalRequest](OUTBOX_MESSAGES)
        self._nursery: trio.Nursery | None = None
        self._connections = Connections(
            world,
            self,
            single=single_connection,
            habits=habits,
            plan=self._plan,
            send=self._send,
            start=self._start_link,
            tell=self._tell,
            watch=watch,
            feedback=feedback,
        )
        self._announcements = Announcements(self._connections, self._send, self.wait_until, world.random)
        self.data = VisitorData(self._connections.publisher.connection)

    # Verbs

    async def wait_connected(self) -> None:
        """Wait until media can flow on the primary connection. Raises LeftError if it never will."""
        await self.wait_until(lambda: self.connected_at is not None)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at after each message and each packet of a track.

        Raises:
            LeftError: if it does not, and we are no longer in the room.
        """
        self._waiting += 1
        try:
            while not condition():
                if self._over.is_set():
                    raise LeftError("the visitor has left")
                await self._changes.wait_changed(self._changes.version)
        finally:
            self._waiting -= 1

    async def wait_over(self) -> None:
        """Wait until we are out of the room, for whatever reason."""
        await self._over.wait()

    async def publish_audio(self, *, name: str = "", source: TrackSource = TrackSource.MICROPHONE) -> Publication:
        """Publish the tone; return once it was agreed on. Raises PublishRefusedError or LeftError."""
        request = AddTrackRequest(type=TrackType.AUDIO, name=name, source=source)
        return await self._announcements.publish(MediaKind.AUDIO, [(None, AudioSource(self._plan))], request)

    async def publish_video(
        self, *, name: str = "", source: TrackSource = TrackSource.CAMERA, media: Source | None = None
    ) -> Publication:
        """Publish `media`, by default the VP8 loop, in one layer; return once it was agreed on.

        Raises as `publish_audio`.
        """
        media = media or Vp8Source(self._plan, self._world.random)
        request = AddTrackRequest(type=TrackType.VIDEO, name=name, source=source, width=64, height=48)
        return await self._announcements.publish(MediaKind.VIDEO, [(None, media)], request)

    async def publish_simulcast(
        self,
        *,
        name: str = "",
        source: TrackSource = TrackSource.CAMERA,
        layers: Sequence[Layer] | None = None,
        by_ssrc: bool = False,
    ) -> Publication:
        """Publish one track in several layers, by default three of the VP8 loop; return once it was agreed on.

        The packets name their layers by rid, as browsers do; or, `by_ssrc`, the description names them by SSRC.
        Raises as `publish_audio`.
        """
        layers = layers or sample_layers(self._plan, self._world.random)
        largest = max(layers, key=lambda layer: layer.width)
        request = AddTrackRequest(
            type=TrackType.VIDEO,
            name=name,
            source=source,
            width=largest.width,
            height=largest.height,
            layers=[layer.announcement for layer in layers],
        )
        streams = [(None if by_ssrc else layer.rid, layer.media) for layer in layers]
        return await self._announcements.publish(MediaKind.VIDEO, streams, request)

    def subscribe(self, sid: str, *, wanted: bool = True) -> None:
        """Ask for a track, or ask not to get it any more."""
        self._send(SignalRequest(subscription=UpdateSubscription(track_sids=[sid], subscribe=wanted)))

    def set_track(
        self,
        sid: str,
        *,
        disabled: bool = False,
        quality: VideoQuality = VideoQuality.HIGH,
        width: int = 0,
        height: int = 0,
        frame_rate: int = 0,
    ) -> None:
        """Say how we would like a track: not now, or of a quality, or, if `width` is given, as large as we show it.

        `frame_rate` is as many frames a second as are of use; 0: not said.
        """
        setting = UpdateTrackSettings(
            track_sids=[sid], disabled=disabled, quality=quality, width=width, height=height, fps=frame_rate
        )
        self._send(SignalRequest(track_setting=setting))

    def send(self, request: SignalRequest) -> None:
        """Send any message."""
        self._send(request)

    def rebind(self, host: str) -> None:
        """Move all sockets to another address without noticing, as behind a NAT that forgot its bindings."""
        for link in self._connections.links:
            link.socket.move(host)

    def migrate(self, host: str) -> None:
        """Move all sockets to another address and look for the server from there at once, as a phone does."""
        for link in self._connections.links:
            link.migrate(host)

    async def cut_signal(self) -> None:
        """Drop the signal connection without a word, as a network does."""
        if self._signal is not None:
            await self._signal.abandon()

    async def leave(self) -> None:
        """Say goodbye and wait, for a second at most, until the server has answered. Harmless the second time."""
        if self._over.is_set():
            return
        self._send(_goodbye())
        self._is_leaving = True
        with trio.move_on_after(GOODBYE_SECONDS):
            await self._over.wait()
        self._end()

    def vanish(self) -> None:
        """Drop all sockets without a word."""
        self._vanished = True
        for link in self._connections.links:
            link.socket.is_silent = True
        self._end()

    # Queries

    @property
    def me(self) -> ParticipantInfo:
        """What the server last said of us."""
        return self.roster.me

    @property
    def participants(self) -> dict[str, ParticipantInfo]:
        """What the server last said of the others who are here, by identity."""
        return self.roster.others

    @property
    def received(self) -> dict[str, ReceivedTrack]:
        """The tracks of others that were ever described to us, by sid: what came of each."""
        return self._connections.received

    @property
    def subscribed(self) -> set[str]:
        """The sids of the tracks that come to us now, by the last description."""
        return self._connections.subscribed

    @property
    def disconnect_reason(self) -> DisconnectReason | None:
        """Why the server made us leave, or how it answered our leaving; None if it said nothing."""
        return None if self.left is None else self.left.reason

    @property
    def unexpected_packets(self) -> int:
        """How many packets came on SSRCs that no description had named."""
        return sum(link.media.unexpected_packets for link in self._connections.links)

    @property
    def kinds(self) -> list[str]:
        """The kinds of messages so far, those received marked `<`, those sent `>`."""
        return [("> " if message.is_sent else "< ") + message.kind for message in self.messages]

    # Lifetime

    async def enter(self, token: str) -> None:
        """Knock, and wait for the server's first message.

        Raises:
            JoinRefusedError: the server said no.
            LeftError: it let us in and sent us away with its first message.
            SignalLostError: it said nothing.
            OSError: nobody is there.
        """
        if self._single:
            path = single_path(self._connections.first_offer(), auto_subscribe=self._auto_subscribe)
        else:
            path = dual_path(auto_subscribe=self._auto_subscribe)
        self._signal = await self._knock(path, token)
        self.token = token
        self._take(await self._signal.receive())
        if self.left is not None:
            raise LeftError(f"the server sent us away: {DisconnectReason.Name(self.left.reason)}")

    async def run(self) -> None:
        """Be in the room; return when we are out of it, by whose wish ever."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._converse)
                nursery.start_soon(self._ping)
                nursery.start_soon(self._connections.run)
                for link in self._connections.links:
                    nursery.start_soon(self._run_link, link)
                await self._over.wait()
                if not self._vanished:
                    for link in self._connections.links:
                        link.hang_up()
                nursery.cancel_scope.cancel("the visitor has left")
        finally:
            was_cancelled = not self._over.is_set()
            self._end()
            self._connections.close()
            if was_cancelled and self._signal is not None:
                with trio.move_on_after(GOODBYE_SECONDS, shield=True), suppress(SignalLostError):
                    await self._signal.send(_goodbye())
        await self.cut_signal()

    async def aclose(self) -> None:
        """Give all sockets back, if `run` was never called. Never blocks."""
        self._connections.close()
        with trio.CancelScope(shield=True):
            await self.cut_signal()

    # What connections tell (ConnectionOwner)

    def connection_established(self, connection: PeerConnection) -> None:
        """Note that media can flow."""
        primary = self._connections.primary
        if primary is not None and primary.connection is connection:
            self.connected_at = trio.current_time()
            if self._habits is Habits.JAVASCRIPT:
                self._send(SignalRequest(subscription_permission=SubscriptionPermission(all_participants=True)))
        self._tell()

    def connection_lost(self, connection: PeerConnection, reason: str) -> None:
        """Give the connection up, unless the session is to go on: then the server's word is awaited."""
        error = PeerConnectionLostError(reason)
        if self._resumes:
            self.connection_errors.append(error)
        else:
            connection.fail(error)

    def connection_closed(self, connection: PeerConnection) -> None:
        """The server is going; signalling says why."""

    def channel_opened(self, connection: PeerConnection, channel: ChannelOpened) -> None:  # noqa: ARG002 - a protocol's
        """Note that a data channel is open."""
        self.open_channels.add(channel.parameters.label)
        self._tell()

    def channel_message(self, connection: PeerConnection, message: ChannelMessage) -> None:  # noqa: ARG002 - a protocol's
        """Keep what came."""
        self.data.take(message, trio.current_time())
        self._tell()

    def channel_closed(self, connection: PeerConnection, channel: ChannelClosed) -> None:  # noqa: ARG002 - a protocol's
        """Note that a data channel is gone."""
        self.open_channels.discard(channel.label)
        self._tell()

    def channel_drained(self, connection: PeerConnection, channel: ChannelDrained) -> None:
        """Send nothing: data is not ours yet."""

    # Tasks

    async def _converse(self) -> None:
        """Exchange messages until we are out of the room, on one signal connection after the other."""
        is_here = True
        while is_here:
            assert self._signal is not None, "we have entered"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_messages, self._signal)
                await self._receive_messages(self._signal)
                nursery.cancel_scope.cancel("the signal connection is over")
            is_here = self._resumes and (self.left is None or self.left.action == LeaveRequest.RESUME)
            is_here = is_here and await self._come_back()
        self._end()

    async def _come_back(self) -> bool:
        """Knock again, to go on with the session; return whether it does."""
        self.left = None
        for delay in RESUME_DELAYS_SECONDS:
            await trio.sleep(delay)
            await self.cut_signal()
            try:
                self._signal = await self._knock(self._resume_path(), self.token)
                self._take(await self._signal.receive())
            except (SignalLostError, OSError):
                continue
            except JoinRefusedError as refusal:
                if refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return False
                continue
            if self.left is not None:
                return False
            self._resume()
            return True
        return False

    def _resume_path(self) -> str:
        if self._single:
            return single_path(None, auto_subscribe=self._auto_subscribe, resumes=self.me.sid)
        return dual_path(auto_subscribe=self._auto_subscribe, resumes=self.me.sid)

    def _resume(self) -> None:
        """Say what we believe, and say again what may have been lost."""
        self.resumptions += 1
        self._announcements.resume()
        self._send(SignalRequest(subscription_permission=SubscriptionPermission(all_participants=True)))
        self._connections.resume()

    async def _receive_messages(self, signal: SignalConnection) -> None:
        try:
            while self.left is None:
                self._take(await signal.receive())
            with trio.move_on_after(GOODBYE_SECONDS):
                while True:  # until the server has closed
                    await signal.receive()
        except SignalLostError as error:
            self.signal_code = error.code

    async def _send_messages(self, signal: SignalConnection) -> None:
        try:
            async for request in self._queued:
                await signal.send(request)
        except SignalLostError:
            pass  # who receives has noticed too

    async def _ping(self) -> None:
        is_rust = self._habits is Habits.RUST
        due = trio.current_time() + (FIRST_PING_SECONDS if is_rust else self.join.ping_interval)
        while True:
            await trio.sleep_until(due)
            milliseconds = int(self._world.wall() * 1000)
            if not is_rust:
                self._send(SignalRequest(ping=milliseconds))
            self._send(SignalRequest(ping_req=Ping(timestamp=milliseconds)))
            due += self.join.ping_interval

    async def _run_link(self, link: Link) -> None:
        try:
            await link.run()
        except* PeerConnectionLostError as group:
            self.connection_errors += [
                error for error in group.exceptions if isinstance(error, PeerConnectionLostError)
            ]
            self._tell()

    # Messages

    def _send(self, request: SignalRequest) -> None:
        kind = request.WhichOneof("message")
        assert kind is not None, "a request says something"
        if self._is_leaving:
            return  # whatever the server still asks for
        self.messages.append(SignalMessage(trio.current_time(), is_sent=True, kind=kind, content=request))
        self._outbox.send_nowait(request)

    def _take(self, response: SignalResponse) -> None:
        kind = response.WhichOneof("message") or "unknown"
        self.messages.append(SignalMessage(trio.current_time(), is_sent=False, kind=kind, content=response))
        match kind:
            case "join":
                self._take_join(response.join)
            case "answer":
                self._connections.take_answer(response.answer)
            case "offer":
                self._connections.take_offer(response.offer)
            case "trickle":
                self._connections.take_candidate(response.trickle)
            case "media_sections_requirement":
                self._connections.take_requirement(response.media_sections_requirement)
            case "update":
                for participant in response.update.participants:
                    self.roster.update(participant)
            case "track_published":
                self._announcements.take_published(response.track_published)
            case "request_response":
                self._announcements.take_refusal(response.request_response)
            case "subscribed_quality_update" if self._dynacast:
                self._announcements.take_demand(response.subscribed_quality_update)
            case "room_moved":
                self.roster.move(response.room_moved)
                self.token = response.room_moved.token
            case "refresh_token":
                self.token = response.refresh_token
            case "leave":
                self.left = response.leave
            case _:
                pass  # news that change nothing for us: they stand in `messages`
        self._tell()

    def _take_join(self, join: JoinResponse) -> None:
        self.join = join
        self.joined_at = trio.current_time()
        self.roster.join(join)
        self._connections.joined(join)

    # Helpers

    def _tell(self) -> None:
        if self._waiting:
            self._changes.notify()

    def _end(self) -> None:
        self._over.set()
        self._changes.notify()

    def _start_link(self, link: Link) -> None:
        assert self._nursery is not None, "messages are taken while we run"
        self._nursery.start_soon(self._run_link, link)


def _goodbye() -> SignalRequest:
    return SignalRequest(leave=LeaveRequest(reason=DisconnectReason.CLIENT_INITIATED))
