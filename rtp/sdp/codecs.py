"""Codecs as SDP names them: `rtpmap`, `fmtp` and `rtcp-fb` lines, and when two descriptions mean the same codec."""

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Final, TypeAlias

from rtp.sdp.grammar import Attribute, parse_number

MAX_PAYLOAD_TYPE: Final = 127


class MediaKind(Enum):
    """The kinds of media section that carry RTP here."""

    AUDIO = "audio"
    VIDEO = "video"


OPUS: Final = "audio/opus"
RED: Final = "audio/red"
VP9: Final = "video/VP9"
AV1: Final = "video/AV1"
H264: Final = "video/H264"
H265: Final = "video/H265"
PCMU: Final = "audio/PCMU"
PCMA: Final = "audio/PCMA"

DESCRIBED: Final = frozenset({VP9, AV1})
"""Codecs with layers within a stream for which the dependency descriptor is wanted. VP8 tells its own, but does not do
so any more, nor number its pictures, where a browser may send the descriptor instead."""

_SPELLINGS: Final = {
    mime.lower(): mime
    for mime in (
        OPUS,
        RED,
        PCMU,
        PCMA,
        "audio/G722",
        "video/VP8",
        VP9,
        H264,
        H265,
        AV1,
    )
}
"""The spelling that LiveKit uses; names match case-insensitively (RFC 4855 §3), and OBS writes lower case."""

_STATIC_PAYLOAD_TYPES: Final = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}
"""Those an `m=` line may list without an `rtpmap` (RFC 3551 §6), as far as a browser knows them."""

_CHANNELS: Final = {"opus": 2}
"""Where none are named. RFC 7587 §7 wants them named, and has but this one; GStreamer's WHEP elements leave them out."""

_RTX: Final = "rtx"
_MAX_FEEDBACK: Final = 32  # for one payload type; browsers name at most eight
_REMEMBERED_SECTIONS: Final = 64
_MAX_REMEMBERED_CHARACTERS: Final = 8192
"""One kind of browser says the same of its codecs in every section, and that is most of what it says: three kB of video.
Even of the worst that can be said this keeps no more than some MiB."""
_BASELINE: Final = "baseline"
_CONSTRAINED_BASELINE: Final = "constrained-baseline"
_SINGLE_NAL_UNIT: Final = "0"
_NON_INTERLEAVED: Final = "1"
"""Packetization modes of H.264 (RFC 6184 §6)."""

CodecIdentity: TypeAlias = tuple[str, int, int, str]
"""What must be equal for two descriptions to mean one codec: MIME type, clock rate, channels, and what of the format
parameters makes streams incompatible."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec of a media section, with its retransmission format (RFC 4588) folded in.

    `mime` is spelt as LiveKit does ("audio/opus", "video/VP8"), `clock_rate` is in Hz, `fmtp` is the text of the format
    parameters, `feedback` the RTCP feedback it takes ("nack", "nack pli", "ccm fir", "goog-remb", "transport-cc").
    """

    mime: str
    payload_type: int
    clock_rate: int
    channels: int = 1
    fmtp: str = ""
    feedback: tuple[str, ...] = ()
    rtx_payload_type: int | None = None

    @property
    def identity(self) -> CodecIdentity:
        """What tells this codec from others, whatever payload type it has."""
        return self.mime, self.clock_rate, self.channels, _format(self.mime, self.fmtp)


def parse_codecs(kind: MediaKind, formats: Sequence[str], attributes: Mapping[str, Sequence[str]]) -> tuple[Codec, ...]:
    """Read a section's codecs in its order of preference; formats that cannot be read are left out. Raises nothing.

    Retransmission formats are folded into the codec they serve; other helpers (`telephone-event`, `CN`, `ulpfec`, …)
    come out as codecs that nobody's capabilities name.

    Args:
        kind: of the section.
        formats: the format list of its `m=` line.
        attributes: the values of its attributes by name.
    """
    # Plain texts, which hash fast. No value has a line end in it.
    texts = [" ".join(formats), *("\n".join(attributes.get(name, ())) for name in ("rtpmap", "fmtp", "rtcp-fb"))]
    if sum(map(len, texts)) > _MAX_REMEMBERED_CHARACTERS:
        return _parse_codecs(kind, *texts)
    return _remembered_codecs(kind, *texts)


