"""Credentials and candidates, against browsers' own lines and noise."""

import re
from contextlib import suppress
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.ice.candidates import Candidate, host_candidate, new_credentials, parse_candidate

RECORDED = sorted(
    {
        line
        for path in FilePath("tests/vectors/sdp").glob("*.sdp")
        for line in path.read_text().splitlines()
        if line.startswith("a=candidate:")
    }
)

words = st.text("abcXYZ019+/", min_size=1, max_size=32)
candidates = st.builds(
    Candidate,
    foundation=words,
    component=st.integers(0, 256),
    transport=st.sampled_from(["udp", "tcp", "ssltcp"]),
    priority=st.integers(0, 2**32 - 1),
    address=st.tuples(
        st.ip_addresses().map(str) | st.uuids().map(lambda uuid: f"{uuid}.local"), st.integers(0, 0xFFFF)
    ),
    type=st.sampled_from(["host", "srflx", "prflx", "relay"]),
    tcptype=st.none() | st.sampled_from(["active", "passive", "so"]),
)


@given(candidates)
def test_a_candidate_is_read_as_written(candidate):
    assert parse_candidate(candidate.serialize()) == candidate


def test_recorded_candidates_are_read():
    assert len(RECORDED) > 50
    for line in RECORDED:
        candidate = parse_candidate(line)
        ours = f"a={candidate.serialize().partition(' tcptype')[0]}"
        assert line.lower().startswith(ours.lower())  # Firefox writes UDP
        is_hidden = candidate.address[0].endswith(".local")
        assert candidate.is_usable == (candidate.component == 1 and candidate.tcptype != "active" and not is_hidden)


def test_a_browsers_relay_candidate_is_read_whole():
    text = "842163049 1 UDP 1677729535 192.0.2.7 61764 typ relay raddr 0.0.0.0 rport 0 generation 0 ufrag aLjN"
    expected = Candidate("842163049", 1, "udp", 1677729535, ("192.0.2.7", 61764), "relay")
    for prefix in ("", "candidate:", "a=candidate:"):
        assert parse_candidate(prefix + text) == expected


def test_an_ipv6_address_is_brought_to_its_normal_form():
    candidate = parse_candidate("1 1 udp 1 2001:DB8:0:0::1 5000 typ host")
    assert candidate.address == ("2001:db8::1", 5000)


@pytest.mark.parametrize(
    "text",
    [
        "1 1 udp 1 5a1c7d1e-02a5-4f6d-8a0f-0d6c8d1f8e51.local 5000 typ host",
        "1 1 udp 1 example.org 5000 typ host",
        "1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
        "1 2 udp 1 192.0.2.1 5000 typ host",
        "1 1 udp 1 192.0.2.1 0 typ host",
        "1 1 ssltcp 1 192.0.2.1 443 typ relay",
    ],
)
def test_a_candidate_that_cannot_be_checked_is_read_but_not_usable(text):
    assert not parse_candidate(text).is_usable


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        "1 1 udp 1 192.0.2.1 5000 typ",
        "1 1 udp 1 192.0.2.1 5000 host typ",
        "1 257 udp 1 192.0.2.1 5000 typ host",
        "1 1 udp 4294967296 192.0.2.1 5000 typ host",
        "1 1 udp -1 192.0.2.1 5000 typ host",
        "1 1 udp 1 192.0.2.1 65536 typ host",
        "1 1 udp 1 192.0.2.1 1_0 typ host",
        "1 1 udp 1 192.0.2.1 ٣ typ host",
        "1 1 udp 1 192.0.2.1 5000 typ ho\x00st",
        "1 1 udp 1 192.0.2.1 5000 typ host " + "x " * 600,
    ],
)
def test_what_breaks_the_grammar_is_refused(text):
    with pytest.raises(DecodeError):
        parse_candidate(text)


@given(st.text(max_size=120) | st.lists(words | st.text(max_size=8), max_size=12).map(" ".join))
def test_noise_raises_nothing_but_decode_error(text):
    with suppress(DecodeError):
        assert parse_candidate(text).serialize()


def test_host_candidates_have_the_priorities_of_rfc_8445():
    first, second = host_candidate(("192.0.2.1", 7882), 0), host_candidate(("2001:db8::1", 7882), 1)
    assert first.priority == (126 << 24) + (65535 << 8) + 255  # §5.1.2.1
    assert first.priority > second.priority
    assert first.foundation != second.foundation
    assert re.fullmatch(r"candidate:\d{1,32} 1 udp 2130706431 192\.0\.2\.1 7882 typ host", first.serialize())
    assert parse_candidate(second.serialize()) == second
    assert first.is_usable


@given(st.binary(min_size=36, max_size=36))
def test_new_credentials_are_ice_chars_of_the_right_length(entropy):
    remaining = bytearray(entropy)

    def random_bytes(count: int) -> bytes:
        taken = bytes(remaining[:count])
        del remaining[:count]
        return taken

    credentials = new_credentials(random_bytes)
    assert re.fullmatch(r"[A-Za-z0-9+/]{16}", credentials.ufrag)
    assert re.fullmatch(r"[A-Za-z0-9+/]{32}", credentials.password)
    assert not remaining


def test_a_password_does_not_show_in_a_log():
    credentials = new_credentials(bytes)
    assert credentials.password not in repr(credentials)
