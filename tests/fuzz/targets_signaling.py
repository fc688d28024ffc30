"""Words of strangers that reach the server before anybody has vouched for them."""

import base64
import gzip
import logging
from contextlib import suppress

import jwt
import trio
from google.protobuf.json_format import MessageToJson
from livekit.protocol import agent
from livekit.protocol.models import ClientInfo
from livekit.protocol.rtc import JoinRequest, SessionDescription, WrappedJoinRequest
from trio.testing import memory_stream_pair

from rtp.errors import DecodeError
from sfu.model import Claims, Identity, RoomName, VideoGrant
from sfu.routing.start import SessionStart, parse_session_start
from signaling import tokens
from signaling.frames import parse_frame
from signaling.http.admission import Admission
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.listener import serve_stream
from signaling.http.request import Request
from signaling.http.routes import Routes
from signaling.http.websocket import WebSocketClosedError, WebSocketConnection, accept_handshake
from signaling.join import parse_attributes, parse_join_request
from tests.fuzz.target import Target
from tests.signaling.client import UPGRADE

KEY, SECRET, NOW = "devkey", "a secret of more than thirty-two letters", 1_795_372_522.0

JOIN = JoinRequest(
    client_info=ClientInfo(sdk="JS", version="2.23.0", protocol=17),
    publisher_offer=SessionDescription(type="offer", sdp="v=0\r\n", id=1),
    participant_attributes={"a": "b"},
)


def wrapped_joins() -> list[bytes]:
    message = JOIN.SerializeToString()
    return [
        WrappedJoinRequest(join_request=message).SerializeToString(),
        WrappedJoinRequest(compression="GZIP", join_request=gzip.compress(message, mtime=0)).SerializeToString(),
    ]


def run_join_request(data: bytes) -> None:
    # As bytes, so that mutations reach the message through its base64; and as what a client might have typed.
    for text in (base64.urlsafe_b64encode(data).decode(), data.decode("latin-1")):
        for parse in (parse_join_request, parse_attributes):
            with suppress(HttpError):
                parse(text)


def session_starts() -> list[bytes]:
    claims = Claims(identity=Identity("alice"), video=VideoGrant(room_join=True, room="lobby"), attributes={"a": "b"})
    return [SessionStart(RoomName("lobby"), claims, JOIN, single_connection=True).serialize()]


def signed_tokens() -> list[bytes]:
    claims = {"iss": KEY, "sub": "a", "exp": NOW + 9, "nbf": NOW, "video": {"roomJoin": True, "room": "r"}}
    return [jwt.encode(claims, SECRET).encode(), jwt.encode(claims | {"kind": "agent", "name": None}, SECRET).encode()]


def run_token(data: bytes) -> None:
    with suppress(tokens.TokenError):
        tokens.verify(data.decode("latin-1"), {KEY: SECRET}, NOW)


def run_claims(data: bytes) -> None:
    with suppress(tokens.TokenError):
        tokens.verify(jwt.PyJWS().encode(data, SECRET), {KEY: SECRET}, NOW)


def requests() -> list[bytes]:
    upgrade = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    return [
        b"GET / HTTP/1.1\r\nHost: h\r\nOrigin: http://o\r\n\r\n",
        b"OPTIONS //rtc HTTP/1.1\r\nHost: h\r\nOrigin: http://o\r\nAccess-Control-Request-Method: GET\r\n\r\n",
        b"POST /?a=1&b=%20 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n".encode() + bytes.fromhex("818100000000 61 8200 8880 00000000"),
        f"GET / HTTP/1.1\r\nHost: h\r\n{upgrade}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode(),
    ]


async def talk(exchange: Exchange) -> None:
    """Take whatever comes."""
    if not exchange.request.wants_websocket:
        await exchange.respond(200, await exchange.body())
        return
    connection = await exchange.upgrade()
    with suppress(WebSocketClosedError):
        while True:
            await connection.receive()


class Faults(logging.Handler):
    """Collects what the fences caught, which would otherwise be seen by nobody."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.caught: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.caught.append(record)


def run_connection(data: bytes) -> None:
    faults, logger = Faults(), logging.getLogger("signaling.http")
    logger.addHandler(faults)
    try:
        trio.run(serve, data)
    finally:
        logger.removeHandler(faults)
    for record in faults.caught:
        raise AssertionError(record.getMessage()) from (record.exc_info[1] if record.exc_info else None)


async def serve(data: bytes) -> None:
    ours, server = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_stream, Routes({"/": talk}), Admission(), server)
        with suppress(trio.BrokenResourceError):
            await ours.send_all(data)
            await ours.send_eof()
        while await ours.receive_some():
            pass


FRAMES = [bytes.fromhex("818100000000 61"), bytes.fromhex("c185000000004a4c040000"), bytes.fromhex("898000000000")]


async def receive_frames(data: bytes) -> None:
    offer = {"sec-websocket-key": "x", "sec-websocket-extensions": "permessage-deflate"}
    _, deflate = accept_handshake(Request("GET", "/", {}, offer, ""))
    ours, server = memory_stream_pair()
    connection = WebSocketConnection(server, deflate, data)
    await ours.send_eof()
    with suppress(WebSocketClosedError):
        while True:
            await connection.receive()


def run_frames(data: bytes) -> None:
    trio.run(receive_frames, data)


def worker_messages() -> list[bytes]:
    register = agent.WorkerMessage(register=agent.RegisterWorkerRequest(agent_name="bot", deployment="d"))
    answer = agent.WorkerMessage(availability=agent.AvailabilityResponse(job_id="AJ_x", available=True))
    messages = [register, answer]
    return [each.SerializeToString() for each in messages] + [MessageToJson(each).encode() for each in messages]


def run_worker_message(data: bytes) -> None:
    for frame in (data, data.decode("latin-1")):
        with suppress(DecodeError):
            parse_frame(frame, agent.WorkerMessage)


TARGETS = [
    Target("sfu.routing.start.parse_session_start", session_starts, parse_session_start),
    Target("signaling.frames.parse_frame", worker_messages, run_worker_message),
    Target("signaling.join.parse_join_request", wrapped_joins, run_join_request),
    Target("signaling.tokens.verify", signed_tokens, run_token),
    Target("signaling.tokens.verify (signed)", lambda: [b'{"iss":"devkey","exp":1795372531,"video":{}}'], run_claims),
    Target("signaling.http.listener.serve_stream", requests, run_connection),
    Target("signaling.http.websocket.receive", lambda: FRAMES, run_frames),
]