def _parse_codecs(kind: MediaKind, formats: str, rtpmap: str, fmtp: str, rtcp_fb: str) -> tuple[Codec, ...]:
    names = _STATIC_PAYLOAD_TYPES | _by_payload_type(rtpmap.split("\n"))
    parameters = _by_payload_type(fmtp.split("\n"))
    rtx = _retransmissions(names, parameters)
    feedback: dict[str, list[str]] = {}
    for value in rtcp_fb.split("\n"):
        word, _, what = value.partition(" ")
        kinds = feedback.setdefault(word, [])
        if len(kinds) < _MAX_FEEDBACK:
            kinds.append(what)
    codecs: dict[int, Codec] = {}
    for word in dict.fromkeys(formats.split()):
        payload_type = parse_number(word, MAX_PAYLOAD_TYPE)
        if payload_type is None or (encoding := _encoding(names.get(word, ""))) is None:
            continue
        name, clock_rate, channels = encoding
        mime = f"{kind.value}/{name}"
        codecs[payload_type] = Codec(
            mime=_SPELLINGS.get(mime.lower(), mime),
            payload_type=payload_type,
            clock_rate=clock_rate,
            channels=channels,
            fmtp=parameters.get(word, ""),
            feedback=(*feedback.get(word, ()), *feedback.get("*", ())),
            rtx_payload_type=rtx.get(word),
        )
    return tuple(codecs.values())


_remembered_codecs = lru_cache(_REMEMBERED_SECTIONS)(_parse_codecs)


def agree(ours: Sequence[Codec], theirs: Sequence[Codec]) -> tuple[Codec, ...]:
    """Return the codecs that both sides name, as the peer describes them and in the peer's order (RFC 3264 §6.1).

    Payload types and format parameters are the peer's; feedback and retransmission are what both name.
    """
    offered: dict[CodecIdentity, Codec] = {}
    known = {codec.mime for codec in ours}
    for codec in theirs:
        if codec.mime in known:
            offered.setdefault(codec.identity, codec)
    agreed: dict[int, Codec] = {}
    for own in ours:
        if (their := _counterpart(own.identity, offered)) is not None and their.payload_type not in agreed:
            agreed[their.payload_type] = replace(
                their,
                feedback=tuple(kind for kind in own.feedback if kind in their.feedback),
                rtx_payload_type=None if own.rtx_payload_type is None else their.rtx_payload_type,
            )
    # RED may carry nothing but an Opus that was agreed (RFC 2198 §5).
    opus = {str(codec.payload_type) for codec in agreed.values() if codec.mime == OPUS}
    return tuple(
        agreed[codec.payload_type]
        for codec in theirs
        if codec.payload_type in agreed and (codec.mime != RED or set(codec.fmtp.split("/")) <= opus)
    )


def decodable_as(stream: Codec, agreed: Sequence[Codec]) -> Codec | None:
    """Return the first of the codecs agreed with a receiver as which it can be sent what comes as `stream`, if any can.

    Codecs of one MIME type need not be one: who decodes one profile need not know another. But packetization mode 0 of
    H.264 is a part of mode 1 (RFC 6184 §6.3), and can go to those who have agreed to that alone.
    """
    named = {codec.identity: codec for codec in reversed(agreed) if codec.mime == stream.mime}
    if stream.mime != H264 or not named:
        return named.get(stream.identity)
    mode, _, profile = stream.identity[3].partition(" ")
    if profile == _BASELINE:  # which is no more than constrained baseline here
        profile = _CONSTRAINED_BASELINE
    modes = (mode, _NON_INTERLEAVED) if mode == _SINGLE_NAL_UNIT else (mode,)
    found = (
        _counterpart((stream.mime, stream.clock_rate, stream.channels, f"{each} {profile}"), named) for each in modes
    )
    return next((codec for codec in found if codec is not None), None)


def carried_by_red(red: Codec, codecs: Sequence[Codec]) -> Codec | None:
    """Return the codec that `red` carries, of those agreed beside it: what its format parameters name (RFC 2198 §5)."""
    named = red.fmtp.partition("/")[0]
    return next((codec for codec in codecs if str(codec.payload_type) == named), None)


def sprop_parameter_sets(codec: Codec) -> tuple[bytes, ...]:
    """Return the units in the description of H.264 which its sender may leave out of the stream (RFC 6184 §8.1).

    There are none if it has none, or what is not base64.
    """
    try:
        return tuple(map(b64decode, _parameters(codec.fmtp).get("sprop-parameter-sets", "").split(",")))
    except ValueError:
        return ()


def prefer(codecs: Sequence[Codec], mimes: Sequence[str]) -> tuple[Codec, ...]:
    """Return the codecs with those of the MIME types `mimes` in front, in that order."""
    rank = {mime.lower(): index for index, mime in enumerate(mimes)}
    return tuple(sorted(codecs, key=lambda codec: rank.get(codec.mime.lower(), len(rank))))


