from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError, LocalProtocolError
from rtp.rtcp.compound import RtcpPacket, Unrecognised, parse_compound, serialize_compound
from rtp.rtcp.goodbye import Goodbye
from rtp.rtcp.key_frame_request import FullIntraRequest, PictureLossIndication
from rtp.rtcp.nack import MAX_SEQUENCES, GenericNack
from rtp.rtcp.remb import ReceiverEstimatedMaxBitrate
from rtp.rtcp.reports import ReceiverReport, ReportBlock, SenderReport
from rtp.rtcp.source_description import SourceDescription
from rtp.rtcp.transport_cc import MAX_STATUSES, TransportCcFeedback
from rtp.units import Ssrc
from tests.rtp.wire import recorded_rtcp


def name(packet: RtcpPacket) -> str:
    """Name a packet as the recordings do."""
    match packet:
        case SenderReport():
            return f"SR(rc{len(packet.blocks)})"
        case ReceiverReport():
            return f"RR(rc{len(packet.blocks)})"
        case SourceDescription():
            return "SDES"
        case PictureLossIndication():
            return "PLI"
        case FullIntraRequest():
            return "FIR"
        case ReceiverEstimatedMaxBitrate():
            return "REMB"
        case GenericNack():
            return "NACK"
        case TransportCcFeedback():
            return "TWCC"
        case Unrecognised(207, _, body):
            return f"XR({body[4]})"
        case _:
            return "?"


def the_packet(text: str) -> RtcpPacket:
    (packet,) = parse_compound(bytes.fromhex(text))
    return packet


def test_recorded_compounds_have_the_parts_that_were_recorded() -> None:
    assert len(recorded_rtcp()) > 40
    for line in recorded_rtcp():
        packets = parse_compound(bytes.fromhex(line["hex"]))
        assert "+".join(map(name, packets)) == line["parts"]
        if "remb_bps" in line:
            (remb,) = (packet for packet in packets if isinstance(packet, ReceiverEstimatedMaxBitrate))
            assert remb.bitrate_bps == line["remb_bps"]


def test_recorded_compounds_are_written_back_byte_by_byte() -> None:
    for line in recorded_rtcp():
        if line["what"] != "TWCC":  # its padding is not kept
            data = bytes.fromhex(line["hex"])
            assert serialize_compound(parse_compound(data)) == data


def test_a_sender_report_and_its_cname() -> None:
    # recorded from Chromium 156: an audio publisher
    data = "80c8000694aa3c18eeadc1872a5c70434b6aa54b00000075000016c5 81ca000694aa3c180110317a474261724d62464f496850656766 0000"
    assert parse_compound(bytes.fromhex(data)) == [
        SenderReport(
            ssrc=Ssrc(0x94AA3C18),
            ntp=0xEEADC187_2A5C7043,
            rtp_timestamp=0x4B6AA54B,
            packet_count=0x75,
            octet_count=0x16C5,
        ),
        SourceDescription(((Ssrc(0x94AA3C18), "1zGBarMbFOIhPegf"),)),
    ]


def test_a_receiver_report_of_a_stream_and_its_retransmissions() -> None:
    # recorded from Chromium 156: the second block is the media, 5 % lost
    report, _ = parse_compound(
        bytes.fromhex(
            "82c9000d000000012007d45100000000000001f500000000c25b87b90000337e"
            "2007d450170000010000059e00000030c25b87b90000337e"
            "8fce0006000000010000000052454d42020737342007d4502007d451"
        )
    )
    assert isinstance(report, ReceiverReport)
    assert report.blocks[1] == ReportBlock(
        ssrc=Ssrc(0x2007D450),
        fraction_lost=0x17,
        packets_lost=1,
        highest_sequence=0x59E,
        jitter=0x30,
        last_sender_report=0xC25B87B9,
        delay_since=0x337E,
    )


