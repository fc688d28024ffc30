"""A source of nothing, for a down track that carries one track after the other: what it has between two of them."""

from rtp.reception import SenderClock
from sfu.media.downtrack import DownTrack
from sfu.media.fanout import PacketFacts
from sfu.media.layers import TrackLayers


class Silence:
    """Feeds nothing to whoever is attached."""

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self.layers = TrackLayers()

    def attach(self, down_track: DownTrack) -> None:
        """Send it nothing."""

    def detach(self, down_track: DownTrack) -> None:
        """Send it nothing."""

    def request_keyframe(self, layer: int) -> bool:  # noqa: ARG002 - a protocol's
        """There is none to wait for."""
        return False

    def find(self, epoch: int, sequence: int) -> tuple[bytes, PacketFacts] | None:  # noqa: ARG002 - a protocol's
        """Nothing was forwarded."""
        return None

    def sender_clock(self, epoch: int) -> SenderClock | None:  # noqa: ARG002 - a protocol's
        """Nothing has a clock."""
        return None

    def demand_changed(self) -> None:
        """Nobody is to be told."""
