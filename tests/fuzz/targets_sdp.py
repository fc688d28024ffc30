"""Session descriptions, as text that a peer's signalling brings."""

from contextlib import suppress

from rtp.ice.candidates import IceCredentials, host_candidate
from rtp.sdp.codecs import MediaKind
from rtp.sdp.fragment import Fragment, parse_fragment
from rtp.sdp.grammar import parse_sdp
from rtp.sdp.negotiation import Direction, Negotiation
from rtp.units import Mid
from sfu.media import capabilities
from signaling.http.errors import HttpError
from signaling.whep import check_offer
from signaling.whip import offered_tracks
from tests.fuzz.target import Target
from tests.rtp.sdp.peers import LIVEKIT, client, recorded, recorded_names, server, track

_SEEDS = 12  # of each kind, evenly taken: the recorded descriptions repeat each other


def _seeds(ending: str) -> list[bytes]:
    names = recorded_names(ending)
    return [recorded(name).encode() for name in names[:: max(1, len(names) // _SEEDS)]]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _parse(data: bytes) -> None:
    description = parse_sdp(_text(data))
    assert parse_sdp(description.serialize()) == description


def _receive_offer(data: bytes) -> None:
    sfu = server(LIVEKIT)
    sfu.receive_offer(_text(data))
    for transceiver in sfu.transceivers:
        if transceiver.remote_track is None:
            transceiver.local_track = track("cam", 1)
    parse_sdp(sfu.create_answer())
    parse_sdp(sfu.create_offer())


def _offerer() -> Negotiation:
    """Return one whose offer has the sections of most recorded subscribers' answers."""
    sfu = server(LIVEKIT)
    sfu.add_data_section()
    for kind in (MediaKind.VIDEO, MediaKind.AUDIO):
        sfu.add_transceiver(kind, Direction.SENDONLY, local_track=track(kind.value, 1))
    return sfu


def _receive_answer(data: bytes) -> None:
    sfu = _offerer()
    sfu.create_offer()
    sfu.receive_answer(_text(data))
    parse_sdp(sfu.create_offer())


def _parse_fragment(data: bytes) -> None:
    fragment = parse_fragment(_text(data))
    if fragment.credentials is not None and fragment.mids:
        said = parse_fragment(fragment.serialize())
        assert (said.credentials, said.candidates) == (fragment.credentials, fragment.candidates)


def _fragments() -> list[bytes]:
    candidates = (host_candidate(("192.0.2.1", 7882), 0), host_candidate(("2001:db8::1", 7882), 1))
    whole = Fragment(IceCredentials("abcd", "p" * 24), (Mid("0"),), candidates, is_complete=True)
    trickled = b"a=ice-ufrag:j996\r\na=ice-pwd:3CSGDFqQp2cpr82unpqxrZeQ\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
    return [whole.serialize().encode(), trickled]


def _offered_tracks(data: bytes) -> None:
    with suppress(HttpError):
        for track in offered_tracks(_text(data), capabilities.RECEIVE):
            assert track.cid


def _check_whep_offer(data: bytes) -> None:
    with suppress(HttpError):
        check_offer(_text(data))


def _watching_offers() -> list[bytes]:
    return [recorded("whip.chromium.client-offer").replace("a=sendonly", "a=recvonly").encode()]


def _answers() -> list[bytes]:
    subscriber = client(LIVEKIT)
    subscriber.receive_offer(_offerer().create_offer())
    return [subscriber.create_answer().encode(), *_seeds("unpublish.*.subscriber.client-answer")]


TARGETS = [
    Target("parse_fragment", _fragments, _parse_fragment),
    Target("offered_tracks", lambda: [recorded("whip.chromium.client-offer").encode()], _offered_tracks),
    Target("check_offer", _watching_offers, _check_whep_offer),
    Target("parse_sdp", lambda: _seeds(""), _parse),
    Target("Negotiation.receive_offer", lambda: _seeds("-offer"), _receive_offer),
    Target("Negotiation.receive_answer", _answers, _receive_answer),
]
