"""What is sent to somebody who has offered its sections once and for all, and will not offer again.

Each section is a slot that carries one track at a time, under one SSRC and one name. A track that comes gets a slot
that is free and has agreed on its codec; a track that goes leaves it to another.
"""

from collections import Counter
from dataclasses import dataclass

from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import Direction
from rtp.sdp.transceiver import LocalTrack, Transceiver
from sfu.media.downtrack import DownTrack, Pause
from sfu.media.totals import Totals
from sfu.media.track import MediaTrack
from sfu.model import Identity, ParticipantSid, TrackSid
from sfu.room.peer import Peer
from sfu.room.subscriber import Subscriber, SubscriberOwner, Subscription, apply_settings
from sfu.room.subscriptions import DEFAULT_SETTINGS, TrackSettings


@dataclass(frozen=True, slots=True)
class Watching:
    """Whose tracks somebody wants to see, or which one, and how; everything in the room if nothing is said."""

    publisher: Identity | None = None
    track: TrackSid | None = None
    settings: TrackSettings = DEFAULT_SETTINGS

    def includes(self, track: MediaTrack) -> bool:
        """Whether a track is one of those."""
        return self.publisher in {None, track.publisher} and self.track in {None, track.sid}


@dataclass(slots=True, eq=False)
class Slot:
    """A section, and what it carries now. Audio and video sections of the same `pair` make one stream."""

    transceiver: Transceiver
    down_track: DownTrack
    local_track: LocalTrack
    pair: int
    subscription: Subscription | None = None


class SlotSubscriber(Subscriber):
    """The subscriber whose sections are settled by the first answer."""

    def __init__(self, peer: Peer, owner: SubscriberOwner, name: ParticipantSid) -> None:
        super().__init__(peer, owner)
        self._name = name
        self._slots: list[Slot] = []

    def subscribe(self, track: MediaTrack, settings: TrackSettings) -> None:
        """Send `track`, if there is a slot for it; else it is not subscribed, and may be later."""
        if (slot := self._slot_for(track)) is None:
            return
        subscription = Subscription(track, slot.down_track, slot.local_track)
        subscription.transceiver = slot.transceiver
        slot.subscription = self.subscriptions[track.sid] = subscription
        slot.down_track.set_pause(Pause.MUTED, paused=track.muted)
        with self.peer.connection.endpoint.batch():
            source = self.peer.bind_down_track(slot.down_track, slot.transceiver, track)
            apply_settings(settings, slot.down_track)
            slot.down_track.set_source(source)
        self._tell_flowing()

    def unsubscribe(self, sid: TrackSid) -> None:
        """Send the track no more, and leave its slot to another. Unknown ids are ignored."""
        subscription = self.subscriptions.pop(sid, None)
        for slot in self._slots:
            if subscription is not None and slot.subscription is subscription:
                slot.subscription = None
                slot.down_track.set_source(None)

    def prepare_answer(self) -> None:
        """Make a slot of each section that the client listens in."""
        pairs: Counter[MediaKind] = Counter()
        for transceiver in self.peer.negotiation.transceivers:
            if transceiver.local_track is not None or not transceiver.remote_receives:
                continue
            pair = pairs[transceiver.kind]
            pairs[transceiver.kind] += 1
            stream_id = f"{self._name}|{pair}"
            down_track, local_track = self.peer.new_slot(transceiver.kind, stream_id, f"{stream_id}|{transceiver.mid}")
            transceiver.direction = Direction.SENDONLY
            transceiver.local_track = local_track
            self._slots.append(Slot(transceiver, down_track, local_track, pair))

    def answered(self) -> None:
        """Nothing is to be bound before there is a track."""

    def carried(self) -> dict[int, MediaTrack]:
        """Return what sections carry now, by their places in the description, in order."""
        negotiation = self.peer.negotiation
        return {
            negotiation.index_of(slot.transceiver): slot.subscription.track for slot in self._slots if slot.subscription
        }

    def totals(self) -> Totals:
        """Sum up what was sent, of whichever track."""
        return sum((slot.down_track.totals() for slot in self._slots), self._ended)

    def close(self) -> None:
        """End every slot, without telling the client: it is going."""
        self._ended = self.totals()
        for slot in self._slots:
            slot.down_track.close()
        self._slots.clear()
        self.subscriptions.clear()

    def _slot_for(self, track: MediaTrack) -> Slot | None:
        """Find a free slot: beside another track of the same publisher, so that lips are in time, or beside none."""
        free = [slot for slot in self._slots if slot.subscription is None and slot.transceiver.kind is track.kind]
        if not free:  # as it is for most of a large room, again and again
            return None
        publishers = {slot.pair: each.track.publisher for slot in self._slots if (each := slot.subscription)}

        def strangeness(slot: Slot) -> int:
            beside = publishers.get(slot.pair)
            return 1 if beside is None else 2 * (beside != track.publisher)

        fitting = (slot for slot in sorted(free, key=strangeness) if track.codec_for(slot.transceiver.codecs))
        return next(fitting, None)
