"""One peer connection: the shell that carries bytes and time to and from a `PeerTransport`, and decides nothing."""

import logging
import math
from collections.abc import Callable
from typing import Final, NoReturn, Protocol, assert_never

import trio

from rtp.datachannel import ChannelClosed, ChannelDrained, ChannelMessage, ChannelOpened, DataChannels
from rtp.dtls import Closed
from rtp.ice.outputs import Forgotten, Nominated, Send, Validated
from rtp.packet import is_rtcp
from rtp.timers import earliest
from rtp.transport import Broken, Connected, Lost, PeerTransport, TransportOutput
from rtp.units import Path
from sfu.errors import PeerConnectionLostError
from sfu.transport.endpoint import UdpEndpoint

logger = logging.getLogger(__name__)

MAX_CHECKED_FROM: Final = 4
"""Hosts remembered of those that tried to reach us."""

MAX_UFRAGS: Final = 8
"""Generations of credentials that requests are taken for: the agent knows which two it answers (RFC 8445 §9), and may
go back to an old one if those after it never came to carry anything."""


class MediaSink(Protocol):
    """Where the packets of a connection go once they are in clear; it has timers of its own."""

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Take one RTP packet."""

    def receive_rtcp(self, packet: bytes, now: float) -> None:
        """Take one RTCP compound."""

    def transport_changed(self) -> None:
        """Look again at the connection's keys and path: media may flow, or must flow elsewhere."""

    def next_timeout(self) -> float | None:
        """Say when to be woken."""

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""


class ConnectionOwner(Protocol):
    """Whom a connection tells its news."""

    def connection_established(self, connection: "PeerConnection") -> None:
        """The handshake is done."""

    def connection_lost(self, connection: "PeerConnection", reason: str) -> None:
        """The peer has fallen silent, and nothing more is sent; a restart of ICE can bring it back."""

    def connection_closed(self, connection: "PeerConnection") -> None:
        """The peer has said goodbye to the transport (close_notify); signalling, where there is any, says what it means."""

    def channel_opened(self, connection: "PeerConnection", channel: ChannelOpened) -> None:
        """The peer has opened a data channel, or has acknowledged ours."""

    def channel_message(self, connection: "PeerConnection", message: ChannelMessage) -> None:
        """A message came on a data channel."""

    def channel_closed(self, connection: "PeerConnection", channel: ChannelClosed) -> None:
        """A data channel is gone."""

    def channel_drained(self, connection: "PeerConnection", channel: ChannelDrained) -> None:
        """What waits on a data channel has fallen to its drain threshold: there is room for more."""


