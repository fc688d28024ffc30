"""A track in another format than it is published in: a source that is made of another, once for all who get it."""

from collections.abc import Mapping

from rtp.history import MAX_AUDIO_PACKETS, PacketHistory
from rtp.reception import SenderClock
from sfu.media.downtrack import DownTrack, Source
from sfu.media.fanout import NO_EPOCH, FanOut, PacketFacts
from sfu.media.ladder import LayerCost
from sfu.media.redundancy import Conversion


class DerivedSource:
    """Feeds its down tracks what `conversion` makes of the packets of `whole`, on the same clock and in the same epochs.

    `down_tracks` are all that the track has, whatever format they get it in.
    """

    def __init__(self, whole: Source, down_tracks: list[DownTrack], conversion: Conversion) -> None:
        self.kind = whole.kind
        self.clock_rate = whole.clock_rate
        self.layers = whole.layers
        self._whole = whole
        self._down_tracks = down_tracks
        self._conversion = conversion
        self._fan_out = FanOut()
        self._epoch = NO_EPOCH
        self._history = PacketHistory[PacketFacts](max_packets=MAX_AUDIO_PACKETS)

    def forward(self, packet: bytes, facts: PacketFacts) -> None:
        """Convert a packet, and send what comes of it to all who get this format.

        Raises:
            DecodeError: the packet cannot be read.
        """
        if facts.epoch != self._epoch:
            self._epoch = facts.epoch
            self._history = PacketHistory(max_packets=MAX_AUDIO_PACKETS)
        for converted, its_facts in self._conversion.convert(packet, facts):
            self._history.put(its_facts.sequence, converted, its_facts)
            self._fan_out.forward(converted, its_facts)

    def attach(self, down_track: DownTrack) -> None:
        """Send to it from now on."""
        self._down_tracks.append(down_track)
        self._fan_out.add(down_track.row)

    def detach(self, down_track: DownTrack) -> None:
        """Send to it no more. Idempotent."""
        if down_track in self._down_tracks:
            self._down_tracks.remove(down_track)
            self._fan_out.remove(down_track.row)

    def request_keyframe(self, layer: int) -> bool:
        """Sound can be entered anywhere."""
        return self._whole.request_keyframe(layer)

    def find(self, epoch: int, sequence: int) -> tuple[bytes, PacketFacts] | None:
        """Return the packet that was forwarded under this number of this epoch, if it is still kept."""
        return self._history.get(sequence) if epoch == self._epoch else None

    def costs(self, now: float) -> Mapping[int, LayerCost]:
        """What the whole costs."""
        return self._whole.costs(now)

    def demand_changed(self) -> None:
        """What is wanted in this format is wanted of the track."""
        self._whole.demand_changed()

    def sender_clock(self, epoch: int) -> SenderClock | None:
        """Return the publisher's last word on the clock of this epoch."""
        return self._whole.sender_clock(epoch)
