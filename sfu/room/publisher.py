"""What one participant publishes: tracks that it has announced, and those whose media section has been agreed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from livekit.protocol import models, rtc

from rtp.extensions import ABS_CAPTURE_TIME, AUDIO_LEVEL, DEPENDENCY_DESCRIPTOR, TRANSPORT_CC
from rtp.sdp.codecs import DESCRIBED, OPUS, RED, Codec, MediaKind, carried_by_red, prefer
from rtp.sdp.transceiver import Transceiver
from rtp.units import Mid
from sfu.media.capabilities import TRANSPORT_CC_FEEDBACK
from sfu.media.layers import TrackLayers
from sfu.media.receiver import Receiver
from sfu.media.totals import Totals
from sfu.media.track import MediaTrack
from sfu.model import Identity, ParticipantSid, TrackSid, VideoGrant, new_sid
from sfu.notifier import Notifier
from sfu.room.peer import Peer, encoding_name, incoming_section
from sfu.room.refusals import RefusedError
from sfu.room.track_info import (
    SCREEN_SOURCES,
    announce_codec,
    by_quality,
    describe_media,
    enabled_mime,
    new_track_info,
    source_name,
)

MAX_PENDING_TRACKS: Final = 20
"""Announced, and without media yet."""

MAX_ANNOUNCEMENT_BYTES: Final = 8192
"""Of one announcement: everybody is told of it with each of the publisher's news."""

_KINDS: Final = {models.AUDIO: MediaKind.AUDIO, models.VIDEO: MediaKind.VIDEO}
_KIND_LETTERS: Final = {models.AUDIO: "A", models.VIDEO: "V"}
_SOURCE_LETTERS: Final = {
    models.CAMERA: "C",
    models.MICROPHONE: "M",
    models.SCREEN_SHARE: "S",
    models.SCREEN_SHARE_AUDIO: "s",
}


class TrackListener(Protocol):
    """Who is told of tracks that come and go."""

    def track_published(self, publication: "Publication") -> None:
        """Its media section has been agreed: others may have it."""

    def track_unpublished(self, publication: "Publication") -> None:
        """Its media is gone for good."""

    def track_changed(self, publication: "Publication") -> None:
        """It comes in another codec too, or no more."""


@dataclass(slots=True, eq=False)
class Publication:
    """A track that others can have: what they are told of it, and its media."""

    info: models.TrackInfo
    media: MediaTrack
    cid: str


@dataclass(slots=True)
class PendingTrack:
    """A track that was announced; `info` is what the client was told of it. Or another codec of a `publication`."""

    cid: str
    codec_cids: frozenset[str]
    mimes: tuple[str, ...]
    info: models.TrackInfo
    publication: Publication | None = None


@dataclass(frozen=True, slots=True)
class PublishedSection:
    """A section in which the client sends a publication, in one of its codecs."""

    publication: Publication
    receiver: Receiver
    sdp_track_id: str


