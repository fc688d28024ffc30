"""What one participant is sent: subscriptions, and the media sections that carry them, in either layout.

On the old layout the subscriber connection is ours to offer. On the single connection only the client offers: we ask it
to (`media_sections_requirement`), and give its idle sections to tracks when it does.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NoReturn, Protocol

import trio
from livekit.protocol import rtc

from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import Direction
from rtp.sdp.transceiver import LocalTrack, Transceiver
from sfu.errors import NegotiationFailedError
from sfu.media.downtrack import DownTrack, Pause
from sfu.media.totals import Totals
from sfu.media.track import MediaTrack
from sfu.model import TrackSid
from sfu.room.peer import Peer
from sfu.room.stream_states import StreamStates
from sfu.room.subscriptions import TrackSettings

logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 15.0
"""For a client to answer our offer."""

FAST_DEBOUNCE_SECONDS: Final = 0.010
DEBOUNCE_SECONDS: Final = 0.150
"""Changes that come together go into one offer; less patiently if the last offer is longer ago than this."""


STEREO: Final = "sprop-stereo=1"
"""What tells of two channels in Opus (RFC 7587 §6.1): LiveKit's clients play both only where a section says so."""


class SubscriberOwner(Protocol):
    """Whom a subscriber speaks to the client through, and tells of tracks that flow."""

    def tell(self, response: rtc.SignalResponse) -> None:
        """Queue a message for the client."""

    def track_flows(self, track: MediaTrack) -> None:
        """A subscription is bound, and its connection is up."""

    def cannot_decode(self, track: MediaTrack) -> None:
        """A subscription has ended because the client does not know the track's codec."""


class Subscription:
    """One track on its way to this participant."""

    def __init__(self, track: MediaTrack, down_track: DownTrack, local_track: LocalTrack) -> None:
        self.track = track
        self.down_track = down_track
        self.local_track = local_track
        self.transceiver: Transceiver | None = None
        self.flows = False


