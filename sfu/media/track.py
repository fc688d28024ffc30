"""A published track, as subscribers see it: where it comes from, and whether it is muted."""

from rtp.sdp.codecs import Codec, MediaKind
from rtp.units import Mid
from sfu.media.downtrack import Pause
from sfu.media.dynacast import NOTHING
from sfu.media.receiver import Receiver
from sfu.model import Identity, ParticipantSid, TrackSid


class MediaTrack:
    """One published track. Its receiver lives as long as it does."""

    def __init__(
        self, sid: TrackSid, publisher_sid: ParticipantSid, publisher: Identity, mid: Mid, receiver: Receiver
    ) -> None:
        self.sid = sid
        self.publisher_sid = publisher_sid
        self.publisher = publisher
        self.mid = mid
        self.receiver = receiver
        self.muted = False

    @property
    def kind(self) -> MediaKind:
        """Audio or video."""
        return self.receiver.kind

    @property
    def codec(self) -> Codec:
        """What the publisher sends, with the publisher's payload type."""
        return self.receiver.codec

    @property
    def stream_id(self) -> str:
        """What subscribers' descriptions call it: clients find the participant in front of the bar."""
        return f"{self.publisher_sid}|{self.sid}"

    def level(self, now: float) -> float:
        """Return how loud the track is: 0 to 1, linear; nothing if it is muted, whatever its publisher sends."""
        return 0.0 if self.muted else self.receiver.levels.level(now)

    def wanted_quality(self) -> int:
        """Return the best quality that any subscriber would like to see now, or NOTHING."""
        layer = self.receiver.wanted_layer()
        return NOTHING if layer is None else self.receiver.layers.quality(layer)

    def set_muted(self, *, muted: bool) -> None:
        """Stop or resume what subscribers get."""
        self.muted = muted
        self.receiver.forget_activity()
        self.receiver.for_each_down_track(lambda down_track: down_track.set_pause(Pause.MUTED, paused=muted))