def codec_attributes(codec: Codec) -> Iterator[Attribute]:
    """Yield the attributes that describe one codec and its retransmission format."""
    payload_type = codec.payload_type
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    yield "rtpmap", f"{payload_type} {codec.mime.partition('/')[2]}/{codec.clock_rate}{channels}"
    if codec.fmtp:
        yield "fmtp", f"{payload_type} {codec.fmtp}"
    for kind in codec.feedback:
        yield "rtcp-fb", f"{payload_type} {kind}"
    if codec.rtx_payload_type is not None:
        yield "rtpmap", f"{codec.rtx_payload_type} rtx/{codec.clock_rate}"
        yield "fmtp", f"{codec.rtx_payload_type} apt={payload_type}"


def payload_formats(codecs: Sequence[Codec]) -> tuple[str, ...]:
    """Return the format list of the `m=` line."""
    return tuple(
        str(payload_type)
        for codec in codecs
        for payload_type in (codec.payload_type, codec.rtx_payload_type)
        if payload_type is not None
    )


def _by_payload_type(values: Sequence[str]) -> dict[str, str]:
    """Return the texts of attributes of the form `<payload type> <text>`."""
    return {word: text for word, _, text in (value.partition(" ") for value in values)}


def _encoding(rtpmap: str) -> tuple[str, int, int] | None:
    """Return (name, clock rate, channels) from `<name>/<clock rate>[/<channels>]`; None for a retransmission format."""
    name, _, rest = rtpmap.partition("/")
    clock_text, _, channels_text = rest.partition("/")
    clock_rate = parse_number(clock_text, 0xFFFF_FFFF)
    channels = parse_number(channels_text, 0xFF) if channels_text else _CHANNELS.get(name.lower(), 1)
    if not name or not clock_rate or not channels or name.lower() == _RTX:
        return None
    return name, clock_rate, channels


def _retransmissions(names: Mapping[str, str], parameters: Mapping[str, str]) -> dict[str, int]:
    """Return the retransmission payload type of each payload type that has one (RFC 4588 §8.1)."""
    found: dict[str, int] = {}
    for word, name in names.items():
        if name.partition("/")[0].lower() == _RTX:
            served = _parameters(parameters.get(word, "")).get("apt")
            payload_type = parse_number(word, MAX_PAYLOAD_TYPE)
            if served is not None and payload_type is not None:
                found.setdefault(served, payload_type)
    return found


def _parameters(fmtp: str) -> dict[str, str]:
    pairs = (parameter.strip().partition("=") for parameter in fmtp.split(";"))
    return {name.lower(): value for name, _, value in pairs}


def _format(mime: str, fmtp: str) -> str:
    """Return what of the format parameters must be equal; absent parameters stand for their defaults."""
    match mime:
        case "video/H264":  # RFC 6184 §8.2.2; the level may differ, and every browser allows it to
            parameters = _parameters(fmtp)
            mode = parameters.get("packetization-mode", _SINGLE_NAL_UNIT)
            return f"{mode} {_h264_profile(parameters.get('profile-level-id', '420010'))}"
        case "video/VP9":  # RFC 9628 §6
            return _parameters(fmtp).get("profile-id", "0")
        case "video/AV1":
            return _parameters(fmtp).get("profile", "0")
        case "video/H265":  # RFC 7798 §7.1
            parameters = _parameters(fmtp)
            return f"{parameters.get('profile-id', '1')} {parameters.get('tx-mode', 'SRST')}"
        case _:
            return ""


def _h264_profile(profile_level_id: str) -> str:
    """Name the profile: several pairs of profile_idc and constraint flags mean the same (RFC 6184 §8.1, table 5)."""
    try:
        idc, flags, _ = bytes.fromhex(profile_level_id)
    except ValueError:
        return profile_level_id
    match idc:
        case 0x42:
            return _CONSTRAINED_BASELINE if flags & 0x40 else _BASELINE
        case 0x58 if flags & 0x80:
            return _CONSTRAINED_BASELINE if flags & 0x40 else _BASELINE
        case 0x4D:
            return _CONSTRAINED_BASELINE if flags & 0x80 else "main"
        case _:
            return f"{idc:02x}{flags:02x}"


def _counterpart(identity: CodecIdentity, named: Mapping[CodecIdentity, Codec]) -> Codec | None:
    """Return the peer's codec that ours, which is called so, can talk to."""
    if (their := named.get(identity)) is not None or identity[0] != H264:
        return their
    # Constrained baseline is a subset of baseline, and what browsers call baseline never leaves the subset; but a
    # peer that names both means them as two.
    return named.get((*identity[:3], identity[3].replace(_CONSTRAINED_BASELINE, _BASELINE)))
