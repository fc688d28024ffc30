"""The short way to libsrtp gives what the long one gives, and leaves to it what it cannot do."""

import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp import srtp_direct
from rtp.srtp_direct import direct_protect

PROFILES = [
    (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
]


def session(profile: int, key_bytes: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(
        key=bytes(range(key_bytes)), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile
    )
    return pylibsrtp.Session(policy)


def packet(sequence: int, payload: bytes) -> bytes:
    return bytes((0x80, 96)) + sequence.to_bytes(2) + bytes(range(8)) + payload


@pytest.mark.parametrize(("profile", "key_bytes"), PROFILES)
@given(payloads=st.lists(st.binary(max_size=1344), max_size=8))
def test_both_ways_give_the_same_bytes(profile: int, key_bytes: int, payloads: list[bytes]) -> None:
    long, short = session(profile, key_bytes), direct_protect(session(profile, key_bytes))
    for sequence, payload in enumerate(payloads):
        assert short(packet(sequence, payload)) == long.protect(packet(sequence, payload))


def test_it_is_the_short_way_that_was_proved_here() -> None:
    short = session(*PROFILES[0])
    assert direct_protect(short) != short.protect


@pytest.mark.parametrize("refused", [packet(1, bytes(1345)), b"", b"too short"], ids=["long", "empty", "cut"])
def test_what_cannot_be_protected_is_refused_alike(refused: bytes) -> None:
    protect = direct_protect(session(*PROFILES[0]))
    with pytest.raises((pylibsrtp.Error, ValueError)):
        protect(refused)
    assert protect(packet(2, b"and the session goes on"))


def test_where_it_does_not_prove_itself_the_long_way_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unlike(_session: pylibsrtp.Session) -> object:
        return lambda _packet: b"something else"

    monkeypatch.setattr(srtp_direct, "_shortened", unlike)
    srtp_direct._is_proved.cache_clear()
    try:
        plain = session(*PROFILES[0])
        assert direct_protect(plain) == plain.protect
        assert "the long way" in caplog.text
    finally:
        srtp_direct._is_proved.cache_clear()
