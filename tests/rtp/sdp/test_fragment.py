"""Fragments of SDP, as WHIP clients patch their sessions with."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.ice.candidates import IceCredentials, host_candidate
from rtp.sdp.fragment import MAX_FRAGMENT_CANDIDATES, MAX_FRAGMENT_CHARACTERS, Fragment, parse_fragment
from rtp.units import Mid

# What a page made of a peer connection of Chromium 156, recorded.
TRICKLED = (
    "a=ice-ufrag:j996\r\na=ice-pwd:3CSGDFqQp2cpr82unpqxrZeQ\r\n"
    "m=audio 45513 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\na=mid:0\r\n"
    "a=candidate:623872176 1 udp 2122194687 127.0.0.1 45513 typ host generation 0 ufrag j996 network-id 3\r\n"
)


def test_a_recorded_fragment_is_read() -> None:
    fragment = parse_fragment(TRICKLED)
    assert fragment.credentials == IceCredentials("j996", "3CSGDFqQp2cpr82unpqxrZeQ")
    assert (fragment.mids, fragment.is_complete) == ((Mid("0"),), False)
    assert [candidate.address for candidate in fragment.candidates] == [("127.0.0.1", 45513)]


def test_what_is_written_is_read_as_it_was() -> None:
    candidates = (host_candidate(("192.0.2.1", 7882), 0), host_candidate(("2001:db8::1", 7882), 1))
    fragment = Fragment(IceCredentials("ufrag", "p" * 24), (Mid("audio"),), candidates, is_complete=True)
    assert parse_fragment(fragment.serialize()) == fragment


def test_credentials_may_stand_in_each_section_if_they_are_the_same() -> None:
    section = "m=audio 9 RTP/AVP 0\na=mid:{}\na=ice-ufrag:abcd\na=ice-pwd:" + "p" * 24 + "\n"
    fragment = parse_fragment(section.format(0) + section.format(1))
    assert (fragment.credentials, fragment.mids) == (IceCredentials("abcd", "p" * 24), (Mid("0"), Mid("1")))
    assert parse_fragment("a=end-of-candidates\n").is_complete


@pytest.mark.parametrize(
    "text",
    [
        TRICKLED.replace("j996\r\na=ice-pwd", "\r\na=ice-pwd"),
        TRICKLED.replace("a=ice-pwd:3CSGDFqQp2cpr82unpqxrZeQ\r\n", ""),
        TRICKLED + "m=video 9 RTP/AVP 0\na=mid:1\na=ice-ufrag:other\na=ice-pwd:" + "p" * 24,
        TRICKLED + "a=candidate:nonsense\n",
        TRICKLED + '{"candidate": ""}\n',
        "v=0\r\n" + TRICKLED,
        TRICKLED + "m=audio 9 RTP/AVP 0\n" * 300,
        TRICKLED + "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\n" * MAX_FRAGMENT_CANDIDATES,
        TRICKLED + "a=x\n" * MAX_FRAGMENT_CHARACTERS,
    ],
    ids=lambda text: f"{len(text)} {text[-20:]!r}",
)
def test_what_is_no_fragment_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        parse_fragment(text)


@given(st.text(max_size=200))
def test_noise_raises_nothing_but_decode_error(noise: str) -> None:
    with suppress(DecodeError):
        parse_fragment(noise)
