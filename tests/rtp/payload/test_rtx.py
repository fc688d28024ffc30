from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.packet import build_packet, parse_header, payload_end
from rtp.payload.rtx import RTX_HEADER_BYTES, parse_retransmission, parse_rtx, rtx_payload
from rtp.units import Ssrc
from tests.rtp.wire import RecordedPacket, recorded_rtp

MEDIA = Ssrc(7)


def recorded(what: str) -> list[RecordedPacket]:
    return [packet for packet in recorded_rtp() if packet.what == what]


def test_the_original_number_goes_in_front_of_the_payload() -> None:
    assert rtx_payload(0x1_1AA0, b"\x10P") == b"\x1a\xa0\x10P"
    assert parse_rtx(b"\x1a\xa0\x10P") == (0x1AA0, 2)


@pytest.mark.parametrize("payload", [b"", b"\x1a"])
def test_half_a_number_is_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_rtx(payload)


def test_recorded_retransmissions_are_the_packets_that_they_repeat() -> None:
    media = {}
    for packet in [*recorded("vp8"), *recorded("h264")]:
        header = parse_header(packet.packet)
        media[header.timestamp, header.sequence] = (
            header.marker,
            packet.packet[header.size : payload_end(packet.packet, header)],
        )
    compared = 0
    for packet in recorded("rtx"):
        restored = parse_retransmission(packet.packet, parse_header(packet.packet), ssrc=MEDIA, payload_type=96)
        assert restored is not None
        header = parse_header(restored)
        assert (header.ssrc, header.payload_type) == (MEDIA, 96)
        if (original := media.get((header.timestamp, header.sequence))) is not None:
            assert original == (header.marker, restored[header.size : payload_end(restored, header)]), packet.where
            compared += 1
    assert compared == 17


def test_recorded_probes_repeat_nothing() -> None:
    assert recorded("rtx-padding")
    for packet in recorded("rtx-padding"):
        assert parse_retransmission(packet.packet, parse_header(packet.packet), ssrc=MEDIA, payload_type=96) is None


def test_extensions_and_padding_stay_with_the_packet() -> None:
    extensions = bytes.fromhex("bede0001 10ff0000")
    packet = build_packet(
        payload_type=97,
        sequence=9,
        timestamp=5,
        ssrc=8,
        payload=rtx_payload(3, b"media") + b"\x00\x02",
        marker=True,
        extensions=extensions,
    )
    packet = bytes((packet[0] | 0x20,)) + packet[1:]
    expected = build_packet(
        payload_type=96,
        sequence=3,
        timestamp=5,
        ssrc=MEDIA,
        payload=b"media\x00\x02",
        marker=True,
        extensions=extensions,
    )
    expected = bytes((expected[0] | 0x20,)) + expected[1:]
    assert parse_retransmission(packet, parse_header(packet), ssrc=MEDIA, payload_type=96) == expected


@given(
    st.binary(max_size=40),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF_FFFF),
    st.booleans(),
)
def test_what_was_sent_again_is_read_back(payload: bytes, sequence: int, timestamp: int, marker: bool) -> None:
    def packet(payload_type: int, sequence: int, ssrc: int, payload: bytes) -> bytes:
        return build_packet(
            payload_type=payload_type,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=payload,
            marker=marker,
        )

    sent = packet(97, 1, 8, rtx_payload(sequence, payload))
    restored = parse_retransmission(sent, parse_header(sent), ssrc=MEDIA, payload_type=96)
    assert restored == packet(96, sequence, MEDIA, payload)


@given(st.binary(max_size=60))
def test_noise_raises_nothing_but_decode_error(noise: bytes) -> None:
    with suppress(DecodeError):
        restored = parse_retransmission(noise, header := parse_header(noise), ssrc=MEDIA, payload_type=96)
        assert restored is None or parse_header(restored).size == header.size
        assert restored is None or len(restored) == len(noise) - RTX_HEADER_BYTES
