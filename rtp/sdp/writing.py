"""Our descriptions as text: session head, RTP sections, data sections, and those that are rejected."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rtp.sdp.codecs import Codec, codec_attributes, payload_formats
from rtp.sdp.description import DATA_FORMAT, RemoteTrack, Section, Setup
from rtp.sdp.grammar import Attribute, Line, MediaSection, SessionDescription
from rtp.sdp.transceiver import LocalEncoding, LocalTrack, LocalTransport, Transceiver
from rtp.units import Mid

APPLICATION: Final = "application"
"""The kind of a data section."""

RTP_PROTOCOL: Final = "UDP/TLS/RTP/SAVPF"
DATA_PROTOCOL: Final = "UDP/DTLS/SCTP"

SCTP_PORT: Final = 5000
MAX_MESSAGE_SIZE: Final = 65_535
"""Bytes that a data channel message to us may have; LiveKit announces the same."""

_DISCARD_PORT: Final = 9  # of a section whose addresses are in candidates (RFC 8840 §4.1.1)
_NOWHERE: Final[tuple[Line, ...]] = (("c", "IN IP4 0.0.0.0"),)  # Firefox cannot read a section without


def write_description(
    local: LocalTransport,
    sections: Sequence[MediaSection],
    bundle: Sequence[Mid],
    *,
    session_id: int,
    version: int,
    mixed_extensions: bool,
) -> str:
    """Return the text of a whole description. `bundle` names the active sections, first the one with candidates."""
    attributes: list[Attribute] = [("group", " ".join(("BUNDLE", *bundle)))]
    if local.lite:
        attributes.append(("ice-lite", ""))
    attributes.append(("ice-options", "trickle"))
    if mixed_extensions:
        attributes.append(("extmap-allow-mixed", ""))
    attributes.append(("msid-semantic", "WMS *"))
    attributes.append(("fingerprint", local.fingerprint.serialize()))
    origin = f"- {session_id} {version} IN IP4 127.0.0.1"
    lines = (("v", "0"), ("o", origin), ("s", "-"), ("t", "0 0"))
    return SessionDescription(lines, tuple(attributes), tuple(sections)).serialize()


def rtp_section(
    transport: Sequence[Attribute],
    transceiver: Transceiver,
    codecs: Sequence[Codec],
    extensions: Mapping[str, int],
    offered: Section | None,
) -> MediaSection:
    """Return an active RTP section, which goes the ways of the transceiver's `described_direction`.

    `offered` is the section that it answers, if it does.
    """
    direction = transceiver.described_direction
    attributes: list[Attribute] = [*transport, ("rtcp-mux", "")]
    if offered is None or offered.reduced_size_rtcp:
        attributes.append(("rtcp-rsize", ""))
    for codec in codecs:
        attributes += codec_attributes(codec)
    attributes += (("extmap", f"{number} {uri}") for uri, number in extensions.items())
    if direction.receives and offered is not None and offered.track is not None:
        attributes += _encoding_attributes(offered.track, is_simulcast=offered.is_simulcast)
    if direction.sends and transceiver.local_track is not None:
        has_rtx = any(codec.rtx_payload_type is not None for codec in codecs)
        attributes += _track_attributes(transceiver.local_track, has_rtx=has_rtx)
    attributes.append((direction.value, ""))
    protocol = RTP_PROTOCOL if offered is None else offered.protocol
    kind = transceiver.kind.value
    return MediaSection(kind, _DISCARD_PORT, protocol, payload_formats(codecs), _NOWHERE, tuple(attributes))


def data_section(protocol: str, transport: Sequence[Attribute]) -> MediaSection:
    """Return an active section for data channels (RFC 8841 §9)."""
    attributes = (*transport, ("sctp-port", str(SCTP_PORT)), ("max-message-size", str(MAX_MESSAGE_SIZE)))
    return MediaSection(APPLICATION, _DISCARD_PORT, protocol, (DATA_FORMAT,), _NOWHERE, attributes)


def rejected_section(kind: str, protocol: str, formats: Sequence[str], mid: Mid | None) -> MediaSection:
    """Return a section with port 0. Its format list must not be empty, though it means nothing (RFC 3264 §6)."""
    attributes: tuple[Attribute, ...] = () if mid is None else (("mid", mid),)
    return MediaSection(kind, 0, protocol, tuple(formats[:1]) or ("0",), _NOWHERE, (*attributes, ("inactive", "")))


def transport_attributes(local: LocalTransport, setup: Setup, mid: Mid, *, is_tagged: bool) -> list[Attribute]:
    """Return what every active section repeats. The one that the BUNDLE group names first has the candidates."""
    attributes: list[Attribute] = [
        ("mid", mid),
        ("setup", setup.value),
        ("ice-ufrag", local.credentials.ufrag),
        ("ice-pwd", local.credentials.password),
    ]
    if is_tagged and local.candidates:
        attributes += (
            ("candidate", candidate.serialize().removeprefix("candidate:")) for candidate in local.candidates
        )
        attributes.append(("end-of-candidates", ""))
    return attributes


def _encoding_attributes(track: RemoteTrack, *, is_simulcast: bool) -> Iterator[Attribute]:
    """Yield the peer's encodings back to it: we receive them all, paused or not."""
    rids = [encoding.rid for encoding in track.encodings if encoding.rid is not None]
    for rid in rids:
        yield "rid", f"{rid} recv"
    if rids and is_simulcast:
        yield "simulcast", f"recv {';'.join(rids)}"


def _track_attributes(track: LocalTrack, *, has_rtx: bool) -> Iterator[Attribute]:
    """Yield a track's names. Its SSRCs stand there before its first packet: subscribers get no MID to go by.

    Those of encodings with rids do not, as browsers have it: their packets name them (RFC 8851, RFC 8853).
    """
    msid = f"{track.stream_id} {track.track_id}"
    yield "msid", msid
    rids = [encoding.rid for encoding in track.simulcast if encoding.rid is not None]
    if rids:
        yield from (("rid", f"{rid} send") for rid in rids)
        yield "simulcast", f"send {';'.join(rids)}"
        return
    encodings = track.simulcast or (LocalEncoding(track.ssrc, track.rtx_ssrc),)
    ssrcs = [encoding.ssrc for encoding in encodings]
    if track.simulcast:
        yield "ssrc-group", f"SIM {' '.join(map(str, ssrcs))}"  # what libwebrtc did before there were rids
    for encoding in encodings:
        if has_rtx and encoding.rtx_ssrc is not None:
            ssrcs.append(encoding.rtx_ssrc)
            yield "ssrc-group", f"FID {encoding.ssrc} {encoding.rtx_ssrc}"  # RFC 5576 §4.2
    for ssrc in ssrcs:
        yield "ssrc", f"{ssrc} cname:{track.stream_id}"
        yield "ssrc", f"{ssrc} msid:{msid}"
