"""Our side of a description: the transport, what we can do, and each media section with what we want of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rtp.certificate import Fingerprint
from rtp.ice.candidates import Candidate, IceCredentials
from rtp.sdp.codecs import Codec, MediaKind
from rtp.sdp.description import Direction, RemoteTrack, Setup
from rtp.units import Mid, Rid, Ssrc


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """How we can be reached and recognised. Candidates, where there are any, are all that there will be.

    `setup` is what we answer to a peer that leaves the DTLS roles open: `PASSIVE` for a server, `ACTIVE` for a client.
    """

    credentials: IceCredentials
    fingerprint: Fingerprint
    candidates: tuple[Candidate, ...]
    lite: bool
    setup: Setup


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Codecs and header extensions of one direction, best first, with the payload types of our own offers.

    Feedback and retransmission are agreed only where these codecs name them.
    """

    audio: tuple[Codec, ...] = ()
    video: tuple[Codec, ...] = ()
    audio_extensions: tuple[str, ...] = ()
    video_extensions: tuple[str, ...] = ()

    def codecs(self, kind: MediaKind) -> tuple[Codec, ...]:
        """Return the codecs of one kind."""
        return self.audio if kind is MediaKind.AUDIO else self.video

    def extensions(self, kind: MediaKind) -> tuple[str, ...]:
        """Return the header extension URIs of one kind."""
        return self.audio_extensions if kind is MediaKind.AUDIO else self.video_extensions


@dataclass(frozen=True, slots=True)
class LocalEncoding:
    """One simulcast encoding of what we send. With a `rid`, its packets say which it is; else the description does."""

    ssrc: Ssrc
    rtx_ssrc: Ssrc | None = None
    rid: Rid | None = None


@dataclass(frozen=True, slots=True)
class LocalTrack:
    """What we send in a section. The cname is the stream's id: a browser lip-syncs what has one cname.

    `rtx_ssrc` is where it is sent again (RFC 4588), if the peer agrees to that. `simulcast` are all encodings, where
    there are several: all with a rid or none, and the SSRCs of the track itself are the first's.
    """

    stream_id: str
    track_id: str
    ssrc: Ssrc
    rtx_ssrc: Ssrc | None = None
    simulcast: tuple[LocalEncoding, ...] = ()


@dataclass(slots=True, eq=False)
class Transceiver:
    """One media section for life (RFC 9429 §3.4.1): it never changes kind and is never removed, only used again.

    The application sets, before an offer or answer of ours:

    - `direction`: the ways it wants. Where the peer only listens and nothing was ever sent, we say that we send, with
      or without a track; else we say so only with a track. So a freed section needs no more than its track taken away.
    - `local_track`: what we send.
    - `preferred_mimes`: the MIME types to put in front of our list.
    - `opus_fmtp`: what to tell the peer about Opus beyond our capabilities' parameters ("usedtx=1").

    The negotiation sets:

    - `mid`: None until the section stands in a description.
    - `current_direction`: what was agreed last, from our side.
    - `remote_track`: what the peer's last description sends here, None if nothing.
    - `remote_receives`: whether the peer's last description listens here.
    - `codecs`: agreed, best first, with the payload types on the wire and the peer's format parameters. The application
      may leave some out, or put them in another order, before an answer of ours.
    - `extensions`: agreed header extensions, id by URI.
    - `is_rejected`: one side refused the section, or the peer stopped it. An offer of ours tries again, when there is
      something to send or receive.
    - `described_direction`: what our last description said; `has_sent`: whether any named a track.
    """

    kind: MediaKind
    direction: Direction
    local_track: LocalTrack | None = None
    preferred_mimes: tuple[str, ...] = ()
    opus_fmtp: str = ""
    mid: Mid | None = None
    current_direction: Direction = Direction.INACTIVE
    remote_track: RemoteTrack | None = None
    remote_receives: bool = False
    codecs: tuple[Codec, ...] = ()
    extensions: Mapping[str, int] = field(default_factory=dict)
    is_rejected: bool = False
    described_direction: Direction = Direction.INACTIVE
    has_sent: bool = False

    def direction_to_offer(self) -> Direction:
        """Return what our offer says."""
        sends = self.direction.sends and (self.local_track is not None or not self.has_sent)
        return Direction.of(sends=sends, receives=self.direction.receives)

    def direction_to_answer(self, offered: Direction) -> Direction:
        """Return what our answer says to the peer's direction: never more than its mirror (RFC 3264 §6.1)."""
        idle = not self.has_sent and not offered.sends
        return Direction.of(
            sends=self.direction.sends and offered.receives and (self.local_track is not None or idle),
            receives=self.direction.receives and offered.sends,
        )

    def describe(self, direction: Direction) -> None:
        """Note what a description of ours says."""
        self.described_direction = direction
        self.has_sent = self.has_sent or (direction.sends and self.local_track is not None)

    def reject(self) -> None:
        """Note that nothing flows here."""
        self.is_rejected = True
        self.current_direction = self.described_direction = Direction.INACTIVE
        self.remote_track = None
        self.remote_receives = False
        self.codecs = ()
        self.extensions = {}