class PeerConnection:
    """Carries bytes and time to and from one peer's cores; decides nothing itself.

    `selected` is where media goes, None until ICE has validated a path. `checked_from` has the first few hosts that
    STUN came from, for the log of a connection that never comes up.
    """

    def __init__(self, transport: PeerTransport, endpoint: UdpEndpoint, owner: ConnectionOwner) -> None:
        self.transport = transport
        self.endpoint = endpoint
        self.media: MediaSink | None = None
        self.selected: Path | None = None
        self._owner = owner
        self._ufrags: list[str] = []
        self._paths: set[Path] = set()
        self._failure: Exception | None = None
        self.checked_from: set[str] = set()
        self._alarm = trio.CancelScope()  # always there: a datagram may come before `keep_time`

    @property
    def connected(self) -> bool:
        """Whether media may flow."""
        return self.transport.connected and self.selected is not None

    def answer_to(self, ufrag: str) -> None:
        """Take STUN requests for these credentials too, from now on."""
        self.endpoint.register(ufrag, self)
        self._ufrags.append(ufrag)
        if len(self._ufrags) > MAX_UFRAGS:
            self.endpoint.unregister(self._ufrags.pop(0))

    def expect_on(self, path: Path) -> None:
        """Take what comes on `path`, where we have sent a check."""
        self.endpoint.route(path, self)
        self._paths.add(path)

    def receive(self, datagram: bytes, path: Path, now: float) -> None:
        """Take one datagram from the endpoint. Never blocks, so calls cannot interleave."""
        if datagram[0] <= 127 or datagram[0] > 191:
            if not self.connected and len(self.checked_from) < MAX_CHECKED_FROM:
                self.checked_from.add(path.remote[0])
            outputs = self.transport.receive(datagram, path, now)
            if outputs and path in self._paths:
                self.endpoint.route(path, self)  # an answered check: if another had claimed the path, it is ours again
            self.perform(outputs)
        elif is_rtcp(datagram):
            if (packet := self.transport.receive_rtcp(datagram, path, now)) is not None and self.media is not None:
                self.media.receive_rtcp(packet, now)
        elif (packet := self.transport.receive_rtp(datagram, path, now)) is not None and self.media is not None:
            self.media.receive_rtp(packet, now)

    def answer_repeat(self, datagram: bytes, path: Path, now: float) -> bytes | None:
        """Return the answer to a consent check that changes nothing: by far the most of what an idle peer sends."""
        return self.transport.answer_repeat(datagram, path, now)

    def fail(self, error: Exception) -> None:
        """Let `run` raise `error`, which ends exactly the participant that this connection belongs to."""
        if self._failure is None:
            self._failure = error
            self.wake()

    def do(self, step: Callable[[float], list[TransportOutput]]) -> None:
        """Change the transport by `step(now)` and do what it wants done, in one breath."""
        with self.endpoint.batch():
            self.perform(step(trio.current_time()))

    def send_message(self, channel_id: int, data: bytes, *, is_text: bool = False) -> None:
        """Send one message on an open data channel.

        Raises:
            SendQueueFullError: too much waits to be sent; the message was refused, and nothing has been done.
            LocalProtocolError: if the channel is not open.
        """
        with self.endpoint.batch():
            self.perform(self.transport.send_message(channel_id, data, trio.current_time(), is_text=is_text))

    def buffered_bytes(self, channel_id: int) -> int:
        """Return how much of what was sent on a channel has not been acknowledged."""
        return self._channels.buffered_bytes(channel_id)

    def set_drain_threshold(self, channel_id: int, threshold: int) -> None:
        """Tell the owner when a channel's buffered bytes fall to `threshold`. Raises LocalProtocolError if it is closed."""
        self._channels.set_drain_threshold(channel_id, threshold)

    def drop_unsent(self, channel_id: int, keep_bytes: int) -> int:
        """Drop a lossy channel's oldest messages until no more than `keep_bytes` wait; return how many."""
        return self._channels.drop_unsent(channel_id, keep_bytes)

    def hold(self, size: int) -> None:
        """Let the peer's window for data be smaller by `size` bytes."""
        self._channels.hold(size)

    def release(self, size: int) -> None:
        """Give back what `hold` took."""
        self.do(lambda now: self.transport.release_received(size, now))

    def send_rtcp(self, compound: bytes) -> None:
        """Protect and queue one RTCP compound, if the connection is up."""
        if self.transport.srtp is not None and self.selected is not None:
            self.endpoint.queue(self.transport.srtp.protect_rtcp(compound), self.selected)

    def reschedule(self) -> None:
        """Look at the timers again: something may be due earlier than before."""
        self._wake_by(self._deadline())

    def wake(self) -> None:
        """Run the timers as soon as may be."""
        self._alarm.deadline = trio.current_time()

    async def run(self) -> NoReturn:
        """Keep the timers until cancelled, and leave nothing in the endpoint's tables. Raises as `keep_time`."""
        try:
            await self.keep_time()
        finally:
            self.close()

    async def keep_time(self) -> NoReturn:
        """Keep the timers until cancelled. Then the connection is to be closed, or another task to keep them.

        Raises:
            PeerConnectionLostError: the handshake failed.
            Exception: whatever a datagram of this connection caused.
        """
        while True:
            if self._failure is not None:
                raise self._failure
            due = self._deadline()
            self._alarm = trio.CancelScope(deadline=math.inf if due is None else due)
            with self._alarm:
                await trio.sleep_forever()
            with self.endpoint.batch():
                now = trio.current_time()
                self.perform(self.transport.handle_timeout(now))
                if self.media is not None:
                    self.media.handle_timeout(now)

    def close(self) -> None:
        """Say goodbye and leave the endpoint's tables, even if a core that is broken cannot say it. Idempotent."""
        try:
            with self.endpoint.batch():
                self.perform(self.transport.close())
        finally:
            for ufrag in self._ufrags:
                self.endpoint.unregister(ufrag)
            for path in self._paths:
                self.endpoint.unroute(path, self)
            self._ufrags.clear()
            self._paths.clear()
            self.selected = None
        self._transport_changed()

    def perform(self, outputs: list[TransportOutput]) -> None:
        """Do what the transport wants done, in order."""
        for output in outputs:
            match output:
                case Send(data, to):
                    self.endpoint.queue(data, to)
                case Validated(path):
                    self.expect_on(path)
                case Forgotten(path):
                    self._paths.discard(path)
                    self.endpoint.unroute(path, self)
                case Nominated(path):
                    logger.debug("media goes to %s port %d from now on, by %s", *path.remote, path.local[0])
                    self.selected = path
                    self._transport_changed()
                case Connected():
                    self._transport_changed()
                    self._owner.connection_established(self)
                case Lost(reason):
                    self.selected = None
                    self._transport_changed()
                    self._owner.connection_lost(self, reason)
                case Broken(reason):
                    self.fail(PeerConnectionLostError(reason))
                case Closed():
                    self._owner.connection_closed(self)
                case ChannelOpened():
                    self._owner.channel_opened(self, output)
                case ChannelMessage():
                    self._owner.channel_message(self, output)
                case ChannelDrained():
                    self._owner.channel_drained(self, output)
                case ChannelClosed():
                    self._owner.channel_closed(self, output)
                case _:
                    assert_never(output)
        self._wake_by(self.transport.next_timeout())  # for no output too: what was received may have set a timer

    def _wake_by(self, due: float | None) -> None:
        if due is not None and due < self._alarm.deadline:  # moving a deadline costs 4 µs, and a late one is harmless
            self._alarm.deadline = due

    @property
    def _channels(self) -> DataChannels:
        assert self.transport.channels is not None, "there was a channel"
        return self.transport.channels

    def _transport_changed(self) -> None:
        if self.media is not None:
            self.media.transport_changed()
            self.reschedule()

    def _deadline(self) -> float | None:
        return earliest(self.transport.next_timeout(), None if self.media is None else self.media.next_timeout())
