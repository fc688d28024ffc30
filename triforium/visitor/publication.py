"""A track that a visitor publishes, as whoever asked for it holds it."""

from collections.abc import Callable, Collection

from livekit.protocol.models import TrackInfo, VideoQuality
from livekit.protocol.rtc import MuteTrackRequest, SignalRequest

from triforium.visitor.connections import Connections
from triforium.visitor.sending import Sender
from triforium.visitor.simulcast import QUALITIES


class Publication:
    """A published track. `info` is what the server answered to our wish to publish it.

    `senders` are its layers, in the order in which they were published; `sender` is the first, or the only one.
    """

    def __init__(
        self,
        info: TrackInfo,
        cid: str,
        senders: tuple[Sender, ...],
        connections: Connections,
        send: Callable[[SignalRequest], None],
    ) -> None:
        self.info = info
        self.cid = cid
        self.is_over = False
        self.sid = info.sid
        self.senders = senders
        self.sender = senders[0]
        self._connections = connections
        self._send = send

    @property
    def is_muted(self) -> bool:
        """Whether nothing is sent."""
        return self.sender.is_muted

    def mute(self, muted: bool) -> None:  # noqa: FBT001 - there is nothing else that it could mean
        """Stop sending, or go on, and tell the server."""
        self._connections.mute(self.senders, muted=muted)
        self._send(SignalRequest(mute=MuteTrackRequest(sid=self.sid, muted=muted)))

    def stop_layer(self, index: int) -> None:
        """Send no more of one layer, as browsers do that cannot afford it; the others go on."""
        self._connections.set_layer(self.senders[index], stopped=True)

    def start_layer(self, index: int) -> None:
        """Go on with it, on the same SSRC, with a key frame."""
        self._connections.set_layer(self.senders[index], stopped=False)

    def send_only(self, qualities: Collection[VideoQuality]) -> None:
        """Send the layers of these qualities, and no others, as clients do that use dynacast."""
        for index, sender in enumerate(self.senders):
            quality = QUALITIES.get(sender.rid or "", index)  # those without a name stand in their order
            if sender.is_stopped is (quality in qualities):
                self._connections.set_layer(sender, stopped=not sender.is_stopped)

    def restart(self, *indices: int) -> None:
        """Go on with these layers, or all if none are named, on new SSRCs, with new numbers and clocks."""
        restarted = [self.senders[index] for index in indices or range(len(self.senders))]
        self._connections.restart(self.senders, restarted, self.cid)

    def unpublish(self) -> None:
        """Take the track away: it cannot come back."""
        self.is_over = True
        self._connections.unpublish(self.senders)
