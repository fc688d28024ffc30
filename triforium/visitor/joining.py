"""What a visitor asks for when it knocks: the path and query of its WebSocket, in either layout."""

import gzip
from base64 import urlsafe_b64encode
from typing import Final
from urllib.parse import urlencode

from livekit.protocol.models import ClientInfo
from livekit.protocol.rtc import ConnectionSettings, JoinRequest, SessionDescription, WrappedJoinRequest

PROTOCOL: Final = 17
"""The signalling protocol that we speak, as LiveKit's clients of 2026 do."""

SDK_VERSION: Final = "0.1.0"

_CLIENT_PROTOCOL: Final = 2


def dual_path(*, auto_subscribe: bool, resumes: str = "") -> str:
    """Return path and query for two peer connections; `resumes` is the sid of the session to go on with, if any."""
    query = {
        "auto_subscribe": int(auto_subscribe),
        "protocol": PROTOCOL,
        "client_protocol": _CLIENT_PROTOCOL,
        "sdk": "unknown",
        "version": SDK_VERSION,
    }
    if resumes:
        query |= {"reconnect": 1, "sid": resumes}
    return f"/rtc?{urlencode(query)}"


def single_path(offer: SessionDescription | None, *, auto_subscribe: bool, resumes: str = "") -> str:
    """Return path and query for one peer connection, with its first offer inside; or to go on with a session."""
    request = JoinRequest(
        client_info=ClientInfo(
            sdk=ClientInfo.SDK.UNKNOWN,
            version=SDK_VERSION,
            protocol=PROTOCOL,
            client_protocol=_CLIENT_PROTOCOL,
        ),
        connection_settings=ConnectionSettings(auto_subscribe=auto_subscribe),
        publisher_offer=offer,
        reconnect=bool(resumes),
        participant_sid=resumes,
    )
    return f"/rtc/v1?{urlencode({'join_request': wrap(request)})}"


def wrap(request: JoinRequest) -> str:
    """Return a join request as a query carries it: compressed, in base64 for URLs, padded."""
    compressed = gzip.compress(request.SerializeToString(), mtime=0)
    wrapped = WrappedJoinRequest(compression=WrappedJoinRequest.Compression.GZIP, join_request=compressed)
    return urlsafe_b64encode(wrapped.SerializeToString()).decode()
