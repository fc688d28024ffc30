"""A track that a visitor publishes, as whoever asked for it holds it."""

from collections.abc import Callable

from livekit.protocol.models import TrackInfo
from livekit.protocol.rtc import MuteTrackRequest, SignalRequest

from triforium.visitor.connections import Connections
from triforium.visitor.sending import Sender


class Publication:
    """A published track. `info` is what the server answered to our wish to publish it."""

    def __init__(
        self,
        info: TrackInfo,
        cid: str,
        sender: Sender,
        connections: Connections,
        send: Callable[[SignalRequest], None],
    ) -> None:
        self.info = info
        self.cid = cid
        self.is_over = False
        self.sid = info.sid
        self.sender = sender
        self._connections = connections
        self._send = send

    @property
    def is_muted(self) -> bool:
        """Whether nothing is sent."""
        return self.sender.is_muted

    def mute(self, muted: bool) -> None:  # noqa: FBT001 - there is nothing else that it could mean
        """Stop sending, or go on, and tell the server."""
        self._connections.mute(self.sender, muted=muted)
        self._send(SignalRequest(mute=MuteTrackRequest(sid=self.sid, muted=muted)))

    def unpublish(self) -> None:
        """Take the track away: it cannot come back."""
        self.is_over = True
        self._connections.unpublish(self.sender)
