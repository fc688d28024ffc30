"""What a peer's description says, for the part of WebRTC's SDP that we take part in (RFC 9429, RFC 9143, RFC 8839).

Attributes that cannot be read count as absent; what is then missing is refused by the rule that needs it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from rtp.certificate import HASHES, Fingerprint, parse_fingerprint
from rtp.errors import DecodeError, RemoteProtocolError
from rtp.ice.candidates import Candidate, IceCredentials, parse_candidate
from rtp.sdp.codecs import Codec, MediaKind, parse_codecs
from rtp.sdp.grammar import MediaSection, group, parse_number, parse_sdp
from rtp.units import Mid, Rid, Ssrc

DEFAULT_MAX_MESSAGE_SIZE: Final = 65_536
"""Bytes, for a peer that says nothing (RFC 8841 §6.1)."""
UNLIMITED_MESSAGE_SIZE: Final = 0xFFFF_FFFF
"""What a peer that takes messages of any size, or of more bytes than this, counts as having said."""

MAX_ENCODINGS: Final = 16
"""Simulcast encodings of one track; browsers have at most three, OBS four."""
MAX_SSRC_LAYERS: Final = 3
"""Simulcast encodings that are told apart by SSRC alone; clients that do so have at most three."""
MAX_CANDIDATES: Final = 64
"""Remote candidates that are kept."""

RTP_PROTOCOLS: Final = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "TCP/DTLS/RTP/SAVPF"})
DATA_PROTOCOLS: Final = frozenset({"UDP/DTLS/SCTP", "TCP/DTLS/SCTP"})
"""Names of what is DTLS-SRTP and SCTP over DTLS here; which of them stands there says nothing (RFC 9429 §5.1.2)."""
DATA_FORMAT: Final = "webrtc-datachannel"

_MAX_EXTENSION_ID: Final = 255
_MAX_TOKEN: Final = 255  # what a two-byte header extension can carry of a mid or a rid
_MAX_ICE_TEXT: Final = 256  # RFC 8839 §5.4


class NegotiationError(RemoteProtocolError):
    """A description that can be read and is refused; the message says which rule it broke."""


class Direction(Enum):
    """Which way media flows in a section, from the side of whoever says it (RFC 8866 §6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @classmethod
    def of(cls, *, sends: bool, receives: bool) -> Self:
        """Return the direction that goes these ways."""
        if sends:
            return cls("sendrecv" if receives else "sendonly")
        return cls("recvonly" if receives else "inactive")

    @property
    def sends(self) -> bool:
        """Whether the speaker sends."""
        return self in {Direction.SENDRECV, Direction.SENDONLY}

    @property
    def receives(self) -> bool:
        """Whether the speaker receives."""
        return self in {Direction.SENDRECV, Direction.RECVONLY}

    @property
    def mirrored(self) -> "Direction":
        """The same, from the other side."""
        return Direction.of(sends=self.receives, receives=self.sends)


class Setup(Enum):
    """A side's part in the DTLS handshake (RFC 8842 §5): the active one is the client; an offerer leaves it open."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    PASSIVE = "passive"

    @property
    def counterpart(self) -> "Setup":
        """The other side's part."""
        return {Setup.ACTIVE: Setup.PASSIVE, Setup.PASSIVE: Setup.ACTIVE}.get(self, Setup.ACTPASS)


@dataclass(frozen=True, slots=True)
class RemoteTransport:
    """How the peer can be reached and recognised: the one transport that all sections share."""

    credentials: IceCredentials
    fingerprints: tuple[Fingerprint, ...]
    candidates: tuple[Candidate, ...]
    setup: Setup
    lite: bool


@dataclass(frozen=True, slots=True)
class RemoteEncoding:
    """One stream of packets that carries a peer's track.

    A simulcast encoding has a `rid` and its SSRCs are learnt from the packets; else it may have its SSRCs announced,
    or neither. `place` is for older clients' simulcast, by SSRCs alone (`a=ssrc-group:SIM`): the encoding's place in
    that group, 0 the lowest.
    """

    rid: Rid | None
    ssrc: Ssrc | None
    rtx_ssrc: Ssrc | None
    place: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteTrack:
    """What the peer says it sends in a section. There is always an encoding; ids that it left out are empty."""

    stream_id: str
    track_id: str
    encodings: tuple[RemoteEncoding, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One media section of a peer's description.

    `media` is None if it carries no RTP that we understand. `is_active`: neither rejected nor stopped. `is_simulcast`:
    it has an `a=simulcast` line, which an answer takes up. `extensions` are the header extension ids by URI.
    """

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: Mid | None
    media: MediaKind | None
    is_data: bool
    is_active: bool
    direction: Direction
    codecs: tuple[Codec, ...]
    extensions: Mapping[str, int]
    track: RemoteTrack | None
    is_simulcast: bool
    reduced_size_rtcp: bool
    max_message_size: int


@dataclass(frozen=True, slots=True)
class Description:
    """A peer's offer or answer. `bundle` is the group in its order; `transport` is None if no section is active."""

    sections: tuple[Section, ...]
    bundle: tuple[Mid, ...]
    transport: RemoteTransport | None
    mixed_extensions: bool


def read_description(text: str, absent_setup: Setup) -> Description:
    """Read an offer or answer and hold it to the rules that need no knowledge of what went before.

    Args:
        text: the SDP.
        absent_setup: what a transport without `a=setup` counts as having said.

    Raises:
        DecodeError: if the text cannot be read.
        NegotiationError: if an active section is not in the one BUNDLE group or lacks rtcp-mux, if mids repeat, or if
            the transport lacks ICE credentials or a fingerprint of SHA-256 or stronger.
    """
    description = parse_sdp(text)
    session = group(description.attributes)
    bundle = _bundle(session)
    attributes = [group(section.attributes) for section in description.sections]
    sections = tuple(
        _section(section, own, session, bundle) for section, own in zip(description.sections, attributes, strict=True)
    )
    by_mid = {section.mid: own for section, own in zip(sections, attributes, strict=True) if section.mid is not None}
    if len(by_mid) < sum(section.mid is not None for section in sections):
        raise NegotiationError("two sections have the same mid")
    active = {section.mid for section in sections if section.is_active}
    # The section that the group names first speaks for all (RFC 9143 §7.2.1).
    tagged = next((mid for mid in bundle if mid in active), None)
    transport = None if tagged is None else _transport(by_mid[tagged], session, absent_setup)
    mixed = "extmap-allow-mixed" in session or any("extmap-allow-mixed" in own for own in attributes)
    return Description(sections, tuple(bundle), transport, mixed)


def _bundle(session: Mapping[str, Sequence[str]]) -> dict[Mid, None]:
    """Return the mids of the BUNDLE group in order."""
    groups = [words for value in session.get("group", ()) if (words := value.split())[:1] == ["BUNDLE"]]
    if len(groups) > 1:
        raise NegotiationError("more than one BUNDLE group")
    return dict.fromkeys(Mid(word) for word in (groups[0][1:] if groups else ()))


def _section(
    section: MediaSection,
    own: Mapping[str, Sequence[str]],
    session: Mapping[str, Sequence[str]],
    bundle: Mapping[Mid, None],
) -> Section:
    media = (
        MediaKind(section.kind) if section.kind in {"audio", "video"} and section.protocol in RTP_PROTOCOLS else None
    )
    is_data = section.kind == "application" and section.protocol in DATA_PROTOCOLS and section.formats == (DATA_FORMAT,)
    word = _token(own.get("mid", [""])[0])
    mid = None if word is None else Mid(word)
    # In an offer, port 0 can also mean "only within the bundle", with or without `a=bundle-only` (RFC 9143 §6).
    is_active = section.port != 0 or mid in bundle
    if is_active and (media is not None or is_data):
        if mid is None or mid not in bundle:
            raise NegotiationError(f"the {section.kind} section {mid or 'without a mid'} is not in a BUNDLE group")
        if media is not None and "rtcp-mux" not in own:
            raise NegotiationError(f"the section {mid} has no rtcp-mux")
    direction = _direction(own) or _direction(session) or Direction.SENDRECV
    sends = media is not None and is_active and direction.sends
    return Section(
        kind=section.kind,
        protocol=section.protocol,
        formats=section.formats,
        mid=mid,
        media=media,
        is_data=is_data,
        is_active=is_active and (media is not None or is_data),
        direction=direction,
        codecs=parse_codecs(media, section.formats, own) if media is not None and is_active else (),
        extensions=_extensions(own),
        track=_track(own) if sends else None,
        is_simulcast="simulcast" in own,
        reduced_size_rtcp="rtcp-rsize" in own,
        max_message_size=_max_message_size(own),
    )


def _direction(attributes: Mapping[str, Sequence[str]]) -> Direction | None:
    return next((direction for direction in Direction if direction.value in attributes), None)


def _extensions(own: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the header extension ids by URI, from `<id>[/<direction>] <URI> [<attributes>]` (RFC 8285 §8)."""
    extensions: dict[str, int] = {}
    for value in own.get("extmap", ()):
        words = value.split(maxsplit=2)
        number = parse_number(words[0].partition("/")[0], _MAX_EXTENSION_ID) if len(words) > 1 else None
        if number:
            extensions.setdefault(words[1], number)
    return extensions


def _track(own: Mapping[str, Sequence[str]]) -> RemoteTrack:
    """Return what the section sends; rids win over SSRCs, which Firefox writes beside them."""
    msid = own.get("msid", [""])[0]
    ssrcs: dict[Ssrc, None] = {}
    for value in own.get("ssrc", ()):
        word, _, attribute = value.partition(" ")
        if (ssrc := _ssrc(word)) is not None:
            ssrcs[ssrc] = None
            if not msid and attribute.startswith("msid:"):
                msid = attribute.removeprefix("msid:")
    encodings = [RemoteEncoding(rid, None, None) for rid in _sent_rids(own)] or _signalled(own, ssrcs)
    if len(encodings) > MAX_ENCODINGS:
        raise NegotiationError(f"a track of {len(encodings)} encodings, more than {MAX_ENCODINGS}")
    stream_id, _, track_id = msid.strip().partition(" ")
    return RemoteTrack(
        stream_id="" if stream_id == "-" else stream_id,  # RFC 8830 §2: no stream at all
        track_id=track_id.strip(),
        encodings=tuple(encodings) or (RemoteEncoding(None, None, None),),
    )


def _sent_rids(own: Mapping[str, Sequence[str]]) -> tuple[Rid, ...]:
    """Return the rids that the peer sends (RFC 8851), in the order of its simulcast line if it has one (RFC 8853)."""
    rids: dict[str, None] = {}
    for value in own.get("rid", ()):
        words = value.split()
        if len(words) > 1 and words[1] == "send" and _token(words[0]) is not None:
            rids[words[0]] = None
    words = own.get("simulcast", [""])[0].split()
    streams = words[words.index("send") + 1 :][:1] if "send" in words else []
    # Of alternatives for one stream the first counts, and `~` only says that it starts paused.
    listed = [stream.partition(",")[0].removeprefix("~") for text in streams for stream in text.split(";")]
    return tuple(Rid(rid) for rid in (dict.fromkeys(rid for rid in listed if rid in rids) or rids))


def _signalled(own: Mapping[str, Sequence[str]], ssrcs: Mapping[Ssrc, None]) -> list[RemoteEncoding]:
    """Return the encodings that are announced by SSRC, each with its retransmission stream (RFC 5576, RFC 4588)."""
    rtx: dict[Ssrc, Ssrc] = {}
    helpers: set[Ssrc] = set()
    layers: dict[Ssrc, None] = {}
    for value in own.get("ssrc-group", ()):
        semantics, *words = value.split()[: 1 + MAX_SSRC_LAYERS] or [""]
        members = [ssrc for word in words if (ssrc := _ssrc(word)) is not None]
        if semantics == "SIM":
            layers = layers or dict.fromkeys(members)
        elif semantics in {"FID", "FEC-FR"} and len(members) == 2:
            helpers.add(members[1])
            if semantics == "FID":
                rtx[members[0]] = members[1]
    if layers:
        return [RemoteEncoding(None, ssrc, rtx.get(ssrc), place) for place, ssrc in enumerate(layers)]
    return [RemoteEncoding(None, ssrc, rtx.get(ssrc)) for ssrc in ssrcs if ssrc not in helpers]


def _transport(
    own: Mapping[str, Sequence[str]], session: Mapping[str, Sequence[str]], absent_setup: Setup
) -> RemoteTransport:
    """Read what may stand at either level, where the section's own wins: Firefox and OBS write it for the session."""

    def values(name: str) -> Sequence[str]:
        return own.get(name) or session.get(name) or ()

    ufrag, password = values("ice-ufrag")[:1], values("ice-pwd")[:1]
    if not ufrag or not password or not 0 < len(ufrag[0]) <= _MAX_ICE_TEXT or not 0 < len(password[0]) <= _MAX_ICE_TEXT:
        raise NegotiationError("no ICE credentials")
    fingerprints: list[Fingerprint] = []
    for value in values("fingerprint")[:MAX_ENCODINGS]:
        with suppress(DecodeError):
            fingerprints.append(parse_fingerprint(value))
    strong = tuple(fingerprint for fingerprint in fingerprints if fingerprint.algorithm in HASHES)
    if not strong:
        raise NegotiationError("no fingerprint of SHA-256 or stronger")
    candidates: list[Candidate] = []
    for value in own.get("candidate", ())[:MAX_CANDIDATES]:
        with suppress(DecodeError):
            candidates.append(parse_candidate(f"candidate:{value}"))
    try:
        setup = Setup((*values("setup"), absent_setup.value)[0])
    except ValueError as error:
        raise NegotiationError("a DTLS setup that is not actpass, active or passive") from error
    return RemoteTransport(
        IceCredentials(ufrag[0], password[0]), strong, tuple(candidates), setup, lite="ice-lite" in session
    )


def _max_message_size(own: Mapping[str, Sequence[str]]) -> int:
    word = own.get("max-message-size", [""])[0]
    if not (word.isascii() and word.isdecimal()):
        return DEFAULT_MAX_MESSAGE_SIZE
    return parse_number(word, UNLIMITED_MESSAGE_SIZE) or UNLIMITED_MESSAGE_SIZE


def _ssrc(word: str) -> Ssrc | None:
    number = parse_number(word, 0xFFFF_FFFF)
    return None if number is None else Ssrc(number)


def _token(word: str) -> str | None:
    """Return a mid or rid as written, None if it is none: both stand between spaces and separators elsewhere."""
    is_token = 0 < len(word) <= _MAX_TOKEN and word.isascii() and word.isprintable() and not set(word) & set(" ;,~")
    return word if is_token else None
