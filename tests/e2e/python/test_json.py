"""A client that speaks JSON text frames, made by hand: no published client does by default."""

import json

import pytest
import trio
from livekit.protocol import rtc
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.e2e.meeting import SINGLE, Kind, open_meeting

pytestmark = pytest.mark.e2e

ANSWER_SECONDS = 5


async def text_frame(socket: WebSocketConnection, kind: str) -> dict[str, object]:
    """Wait for the next text frame with a message of that kind, and return the message."""
    with trio.fail_after(ANSWER_SECONDS):
        while True:
            frame = await socket.get_message()
            if isinstance(frame, str) and kind in (message := json.loads(frame)):
                return message[kind]


async def test_a_client_that_sends_json_text_frames_joins(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        await alice.join()
        target = f"/rtc?protocol=17&access_token={meeting.server.token('bob')}"
        stream = await trio.open_tcp_stream("127.0.0.1", meeting.server.port)
        async with stream, trio.open_nursery() as nursery:
            socket = await wrap_client_stream(nursery, stream, f"127.0.0.1:{meeting.server.port}", target)
            first = rtc.SignalResponse.FromString(await socket.get_message())  # binary: we have not spoken yet
            assert first.join.participant.identity == "bob"
            assert [other.identity for other in first.join.other_participants] == ["alice"]

            await socket.send_message('{"ping": "123"}')
            assert int(await text_frame(socket, "pong")) > 0
            await socket.send_message('{"addTrack": {"cid": "c1", "type": "AUDIO", "source": "MICROPHONE"}}')
            published = await text_frame(socket, "trackPublished")
            assert published["cid"] == "c1"
            assert published["track"]["sid"].startswith("TR_")
            await alice.until(lambda view: "bob" in view.participants)

            await socket.send_message('{"leave": {"reason": "CLIENT_INITIATED"}}')
            assert (await text_frame(socket, "leave"))["reason"] == "CLIENT_INITIATED"
            with pytest.raises(ConnectionClosed), trio.fail_after(ANSWER_SECONDS):
                await socket.get_message()
