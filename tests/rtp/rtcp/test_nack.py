import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.rtcp.compound import parse_compound
from rtp.rtcp.nack import MAX_SEQUENCES, GenericNack, parse_generic_nack
from rtp.units import Ssrc

SENDER, MEDIA = Ssrc(1), Ssrc(0x2007D450)
HEAD = "000000012007d450"


def nack(*sequences: int) -> GenericNack:
    return GenericNack(SENDER, MEDIA, sequences)


@pytest.mark.parametrize(
    ("entries", "sequences"),
    [
        ("05980000", [0x598]),  # recorded from Chromium 156
        ("05980001", [0x598, 0x599]),  # the lowest bit is the next packet
        ("05988000", [0x598, 0x5A8]),  # the highest is the sixteenth
        ("0598ffff", range(0x598, 0x5A9)),
        ("fffe0007", [0xFFFE, 0xFFFF, 0, 1]),  # numbers wrap inside an entry
        ("05980000 06000002", [0x598, 0x600, 0x602]),
        ("0598ffff 05a90001", range(0x598, 0x5AB)),
    ],
)
def test_an_entry_names_a_packet_and_any_of_the_sixteen_after_it(entries: str, sequences: list[int]) -> None:
    body = bytes.fromhex(HEAD + entries)
    assert parse_generic_nack(body) == nack(*sequences)
    assert nack(*sequences).serialize()[4:] == body


def test_a_packet_of_feedback_says_that_it_is_a_nack() -> None:
    assert nack(0x598).serialize() == bytes.fromhex("81cd0003 00000001 2007d450 05980000")
    assert parse_compound(nack(0x598).serialize()) == [nack(0x598)]


@pytest.mark.parametrize("body", ["", "00000001", HEAD, HEAD + "0598", HEAD + "05980000 05"])
def test_a_nack_of_nothing_or_of_half_an_entry_is_refused(body: str) -> None:
    with pytest.raises(DecodeError):
        parse_generic_nack(bytes.fromhex(body))


def test_no_nack_asks_for_more_than_the_bound() -> None:
    body = bytes.fromhex(HEAD) + b"\x00\x00\xff\xff" * 16_000
    assert len(parse_generic_nack(body).sequences) == MAX_SEQUENCES


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=60))
def test_all_numbers_arrive_in_whatever_order_they_were_given(sequences: list[int]) -> None:
    read = parse_generic_nack(nack(*sequences).serialize()[4:])
    assert set(read.sequences) == set(sequences)


@given(st.integers(0, 0xFFFF), st.lists(st.integers(1, 40), max_size=60))
def test_ascending_numbers_come_back_as_they_were(first: int, steps: list[int]) -> None:
    sequences = [first]
    for step in steps:
        sequences.append((sequences[-1] + step) & 0xFFFF)
    assert parse_generic_nack(nack(*sequences).serialize()[4:]) == nack(*sequences)