class Publisher:
    """The publishing half of a participant, on the connection that the client offers."""

    def __init__(
        self, peer: Peer, sid: ParticipantSid, identity: Identity, dice: Random, listener: TrackListener
    ) -> None:
        self.peer = peer
        self.publications: dict[TrackSid, Publication] = {}
        self._sid = sid
        self._identity = identity
        self._dice = dice
        self._listener = listener
        self._gone = Totals()
        self._pending: dict[str, PendingTrack] = {}
        self._by_mid: dict[Mid, PublishedSection] = {}
        self.demand = Notifier()
        """What is wanted of a video track may have changed: somebody wants more of it, or less, or it is new or muted."""
        self._taken_back: set[str] = set()  # SDP's ids of tracks that the client still describes

    def add_track(self, request: rtc.AddTrackRequest, grant: VideoGrant) -> models.TrackInfo:
        """Take the announcement of a track.

        Raises:
            RefusedError: the participant may not publish it, or it is of no kind that we know, or there are too many.
        """
        source = source_name(request.source)
        if not grant.may_publish_source(source):
            raise RefusedError(rtc.RequestResponse.NOT_ALLOWED, f"not allowed to publish a track from {source}")
        if request.type not in _KINDS:
            raise RefusedError(rtc.RequestResponse.UNSUPPORTED_TYPE, "tracks are audio or video")
        if request.ByteSize() > MAX_ANNOUNCEMENT_BYTES:
            raise RefusedError(rtc.RequestResponse.LIMIT_EXCEEDED, "the track is described at too great length")
        if (pending := self._pending.get(request.cid)) is not None:
            return pending.info  # asked again by a client that has come back, and may have missed the answer
        if request.sid:
            return self._add_codec(request)
        if any(known.cid == request.cid for known in self.publications.values()):
            raise RefusedError(rtc.RequestResponse.LIMIT_EXCEEDED, "a track with this cid is published already")
        if len(self._pending) >= MAX_PENDING_TRACKS:
            raise RefusedError(rtc.RequestResponse.LIMIT_EXCEEDED, "too many tracks without media")
        self._taken_back.discard(request.cid)
        info = new_track_info(request, self._new_sid(request), self._enabled(request))
        self._pending[request.cid] = PendingTrack(
            request.cid,
            frozenset(codec.cid for codec in request.simulcast_codecs if codec.cid),
            tuple(codec.mime_type for codec in info.codecs if codec.mime_type),
            info,
        )
        return info

    def _add_codec(self, request: rtc.AddTrackRequest) -> models.TrackInfo:
        """Take the announcement that a published track will come in another codec too. Raises RefusedError."""
        publication = self.publications.get(TrackSid(request.sid))
        if publication is None:
            raise RefusedError(rtc.RequestResponse.NOT_FOUND, "no such track to add a codec to")
        if request.type != models.VIDEO or publication.info.type != models.VIDEO:
            raise RefusedError(rtc.RequestResponse.UNSUPPORTED_TYPE, "only video comes in several codecs")
        if len(self._pending) >= MAX_PENDING_TRACKS:
            raise RefusedError(rtc.RequestResponse.LIMIT_EXCEEDED, "too many tracks without media")
        info, enabled = publication.info, self._enabled(request)
        mimes = []
        for codec in request.simulcast_codecs:
            mime = enabled_mime(codec.codec, enabled, is_audio=False)
            if not publication.media.comes_in(mime):
                announce_codec(info, mime, codec, by_quality(codec.layers or request.layers))
                mimes.append(mime)
        if mimes:
            cids = frozenset(codec.cid for codec in request.simulcast_codecs)
            self._pending[request.cid] = PendingTrack(request.cid, cids, tuple(mimes), info, publication)
        return info

    def _enabled(self, request: rtc.AddTrackRequest) -> list[str]:
        return [codec.mime for codec in self.peer.receives.codecs(_KINDS[request.type])]

    def knows(self, sid: TrackSid) -> bool:
        """Whether a track of this id has been announced or published, and not withdrawn."""
        return sid in self.publications or any(pending.info.sid == sid for pending in self._pending.values())

    def silent_tracks(self) -> Iterator[models.TrackInfo]:
        """Yield the tracks, announced or published and not muted, of which no packet has come so far."""
        for pending in self._pending.values():
            if pending.publication is None and not pending.info.muted:
                yield pending.info
        for publication in self.publications.values():
            received = (receiver.totals().packets for receiver in publication.media.receivers.values())
            if not publication.info.muted and not any(received):
                yield publication.info

    def set_muted(self, sid: TrackSid, *, muted: bool) -> None:
        """Mute or unmute a track, announced or published.

        Raises:
            RefusedError: there is no such track.
        """
        if (publication := self.publications.get(sid)) is not None:
            publication.info.muted = muted
            publication.media.set_muted(muted=muted)
            self.demand.notify()
        else:
            self.info(sid).muted = muted

    def info(self, sid: TrackSid) -> models.TrackInfo:
        """Return what is told of a track, announced or published.

        Raises:
            RefusedError: there is no such track.
        """
        if (publication := self.publications.get(sid)) is not None:
            return publication.info
        for pending in self._pending.values():
            if pending.info.sid == sid:
                return pending.info
        raise RefusedError(rtc.RequestResponse.NOT_FOUND, "no such track")

    def take_back(self, grant: VideoGrant) -> list[TrackSid]:
        """Unpublish what `grant` does not allow, and forget what was announced of it; return what was published."""
        self._pending = {cid: each for cid, each in self._pending.items() if _allows(grant, each.info)}
        forbidden = [each for each in self.publications.values() if not _allows(grant, each.info)]
        self._taken_back |= {each.sdp_track_id for each in self._by_mid.values() if each.publication in forbidden}
        for publication in forbidden:
            self._unpublish(publication)
        return [publication.media.sid for publication in forbidden]

    def prepare_answer(self) -> None:
        """Choose, between an offer and its answer, the codec of each track.

        It gets the one that was announced, or that it has already, and no other: a browser whose encoder fails would
        go on in the next, which nobody was told of. Opus comes in RED, if the track may have that; and the dependency
        descriptor with what it is wanted for.
        """
        for transceiver in self._sending():
            known = None if transceiver.mid is None else self._by_mid.get(transceiver.mid)
            if known is not None and known.sdp_track_id == _track_id(transceiver):
                codec = known.receiver.codec
                same = sorted(transceiver.codecs, key=lambda each: each.identity != codec.identity)
                transceiver.codecs = _chosen(same, (codec.mime,), has_red=codec.mime == RED)
            elif (pending := self._match(transceiver)) is not None:
                transceiver.codecs = _chosen(transceiver.codecs, pending.mimes, has_red=_may_have_red(pending.info))
                transceiver.opus_fmtp = _opus_wishes(pending.info)
            else:
                transceiver.codecs = _chosen(transceiver.codecs, (), has_red=False)
                transceiver.opus_fmtp = ""
            if DESCRIBED.isdisjoint(codec.mime for codec in transceiver.codecs):
                agreed = transceiver.extensions.items()
                transceiver.extensions = {uri: number for uri, number in agreed if uri != DEPENDENCY_DESCRIPTOR}

    def follow_description(self) -> None:
        """Publish and unpublish as the last description says; also once an announcement has come late."""
        self._taken_back &= {_track_id(transceiver) for transceiver in self.peer.negotiation.transceivers}
        present = {transceiver.mid: transceiver for transceiver in self._sending() if transceiver.mid is not None}
        for mid, section in list(self._by_mid.items()):
            transceiver = present.get(mid)
            if transceiver is None or _track_id(transceiver) != section.sdp_track_id:
                self._end_section(mid)
            else:
                self._receive(transceiver, section.receiver)
        for mid, transceiver in present.items():
            if mid not in self._by_mid and (pending := self._match(transceiver)) is not None:
                self._publish(mid, transceiver, pending)

    def depart(self) -> None:
        """Publish nothing in this room any longer. What comes in goes on, for `arrive` in another."""
        self.publications.clear()

    def arrive(self, sid: ParticipantSid) -> None:
        """Publish in another room, where the participant is `sid`, what was published in the one before."""
        self._sid = sid
        self._gone -= self.totals()
        for publication in dict.fromkeys(section.publication for section in self._by_mid.values()):
            publication.media.publisher_sid = sid
            self.publications[publication.media.sid] = publication
        self.demand.notify()

    def mirror(self, original: "Publisher") -> None:
        """Publish what `original` does in another room, the same tracks; the listener is told what changes."""
        for sid in self.publications.keys() - original.publications.keys():
            self._listener.track_unpublished(self.publications.pop(sid))
        for sid, publication in original.publications.items():
            if sid not in self.publications:
                self.publications[sid] = publication
                self._listener.track_published(publication)

    def totals(self) -> Totals:
        """Sum up what came in for this room, of tracks that are gone too."""
        return sum((section.receiver.totals() for section in self._by_mid.values()), self._gone)

    def withdraw(self) -> None:
        """Take back everything at once; whoever leaves tells of it in its own way."""
        self._gone = self.totals()
        for mid in list(self._by_mid):
            self.peer.media.stop_receiving(mid)
        self._by_mid.clear()
        self.publications.clear()
        self._pending.clear()

    def _sending(self) -> Iterable[Transceiver]:
        """Yield the sections in which the client sends something that we can take."""
        for transceiver in self.peer.negotiation.transceivers:
            if transceiver.remote_track is None or not transceiver.codecs:
                continue
            if transceiver.remote_track.track_id not in self._taken_back:
                yield transceiver

    def _match(self, transceiver: Transceiver) -> PendingTrack | None:
        """Find the announcement that a section belongs to: by its id, else the first of a track of its kind."""
        track_id = _track_id(transceiver)
        candidates = [each for each in self._pending.values() if _KINDS[each.info.type] is transceiver.kind]
        for pending in candidates:
            if track_id == pending.cid or track_id in pending.codec_cids:
                return pending
        return next((pending for pending in candidates if pending.publication is None), None)

    def _publish(self, mid: Mid, transceiver: Transceiver, pending: PendingTrack) -> None:
        if not transceiver.current_direction.receives:
            return
        assert transceiver.remote_track is not None, "the client sends here"
        publication = pending.publication
        if publication is not None and publication.media.comes_in(transceiver.codecs[0].mime):
            return  # the client has not got the codec that it announced
        del self._pending[pending.cid]
        receiver = self._new_receiver(mid, transceiver, pending)
        if publication is None:
            sid, backups = TrackSid(pending.info.sid), self._named(pending.mimes)
            media = MediaTrack(
                sid,
                self._sid,
                self._identity,
                mid,
                receiver,
                backups=backups,
                opus=_opus(transceiver.codecs) if _may_have_red(pending.info) else None,
                is_stereo=models.TF_STEREO in pending.info.audio_features,
                group=pending.info.stream,
            )
            media.muted = pending.info.muted
            publication = self.publications[media.sid] = Publication(pending.info, media, pending.cid)
        self._by_mid[mid] = PublishedSection(publication, receiver, _track_id(transceiver))
        self._receive(transceiver, receiver)
        self.demand.notify()
        if pending.publication is None:
            self._listener.track_published(publication)
        else:
            publication.media.add_receiver(receiver)
            self._listener.track_changed(publication)

    def _new_receiver(self, mid: Mid, transceiver: Transceiver, pending: PendingTrack) -> Receiver:
        """Make what takes a section for a track, and add to what is told of it what the description has settled."""
        assert transceiver.remote_track is not None, "the client sends here"
        codec, opus = transceiver.codecs[0], _opus(transceiver.codecs)
        names = map(encoding_name, transceiver.remote_track.encodings)
        rids = tuple(name for name in names if name is not None)
        describe_media(pending.info, mid, codec.mime, rids, is_first=pending.publication is None)
        layers = TrackLayers(
            rids,
            [(layer.width, layer.height) for layer in pending.info.layers],
            is_screen_share=pending.info.source in SCREEN_SOURCES,
        )
        return Receiver(
            codec,
            transceiver.kind,
            layers,
            self.peer.connection.reschedule,
            audio_level_id=transceiver.extensions.get(AUDIO_LEVEL),
            descriptor_id=transceiver.extensions.get(DEPENDENCY_DESCRIPTOR),
            capture_time_id=transceiver.extensions.get(ABS_CAPTURE_TIME),
            bare_payload_type=opus.payload_type if codec.mime == RED and opus is not None else None,
            demand_changed=self.demand.notify,
        )

    def _receive(self, transceiver: Transceiver, receiver: Receiver) -> None:
        """Take what comes in a section for a track, and tell the client's bandwidth estimate when it came."""
        number_id = (
            transceiver.extensions.get(TRANSPORT_CC) if TRANSPORT_CC_FEEDBACK in receiver.codec.feedback else None
        )
        self.peer.media.receive_from(incoming_section(transceiver), receiver, transport_cc_id=number_id)

    def _end_section(self, mid: Mid) -> None:
        """A section sends its track no more: with the first that it came in, the track is gone."""
        section = self._by_mid[mid]
        publication = section.publication
        if section.receiver is publication.media.receiver:
            self._unpublish(publication)
            return
        self._forget_section(mid)
        publication.media.remove_receiver(section.receiver)
        self._listener.track_changed(publication)

    def _unpublish(self, publication: Publication) -> None:
        del self.publications[publication.media.sid]
        self._pending = {cid: each for cid, each in self._pending.items() if each.publication is not publication}
        for mid in [mid for mid, each in self._by_mid.items() if each.publication is publication]:
            self._forget_section(mid)
        self._listener.track_unpublished(publication)
        publication.media.close()

    def _named(self, mimes: Iterable[str]) -> list[Codec]:
        """Return the codecs of video with these MIME types: of several, the one that clients take unless they are asked."""
        first = {codec.mime.lower(): codec for codec in reversed(self.peer.receives.video)}
        return [first[mime.lower()] for mime in mimes if mime.lower() in first]

    def _forget_section(self, mid: Mid) -> None:
        self._gone += self._by_mid.pop(mid).receiver.totals()
        self.peer.media.stop_receiving(mid)

    def _new_sid(self, request: rtc.AddTrackRequest) -> TrackSid:
        letters = _KIND_LETTERS[request.type] + _SOURCE_LETTERS.get(request.source, "")
        return TrackSid(new_sid(f"TR_{letters}", self._dice))


