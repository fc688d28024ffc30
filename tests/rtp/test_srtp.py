import json
import struct
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp import srtp
from rtp.dtls import SrtpKeys, SrtpProfile
from rtp.errors import LocalProtocolError, RemoteProtocolError
from rtp.srtp import SrtpError, SrtpFailure, SrtpSendError, SrtpSession
from rtp.srtp_direct import MAX_PACKET_BYTES
from rtp.units import Ssrc

VECTORS = Path(__file__).parents[1] / "vectors" / "wire" / "srtp.jsonl"
RECORDED_AS = {
    "SRTP_AEAD_AES_128_GCM": SrtpProfile.AEAD_AES_128_GCM,
    "SRTP_AES128_CM_SHA1_80": SrtpProfile.AES128_CM_HMAC_SHA1_80,
}

profiles = pytest.mark.parametrize("profile", SrtpProfile)


@cache
def recorded() -> dict[str, tuple[SrtpKeys, list[dict]]]:
    """What Chromium 156 sent as DTLS client: session → (the server's keys, its packets)."""
    sessions: dict[str, tuple[SrtpKeys, list[dict]]] = {}
    for text in VECTORS.read_text().splitlines():
        line = json.loads(text)
        if line["what"] == "keys" and line["profile"] in RECORDED_AS:
            key = {
                name: bytes.fromhex(line[name]) for name in ("client_key", "client_salt", "server_key", "server_salt")
            }
            local, remote = key["server_key"] + key["server_salt"], key["client_key"] + key["client_salt"]
            sessions[line["session"]] = SrtpKeys(RECORDED_AS[line["profile"]], local, remote), []
        elif line["what"] != "keys" and line["session"] in sessions:
            sessions[line["session"]][1].append(line)
    return sessions


def swapped(keys: SrtpKeys) -> SrtpKeys:
    return SrtpKeys(keys.profile, local=keys.remote, remote=keys.local)


def two_ends(profile: SrtpProfile) -> tuple[SrtpSession, SrtpSession]:
    length = profile.key_bytes + profile.salt_bytes
    keys = SrtpKeys(profile, local=bytes(range(length)), remote=bytes(range(100, 100 + length)))
    return SrtpSession(keys), SrtpSession(swapped(keys))


def rtp(sequence: int, *, ssrc: int = 7, payload: bytes = b"payload") -> bytes:
    return struct.pack("!BBHII", 0x80, 96, sequence & 0xFFFF, 3000 * sequence & 0xFFFFFFFF, ssrc) + payload


def receiver_report(ssrc: int = 7) -> bytes:
    return struct.pack("!BBHI", 0x80, 201, 1, ssrc)


def refused(call, packet: bytes) -> SrtpFailure:
    with pytest.raises(SrtpError) as refusal:
        call(packet)
    return refusal.value.cause


@pytest.mark.parametrize("session", ["gcm128", "cm80"])
def test_chromiums_packets_decrypt_to_what_was_recorded(session: str):
    keys, lines = recorded()[session]
    ours = SrtpSession(keys)
    assert len(lines) == 16
    for line in lines:
        unprotect = ours.unprotect if line["what"] == "srtp" else ours.unprotect_rtcp
        assert unprotect(bytes.fromhex(line["protected"])).hex() == line["hex"]


@pytest.mark.parametrize("session", ["gcm128", "cm80"])
def test_chromiums_rtp_encrypts_back_to_the_same_bytes(session: str):
    keys, lines = recorded()[session]
    chromium = SrtpSession(swapped(keys))
    packets = [line for line in lines if line["what"] == "srtp"]
    assert len(packets) == 12
    for line in packets:
        assert chromium.protect(bytes.fromhex(line["hex"])).hex() == line["protected"]


@profiles
def test_what_one_end_protects_the_other_reads_both_ways(profile: SrtpProfile):
    one, other = two_ends(profile)
    assert other.unprotect(one.protect(rtp(1))) == rtp(1)
    assert one.unprotect(other.protect(rtp(1))) == rtp(1)
    assert other.unprotect_rtcp(one.protect_rtcp(receiver_report())) == receiver_report()
    assert one.unprotect_rtcp(other.protect_rtcp(receiver_report())) == receiver_report()


@profiles
def test_a_repeated_packet_is_refused_and_counted(profile: SrtpProfile):
    one, other = two_ends(profile)
    packet, report = one.protect(rtp(1)), one.protect_rtcp(receiver_report())
    other.unprotect(packet)
    other.unprotect_rtcp(report)
    assert refused(other.unprotect, packet) is SrtpFailure.REPLAYED
    assert refused(other.unprotect_rtcp, report) is SrtpFailure.REPLAYED
    assert other.statistics().refused == {SrtpFailure.REPLAYED: 2}


@profiles
def test_a_packet_may_come_a_thousand_late_but_no_more(profile: SrtpProfile):
    one, other = two_ends(profile)
    packets = [one.protect(rtp(sequence)) for sequence in range(1200)]
    other.unprotect(packets[-1])
    assert other.unprotect(packets[-1001]) == rtp(199)
    assert refused(other.unprotect, packets[0]) is SrtpFailure.TOO_OLD


@profiles
def test_a_packet_may_be_sent_again_with_the_same_number(profile: SrtpProfile):
    one, other = two_ends(profile)
    lost = one.protect(rtp(1))
    for sequence in range(2, 900):
        other.unprotect(one.protect(rtp(sequence)))
    again = one.protect(rtp(1))
    assert again == lost
    assert other.unprotect(again) == rtp(1)


