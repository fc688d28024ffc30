"""A source of nothing: what a down track has between two tracks, or until its publisher sends the codec that it gets."""

from collections.abc import Callable, Mapping

from rtp.reception import SenderClock
from rtp.sdp.codecs import MediaKind
from sfu.media.downtrack import DownTrack
from sfu.media.fanout import PacketFacts
from sfu.media.ladder import LayerCost
from sfu.media.layers import TrackLayers


class Silence:
    """Feeds nothing to whoever is attached. `demand_changed` is called when what they want of it may have changed."""

    def __init__(self, kind: MediaKind, clock_rate: int, demand_changed: Callable[[], None] = lambda: None) -> None:
        self.kind = kind
        self.clock_rate = clock_rate
        self.layers = TrackLayers()
        self.down_tracks: list[DownTrack] = []
        self.demand_changed = demand_changed

    @property
    def is_wanted(self) -> bool:
        """Whether anybody would like to get something from here."""
        return any(down_track.wanted_layer is not None for down_track in self.down_tracks)

    def attach(self, down_track: DownTrack) -> None:
        """Send it nothing."""
        self.down_tracks.append(down_track)

    def detach(self, down_track: DownTrack) -> None:
        """Send it nothing. Idempotent."""
        if down_track in self.down_tracks:
            self.down_tracks.remove(down_track)
            self.demand_changed()

    def request_keyframe(self, layer: int) -> bool:  # noqa: ARG002 - a protocol's
        """There is none to wait for."""
        return False

    def find(self, epoch: int, sequence: int) -> tuple[bytes, PacketFacts] | None:  # noqa: ARG002 - a protocol's
        """Nothing was forwarded."""
        return None

    def sender_clock(self, epoch: int) -> SenderClock | None:  # noqa: ARG002 - a protocol's
        """Nothing has a clock."""
        return None

    def costs(self, now: float) -> Mapping[int, LayerCost]:  # noqa: ARG002 - a protocol's
        """It costs nothing."""
        return {}
