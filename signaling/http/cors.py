"""Who may read our answers in a browser: everybody (the Fetch standard, section 3.3).

Clients are pages from anywhere, and a token, not the page's origin, says what one may do.
"""

from collections.abc import Mapping
from typing import Final

from signaling.http.request import Request

METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST")
"""All that anything here is asked by."""
_PREFLIGHT_SECONDS: Final = "86400"


def is_preflight(request: Request) -> bool:
    """Whether a browser asks what it may send, before it sends it."""
    return request.method == "OPTIONS" and bool(request.header("Access-Control-Request-Method"))


def cors_headers(request: Request) -> Mapping[str, str]:
    """What the answer to this request, a preflight or not, tells a browser."""
    return _preflight_headers(request) if is_preflight(request) else _response_headers(request)


def _preflight_headers(request: Request) -> dict[str, str]:
    headers = {"Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
    method = request.header("Access-Control-Request-Method")
    if (origin := request.header("Origin")) and method in METHODS:
        headers |= {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": method,
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        }
        if asked := request.header("Access-Control-Request-Headers"):
            headers["Access-Control-Allow-Headers"] = asked
    return headers


def _response_headers(request: Request) -> dict[str, str]:
    headers = {"Vary": "Origin"}
    if (origin := request.header("Origin")) and request.method in METHODS:
        headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "*"}
    return headers
