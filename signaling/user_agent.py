"""What a browser says of itself in the `User-Agent` header, for clients that leave it out of their own words."""

from typing import Final

from livekit.protocol.models import ClientInfo

_IN_BROWSERS: Final = frozenset(
    {ClientInfo.UNKNOWN, ClientInfo.JS, ClientInfo.REACT_NATIVE, ClientInfo.FLUTTER, ClientInfo.UNITY}
)
"""SDKs that run, or can run, in a browser: livekit-client names neither the browser nor the system."""

_BROWSERS: Final = (("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
"""Of these the first counts: Android says that it is Linux, Chrome that it is Safari."""


def complete_client_info(client: ClientInfo, user_agent: str) -> None:
    """Fill in the browser and the operating system, as far as the client has not named them and the header tells."""
    if client.sdk not in _IN_BROWSERS:
        return
    client.browser = client.browser or _first(_BROWSERS, user_agent)
    client.os = client.os or _first(_SYSTEMS, user_agent)


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for mark, name in names if mark in user_agent), "")
