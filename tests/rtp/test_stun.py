"""STUN against RFC 5769's vectors, recorded checks, and noise."""

import json
import zlib
from contextlib import suppress
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError
from rtp.stun import (
    BINDING,
    MessageClass,
    binding_request,
    error_response,
    is_stun,
    parse_message,
    success_response,
    ufrag_of_request,
)

# RFC 5769 §2.1 to §2.3; one password for all.
RFC_PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
RFC_TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
RFC_REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
RFC_RESPONSE_IPV4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
RFC_RESPONSE_IPV6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)

RECORDED = [
    line
    for text in FilePath("tests/vectors/wire/stun.jsonl").read_text().splitlines()
    if "hex" in (line := json.loads(text))
]

TRANSACTION = bytes(range(12))
PASSWORD = "p" * 32

transactions = st.binary(min_size=12, max_size=12)
ice_texts = st.text("abcXYZ019+/", min_size=4, max_size=256)
ports = st.integers(0, 0xFFFF)
addresses = st.tuples(st.ip_addresses().map(str), ports)


def stun(attributes: bytes, message_type: int = 0x0001) -> bytes:
    """A message with right framing round any attributes."""
    return (
        message_type.to_bytes(2, "big")
        + len(attributes).to_bytes(2, "big")
        + b"\x21\x12\xa4\x42"
        + TRANSACTION
        + attributes
    )


def attribute(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)


def fingerprinted(behind: bytes) -> bytes:
    """A message of nothing but a right FINGERPRINT and what stands behind it."""
    header = stun(bytes(8) + behind)[:20]
    return header + attribute(0x8028, (zlib.crc32(header) ^ 0x5354554E).to_bytes(4, "big")) + behind


def test_the_sample_request_of_rfc_5769_is_read_and_verified():
    message = parse_message(RFC_REQUEST)
    assert (message.message_class, message.method) == (MessageClass.REQUEST, BINDING)
    assert message.transaction_id == RFC_TRANSACTION
    assert message.username == "evtj:h6vY"
    assert message.priority == 0x6E0001FF
    assert message.ice_controlled == 0x932FF9B151263B36
    assert message.ice_controlling is None
    assert not message.use_candidate
    assert message.unknown_required == ()
    assert message.verify(RFC_PASSWORD)
    assert not message.verify(RFC_PASSWORD + "x")


@pytest.mark.parametrize(
    ("data", "mapped"),
    [
        (RFC_RESPONSE_IPV4, ("192.0.2.1", 32853)),
        (RFC_RESPONSE_IPV6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
)
def test_the_sample_responses_of_rfc_5769_are_read_and_verified(data, mapped):
    message = parse_message(data)
    assert (message.message_class, message.method) == (MessageClass.SUCCESS, BINDING)
    assert message.transaction_id == RFC_TRANSACTION
    assert message.xor_mapped_address == mapped
    assert message.verify(RFC_PASSWORD)


@pytest.mark.parametrize("line", RECORDED, ids=[line["what"] for line in RECORDED])
def test_recorded_messages_are_read_and_verified(line):
    data = bytes.fromhex(line["hex"])
    assert is_stun(data)
    message = parse_message(data)
    assert message.verify(line["password"])
    assert not message.verify(line["password"][:-1])
    assert message.unknown_required == ()
    if "attributes" not in line:
        assert message.message_class is MessageClass.SUCCESS
        words = line["note"].split()  # "accepted; maps 192.0.2.2 port 59967"
        # The backup pair came from loopback, whatever its note says: its bytes are 5e12a443 XOR the cookie.
        host = "127.0.0.1" if line["what"] == "backup-pair-response" else words[2]
        assert message.xor_mapped_address == (host, int(words[4]))
        assert success_response(message.transaction_id, message.xor_mapped_address, line["password"]) == data
        return
    expected = dict(line["attributes"])
    assert message.message_class is MessageClass.REQUEST
    assert message.username == expected["USERNAME"]
    assert message.priority == int(expected["PRIORITY"], 16)
    assert message.ice_controlling == int(expected["CONTROLLING"], 16)
    assert message.use_candidate == ("USE-CANDIDATE" in expected)
    assert ufrag_of_request(data) == expected["USERNAME"].split(":")[0]


@given(
    transaction=transactions,
    ours=ice_texts,
    theirs=ice_texts,
    password=ice_texts,
    priority=st.integers(0, 2**32 - 1),
    tie_breaker=st.integers(0, 2**64 - 1),
    nominate=st.booleans(),
)
def test_a_binding_request_is_read_as_written(*, transaction, ours, theirs, password, priority, tie_breaker, nominate):
    data = binding_request(
        transaction,
        username=f"{ours}:{theirs}",
        password=password,
        priority=priority,
        tie_breaker=tie_breaker,
        use_candidate=nominate,
    )
    message = parse_message(data)
    assert (message.message_class, message.method) == (MessageClass.REQUEST, BINDING)
    assert message.transaction_id == transaction
    assert message.username == f"{ours}:{theirs}"
    assert message.priority == priority
    assert message.ice_controlling == tie_breaker
    assert message.use_candidate == nominate
    assert message.verify(password)
    assert not message.verify(password + "x")
    assert ufrag_of_request(data) == ours


@given(transactions, addresses, ice_texts)
def test_a_success_response_is_read_as_written(transaction, mapped, password):
    message = parse_message(success_response(transaction, mapped, password))
    assert message.message_class is MessageClass.SUCCESS
    assert message.xor_mapped_address == mapped
    assert message.verify(password)


@given(transactions, st.integers(300, 699), ice_texts, st.lists(st.integers(0, 0xFFFF), max_size=9))
def test_an_error_response_is_read_as_written(transaction, code, password, unknown):
    message = parse_message(error_response(transaction, code, password, unknown=tuple(unknown)))
    assert message.message_class is MessageClass.ERROR
    assert message.error_code == code
    assert message.verify(password)


@given(st.binary(max_size=200), st.booleans())
def test_noise_raises_nothing_but_decode_error(noise, framed):
    data = stun(noise) if framed else noise
    ufrag_of_request(data)
    with suppress(DecodeError):
        parse_message(data)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 6, 8, 9, 0x14, 0x20, 0x24, 0x25, 0x8028, 0x8029, 0x802A, 0xC057]),
            st.binary(max_size=40),
        ),
        max_size=8,
    )
)
def test_noise_in_attributes_raises_nothing_but_decode_error(attributes):
    data = stun(b"".join(attribute(kind, value) for kind, value in attributes))
    ufrag_of_request(data)
    with suppress(DecodeError):
        assert not parse_message(data).verify(PASSWORD)


