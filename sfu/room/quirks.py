"""What particular clients had better not send, nor be sent, by what they say of themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from livekit.protocol import models

from rtp.sdp.codecs import AV1, H264, RED, VP9


@dataclass(frozen=True, slots=True)
class Quirk:
    """Clients that say all of `says`, in any case, are not to publish in the codecs of the MIME types `unpublished`.

    Nor are they sent those of `unsent`. Those that `keep_streams_apart` get a stream for each track, whatever the room says.
    The names in `says` are fields of ClientInfo.
    """

    says: Mapping[str, str]
    unpublished: frozenset[str] = frozenset()
    unsent: frozenset[str] = frozenset()
    keep_streams_apart: bool = False

    def applies(self, client: models.ClientInfo) -> bool:
        """Say whether the client is one of them."""
        return all(getattr(client, field).lower() == value for field, value in self.says.items())


SHARED_STREAMS_PROTOCOL: Final = 10
"""From this signalling protocol on, clients find a track by its own id, where several are in one stream."""

QUIRKS: Final = (
    # Their H.264 is a plugin (OpenH264) that is fetched some time after the first start, or never.
    Quirk({"browser": "firefox", "os": "linux"}, frozenset({H264})),
    # There it depends on an encoder that not every device has.
    Quirk({"browser": "firefox", "os": "android"}, frozenset({H264})),
    # LiveKit's server denies it to this phone.
    Quirk({"device_model": "xiaomi 2201117ti", "os": "android"}, frozenset({H264})),
    # LiveKit's server sends neither RED: of Firefox it is an option that few have turned on, of Safari it is new.
    # Firefox makes no layers within a stream, and LiveKit's clients publish neither VP9 nor AV1 there.
    Quirk({"browser": "firefox"}, frozenset({VP9, AV1}), frozenset({RED}), keep_streams_apart=True),
    # AV1 depends on the device there. LiveKit's server denies VP9 from Safari 18.4 on.
    Quirk({"browser": "safari"}, frozenset({VP9, AV1}), frozenset({RED, AV1})),
)
"""Those of LiveKit's server that speak of codecs, and what its clients know of Firefox."""


def unpublished_mimes(client: models.ClientInfo) -> frozenset[str]:
    """Return the MIME types of the codecs that a client is not to publish in."""
    return frozenset[str]().union(*(quirk.unpublished for quirk in QUIRKS if quirk.applies(client)))


def unsent_mimes(client: models.ClientInfo) -> frozenset[str]:
    """Return the MIME types of the codecs that a client is not to be sent."""
    return frozenset[str]().union(*(quirk.unsent for quirk in QUIRKS if quirk.applies(client)))


def shares_streams(client: models.ClientInfo) -> bool:
    """Whether a client can be sent several tracks in one stream."""
    if client.protocol < SHARED_STREAMS_PROTOCOL:
        return False
    return not any(quirk.keep_streams_apart for quirk in QUIRKS if quirk.applies(client))
