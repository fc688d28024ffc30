"""How clients spell a wish to join: query parameters on the old layout, a packed message on the new one."""

import base64
import binascii
import zlib
from typing import Final

import msgspec
from google.protobuf.message import DecodeError
from livekit.protocol.models import ClientInfo
from livekit.protocol.rtc import ConnectionSettings, JoinRequest, WrappedJoinRequest

from signaling.http.errors import HttpError
from signaling.http.request import Request

MAX_JOIN_REQUEST_BYTES: Final = 1024 * 1024
"""After inflation."""

_GZIP: Final = 16 + zlib.MAX_WBITS  # as zlib wants to be asked for RFC 1952

# Clients name themselves in lower case without underscores, and one of them by two names.
_SDKS: Final = {name.replace("_", "").lower(): name for name in ClientInfo.SDK.keys()} | {"ios": "SWIFT"}  # noqa: SIM118  # protobuf's wrapper is no mapping
_CAPABILITIES: Final = frozenset(ClientInfo.Capability.keys())


def parse_join_request(text: str) -> JoinRequest:
    """Read the `join_request` parameter: base64 of a WrappedJoinRequest, which may be compressed.

    Both alphabets of RFC 4648 are read, with padding and without.

    Raises:
        HttpError: 400, if it cannot be read or is larger than MAX_JOIN_REQUEST_BYTES.
    """
    alphabet = text.replace(" ", "-").replace("+", "-").replace("/", "_").rstrip("=")  # a bare + reads as a space
    try:
        packed = base64.b64decode(alphabet + "=" * (-len(alphabet) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise HttpError(400, "cannot base64 decode wrapped join request") from error
    try:
        wrapped = WrappedJoinRequest.FromString(packed)
    except DecodeError as error:
        raise HttpError(400, "cannot unmarshal wrapped join request") from error
    message = wrapped.join_request
    if wrapped.compression == WrappedJoinRequest.GZIP:
        message = _inflate(message)
    try:
        return JoinRequest.FromString(message)
    except DecodeError as error:
        raise HttpError(400, "cannot unmarshal join request") from error


def _inflate(compressed: bytes) -> bytes:
    inflater = zlib.decompressobj(_GZIP)
    try:
        message = inflater.decompress(compressed, MAX_JOIN_REQUEST_BYTES + 1)
    except zlib.error as error:
        raise HttpError(400, "cannot read decompressed join request") from error
    if len(message) > MAX_JOIN_REQUEST_BYTES:
        raise HttpError(400, "join request too large")
    if not inflater.eof or inflater.unused_data:
        raise HttpError(400, "cannot read decompressed join request")
    return message


def parse_query(request: Request) -> JoinRequest:
    """Read the parameters of the old layout, of which all may be absent."""
    join = JoinRequest(
        client_info=_client_info(request),
        connection_settings=ConnectionSettings(
            auto_subscribe=_flag(request.parameter("auto_subscribe") or "1"),
            adaptive_stream=_flag(request.parameter("adaptive_stream")),
            auto_subscribe_data_track=_flag(request.parameter("auto_subscribe_data_track")),
        ),
        reconnect=_flag(request.parameter("reconnect")),
        reconnect_reason=_number(request.parameter("reconnect_reason")),  # type: ignore[arg-type]  # proto3 enums are open
        participant_sid=request.parameter("sid"),
    )
    if may_pause := request.parameter("subscriber_allow_pause"):
        join.connection_settings.subscriber_allow_pause = _flag(may_pause)
    return join


def parse_attributes(text: str) -> dict[str, str]:
    """Read the `attributes` parameter of the old layout: base64url of a JSON object.

    Raises:
        HttpError: 400, if it cannot be read.
    """
    try:
        return msgspec.json.decode(base64.b64decode(text, altchars=b"-_", validate=True), type=dict[str, str])
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise HttpError(400, "cannot decode attributes") from error


def _client_info(request: Request) -> ClientInfo:
    parameter = request.parameter
    return ClientInfo(
        sdk=_SDKS.get(parameter("sdk"), "UNKNOWN"),
        version=parameter("version"),
        protocol=_number(parameter("protocol")),
        client_protocol=_number(parameter("client_protocol")),
        os=parameter("os"),
        os_version=parameter("os_version"),
        device_model=parameter("device_model"),
        browser=parameter("browser"),
        browser_version=parameter("browser_version"),
        network=parameter("network"),
        other_sdks=parameter("other_sdks"),
        capabilities=[name for name in parameter("capabilities").split(",") if name in _CAPABILITIES],
    )


def _flag(text: str) -> bool:
    return text in ("1", "true")


def _number(text: str) -> int:
    """Read a small number; 0 if it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