def test_key_frame_requests() -> None:
    assert the_packet("81ce0002000000012007d450") == PictureLossIndication(Ssrc(1), Ssrc(0x2007D450))
    fir = the_packet("84ce0004510000010000000016b96d2d01000000")
    assert fir == FullIntraRequest(Ssrc(0x51000001), ((Ssrc(0x16B96D2D), 1),))


def test_negative_loss_is_read_as_negative() -> None:
    block = ReportBlock(Ssrc(1), 0, -1, 0, 0, 0, 0)
    assert parse_compound(ReceiverReport(Ssrc(2), (block,)).serialize()) == [ReceiverReport(Ssrc(2), (block,))]


def test_words_of_a_profile_after_the_blocks_are_skipped() -> None:
    assert the_packet("80c90002 00000001 deadbeef") == ReceiverReport(Ssrc(1))


def test_items_other_than_cname_are_skipped() -> None:
    # a NAME of one byte, then the CNAME "ab", then TOOL, then the end; a second source has no items at all
    data = "82ca0006 00000001 02017a 01026162 0601 7a 0000 00000002 00000000"
    assert the_packet(data) == SourceDescription(((Ssrc(1), "ab"), (Ssrc(2), "")))


def test_a_goodbye_may_say_why() -> None:
    # RFC 3550 §6.6: "camera malfunction" is its example of a reason
    reason = "camera malfunction"
    assert parse_compound(Goodbye((Ssrc(7),), reason).serialize()) == [Goodbye((Ssrc(7),), reason)]
    assert the_packet("81cb0001 00000007") == Goodbye((Ssrc(7),))
    assert the_packet("80cb0000") == Goodbye(())


def test_feedback_of_an_application_that_is_not_remb_is_unrecognised() -> None:
    packet = the_packet("8fce0003 00000001 00000000 4c4e5446")
    assert packet == Unrecognised(206, 15, bytes.fromhex("00000001 00000000 4c4e5446"))


@pytest.mark.parametrize("padding", ["00000004", "aa000003", "aabb0002", "aabbcc01"])
def test_padding_is_taken_off_even_if_it_is_not_whole_words(padding: str) -> None:
    packet = the_packet("a0cc0001" + padding)
    assert packet == Unrecognised(204, 0, bytes.fromhex(padding)[: -int(padding[-2:])])


@pytest.mark.parametrize(
    "data",
    [
        "",
        "80c900",  # header cut short
        "80c90001",  # body cut short
        "00c90001 00000001",  # version 0
        "80c90001 00000001 80",  # a second header cut short
        "81c90001 00000001",  # a block that is not there
        "80c80001 00000001",  # sender report without its sender's part
        "81ca0000",  # a source that is not there
        "81ca0002 00000001 01056162",  # CNAME runs past the end
        "81ca0002 00000001 01026162",  # no end of the items
        "81ca0002 00000001 01016101",  # an item without a length
        "81ca0002 00000001 0101ff00",  # not UTF-8
        "82cb0001 00000001",  # a source that is not there
        "81cb0002 00000001 05616263",  # reason runs past the end
        "81cb0002 00000001 01ff0000",  # not UTF-8
        "81ce0001 00000001",  # PLI without a media source
        "81cd0001 00000001",  # NACK without a media source
        "81cd0002 00000001 00000002",  # NACK of nothing
        "84ce0003 00000001 00000000 00000002",  # half a command of FIR
        "84ce0001 00000001",
        "8fce0003 00000001 00000000 52454d42",  # REMB without a bitrate
        "8fce0004 00000001 00000000 52454d42 01000000",  # REMB without its SSRC
        "a0c90000",  # padding of no bytes
        "a0c90001 00000000",
        "a0c90001 00000005",
    ],
)
def test_a_malformed_packet_spoils_the_datagram(data: str) -> None:
    with pytest.raises(DecodeError):
        parse_compound(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("most", "one_more"),
    [
        (GenericNack(Ssrc(1), Ssrc(2), tuple(range(MAX_SEQUENCES))), GenericNack(Ssrc(1), Ssrc(2), (7,))),
        (
            TransportCcFeedback(Ssrc(1), Ssrc(2), 0, 0, 0, (None,) * MAX_STATUSES),
            TransportCcFeedback(Ssrc(1), Ssrc(2), 0, 0, 1, (None,)),
        ),
    ],
)
def test_a_datagram_of_many_packets_speaks_of_no_more_than_one_can(most: RtcpPacket, one_more: RtcpPacket) -> None:
    assert parse_compound(serialize_compound([most])) == [most]
    with pytest.raises(DecodeError):
        parse_compound(serialize_compound([most, one_more]))


