"""In which form a client is answered."""

from livekit.protocol import rtc

from sfu.room.outgoing import Outgoing
from sfu.routing.router import Frame
from signaling.session import ResponseSink


class Frames:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.all: list[Frame] = []

    def send(self, frame: Frame) -> None:
        self.all.append(frame)

    def close(self) -> None: ...


def test_a_session_begins_in_protobuf_and_goes_on_in_the_form_that_the_client_speaks() -> None:
    frames = Frames()
    responses = ResponseSink(frames)
    for speaks_text in (False, True, False):
        responses.speaks_text = speaks_text
        responses.send(Outgoing(rtc.SignalResponse(pong=2)))
    binary = rtc.SignalResponse(pong=2).SerializeToString()
    assert frames.all == [binary, '{"pong": "2"}', binary]


def test_what_goes_to_many_is_there_once() -> None:
    frames, outgoing = Frames(), Outgoing(rtc.SignalResponse(pong=2))
    for _ in range(2):
        ResponseSink(frames).send(outgoing)
    assert frames.all[0] is frames.all[1]
