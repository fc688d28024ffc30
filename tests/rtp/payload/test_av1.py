import pytest

from rtp.errors import DecodeError
from rtp.payload.av1 import starts_sequence


def test_a_sequence_starts_in_its_first_packet_only() -> None:
    # Recorded from Chromium 156: a key frame's sequence header, then the frame, then a later one.
    assert [starts_sequence(bytes.fromhex(payload)) for payload in ("281d0800", "50340831", "d0289ce3")] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("payload", [b"", b"\x88"])
def test_one_that_makes_no_sense_is_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        starts_sequence(payload)
