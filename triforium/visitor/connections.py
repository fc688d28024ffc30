"""A visitor's peer connections in either of LiveKit's layouts: who offers what, when, and which track came of it."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Final, NoReturn

import trio
from livekit.protocol.rtc import (
    JoinResponse,
    MediaSectionsRequirement,
    SessionDescription,
    SignalRequest,
    SignalTarget,
    TrickleRequest,
)

from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import Direction
from rtp.sdp.transceiver import LocalEncoding, LocalTrack, Transceiver
from rtp.units import Ssrc
from sfu.transport.connection import ConnectionOwner
from triforium.visitor.feedback import BandwidthFeedback
from triforium.visitor.link import Link
from triforium.visitor.plan import MediaPlan
from triforium.visitor.receiving import ReceivedTrack, Watch
from triforium.visitor.sending import Sender
from triforium.visitor.world import VisitorWorld

SPARE_SECTIONS: Final = 3
"""How many sections of each kind the first offer of the single layout has for tracks of others, as clients have it."""


DEBOUNCE_SECONDS: Final = 0.02
"""From the wish to negotiate to the offer, as in livekit-client."""


class Habits(Enum):
    """Whose manners a visitor has, where LiveKit's published clients differ."""

    JAVASCRIPT = auto()
    """livekit-client: numbers its offers, answers before it offers, offers again after the first answer."""
    RUST = auto()
    """The Rust core of most SDKs: does not number, offers as soon as it has joined, sends again without RTX."""