def _allows(grant: VideoGrant, info: models.TrackInfo) -> bool:
    return grant.may_publish_source(source_name(info.source))


def _track_id(transceiver: Transceiver) -> str:
    return transceiver.remote_track.track_id if transceiver.remote_track is not None else ""


def _may_have_red(info: models.TrackInfo) -> bool:
    """Whether RED may be made of a track's Opus, by anybody. Who encrypts frames encrypts RED with them."""
    return not info.disable_red and info.encryption == models.Encryption.NONE


def _chosen(codecs: Sequence[Codec], mimes: Sequence[str], *, has_red: bool) -> tuple[Codec, ...]:
    """Return the codec to take a track in: the one that is preferred, and with RED the Opus in it."""
    names = [OPUS if mime == RED else mime for mime in mimes]
    first = prefer([codec for codec in codecs if codec.mime != RED], names)[:1]
    reds = [codec for codec in codecs if codec.mime == RED and carried_by_red(codec, first) is not None]
    return (*reds, *first) if has_red else first


def _opus(codecs: Sequence[Codec]) -> Codec | None:
    return next((codec for codec in codecs if codec.mime == OPUS), None)


def _opus_wishes(info: models.TrackInfo) -> str:
    """Tell the client's Opus encoder what we would like: these are the receiver's wishes (RFC 7587 §6.1)."""
    wishes = [] if models.TF_NO_DTX in info.audio_features else ["usedtx=1"]
    if models.TF_STEREO in info.audio_features:
        wishes += ["stereo=1", "maxaveragebitrate=510000"]
    return ";".join(wishes)
