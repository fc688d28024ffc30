"""What a watcher by WHEP is told of what it watches: an event stream of the draft's, written for server-sent events.

An event stream keeps what its reader was told last, and no queue: a reader that comes back learns how things are, not
how they came to be.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from rtp.sdp.codecs import MediaKind
from sfu.media.receiver import Receiver
from sfu.media.track import MediaTrack
from sfu.room.participant import Participant
from sfu.room.watching import SlotSubscriber

EVENTS: Final = ("active", "inactive", "layers", "viewercount")
"""Those of the draft that are sent."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a watcher sees: whether anything is published for it, in which layers, and how many watch the room.

    `layers` are those of each video section, by its index in the description, as the draft spells them.
    """

    is_active: bool = False
    layers: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    viewers: int = 0

    def shape(self) -> object:
        """Return of the layers what is told anew when it changes: not how many bits they have at the moment."""
        return {
            index: [each | {"bitrate": bool(each.get("bitrate"))} for each in layers]
            for index, layers in self.layers.items()
        }


class EventStream:
    """What one reader has asked to be told, and was told last: None if that is not known to have arrived."""

    def __init__(self, events: Collection[str], told: Sight | None) -> None:
        self._events = frozenset(events)
        self._told = told
        self._is_read = False

    def hand_on(self) -> "EventStream":
        """Return the same for the next reader: one that comes back may have missed anything, and is told all."""
        return EventStream(self._events, None if self._is_read else self._told)

    def tell(self, sight: Sight) -> bytes:
        """Return the events that are news, for a body of `text/event-stream`."""
        told, self._told, self._is_read = self._told, sight, True
        news: list[tuple[str, object]] = []
        if told is None or sight.is_active != told.is_active:
            news.append(("active" if sight.is_active else "inactive", {}))
        if told is None or sight.shape() != told.shape():
            news.append(("layers", sight.layers))
        if told is None or sight.viewers != told.viewers:
            news.append(("viewercount", {"viewercount": sight.viewers}))
        return b"".join(
            b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
            for name, data in news
            if name in self._events
        )


def look(watcher: Participant, now: float) -> Sight:
    """See what a watcher sees at this moment."""
    assert isinstance(watcher.subscriber, SlotSubscriber), "whoever watches by WHEP has slots"
    carried = watcher.subscriber.carried()
    layers = {
        str(index): describe_layers(track.receiver, now)
        for index, track in carried.items()
        if track.kind is MediaKind.VIDEO
    }
    viewers = sum(isinstance(each.subscriber, SlotSubscriber) for each in watcher.room.participants.values())
    return Sight(is_active=bool(carried), layers=layers, viewers=viewers)


def describe_layers(receiver: Receiver, now: float) -> list[dict[str, Any]]:
    """Return the simulcast layers of a video, best first; one without a bitrate does not come in now."""
    costs = receiver.costs(now)
    described: list[dict[str, Any]] = []
    for each in reversed(receiver.layers.published):
        layer: dict[str, Any] = {"rid": receiver.layers.name(each.layer)}
        if each.layer in receiver.layers.live and (cost := costs.get(each.layer)):
            layer["bitrate"] = cost.bitrate_bps
        if each.width and each.height:
            layer |= {"width": each.width, "height": each.height}
        described.append(layer)
    return described


def find_section(watcher: Participant, index: str | None) -> MediaTrack | None:
    """Return the video that a section carries now, by its index in the description; by default the first video."""
    assert isinstance(watcher.subscriber, SlotSubscriber), "whoever watches by WHEP has slots"
    videos = {str(at): track for at, track in watcher.subscriber.carried().items() if track.kind is MediaKind.VIDEO}
    return videos.get(index) if index is not None else next(iter(videos.values()), None)
