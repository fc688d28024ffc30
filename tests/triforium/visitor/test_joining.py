from urllib.parse import parse_qs, urlsplit

import pytest
from livekit.protocol.rtc import SessionDescription

from signaling.join import parse_join_request
from triforium.visitor.joining import PROTOCOL, dual_path, single_path
from triforium.visitor.opening import parse_server


def test_a_join_request_reads_as_it_was_wrapped() -> None:
    offer = SessionDescription(type="offer", sdp="v=0\r\n" * 500, id=1)

    parts = urlsplit(single_path(offer, auto_subscribe=True))
    request = parse_join_request(parse_qs(parts.query)["join_request"][0])

    assert parts.path == "/rtc/v1"
    assert request.publisher_offer == offer
    assert request.connection_settings.auto_subscribe
    assert request.client_info.protocol == PROTOCOL
    assert len(parts.query) < 500, "it travels compressed"


@pytest.mark.parametrize(("wanted", "text"), [(True, "1"), (False, "0")])
def test_the_old_layout_asks_in_the_query(*, wanted: bool, text: str) -> None:
    parts = urlsplit(dual_path(auto_subscribe=wanted))

    assert parts.path == "/rtc"
    assert parse_qs(parts.query)["auto_subscribe"] == [text]


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("ws://127.0.0.1:7880", ("127.0.0.1", 7880)),
        ("http://[::1]:7880/", ("::1", 7880)),
        (("192.0.2.1", 80), ("192.0.2.1", 80)),
    ],
)
def test_a_server_is_an_address_or_a_url(server: str | tuple[str, int], address: tuple[str, int]) -> None:
    assert parse_server(server) == address


def test_tls_is_refused() -> None:
    with pytest.raises(ValueError, match="ws://"):
        parse_server("wss://example.com")
