"""Browsers by the words that they send with each request."""

import pytest
from livekit.protocol.models import ClientInfo

from signaling.user_agent import complete_client_info

FIREFOX_LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
FIREFOX_ANDROID = "Mozilla/5.0 (Android 14; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0"
CHROME_ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36"
)
CHROME_WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
)
SAFARI_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"
SAFARI_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("user_agent", "browser", "system"),
    [
        (FIREFOX_LINUX, "Firefox", "Linux"),
        (FIREFOX_ANDROID, "Firefox", "Android"),
        (CHROME_ANDROID, "Chrome", "Android"),
        (CHROME_WINDOWS, "Chrome", "Windows"),
        (SAFARI_MAC, "Safari", "macOS"),
        (SAFARI_IPHONE, "Safari", "iOS"),
        ("livekit", "", ""),
        ("", "", ""),
    ],
)
def test_browser_and_system_are_told_by_the_header(user_agent: str, browser: str, system: str) -> None:
    client = ClientInfo(sdk="JS")
    complete_client_info(client, user_agent)
    assert (client.browser, client.os) == (browser, system)


def test_what_the_client_says_itself_stands() -> None:
    client = ClientInfo(sdk="FLUTTER", browser="Brave", os="Haiku")
    complete_client_info(client, FIREFOX_LINUX)
    assert (client.browser, client.os) == ("Brave", "Haiku")


def test_of_an_sdk_that_is_no_browser_the_header_tells_nothing() -> None:
    client = ClientInfo(sdk="PYTHON")
    complete_client_info(client, FIREFOX_LINUX)
    assert (client.browser, client.os) == ("", "")
