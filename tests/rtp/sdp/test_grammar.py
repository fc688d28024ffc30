"""Lines and structure of SDP."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.sdp.grammar import MAX_CHARACTERS, MAX_SECTIONS, MediaSection, SessionDescription, parse_number, parse_sdp
from tests.rtp.sdp.peers import recorded, recorded_names

HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

_words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
_values = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=20)
_names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1, max_size=12)
_attributes = st.lists(st.tuples(_names, _values), max_size=5).map(tuple)
_lines = st.lists(st.tuples(st.sampled_from("bcikz"), _values), max_size=3).map(tuple)
_sections = st.builds(
    MediaSection,
    kind=_words,
    port=st.integers(0, 65535),
    protocol=_words,
    formats=st.lists(_words, min_size=1, max_size=4).map(tuple),
    lines=_lines,
    attributes=_attributes,
)
_descriptions = st.builds(
    SessionDescription,
    lines=_lines.map(lambda lines: (("v", "0"), *lines)),
    attributes=_attributes,
    sections=st.lists(_sections, max_size=4).map(tuple),
)


@pytest.mark.parametrize("name", recorded_names())
def test_a_recorded_description_survives_being_read_and_written(name: str) -> None:
    description = parse_sdp(recorded(name))
    assert parse_sdp(description.serialize()) == description
    assert {line for line in description.serialize().split("\r\n") if line} == {
        line.rstrip() for line in recorded(name).split("\n") if line.rstrip()
    }


@given(_descriptions)
def test_what_was_written_reads_the_same(description: SessionDescription) -> None:
    assert parse_sdp(description.serialize()) == description


def test_lines_end_with_crlf_and_the_last_one_too() -> None:
    assert SessionDescription((("v", "0"),), (("ice-lite", ""), ("group", "BUNDLE 0")), ()).serialize() == (
        "v=0\r\na=ice-lite\r\na=group:BUNDLE 0\r\n"
    )


def test_bare_line_feeds_and_empty_lines_are_read() -> None:
    assert parse_sdp("v=0\n\na=x\n\n") == parse_sdp("v=0\r\na=x\r\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=1\r\n",
        "o=- 1 1 IN IP4 0.0.0.0\r\nv=0\r\n",
        HEAD + "nonsense\r\n",
        HEAD + "a\r\n",
        HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF\r\n",
        HEAD + "m=audio nine UDP/TLS/RTP/SAVPF 111\r\n",
        HEAD + "m=audio 65536 UDP/TLS/RTP/SAVPF 111\r\n",
        HEAD + "m=audio ٩ UDP/TLS/RTP/SAVPF 111\r\n",
        HEAD + "a=x\ry\r\n",
        HEAD + "a=x\0y\r\n",
        HEAD + "a=" + "x" * MAX_CHARACTERS,
        HEAD + "m=audio 9 RTP/SAVPF 0\r\n" * (MAX_SECTIONS + 1),
    ],
    ids=str.__len__,
)
def test_what_is_no_sdp_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        parse_sdp(text)


def test_as_many_sections_as_allowed_are_read() -> None:
    assert len(parse_sdp(HEAD + "m=audio 9 RTP/SAVPF 0\r\n" * MAX_SECTIONS).sections) == MAX_SECTIONS


@given(st.text(max_size=200) | st.text("v=0mac: \r\n19/", max_size=200).map(HEAD.__add__))
def test_noise_raises_nothing_but_decode_error(noise: str) -> None:
    with suppress(DecodeError):
        parse_sdp(noise)


@pytest.mark.parametrize(
    ("word", "number"),
    [("0", 0), ("255", 255), ("256", None), ("-1", None), ("", None), ("²", None), ("9" * 5000, None)],
)
def test_a_number_is_decimal_and_within_its_limit(word: str, number: int | None) -> None:
    assert parse_number(word, 255) == number
