"""Recorded calls in JSON, made again: those to the services beside RoomService, and what the JavaScript SDK posts."""

import json

import pytest

from tests.signaling.client import Answer
from tests.simulation.back_end import BackEnd, api_token
from tests.simulation.house import ROOM
from tests.simulation.recording import TRACES, filled
from tests.simulation.test_api import open_api

FAULTS = {"twirp error unknown: no response from servers", "Internal service panic"}
"""Of the recorded server, some after twenty seconds: these calls fail here, too, and at once."""

INVALID = "invalid token: "
"""After this that server says the token, which nobody should."""

TOO_LONG = "(11534336 times)"
"""That server reads all of it, before it refuses the name."""


def exchanges(name: str) -> list[tuple[dict[str, object], dict[str, object]]]:
    """Return the calls with their answers, in order, of those that were made in JSON."""
    lines = [json.loads(line) for line in (TRACES / f"{name}.raw.jsonl").read_text().splitlines()]
    http = [line for line in lines if line["k"] == "http"]
    return [
        (call, answer)
        for call, answer in zip(http[::2], http[1::2], strict=True)
        if "json" in call.get("body", {}) and call["headers"].get("Content-Type", "").startswith("application/json")
        if TOO_LONG not in json.dumps(call["body"])
    ]


def without_token(body: str) -> str:
    before, invalid, after = body.partition(INVALID)
    return f"{before}invalid token, {after.partition(', ')[2]}" if invalid else body


async def repeat(api: BackEnd, call: dict[str, object], answer: dict[str, object], names: dict[str, str]) -> Answer:
    """Make a call again, with what things are called here."""
    text = json.dumps(filled(call["body"]["json"]), ensure_ascii=False)
    for theirs, ours in names.items():
        text = text.replace(theirs, ours)
    token = api_token(can_publish=True) if answer["status"] == 401 else None
    if INVALID in str(answer["body"]):
        token = f"{api.token}AAAA"
    return await api.post(call["path"].removeprefix("/twirp/livekit."), text.encode(), token=token)


@pytest.mark.parametrize("name", ["s14-agent-dispatch", "s14-egress-ingress-sip", "s14-server-sdk-js"])
async def test_the_calls_recorded_in_json_have_the_recorded_answers(autojump_clock, name) -> None:
    names = {name: ROOM}
    differences = []
    recorded = exchanges(name)
    async with open_api() as (_, api):
        for call, answer in recorded:
            ours = await repeat(api, call, answer, names)
            theirs = answer["body"] if isinstance(answer["body"], str) else answer["body"]["json"]
            if isinstance(theirs, str):
                here, there = (ours.status, ours.text), (answer["status"], without_token(theirs))
            elif answer["status"] == 200:
                fields = json.loads(ours.body)
                names |= {theirs["id"]: fields["id"]} if "id" in theirs else {}
                here, there = (ours.status, fields.keys()), (200, theirs.keys())
            else:
                error = json.loads(ours.body)
                here, there = (
                    (ours.status, error["code"], error["msg"]),
                    (answer["status"], theirs["code"], theirs["msg"]),
                )
                if theirs["msg"] in FAULTS:
                    here, there = ours.status >= 400, True
            if here != there:
                differences.append((call["path"], here, there))
    assert len(recorded) > 10
    assert differences == []
