"""The short way to libsrtp gives what the long one gives, and leaves to it what it cannot do."""

import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp import srtp_direct
from rtp.srtp_direct import MAX_PACKET_BYTES, direct

PROFILES = [
    (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
]
OUTBOUND, INBOUND = pylibsrtp.Policy.SSRC_ANY_OUTBOUND, pylibsrtp.Policy.SSRC_ANY_INBOUND


def session(profile: int, key_bytes: int, direction: int = OUTBOUND) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(key=bytes(range(key_bytes)), ssrc_type=direction, srtp_profile=profile)
    return pylibsrtp.Session(policy)


def packet(sequence: int, payload: bytes) -> bytes:
    return bytes((0x80, 96)) + sequence.to_bytes(2) + bytes(range(8)) + payload


def report(words: int) -> bytes:
    return bytes((0x80, 201)) + words.to_bytes(2) + bytes(range(4)) * words


def never(_packet: bytes) -> bytes:
    raise AssertionError("not to be left to the long way")


@pytest.mark.parametrize(("profile", "key_bytes"), PROFILES)
@given(payloads=st.lists(st.binary(max_size=1340), max_size=8))
def test_both_ways_give_the_same_bytes(profile: int, key_bytes: int, payloads: list[bytes]) -> None:
    long, protect = session(profile, key_bytes), direct(session(profile, key_bytes), "protect", never)
    receiver = session(profile, key_bytes, INBOUND)
    unprotect = direct(receiver, "unprotect", receiver.unprotect)
    for sequence, payload in enumerate(payloads):
        plain = packet(sequence, payload)
        protected = protect(plain)
        assert protected == long.protect(plain)
        assert unprotect(protected) == plain


@pytest.mark.parametrize(("profile", "key_bytes"), PROFILES)
@given(sizes=st.lists(st.integers(1, 300), max_size=8))
def test_both_ways_give_the_same_bytes_for_rtcp(profile: int, key_bytes: int, sizes: list[int]) -> None:
    long, protect = session(profile, key_bytes), direct(session(profile, key_bytes), "protect_rtcp", never)
    unprotect = direct(session(profile, key_bytes, INBOUND), "unprotect_rtcp", never)
    for words in sizes:
        protected = protect(report(words))
        assert protected == long.protect_rtcp(report(words))
        assert unprotect(protected) == report(words)


def test_it_is_the_short_way_that_was_proved_here() -> None:
    plain = session(*PROFILES[0])
    assert direct(plain, "protect", plain.protect) != plain.protect


@pytest.mark.parametrize(
    "refused", [packet(1, bytes(MAX_PACKET_BYTES - 11)), b"", b"too short"], ids=["long", "empty", "cut"]
)
def test_what_cannot_be_protected_is_refused_alike(refused: bytes) -> None:
    plain = session(*PROFILES[0])
    protect = direct(plain, "protect", plain.protect)
    with pytest.raises((pylibsrtp.Error, ValueError)):
        protect(refused)
    assert protect(packet(2, b"and the session goes on"))


def test_what_was_not_protected_so_or_comes_again_is_refused_alike() -> None:
    protect = direct(session(*PROFILES[0]), "protect", never)
    receiver = session(*PROFILES[0], INBOUND)
    unprotect = direct(receiver, "unprotect", receiver.unprotect)
    first, second = protect(packet(1, b"first")), protect(packet(2, b"second"))
    assert unprotect(first) == packet(1, b"first")
    with pytest.raises(pylibsrtp.Error, match="replay"):
        unprotect(first)
    with pytest.raises(pylibsrtp.Error):
        unprotect(second[:-1] + bytes([second[-1] ^ 1]))
    assert unprotect(second) == packet(2, b"second")


def test_where_it_does_not_prove_itself_the_long_way_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unlike(*_: object) -> object:
        return lambda _packet: b"something else"

    monkeypatch.setattr(srtp_direct, "_shortened", unlike)
    srtp_direct._is_proved.cache_clear()
    try:
        plain = session(*PROFILES[0])
        assert direct(plain, "protect", plain.protect) == plain.protect
        assert "the long way" in caplog.text
    finally:
        srtp_direct._is_proved.cache_clear()