@given(st.data())
def test_no_changed_bit_before_the_fingerprint_goes_unnoticed(data):
    position = data.draw(st.integers(0, (len(RFC_REQUEST) - 8) * 8 - 1))
    changed = bytearray(RFC_REQUEST)
    changed[position // 8] ^= 1 << position % 8
    with suppress(DecodeError):
        assert not parse_message(bytes(changed)).verify(RFC_PASSWORD)


MALFORMED = {
    "empty": b"",
    "only a header's beginning": RFC_REQUEST[:19],
    "another cookie": RFC_REQUEST[:4] + bytes(4) + RFC_REQUEST[8:],
    "cut short": RFC_REQUEST[:-4],
    "bytes behind": RFC_REQUEST + bytes(4),
    "a length that is no multiple of four": stun(b"\x00\x25\x00"),
    "an attribute that overruns": stun(b"\x00\x06\x00\x08abcd"),
    "a wrong fingerprint": RFC_REQUEST[:-1] + b"\x00",
    "an attribute after the fingerprint": fingerprinted(attribute(0xC057, b"")),
    "integrity of 19 bytes": stun(attribute(8, bytes(19))),
    "a username that is not UTF-8": stun(attribute(6, b"\xff\xfe:")),
    "a username over 513 bytes": stun(attribute(6, b"a" * 514)),
    "a priority of five bytes": stun(attribute(0x24, bytes(5))),
    "a tie-breaker of four bytes": stun(attribute(0x802A, bytes(4))),
    "an error code of 200": stun(attribute(9, b"\x00\x00\x02\x00"), 0x0111),
    "an error code of 4xx with 100": stun(attribute(9, b"\x00\x00\x04\x64"), 0x0111),
    "an address of a family unknown": stun(attribute(0x20, b"\x00\x03" + bytes(6)), 0x0101),
    "an IPv6 address of four bytes": stun(attribute(0x20, b"\x00\x02" + bytes(6)), 0x0101),
    "sixty-five attributes": stun(attribute(0xC057, b"") * 65),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_is_refused(data):
    with pytest.raises(DecodeError):
        parse_message(data)


def test_a_right_fingerprint_at_the_end_is_taken():
    assert parse_message(fingerprinted(b"")).integrity_at is None


def test_sixty_four_attributes_are_read():
    assert parse_message(stun(attribute(0xC057, b"") * 64)).unknown_required == ()


def test_unknown_attributes_are_skipped_or_told_by_their_range():
    message = parse_message(
        stun(attribute(0xC057, b"\x00\x01\x00\x00") + attribute(0x7777, b"") + attribute(0x14, b"r"))
    )
    assert message.unknown_required == (0x7777, 0x14)


def test_of_repeated_attributes_the_first_counts():
    assert parse_message(stun(attribute(6, b"first:a") + attribute(6, b"second:b"))).username == "first:a"


def test_what_stands_behind_the_integrity_is_ignored():
    data = stun(attribute(6, b"ours:theirs") + attribute(8, bytes(20)) + attribute(0x25, b"") + attribute(0x7777, b""))
    message = parse_message(data)
    assert not message.use_candidate
    assert message.unknown_required == ()


def test_a_message_without_integrity_is_never_verified():
    assert not parse_message(stun(attribute(6, b"ours:theirs"))).verify("")


@pytest.mark.parametrize(
    ("message_type", "message_class", "method"),
    [
        (0x0001, MessageClass.REQUEST, 0x001),
        (0x0011, MessageClass.INDICATION, 0x001),
        (0x0101, MessageClass.SUCCESS, 0x001),
        (0x0111, MessageClass.ERROR, 0x001),
        (0x0113, MessageClass.ERROR, 0x003),  # TURN's Allocate (RFC 8656 §17)
        (0x0200, MessageClass.REQUEST, 0x080),  # libwebrtc's short ping
        (0x02EF, MessageClass.REQUEST, 0x0FF),
    ],
)
def test_class_and_method_share_the_type(message_type, message_class, method):
    message = parse_message(stun(b"", message_type))
    assert (message.message_class, message.method) == (message_class, method)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x16\xfe\xfd" + bytes(30),  # a DTLS record
        RFC_RESPONSE_IPV4,
        stun(b""),
        stun(attribute(6, b"without a colon")),
        stun(attribute(6, b"\xff:theirs")),
        stun(b"\x00\x06\x00\x08abcd"),
    ],
)
def test_a_datagram_that_names_nobody_has_no_ufrag(datagram):
    assert ufrag_of_request(datagram) is None


def test_only_stun_is_taken_for_stun():
    assert is_stun(RFC_REQUEST)
    assert not is_stun(b"\x80" + RFC_REQUEST[1:])  # RTP
    assert not is_stun(b"\x04" + RFC_REQUEST[1:])
    assert not is_stun(RFC_REQUEST[:19])
