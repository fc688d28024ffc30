"""Requests that are no calls get the answers that were recorded: unknown paths, preflights, tokens that are none."""

import json
from urllib.parse import urlencode

from tests.signaling.client import Answer, HttpClient
from tests.simulation.house import HTTP, House, open_house
from tests.simulation.recording import TRACES

COMPARED = (
    "Content-Type",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
)

ONLY_HERE = {"/debug/rooms"}
"""Paths that the recorded server does not know."""


def exchanges() -> list[tuple[dict[str, object], dict[str, object]]]:
    """Return the recorded requests that have no token of somebody's, each with its answer."""
    lines = map(json.loads, (TRACES / "s13-http-answers.raw.jsonl").read_text().splitlines())
    http = [line for line in lines if line["k"] == "http"]
    pairs = zip(http[::2], http[1::2], strict=True)
    return [
        (request, answer)
        for request, answer in pairs
        if request["path"] not in ONLY_HERE and "jwt_claims" not in json.dumps(request)
    ]


async def ask(house: House, request: dict[str, object]) -> Answer:
    query = "?" + urlencode(request["query"]) if "query" in request else ""
    async with await house.network.connect_tcp(house.new_host(), HTTP) as stream:
        return await HttpClient(stream).ask(request["method"], (request["path"] or "/") + query, request["headers"])


async def test_requests_without_a_good_token_are_answered_as_recorded(autojump_clock) -> None:
    differences = []
    recorded = exchanges()
    async with open_house() as house:
        for request, theirs in recorded:
            ours = await ask(house, request)
            here = (ours.status, ours.text, *(ours.headers.get(name) for name in COMPARED))
            there = (theirs["status"], theirs.get("body", ""), *(theirs["headers"].get(name) for name in COMPARED))
            if here != there:
                differences.append((request["method"], request["path"], here, there))
    assert len(recorded) == 29
    assert differences == []
