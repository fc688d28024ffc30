"""What the server writes into packets, and whom it takes them to be for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models

from rtp.errors import DecodeError
from sfu.data.packets import Drop, address, objection, parse_packet, sign
from sfu.model import ParticipantKind
from tests.sfu.data.people import someone

VALUES = [field.name for field in models.DataPacket.DESCRIPTOR.oneofs_by_name["value"].fields]

ALICE = someone("alice")
AGENT = someone("agent", kind=ParticipantKind.AGENT)


def packet(value: str, **fields: object) -> models.DataPacket:
    """Return a packet of one kind, with nothing in it."""
    made = models.DataPacket(**fields)
    getattr(made, value).SetInParent()
    return made


@pytest.mark.parametrize("value", VALUES)
def test_every_kind_of_packet_gets_its_true_senders_name(value):
    received = parse_packet(packet(value, participant_identity="mallory", participant_sid="PA_m").SerializeToString())
    sign(received, ALICE)
    assert (received.participant_identity, received.participant_sid) == ("alice", "PA_alice")
    assert received.WhichOneof("value") == value


@pytest.mark.parametrize("value", VALUES)
def test_every_kind_of_packet_is_passed_on_but_transcriptions_of_people(value):
    expected = Drop.NOT_AN_AGENT if value == "transcription" else None
    assert objection(packet(value), ALICE) is expected
    assert objection(packet(value), AGENT) is None
    assert objection(packet(value), someone("bob", can_publish_data=False)) is Drop.NOT_ALLOWED


def test_user_packets_name_their_sender_inside_too():
    received = packet("user")
    received.user.participant_identity = "mallory"
    sign(received, ALICE)
    assert (received.user.participant_identity, received.user.participant_sid) == ("alice", "PA_alice")


def test_a_hidden_sender_has_no_name():
    received = packet("user", participant_identity="ghost")
    sign(received, someone("ghost", hidden=True))
    assert (received.participant_identity, received.participant_sid) == ("", "PA_ghost")
    assert (received.user.participant_identity, received.user.participant_sid) == ("", "")


def test_what_agents_write_in_anothers_name_is_marked_as_generated():
    chat = packet("chat_message", participant_identity="alice")
    text = packet("stream_header", participant_identity="alice")
    text.stream_header.text_header.SetInParent()
    sign(chat, AGENT)
    sign(text, AGENT)
    assert chat.participant_identity == text.participant_identity == "alice"
    assert chat.chat_message.generated
    assert text.stream_header.text_header.generated


def test_what_agents_write_in_their_own_name_is_not_marked():
    for identity in ("", "agent"):
        chat = packet("chat_message", participant_identity=identity)
        sign(chat, AGENT)
        assert (chat.participant_identity, chat.chat_message.generated) == ("agent", False)


def test_agents_send_no_bytes_in_anothers_name():
    header = packet("stream_header", participant_identity="alice")
    header.stream_header.byte_header.SetInParent()
    sign(header, AGENT)
    assert header.participant_identity == "agent"


@pytest.mark.parametrize("inside", [True, False])
def test_destinations_are_read_at_either_place_and_written_to_both(inside):
    received = packet("user")
    (received.user if inside else received).destination_identities.append("bob")
    audience = address(received)
    assert list(received.destination_identities) == list(received.user.destination_identities) == ["bob"]
    assert [audience.includes(someone(name)) for name in ("bob", "carol")] == [True, False]


def test_a_packet_for_sids_reaches_them_alone():
    received = packet("user")
    received.user.destination_sids.append("PA_bob")
    assert [address(received).includes(someone(name)) for name in ("bob", "carol")] == [True, False]


def test_a_packet_that_names_nobody_is_for_everybody():
    assert all(address(packet(value)).includes(someone("bob", can_subscribe_metrics=True)) for value in VALUES)


def test_metrics_are_for_those_who_may_have_them():
    audience = address(packet("metrics"))
    assert [audience.includes(someone("bob", can_subscribe_metrics=each)) for each in (True, False, None)] == [
        True,
        False,
        False,
    ]


def test_fields_that_we_do_not_know_stay_in_a_packet():
    unknown = b"\xca\x3e\x03new"  # field 1001, of three bytes
    received = parse_packet(packet("user", sequence=7).SerializeToString() + unknown)
    sign(received, ALICE)
    assert unknown in received.SerializeToString()


@given(st.binary(max_size=300))
def test_noise_raises_nothing_but_decode_error(noise):
    try:
        received = parse_packet(noise)
    except DecodeError:
        return
    sign(received, ALICE)
    address(received)
    assert parse_packet(received.SerializeToString()) == received
