"""Who is not to publish in which codec, nor to be sent which."""

import pytest
from livekit.protocol.models import ClientInfo

from sfu.room.quirks import shares_streams, unpublished_mimes, unsent_mimes

NO_H264 = frozenset({"video/H264"})
NO_LAYERS = frozenset({"video/VP9", "video/AV1"})


@pytest.mark.parametrize(
    ("client", "unpublished"),
    [
        (ClientInfo(sdk="JS", browser="Firefox", os="Linux"), NO_H264 | NO_LAYERS),
        (ClientInfo(sdk="JS", browser="Firefox", os="Android"), NO_H264 | NO_LAYERS),
        (ClientInfo(sdk="ANDROID", device_model="Xiaomi 2201117TI", os="Android"), NO_H264),
        (ClientInfo(sdk="ANDROID", device_model="XIAOMI 2201117ti", os="android"), NO_H264),
        (ClientInfo(sdk="JS", browser="Firefox", os="Windows"), NO_LAYERS),
        (ClientInfo(sdk="JS", browser="Chrome", os="Linux"), frozenset()),
        (ClientInfo(sdk="JS", browser="Safari", os="macOS"), NO_LAYERS),
        (ClientInfo(sdk="ANDROID", device_model="Xiaomi 14", os="Android"), frozenset()),
        (ClientInfo(sdk="PYTHON", os="Linux"), frozenset()),
        (ClientInfo(), frozenset()),
    ],
)
def test_a_client_is_known_by_all_that_a_row_says_in_any_case(client: ClientInfo, unpublished: frozenset[str]) -> None:
    assert unpublished_mimes(client) == unpublished


@pytest.mark.parametrize(
    ("browser", "unsent"),
    [("Firefox", {"audio/red"}), ("firefox", {"audio/red"}), ("Safari", {"audio/red", "video/AV1"})],
)
def test_browsers_are_not_sent_what_they_had_better_not_get(browser: str, unsent: set[str]) -> None:
    assert unsent_mimes(ClientInfo(sdk="JS", browser=browser, os="macOS")) == unsent


def test_others_are_sent_whatever_they_know() -> None:
    assert unsent_mimes(ClientInfo(sdk="JS", browser="Chrome")) == unsent_mimes(ClientInfo()) == frozenset()


@pytest.mark.parametrize(
    ("client", "shares"),
    [
        (ClientInfo(sdk="JS", browser="Chrome", protocol=16), True),
        (ClientInfo(sdk="JS", browser="Chrome", protocol=9), False),
        (ClientInfo(sdk="JS", browser="Firefox", protocol=16), False),
    ],
)
def test_several_tracks_in_a_stream_are_for_clients_that_tell_them_apart(client: ClientInfo, shares: bool) -> None:
    assert shares_streams(client) == shares
