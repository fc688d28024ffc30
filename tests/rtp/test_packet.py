from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.extensions import serialize_extensions
from rtp.packet import build_packet, is_rtcp, parse_header, payload_end
from tests.rtp.wire import recorded_rtcp, recorded_rtp

UINT7 = st.integers(0, (1 << 7) - 1)
UINT16 = st.integers(0, (1 << 16) - 1)
UINT32 = st.integers(0, (1 << 32) - 1)

# No extension, no CSRC, no payload: payload type 96, sequence 1, timestamp 2, SSRC 3.
PLAIN = bytes.fromhex("8060 0001 00000002 00000003")


def padded(packet: bytes, padding: int, *, last: int | None = None) -> bytes:
    """Return `packet` with so many bytes of padding, the last of which says `last`."""
    return bytes((packet[0] | 0x20,)) + packet[1:] + bytes(padding - 1) + bytes((padding if last is None else last,))


def test_recorded_headers_are_read_as_recorded() -> None:
    for recorded in recorded_rtp():
        header, line = parse_header(recorded.packet), recorded.line
        assert (header.payload_type, header.marker) == (line["pt"], bool(line["marker"])), recorded.where
        assert (header.sequence, header.timestamp, header.ssrc) == (line["seq"], line["ts"], line["ssrc"])
        assert (header.size, header.has_padding) == (line["payload_at"], "padding" in line), recorded.where
        assert len(recorded.packet) - payload_end(recorded.packet, header) == line.get("padding", 0), recorded.where
        assert (header.extension_profile == 0xBEDE) == (line["ext_form"] == "one-byte"), recorded.where


def test_recorded_probes_are_nothing_but_padding() -> None:
    probes = [recorded.packet for recorded in recorded_rtp() if recorded.what in ("padding", "rtx-padding")]
    assert probes
    for packet in probes:
        header = parse_header(packet)
        assert payload_end(packet, header) == header.size


def test_rtcp_is_told_from_rtp_by_its_second_byte() -> None:
    assert all(is_rtcp(bytes.fromhex(line["hex"])) for line in recorded_rtcp())
    assert not any(is_rtcp(recorded.packet) for recorded in recorded_rtp())
    assert [second for second in range(256) if is_rtcp(bytes((0x80, second)))] == list(range(192, 224))
    assert not is_rtcp(b"\x80")


def test_csrcs_are_part_of_the_header() -> None:
    packet = b"\x82" + PLAIN[1:] + bytes(8) + b"media"
    assert parse_header(packet).size == 20


def test_a_packet_without_extension_has_an_empty_block() -> None:
    header = parse_header(PLAIN + b"media")
    assert (header.extension_profile, header.extension_at, header.size) == (0, 12, 12)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        PLAIN[:11],
        b"\x40" + PLAIN[1:],  # version 1
        b"\x81" + PLAIN[1:],  # a CSRC that is not there
        b"\x90" + PLAIN[1:],  # an extension that is not there
        b"\x90" + PLAIN[1:] + bytes.fromhex("bede 0001 000000"),  # one byte of it missing
    ],
)
def test_a_header_cut_short_or_of_another_version_is_refused(packet: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_header(packet)


@pytest.mark.parametrize(
    "packet", [padded(PLAIN + b"abc", 4, last=8), padded(PLAIN, 1, last=0), padded(PLAIN, 255, last=0)]
)
def test_padding_of_nothing_or_longer_than_the_payload_is_refused(packet: bytes) -> None:
    with pytest.raises(DecodeError):
        payload_end(packet, parse_header(packet))


def test_the_padding_bit_without_a_payload_is_refused() -> None:
    packet = b"\xa0" + PLAIN[1:]
    with pytest.raises(DecodeError):
        payload_end(packet, parse_header(packet))


@given(st.binary(max_size=100), st.integers(1, 255))
def test_padding_is_taken_off(payload: bytes, padding: int) -> None:
    packet = padded(PLAIN + payload, padding)
    header = parse_header(packet)
    assert packet[header.size : payload_end(packet, header)] == payload


@given(UINT7, st.booleans(), st.tuples(UINT16, UINT32, UINT32), st.binary(max_size=100), st.booleans())
def test_what_was_built_is_read_back(
    payload_type: int, marker: bool, numbers: tuple[int, int, int], payload: bytes, extended: bool
) -> None:
    sequence, timestamp, ssrc = numbers
    extensions = serialize_extensions([(1, b"abc")]) if extended else b""
    packet = build_packet(
        payload_type=payload_type,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
        payload=payload,
        marker=marker,
        extensions=extensions,
    )
    header = parse_header(packet)
    assert (header.payload_type, header.marker) == (payload_type, marker)
    assert (header.sequence, header.timestamp, header.ssrc) == numbers
    assert packet[header.size : payload_end(packet, header)] == payload
    assert packet[12 : header.size] == extensions


@given(st.binary(max_size=200))
def test_noise_raises_nothing_but_decode_error(noise: bytes) -> None:
    with suppress(DecodeError):
        header = parse_header(noise)
        assert 12 <= header.extension_at <= header.size <= len(noise)
        assert header.size <= payload_end(noise, header) <= len(noise)