class Connections:
    """One peer connection, or two: the publisher's, where we offer, and the subscriber's, where the server does.

    `send` queues a message for the server, `start` runs a link that was not there at first, `tell` is called when something has changed.
    `received` are the tracks of others that were ever described to us, by sid; `subscribed` those that are now.
    """

    def __init__(
        self,
        world: VisitorWorld,
        owner: ConnectionOwner,
        *,
        single: bool,
        habits: Habits,
        plan: MediaPlan,
        send: Callable[[SignalRequest], None],
        start: Callable[[Link], None],
        tell: Callable[[], None],
        watch: Watch | None = None,
        feedback: BandwidthFeedback = BandwidthFeedback.PLENTY,
    ) -> None:
        self.received: dict[str, ReceivedTrack] = {}
        self.subscribed: set[str] = set()
        self._world = world
        self._owner = owner
        self._single = single
        self._habits = habits
        self._plan = plan
        self._send = send
        self._start = start
        self._tell = tell
        self._watch = watch
        self._feedback = feedback
        self._transceivers: dict[Sender, Transceiver] = {}
        self._subscriber_primary = False
        self._offers = 0
        self._offer_wanted = trio.Event()
        self._offer_again = False
        self._is_first_answer = single
        self._offers_publisher = False  # whether the publisher's connection has been offered, or is about to be
        self.subscriber: Link | None = None
        self.publisher = self._new_link()
        if single:
            for kind in (MediaKind.AUDIO, MediaKind.VIDEO):
                self._add_spare(kind, SPARE_SECTIONS)
        self.publisher.open_channels()

    @property
    def links(self) -> list[Link]:
        """All there are."""
        return [self.publisher] if self.subscriber is None else [self.publisher, self.subscriber]

    @property
    def primary(self) -> Link | None:
        """The one that must be up for us to count as connected; None before it was offered to us."""
        return self.subscriber if self._subscriber_primary else self.publisher

    def first_offer(self) -> SessionDescription:
        """Return the offer that goes into the join request of the single layout."""
        self._offers_publisher = True
        return self._new_offer()

    def joined(self, join: JoinResponse) -> None:
        """Go on as the server's first message wants it."""
        self._subscriber_primary = join.subscriber_primary
        if self._single:
            return
        self._offers_publisher = join.fast_publish or not join.subscriber_primary
        if self._offers_publisher and (self._habits is Habits.RUST or not join.subscriber_primary):
            self._open_publisher()

    def take_offer(self, offer: SessionDescription) -> None:
        """Answer the server's offer. Raises DecodeError or NegotiationError."""
        is_first = self.subscriber is None
        if self.subscriber is None:
            self.subscriber = self._new_link()
            self._start(self.subscriber)
        sdp = self.subscriber.answer(offer.sdp)
        answer_id = offer.id if self._habits is Habits.JAVASCRIPT else 0
        self._send(SignalRequest(answer=SessionDescription(type="answer", sdp=sdp, id=answer_id)))
        if is_first:
            if self._offers_publisher and self._offers == 0:
                self._open_publisher()
            self._trickle(self.subscriber, SignalTarget.SUBSCRIBER)
        self._map_tracks(self.subscriber, None)

    def take_answer(self, answer: SessionDescription) -> None:
        """Take the server's answer, unless it is to an older offer. Raises DecodeError or NegotiationError."""
        if answer.id and self._habits is Habits.JAVASCRIPT and answer.id != self._offers:
            return
        self.publisher.apply_answer(answer.sdp)
        for sender, transceiver in self._transceivers.items():
            self.publisher.start_sender(sender, transceiver)
        if self._single:
            self._map_tracks(self.publisher, answer.mid_to_track_id)
        if self._is_first_answer:
            self._is_first_answer = False
            if self._habits is Habits.JAVASCRIPT:
                self.offer()
            self._trickle(self.publisher, SignalTarget.PUBLISHER)
        elif self._offer_again:
            self._offer_again = False
            self.negotiate()
        self._tell()

    def take_candidate(self, trickle: TrickleRequest) -> None:
        """Check one more of the server's addresses. Raises DecodeError."""
        link = self.subscriber if trickle.target == SignalTarget.SUBSCRIBER else self.publisher
        if link is not None and trickle.candidateInit:
            link.add_candidate(json.loads(trickle.candidateInit)["candidate"])

    def take_requirement(self, requirement: MediaSectionsRequirement) -> None:
        """Offer again, with as many more sections as the server wants to send in."""
        self._add_spare(MediaKind.AUDIO, requirement.num_audios)
        self._add_spare(MediaKind.VIDEO, requirement.num_videos)
        self.negotiate()

    def negotiate(self) -> None:
        """Let there be another offer soon."""
        self._offer_wanted.set()

    async def run(self) -> NoReturn:
        """Make the offers that are wanted, each a little later: what is wanted meanwhile goes into the same."""
        while True:
            await self._offer_wanted.wait()
            await trio.sleep(DEBOUNCE_SECONDS)
            self._offer_wanted = trio.Event()
            self.offer()

    def offer(self) -> None:
        """Offer on the publisher's connection: now, or after the answer that is outstanding."""
        if not self._offers_publisher:
            self._open_publisher()
        elif self.publisher.negotiation.is_offering:
            self._offer_again = True
        else:
            self._send(SignalRequest(offer=self._new_offer()))

    def resume(self) -> None:
        """Offer anew, with new ICE credentials, in place of an offer that may be lost."""
        self._is_first_answer = False
        self._offer_again = False
        if self._offers_publisher:
            self.publisher.restart_ice()
            self._send(SignalRequest(offer=self._new_offer()))
            self._trickle(self.publisher, SignalTarget.PUBLISHER)

    def publish(self, senders: Sequence[Sender], cid: str) -> None:
        """Offer to send a track: in one stream, or in several layers of simulcast."""
        track = _local_track(senders, cid)
        transceiver = self.publisher.negotiation.add_transceiver(senders[0].kind, Direction.SENDONLY, local_track=track)
        for sender in senders:
            self._transceivers[sender] = transceiver
            self.publisher.media.add_sender(sender)
        self.negotiate()

    def unpublish(self, senders: Sequence[Sender]) -> None:
        """Stop sending, and offer the section as unused."""
        for sender in senders:
            transceiver = self._transceivers.pop(sender)
            transceiver.direction = Direction.INACTIVE
            transceiver.local_track = None
            self.publisher.media.remove_sender(sender)
        self.negotiate()

    def is_answered(self, senders: Sequence[Sender]) -> bool:
        """Whether the server has answered the offer of this track, with whatever codecs."""
        return bool(self._transceivers[senders[0]].codecs)

    def mute(self, senders: Iterable[Sender], *, muted: bool) -> None:
        """Stop sending, or go on."""
        for sender in senders:
            if muted:
                sender.mute()
            else:
                sender.unmute(trio.current_time())
        self.publisher.connection.reschedule()

    def set_layer(self, sender: Sender, *, stopped: bool) -> None:
        """Stop one layer, with a goodbye, or go on with it."""
        if stopped:
            sender.stop_layer()
            self.publisher.media.say_goodbye(sender)
        else:
            sender.start_layer(trio.current_time())
        self.publisher.connection.reschedule()

    def restart(self, senders: Sequence[Sender], restarted: Iterable[Sender], cid: str) -> None:
        """Go on with some of a track's streams as with new ones. Where the description names SSRCs, offer again."""
        for sender in restarted:
            self.publisher.media.remove_sender(sender)
            sender.restart(self.publisher.new_ssrc(), None if sender.rtx_ssrc is None else self.publisher.new_ssrc())
            self.publisher.media.add_sender(sender)
        self._transceivers[senders[0]].local_track = _local_track(senders, cid)
        if any(sender.rid is None for sender in senders):
            self.negotiate()
        self.publisher.connection.reschedule()

    def close(self) -> None:
        """Give all sockets back, for links that were never started too."""
        for link in self.links:
            link.socket.close()

    def _new_link(self) -> Link:
        return Link(
            self._world,
            self._owner,
            cname="visitor",
            tell=self._tell,
            sends_rtx=self._habits is Habits.JAVASCRIPT,
            feedback=self._feedback,
        )

    def _add_spare(self, kind: MediaKind, count: int) -> None:
        for _ in range(count):
            self.publisher.negotiation.add_transceiver(kind, Direction.RECVONLY)

    def _open_publisher(self) -> None:
        self._offers_publisher = True
        self._send(SignalRequest(offer=self._new_offer()))
        self._trickle(self.publisher, SignalTarget.PUBLISHER)

    def _new_offer(self) -> SessionDescription:
        self._offers += 1
        offer_id = self._offers if self._habits is Habits.JAVASCRIPT else 0
        return SessionDescription(type="offer", sdp=self.publisher.negotiation.create_offer(), id=offer_id)

    def _trickle(self, link: Link, target: SignalTarget) -> None:
        candidate = {"candidate": link.candidate.serialize(), "sdpMid": "0", "sdpMLineIndex": 0}
        self._send(SignalRequest(trickle=TrickleRequest(candidateInit=json.dumps(candidate), target=target)))

    def _map_tracks(self, link: Link, track_ids: Mapping[str, str] | None) -> None:
        """Learn what comes on `link`: by the whole of `track_ids`, which is by mid, or else by what sections say."""
        expected: dict[Ssrc, ReceivedTrack] = {}
        for transceiver in link.negotiation.transceivers:
            remote = transceiver.remote_track
            if remote is None or transceiver.mid is None:
                continue
            sid = remote.track_id if track_ids is None else track_ids.get(transceiver.mid, "")
            for encoding in remote.encodings:
                if sid and encoding.ssrc is not None:
                    expected[encoding.ssrc] = self._track(sid, transceiver, encoding.ssrc, encoding.rtx_ssrc)
        self.subscribed = {track.sid for track in expected.values()}
        link.media.expect(expected)
        self._tell()

    def _track(self, sid: str, transceiver: Transceiver, ssrc: Ssrc, rtx_ssrc: Ssrc | None) -> ReceivedTrack:
        known = self.received.get(sid)
        if known is not None and known.ssrc == ssrc:
            return known
        codec = transceiver.codecs[0]
        track = ReceivedTrack(
            sid,
            transceiver.kind,
            codec.clock_rate,
            self._plan.known_payloads(),
            ssrc,
            payload_type=codec.payload_type,
            rtx_ssrc=rtx_ssrc,
            mime=codec.mime,
            watch=self._watch,
            extension_ids=transceiver.extensions,
        )
        self.received[sid] = track
        return track


def _local_track(senders: Sequence[Sender], cid: str) -> LocalTrack:
    encodings = tuple(LocalEncoding(sender.ssrc, sender.rtx_ssrc, sender.rid) for sender in senders)
    return LocalTrack("visitor", cid, senders[0].ssrc, senders[0].rtx_ssrc, encodings if len(encodings) > 1 else ())