class Subscriber:
    """The subscribing half of a participant, common to both layouts; `Offering` and `Answering` differ in who offers."""

    def __init__(self, peer: Peer, owner: SubscriberOwner) -> None:
        self.peer = peer
        self.subscriptions: dict[TrackSid, Subscription] = {}
        self._ended = Totals()
        self._owner = owner
        self._stream_states = StreamStates(owner.tell)
        peer.media.bandwidth.pauses_changed = self._tell_pauses

    def subscribe(self, track: MediaTrack, settings: TrackSettings) -> None:
        """Send `track`, once a section for it is agreed."""
        down_track, local_track = self.peer.new_down_track(track)
        down_track.set_pause(Pause.MUTED, paused=track.muted)
        apply_settings(settings, down_track)
        self.subscriptions[track.sid] = Subscription(track, down_track, local_track)
        self._changed()

    def unsubscribe(self, sid: TrackSid) -> None:
        """Send the track no more, and free its section. Unknown ids are ignored."""
        if (subscription := self.subscriptions.pop(sid, None)) is None:
            return
        self._ended += subscription.down_track.totals()
        self.peer.close_down_track(subscription.down_track)
        if subscription.transceiver is not None:
            subscription.transceiver.local_track = None
            self._changed()

    def set_settings(self, sid: TrackSid, settings: TrackSettings) -> None:
        """Pause or resume one track, or send another layer of it, as its subscriber wishes."""
        if (subscription := self.subscriptions.get(sid)) is not None:
            with self.peer.connection.endpoint.batch():
                apply_settings(settings, subscription.down_track)

    def follow_codecs(self) -> None:
        """Send each track in the best codec that its section agreed on: which one that is may have changed."""
        for subscription in list(self.subscriptions.values()):
            track, transceiver = subscription.track, subscription.transceiver
            if track.kind is MediaKind.AUDIO or len(track.codecs) == 1:
                continue  # nothing of that ever changes
            if transceiver is None or not subscription.down_track.bound:
                continue
            codec = track.codec_for(transceiver.codecs)
            if codec is None:
                if transceiver.current_direction.sends:  # the backup that it waited for came in another profile
                    self._give_up(subscription)
            elif track.source_of(codec.mime) is not subscription.down_track.source:
                with self.peer.connection.endpoint.batch():
                    self._feed(subscription, transceiver)

    def force_bandwidth(self, bitrate_bps: int | None) -> None:
        """Behave as if the client's downlink carried just this; None: as what it is believed to carry."""
        self.peer.media.bandwidth.force(bitrate_bps)

    def totals(self) -> Totals:
        """Sum up what was sent, of subscriptions that have ended too."""
        return sum((each.down_track.totals() for each in self.subscriptions.values()), self._ended)

    def depart(self) -> None:
        """End every subscription: the client goes to another room, where sections and counts begin empty."""
        with self.peer.connection.endpoint.batch():
            for sid in list(self.subscriptions):
                self.unsubscribe(sid)

    def arrive(self) -> None:
        """Count from nothing what is sent in another room."""
        self._ended = Totals()

    def connection_established(self) -> None:
        """Tell of the tracks that were only waiting for the connection."""
        self._tell_flowing()

    def resume(self) -> None:
        """Go on with a client that has come back: what it was told last may never have arrived."""
        raise NotImplementedError

    def close(self) -> None:
        """End every subscription, without telling the client: it is going."""
        self._ended = self.totals()
        for subscription in self.subscriptions.values():
            subscription.down_track.close()
        self.subscriptions.clear()

    def _tell_pauses(self) -> None:
        self._stream_states.look({sid: (each.track, each.down_track) for sid, each in self.subscriptions.items()})

    def ask(self) -> None:
        """Ask the client for the next description, once for all that has changed; nothing if it is us who offer."""

    def _changed(self) -> None:
        """Let there be another description."""
        raise NotImplementedError

    def _waiting(self) -> Iterable[Subscription]:
        return [each for each in self.subscriptions.values() if each.transceiver is None]

    def _give_section(self, subscription: Subscription, transceiver: Transceiver) -> None:
        transceiver.direction = Direction.SENDRECV if transceiver.direction.receives else Direction.SENDONLY
        transceiver.local_track = subscription.local_track
        transceiver.preferred_mimes = tuple(subscription.track.codecs)
        transceiver.opus_fmtp = STEREO if subscription.track.is_stereo else ""
        subscription.transceiver = transceiver

    def _bind_agreed(self) -> None:
        """Bind what the description that was just agreed carries; give up what the client cannot decode."""
        for subscription in list(self.subscriptions.values()):
            transceiver = subscription.transceiver
            if transceiver is None or subscription.down_track.bound:
                continue
            if not self._feed(subscription, transceiver):
                self._give_up(subscription)
        self._tell_flowing()

    def _feed(self, subscription: Subscription, transceiver: Transceiver) -> bool:
        """Send a track in the best codec that its section agreed on. Return whether there is one."""
        source = self.peer.bind_down_track(subscription.down_track, transceiver, subscription.track)
        if source is None:
            return False
        if source is not subscription.down_track.source:
            subscription.down_track.set_source(source)
        return True

    def _give_up(self, subscription: Subscription) -> None:
        """End a subscription to what the client cannot decode. Others go on, and its section serves another track."""
        self.unsubscribe(subscription.track.sid)
        self._owner.cannot_decode(subscription.track)

    def _tell_flowing(self) -> None:
        for subscription in self.subscriptions.values():
            if not subscription.flows and subscription.down_track.bound and self.peer.connection.connected:
                subscription.flows = True
                self._owner.track_flows(subscription.track)


class OfferingSubscriber(Subscriber):
    """The subscriber of the old layout: a connection of its own, which we offer."""

    def __init__(
        self, peer: Peer, owner: SubscriberOwner, *, first_offer_id: int, send_offer: Callable[[Peer, str, int], None]
    ) -> None:
        super().__init__(peer, owner)
        self._offer_id = first_offer_id - 1
        self._send_offer = send_offer
        self._dirty = trio.Event()
        self._answered = trio.Event()
        self._answered.set()
        self._has_offered = False

    def offer(self) -> None:
        """Send an offer with all that we would like to send now."""
        for subscription in self._waiting():
            kind = subscription.track.kind
            transceiver = self._free_section(kind) or self.peer.negotiation.add_transceiver(kind, Direction.SENDRECV)
            self._give_section(subscription, transceiver)
        self._dirty = trio.Event()
        self._answered = trio.Event()
        self._offer_id += 1
        self._has_offered = True
        self._send_offer(self.peer, self.peer.offer(), self._offer_id)

    def resume(self) -> None:
        """Offer anew with new ICE credentials, in place of an offer that may be lost."""
        if self._has_offered:
            self.peer.restart_ice()
            self.offer()

    def receive_answer(self, answer: rtc.SessionDescription) -> None:
        """Take the client's answer, unless it is to an older offer. Raises DecodeError or NegotiationError."""
        if self._answered.is_set() or answer.id not in {0, self._offer_id}:  # clients that do not number say 0
            logger.debug("an answer came to no offer")
            return
        self.peer.accept(answer.sdp)
        self._answered.set()
        with self.peer.connection.endpoint.batch():
            self._bind_agreed()

    async def run(self) -> NoReturn:
        """Offer whenever something has changed, one offer at a time, until cancelled.

        Raises:
            NegotiationFailedError: an answer did not come in time.
        """
        offered_at = float("-inf")
        while True:
            with trio.move_on_after(ANSWER_SECONDS) as patience:
                await self._answered.wait()
            if patience.cancelled_caught:
                raise NegotiationFailedError(f"no answer to our offer within {ANSWER_SECONDS:.0f} s")
            await self._dirty.wait()
            since = trio.current_time() - offered_at
            await trio.sleep(FAST_DEBOUNCE_SECONDS if since > DEBOUNCE_SECONDS else DEBOUNCE_SECONDS)
            offered_at = trio.current_time()
            self.offer()

    def _changed(self) -> None:
        self._dirty.set()

    def _free_section(self, kind: MediaKind) -> Transceiver | None:
        """Find a section that once sent a track, and by the last agreement sends no more."""
        for transceiver in self.peer.negotiation.transceivers:
            is_idle = transceiver.local_track is None and not transceiver.current_direction.sends
            if transceiver.kind is kind and is_idle and not transceiver.is_rejected:
                return transceiver
        return None


