"""The server API's requests, of whom a token is known; what is in them may still be anything."""

from contextlib import suppress

from livekit.protocol.room import DESCRIPTOR, CreateRoomRequest, SendDataRequest

from signaling.api.twirp import TwirpError, parse_message
from tests.fuzz.target import Target

METHODS = DESCRIPTOR.services_by_name["RoomService"].methods


def json_requests() -> list[bytes]:
    return [
        b'{"name":"r","emptyTimeout":"7","tags":{"a":"b"},"agents":[{"agentName":"a"}],"egress":{"room":{}}}',
        b'{"room":"r","identity":"i","permission":{"canPublishSources":["CAMERA",2]},"attributes":{"k":null}}',
        b'{"room":"r","data":"aGk=","kind":"LOSSY","destination_sids":["PA_x"],"nonce":"","x":[[1e9,"\\ud83d\\ude00"]]}',
    ]


def binary_requests() -> list[bytes]:
    return [
        CreateRoomRequest(name="r", empty_timeout=7, tags={"a": "b"}).SerializeToString(),
        SendDataRequest(room="r", data=b"hi", kind="LOSSY", destination_sids=["PA_x"]).SerializeToString(),
    ]


def run_json(data: bytes) -> None:
    for method in METHODS:
        with suppress(TwirpError):
            parse_message(data, method, is_json=True)


def run_binary(data: bytes) -> None:
    for method in METHODS:
        with suppress(TwirpError):
            parse_message(data, method, is_json=False)


TARGETS = [
    Target("signaling.api.twirp.parse_message (JSON)", json_requests, run_json),
    Target("signaling.api.twirp.parse_message (protobuf)", binary_requests, run_binary),
]
