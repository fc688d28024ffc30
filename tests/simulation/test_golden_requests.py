"""Requests made by hand, good and bad, as binary frames and as JSON, get the answers that were recorded."""

import json
from itertools import groupby

import pytest
import trio
from google.protobuf.json_format import MessageToDict, Parse, ParseDict
from livekit.protocol.rtc import SessionDescription, SignalRequest, SignalResponse, TrickleRequest

from tests.simulation.house import open_house
from tests.simulation.rawsocket import open_raw_client
from tests.simulation.recording import TRACES, UNTIMELY
from triforium.visitor.errors import SignalLostError

ANSWERS = {
    "track_published",
    "request_response",
    "publish_data_track_response",
    "unpublish_data_track_response",
    "pong_resp",
}


def said(client: str, direction: str) -> list[dict[str, object]]:
    lines = map(json.loads, (TRACES / "s13-raw-signalling.raw.jsonl").read_text().splitlines())
    return [line for line in lines if line.get("c") == client and line.get("d") == direction]


def request(line: dict[str, object]) -> bytes | str | None:
    """Return a recorded request as it went over the wire; None if it is a matter of the socket."""
    if line["k"] == "text":
        return line["text"]
    if "hex" in line:
        return bytes.fromhex(line["hex"])
    if line["k"] == "trickle":
        return SignalRequest(trickle=TrickleRequest(candidateInit="not json")).SerializeToString()
    if line["k"] == "offer":
        return SignalRequest(offer=SessionDescription(type="offer", sdp="no SDP")).SerializeToString()
    return None if line["k"] in UNTIMELY else ParseDict({line["k"]: line["m"]}, SignalRequest()).SerializeToString()


def response(line: dict[str, object]) -> SignalResponse:
    if line["k"] == "text":
        return Parse(line["text"], SignalResponse())
    return ParseDict({line["k"]: line["m"]}, SignalResponse())


def answers(responses: list[SignalResponse]) -> list[dict[str, object]]:
    """Return those that answer something, without what is by chance: ids and times."""
    found = [each for each in responses if each.WhichOneof("message") in ANSWERS]
    for each in found:
        match each.WhichOneof("message"):
            case "track_published":
                each.track_published.track.ClearField("sid")
                del each.track_published.track.codecs[
                    1:
                ]  # there, a codec that is unknown becomes VP8; here, it is left out
            case "publish_data_track_response":
                each.publish_data_track_response.info.ClearField("sid")
            case "unpublish_data_track_response":
                each.unpublish_data_track_response.info.ClearField("sid")
            case "request_response":
                each.request_response.ClearField("message")  # said in words of our own
            case "pong_resp":
                each.pong_resp.ClearField("timestamp")
    return [MessageToDict(each) for each in found]


@pytest.mark.parametrize("client", ["bin", "json"])
async def test_requests_made_by_hand_are_answered_as_recorded(autojump_clock, client) -> None:
    told: list[SignalResponse] = []
    codes: list[int] = []
    async with open_house() as house, open_raw_client(house, house.token(client, can_update_own_metadata=True)) as raw:

        async def listen() -> None:
            try:
                while True:
                    frame = await raw.socket.receive()
                    told.append(
                        Parse(frame, SignalResponse()) if isinstance(frame, str) else SignalResponse.FromString(frame)
                    )
            except SignalLostError as lost:
                codes.append(lost.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            for data in filter(None, map(request, said(client, "c>s"))):
                await trio.sleep(0.4)
                await raw.socket.send(data)
    theirs = [response(line) for line in said(client, "s>c") if line["k"] in ANSWERS | {"text"}]
    # Who announces a track twice may have missed the answer, and is told it again here; there, the second one waits.
    ours = [key for key, _ in groupby(answers(told))]
    assert ours == [each for each in answers(theirs) if each.get("requestResponse", {}).get("reason") != "QUEUED"]
    assert codes == [1000]