class AnsweringSubscriber(Subscriber):
    """The subscriber of the single connection: the client offers sections, we fill them."""

    def __init__(self, peer: Peer, owner: SubscriberOwner) -> None:
        super().__init__(peer, owner)
        self._asked: Counter[MediaKind] = Counter()
        self._may_ask = False
        self._has_changed = False

    def prepare_answer(self) -> None:
        """Give idle sections of the offer to tracks that wait for one."""
        for subscription in self._waiting():
            track = subscription.track
            sections = self.peer.negotiation.transceivers
            free = [each for each in sections if each.kind is track.kind and self._is_free(each)]
            fitting = next((each for each in free if track.codec_for(each.codecs) is not None), None)
            if fitting is not None:
                self._give_section(subscription, fitting)
            elif free:
                self._give_up(subscription)

    def answered(self) -> None:
        """Bind what the answer carries. Sections may still be missing: the client is to be asked again for those."""
        with self.peer.connection.endpoint.batch():
            self._bind_agreed()
        self._asked.clear()
        if any(True for _ in self._waiting()):
            self._changed()

    def resume(self) -> None:
        """Wait for the client's own offer: it is asked for what is missing once that is answered."""
        self._asked.clear()

    def connection_established(self) -> None:
        """From now on the client can be asked to offer again; it is, once, if it subscribes to anything."""
        super().connection_established()
        self._may_ask = True
        self._has_changed = bool(self.subscriptions)
        self.ask()

    def ask(self) -> None:
        """Ask the client to offer again, with as many more sections as are missing, and not asked for yet."""
        if not (self._may_ask and self._has_changed):
            return
        self._has_changed = False
        missing = self._missing() - self._asked
        self._asked += missing
        self._owner.tell(
            rtc.SignalResponse(
                media_sections_requirement=rtc.MediaSectionsRequirement(
                    num_audios=missing[MediaKind.AUDIO], num_videos=missing[MediaKind.VIDEO]
                )
            )
        )

    def _changed(self) -> None:
        self._has_changed = True

    def _missing(self) -> Counter[MediaKind]:
        """Count the sections that waiting tracks lack. Those that the next answer frees will do, one answer later."""
        wanted = Counter(subscription.track.kind for subscription in self._waiting())
        idle = Counter(each.kind for each in self.peer.negotiation.transceivers if _is_idle(each))
        return wanted - idle

    def _is_free(self, transceiver: Transceiver) -> bool:
        """Say whether a section is idle, and carried nothing at the last agreement: a client may still believe in it."""
        return _is_idle(transceiver) and not (transceiver.has_sent and transceiver.current_direction.sends)


def apply_settings(settings: TrackSettings, down_track: DownTrack) -> None:
    """Send as much of a track as its subscriber wishes."""
    down_track.set_wish(settings.wish)
    down_track.set_pause(Pause.DISABLED, paused=settings.is_disabled)


def _is_idle(transceiver: Transceiver) -> bool:
    """Say whether the client only listens in a section, and we have nothing for it."""
    return transceiver.remote_receives and transceiver.remote_track is None and transceiver.local_track is None
