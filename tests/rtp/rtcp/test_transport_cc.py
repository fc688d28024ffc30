from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.rtcp.compound import parse_compound
from rtp.rtcp.transport_cc import MAX_DELTA, MAX_STATUSES, MIN_DELTA, TransportCcFeedback, parse_transport_cc
from rtp.units import Ssrc
from tests.rtp.wire import recorded_rtcp


def recorded(session: str) -> list:
    lines = [line for line in recorded_rtcp() if line["what"] == "TWCC" and line["session"] == session]
    return [part for line in lines for part in parse_compound(bytes.fromhex(line["hex"]))]


def body(count: int, rest: str) -> bytes:
    return bytes.fromhex(f"00000001 00000002 0007 {count:04x} 00000a 0b" + rest)


def test_feedback_of_chromium_is_read_as_one_unbroken_story() -> None:
    # recorded from Chromium 156, a subscriber: feedback every 63 ms, each from where the one before it ended
    told = recorded("subB")
    assert [each.number for each in told] == list(range(4))
    for before, after in pairwise(told):
        assert after.base_sequence == before.base_sequence + len(before.deltas)
        assert after.reference_time in (before.reference_time, before.reference_time + 1)
    assert told[1].deltas == (7, 81, 28, 0, 54)


def test_every_kind_of_chunk() -> None:
    story = parse_transport_cc(body(24, "2002 4001 bc01 d800" + "01 02 fff0 03 04 05 06 07 08 7fff"))
    assert story == TransportCcFeedback(
        Ssrc(1), Ssrc(2), 7, 10, 11, (1, 2, -16, 3, 4, 5, 6, *[None] * 9, 7, 8, 32767, *[None] * 5)
    )


@pytest.mark.parametrize(
    "broken",
    [
        body(1, "")[:15],  # no whole head
        body(0, "2001 01"),  # on nothing
        body(MAX_STATUSES + 1, "1fff 1fff 1fff"),  # on more than anybody sends
        body(2, "2001 01 01"),  # not enough chunks
        body(2, "2002 01"),  # not enough deltas
        body(1, "4001 01"),  # half a delta
        body(1, "6001 01"),  # a reserved symbol
    ],
)
def test_broken_feedback_is_refused(broken: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_transport_cc(broken)


@given(st.lists(st.none() | st.integers(MIN_DELTA, MAX_DELTA) | st.integers(0, 300), min_size=1, max_size=100))
def test_what_is_written_is_read(deltas) -> None:
    written = TransportCcFeedback(Ssrc(1), Ssrc(2), 3, 4, 5, tuple(deltas))
    assert parse_compound(written.serialize()) == [written]
