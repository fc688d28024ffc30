"""Session descriptions, as text that a peer's signalling brings."""

from rtp.sdp.codecs import MediaKind
from rtp.sdp.grammar import parse_sdp
from rtp.sdp.negotiation import Direction, Negotiation
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


def _answers() -> list[bytes]:
    subscriber = client(LIVEKIT)
    subscriber.receive_offer(_offerer().create_offer())
    return [subscriber.create_answer().encode(), *_seeds("unpublish.*.subscriber.client-answer")]


TARGETS = [
    Target("parse_sdp", lambda: _seeds(""), _parse),
    Target("Negotiation.receive_offer", lambda: _seeds("-offer"), _receive_offer),
    Target("Negotiation.receive_answer", _answers, _receive_answer),
]