@profiles
def test_numbers_wrap_without_a_break(profile: SrtpProfile):
    one, other = two_ends(profile)
    for sequence in range(0, 200_000, 1000):
        assert other.unprotect(one.protect(rtp(sequence))) == rtp(sequence)


@profiles
@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_changed_byte_is_never_accepted(profile: SrtpProfile, position: int, flip: int):
    one, other = two_ends(profile)
    forged = bytearray(one.protect(rtp(1)))
    forged[position % len(forged)] ^= flip
    with pytest.raises(SrtpError):
        other.unprotect(bytes(forged))
    assert other.unprotect(one.protect(rtp(1))) == rtp(1)  # and harms nothing


@profiles
def test_a_wrong_tag_is_an_authentication_failure(profile: SrtpProfile):
    one, other = two_ends(profile)
    packet, report = one.protect(rtp(1)), one.protect_rtcp(receiver_report())
    assert refused(other.unprotect, packet[:-1] + bytes([packet[-1] ^ 1])) is SrtpFailure.AUTHENTICATION
    assert (
        refused(other.unprotect_rtcp, report[:20] + bytes([report[20] ^ 1]) + report[21:]) is SrtpFailure.AUTHENTICATION
    )


@profiles
@given(noise=st.binary(max_size=1600))
def test_noise_raises_nothing_but_srtp_error(profile: SrtpProfile, noise: bytes):
    _, other = two_ends(profile)
    for unprotect in (other.unprotect, other.unprotect_rtcp):
        with pytest.raises(SrtpError):
            unprotect(noise)
    assert sum(other.statistics().refused.values()) == 2
    assert other.statistics().remote_streams == 0


@profiles
def test_the_longest_packet_passes_and_one_byte_more_is_refused(profile: SrtpProfile):
    one, other = two_ends(profile)
    longest = rtp(1, payload=bytes(MAX_PACKET_BYTES - 12))
    assert other.unprotect(one.protect(longest)) == longest
    with pytest.raises(SrtpSendError) as refusal:
        one.protect(longest + b"\0")
    assert refusal.value.cause is SrtpFailure.TOO_LONG
    assert refused(other.unprotect, bytes(1501)) is SrtpFailure.TOO_LONG


def test_what_is_no_packet_cannot_be_sent():
    one, _ = two_ends(SrtpProfile.AEAD_AES_128_GCM)
    for protect in (one.protect, one.protect_rtcp):
        with pytest.raises(SrtpSendError) as refusal:
            protect(b"\x80")
        assert refusal.value.cause is SrtpFailure.MALFORMED


def test_blame_is_remote_for_what_comes_and_local_for_what_goes():
    assert issubclass(SrtpError, RemoteProtocolError)
    assert issubclass(SrtpSendError, LocalProtocolError)


@profiles
def test_a_removed_stream_starts_afresh_at_both_ends(profile: SrtpProfile):
    one, other = two_ends(profile)
    for sequence in range(0, 100_000, 1000):  # past a wrap: the rollover counter is 1
        other.unprotect(one.protect(rtp(sequence)))
    one.remove_stream(Ssrc(7))
    other.remove_stream(Ssrc(7))
    assert other.statistics().remote_streams == 0
    assert other.unprotect(one.protect(rtp(1))) == rtp(1)


def test_removing_a_stream_that_never_was_does_nothing():
    one, other = two_ends(SrtpProfile.AEAD_AES_128_GCM)
    one.remove_stream(Ssrc(99))
    assert other.unprotect(one.protect(rtp(1))) == rtp(1)


def test_a_peer_that_has_published_all_day_is_still_heard():
    """Each shared screen has seven SSRCs of its own, and leaves them behind."""
    one, other = two_ends(SrtpProfile.AEAD_AES_128_GCM)
    for ssrc in range(1, 2 * srtp.MAX_REMOTE_STREAMS):
        assert other.unprotect(one.protect(rtp(1, ssrc=ssrc))) == rtp(1, ssrc=ssrc)
    last = 2 * srtp.MAX_REMOTE_STREAMS
    assert other.unprotect_rtcp(one.protect_rtcp(receiver_report(last))) == receiver_report(last)
    assert not other.statistics().refused


def test_a_stream_that_goes_on_keeps_its_rollover_counter_whoever_comes_and_goes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(srtp, "MAX_REMOTE_STREAMS", 8)
    one, other = two_ends(SrtpProfile.AEAD_AES_128_GCM)
    for number in range(100):  # past a wrap: who forgets that can read nothing more
        other.unprotect(one.protect(rtp(1000 * number)))
        other.unprotect(one.protect(rtp(1, ssrc=100 + number)))
    assert not other.statistics().refused


def test_of_a_peers_streams_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(srtp, "MAX_REMOTE_STREAMS", 8)
    one, other = two_ends(SrtpProfile.AEAD_AES_128_GCM)
    for ssrc in range(100):
        other.unprotect(one.protect(rtp(1, ssrc=ssrc)))
        assert other.statistics().remote_streams <= 8
    first, last = one.protect(rtp(1, ssrc=0)), one.protect(rtp(1, ssrc=99))
    assert other.unprotect(first) == rtp(1, ssrc=0)  # as if it had never been there
    assert refused(other.unprotect, last) is SrtpFailure.REPLAYED
