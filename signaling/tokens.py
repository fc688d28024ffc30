"""LiveKit's access tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256 and a shared secret."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Final

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm

from sfu.model import Claims, Identity
from signaling.http.errors import HttpError
from signaling.http.request import Request

LEEWAY_SECONDS: Final = 60
"""By how much the clock of whoever minted a token may differ from ours."""

BODY_TOKEN_SECONDS: Final = 300
"""How long whoever is posted to may take to verify what was posted."""

_SCHEME: Final = "Bearer "


class TokenError(HttpError):
    """A token that opens nothing; the body is what LiveKit's server says, without the token itself."""

    def __init__(self, body: str) -> None:
        super().__init__(401, body)


class _AnyLengthHmac(HMACAlgorithm):
    """Does not warn of a short secret with each token: the configuration has judged it once."""

    def check_key_length(self, key: bytes) -> None:
        """Accept any length."""


# Signatures only. Times are judged here, by the caller's clock.
_jws = jwt.PyJWS(algorithms=[])
_jws.register_algorithm("HS256", _AnyLengthHmac(HMACAlgorithm.SHA256))


class _Registered(msgspec.Struct, frozen=True):
    """The registered claims (RFC 7519 §4.1) that decide about a token."""

    iss: str = ""
    sub: str = ""
    jti: str = ""
    exp: float | None = None
    nbf: float | None = None


def verify(token: str, keys: Mapping[str, str], wall: float) -> Claims:
    """Read a token and vouch for it.

    Args:
        token: As it came from the client.
        keys: Secrets by API key.
        wall: Now, in Unix seconds.

    Returns:
        Its claims, with the identity that holds: `sub`, or `jti` where there is none. It may be empty.

    Raises:
        TokenError: if it cannot be read, is not ours, or is not valid now.
    """
    registered, claims = _parse_claims(token)
    secret = keys.get(registered.iss)
    if secret is None:
        raise TokenError(f"invalid API key: {registered.iss}")
    try:
        _jws.decode(token, secret, algorithms=["HS256"])
    except jwt.PyJWTError as error:
        raise TokenError("invalid token, error: token signature is invalid: signature is invalid") from error
    if registered.exp is None:
        raise _invalid_claims("token is missing required claim: exp claim is required")
    if wall >= registered.exp + LEEWAY_SECONDS:
        raise _invalid_claims("token is expired")
    if registered.nbf is not None and wall < registered.nbf - LEEWAY_SECONDS:
        raise _invalid_claims("token is not valid yet")
    return msgspec.structs.replace(claims, identity=Identity(registered.sub or registered.jti))


def mint(claims: Claims, key: str, secret: str, *, wall: float, lifetime_seconds: float) -> str:
    """Make a token that says `claims`, valid from now (`wall`, Unix seconds) for `lifetime_seconds`."""
    payload = msgspec.to_builtins(claims) | {"sub": claims.identity, "kind": claims.kind}
    return _sign(payload, key, secret, wall, lifetime_seconds)


def mint_for_body(body: bytes, key: str, secret: str, *, wall: float) -> str:
    """Make a token that vouches for what is posted with it, to whoever knows the secret."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
    return _sign({"sha256": digest}, key, secret, wall, BODY_TOKEN_SECONDS)


def _sign(payload: dict[str, object], key: str, secret: str, wall: float, lifetime_seconds: float) -> str:
    now = int(wall)
    payload |= {"iss": key, "iat": now, "nbf": now, "exp": now + int(lifetime_seconds)}
    return _jws.encode(msgspec.json.encode(payload), secret, algorithm="HS256")


def _parse_claims(token: str) -> tuple[_Registered, Claims]:
    try:
        decoded = _jws.decode_complete(token, options={"verify_signature": False})
        if decoded["header"].get("alg") != "HS256":
            raise TokenError("invalid authorization token")
        claims = _without_nulls(msgspec.json.decode(decoded["payload"], type=dict[str, object]))
        if isinstance(video := claims.get("video"), dict):
            claims["video"] = _without_nulls(video)
        return msgspec.convert(claims, _Registered), msgspec.convert(claims, Claims)
    except (jwt.PyJWTError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise TokenError("invalid authorization token") from error


def _without_nulls(claims: dict[str, object]) -> dict[str, object]:
    """Leave out what is null: some libraries write it for what was not set."""
    return {name: value for name, value in claims.items() if value is not None}


def _invalid_claims(reason: str) -> TokenError:
    return TokenError(f"invalid token, error: token has invalid claims: {reason}")


def authenticate(request: Request, keys: Mapping[str, str], wall: float) -> Claims | None:
    """Read the token that came with a request: in its header, or else in its query. None if there is none.

    Raises:
        TokenError: if it is no good.
    """
    if header := request.header("Authorization"):
        if not header.startswith(_SCHEME):
            raise TokenError(f"invalid authorization header. Must start with {_SCHEME}")
        return verify(header.removeprefix(_SCHEME), keys, wall)
    if token := request.parameter("access_token"):
        return verify(token, keys, wall)
    return None
