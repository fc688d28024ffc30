"""What opens the door, and what is said to those it stays shut for."""

import base64
import json

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.api import AccessToken, VideoGrants

from sfu.model import Claims, Identity, ParticipantKind, VideoGrant
from signaling.tokens import TokenError, mint, verify

KEY, SECRET = "devkey", "secret"
KEYS = {KEY: SECRET, "other": "s" * 40}
NOW = 1_795_372_522.0


def signed(claims: dict[str, object], secret: str = SECRET * 8, **header: str) -> str:
    """A token as any library makes it, with only these claims."""
    return jwt.encode(claims, secret, algorithm="HS256", headers=header or None)


LONG_KEYS = {KEY: SECRET * 8}


def refusal(token: str, wall: float = NOW) -> str:
    with pytest.raises(TokenError) as refused:
        verify(token, LONG_KEYS, wall)
    assert refused.value.status == 401
    return refused.value.body


def test_what_is_minted_verifies_and_says_the_same() -> None:
    grant = VideoGrant(room_join=True, room="lobby", can_publish=False, can_publish_sources=("camera",))
    claims = Claims(identity=Identity("alice"), name="Alice", video=grant, attributes={"a": "b"}, metadata="m")
    token = mint(claims, KEY, SECRET, wall=NOW, lifetime_seconds=600)
    times = {"expires_at": NOW + 600, "issued_at": NOW, "not_before": NOW}
    expected = msgspec.structs.replace(claims, api_key=KEY, **times)
    assert verify(token, KEYS, NOW) == expected


def test_a_minted_token_carries_the_claims_that_clients_read() -> None:
    claims = Claims(identity=Identity("alice"), video=VideoGrant(room_join=True, room="r", can_subscribe=False))
    token = mint(claims, "other", KEYS["other"], wall=NOW, lifetime_seconds=600)
    assert jwt.decode(token, options={"verify_signature": False}) == {
        "iss": "other",
        "sub": "alice",
        "identity": "alice",
        "kind": "standard",
        "nbf": NOW,
        "iat": NOW,
        "exp": NOW + 600,
        "video": {"roomJoin": True, "room": "r", "canSubscribe": False},
    }


def test_a_token_of_the_published_library_verifies() -> None:
    grants = VideoGrants(room_join=True, room="lobby", can_publish=False)
    token = AccessToken(KEY, LONG_KEYS[KEY]).with_identity("bob").with_name("Bob").with_kind("agent")
    claims = verify(token.with_grants(grants).to_jwt(), LONG_KEYS, wall_of(token.with_grants(grants).to_jwt()))
    assert (claims.identity, claims.name, claims.participant_kind) == ("bob", "Bob", ParticipantKind.AGENT)
    assert claims.video is not None
    assert (claims.video.room, claims.video.may_publish, claims.video.may_subscribe) == ("lobby", False, True)


def wall_of(token: str) -> float:
    return float(jwt.decode(token, options={"verify_signature": False})["nbf"])


def test_any_of_several_keys_verifies() -> None:
    for key, secret in KEYS.items():
        token = mint(Claims(identity=Identity("a")), key, secret, wall=NOW, lifetime_seconds=1)
        assert verify(token, KEYS, NOW).api_key == key


@pytest.mark.parametrize(
    ("claims", "body"),
    [
        ({"iss": "nokey", "exp": NOW + 9}, "invalid API key: nokey"),
        ({"exp": NOW + 9}, "invalid API key: "),
        (
            {"iss": KEY},
            "invalid token, error: token has invalid claims: token is missing required claim: exp claim is required",
        ),
        ({"iss": KEY, "exp": NOW - 60}, "invalid token, error: token has invalid claims: token is expired"),
        (
            {"iss": KEY, "exp": NOW + 9, "nbf": NOW + 61},
            "invalid token, error: token has invalid claims: token is not valid yet",
        ),
        ({"iss": KEY, "exp": "tomorrow"}, "invalid authorization token"),
        ({"iss": KEY, "exp": NOW + 9, "video": "yes"}, "invalid authorization token"),
    ],
)
def test_claims_that_open_nothing(claims: dict[str, object], body: str) -> None:
    assert refusal(signed(claims)) == body


@pytest.mark.parametrize("claims", [{"exp": NOW - 59}, {"exp": NOW + 9, "nbf": NOW + 60}])
def test_clocks_may_differ_by_a_minute(claims: dict[str, object]) -> None:
    assert verify(signed({"iss": KEY, "sub": "a"} | claims), LONG_KEYS, NOW).identity == "a"


def test_a_signature_of_another_secret_is_refused() -> None:
    body = refusal(signed({"iss": KEY, "exp": NOW + 9}, "another secret, long enough for all"))
    assert body == "invalid token, error: token signature is invalid: signature is invalid"


@pytest.mark.parametrize("algorithm", ["none", "HS512", "RS256"])
def test_only_hs256_is_read(algorithm: str) -> None:
    head, rest = signed({"iss": KEY, "exp": NOW + 9}).split(".", 1)
    head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).decode().rstrip("=")
    assert refusal(f"{head}.{rest}") == "invalid authorization token"


@pytest.mark.parametrize(("claims", "identity"), [({"sub": "s", "jti": "j"}, "s"), ({"jti": "j"}, "j"), ({}, "")])
def test_the_identity_is_the_subject_or_else_the_token_id(claims: dict[str, object], identity: str) -> None:
    assert verify(signed({"iss": KEY, "exp": NOW + 9, "identity": "x"} | claims), LONG_KEYS, NOW).identity == identity


def test_nulls_say_nothing() -> None:
    token = signed({"iss": KEY, "exp": NOW + 9, "name": None, "video": {"canPublish": None, "room": None}})
    assert verify(token, LONG_KEYS, NOW).video == VideoGrant()


def test_unknown_kinds_are_standard_and_unknown_claims_are_ignored() -> None:
    claims = verify(signed({"iss": KEY, "exp": NOW + 9, "kind": "martian", "sip": {"call": True}}), LONG_KEYS, NOW)
    assert claims.participant_kind is ParticipantKind.STANDARD


def test_grants_that_a_token_does_not_mention() -> None:
    grant = VideoGrant()
    assert (grant.may_publish, grant.may_subscribe, grant.may_publish_data) == (True, True, True)
    assert not grant.may_update_own_metadata
    assert not VideoGrant(can_publish=False).may_publish_data
    assert VideoGrant(can_publish=False, can_publish_data=True).may_publish_data
    assert VideoGrant(can_publish_sources=("camera",)).may_publish_source("camera")
    assert not VideoGrant(can_publish_sources=("camera",)).may_publish_source("microphone")
    assert not VideoGrant(can_publish=False).may_publish_source("camera")


@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(st.binary(max_size=60), min_size=3, max_size=3).map(
            lambda parts: ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
        ),
    )
)
def test_noise_raises_nothing_but_token_error(noise: str) -> None:
    with pytest.raises(TokenError):
        verify(noise, KEYS, NOW)


def test_deep_nesting_is_just_another_bad_token() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 100_000).decode().rstrip("=")
    good = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")
    assert refusal(f"{deep}.{good}.") == refusal(f"{good}.{deep}.") == "invalid authorization token"