def test_text_longer_than_its_length_can_say_is_our_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        SourceDescription(((Ssrc(1), "x" * 256),)).serialize()
    with pytest.raises(LocalProtocolError):
        Goodbye((Ssrc(1),), "x" * 256).serialize()


@given(st.integers(0, 10**12))
def test_a_bitrate_keeps_its_upper_18_bits(bitrate_bps: int) -> None:
    (remb,) = parse_compound(ReceiverEstimatedMaxBitrate(Ssrc(1), bitrate_bps, ()).serialize())
    assert isinstance(remb, ReceiverEstimatedMaxBitrate)
    assert 0 <= bitrate_bps - remb.bitrate_bps <= bitrate_bps >> 17


UINT32 = st.integers(0, (1 << 32) - 1)
SSRCS = UINT32.map(Ssrc)
# 63 characters are at most 252 bytes
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=63)
BLOCKS = st.lists(
    st.builds(
        ReportBlock,
        SSRCS,
        st.integers(0, 255),
        st.integers(-(1 << 23), (1 << 23) - 1),
        UINT32,
        UINT32,
        UINT32,
        UINT32,
    ),
    max_size=31,
).map(tuple)
PACKETS = st.one_of(
    st.builds(SenderReport, SSRCS, st.integers(0, (1 << 64) - 1), UINT32, UINT32, UINT32, BLOCKS),
    st.builds(ReceiverReport, SSRCS, BLOCKS),
    st.builds(SourceDescription, st.lists(st.tuples(SSRCS, TEXT), max_size=31).map(tuple)),
    st.builds(Goodbye, st.lists(SSRCS, max_size=31).map(tuple), TEXT),
    st.builds(PictureLossIndication, SSRCS, SSRCS),
    st.builds(
        GenericNack, SSRCS, SSRCS, st.sets(st.integers(0, 0xFFFF), min_size=1, max_size=60).map(sorted).map(tuple)
    ),
    st.builds(FullIntraRequest, SSRCS, st.lists(st.tuples(SSRCS, st.integers(0, 255)), max_size=8).map(tuple)),
    st.builds(
        ReceiverEstimatedMaxBitrate,
        SSRCS,
        st.builds(
            lambda mantissa, exponent: mantissa << exponent, st.integers(1 << 17, (1 << 18) - 1), st.integers(0, 63)
        ),
        st.lists(SSRCS, max_size=255).map(tuple),
    ),
    st.builds(Unrecognised, st.just(204), st.integers(0, 31), st.integers(0, 9).map(lambda words: bytes(4 * words))),
)


@given(st.lists(PACKETS, min_size=1, max_size=5))
def test_what_was_written_is_read_back(packets: list[RtcpPacket]) -> None:
    assert parse_compound(serialize_compound(packets)) == packets


@given(
    st.lists(
        st.tuples(st.integers(0, 63), st.integers(200, 207), st.binary(max_size=40)).map(
            lambda packet: (
                bytes((0x80 | packet[0], packet[1], 0, (len(packet[2]) + 3) // 4))
                + packet[2]
                + bytes(-len(packet[2]) % 4)
            )
        )
    ).map(b"".join)
)
def test_noise_raises_nothing_but_decode_error(noise: bytes) -> None:
    with suppress(DecodeError):
        packets = parse_compound(noise)
        assert parse_compound(serialize_compound(packets))
