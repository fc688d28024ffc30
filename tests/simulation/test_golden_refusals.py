"""Who is not let in is told so as it was recorded, by the refused upgrade and by `validate`."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from tests.signaling.client import UPGRADE, HttpClient
from tests.simulation.back_end import open_back_end
from tests.simulation.house import HTTP, KEY, SECRET, House, open_house, sent
from tests.simulation.recording import TRACES
from triforium.testing.world import wall_clock
from triforium.visitor.joining import dual_path, single_path

Line = dict[str, Any]


def refusals(recording: str) -> Iterator[tuple[Line, Line, Line]]:
    """Yield each request for an upgrade that was refused, with the refusal and with what `validate` said then."""
    lines = [json.loads(line) for line in (TRACES / f"{recording}.jsonl").read_text().splitlines()]
    rest = iter(lines)
    for line in rest:
        if line["k"] == "ws-open":
            asked = line
        elif line["k"] == "ws-refused":
            yield asked, line, next(each for each in rest if each["k"] == "http" and each["d"] == "s>c")


def token(asked: Line, recorded_at: float) -> str:
    """Make the token that a recorded client had, as long before now or after as it was valid then."""
    said = asked["query"]["access_token"]
    if isinstance(said, str):
        return said
    claims = dict(said["jwt_claims"])
    for name in ("exp", "nbf"):
        claims[name] += round(wall_clock() - recorded_at)
    return jwt.encode(claims | {"iss": KEY}, SECRET)


def without_token(body: str) -> str:
    """Take out the token, which the recorded server puts into this answer, and which nobody should; the rest was cut."""
    return "invalid token, error: token has invalid claims: token is expired" if "invalid token: " in body else body


async def answers(house: House, target: str) -> tuple[int, str]:
    async with await house.network.connect_tcp(house.new_host(), HTTP) as stream:
        answer = await HttpClient(stream).ask("GET", target, UPGRADE if "/validate" not in target else {})
        return answer.status, answer.text


@pytest.mark.parametrize("layout", ["v0", "v1"])
async def test_whoever_is_not_let_in_is_told_as_recorded(autojump_clock, layout) -> None:
    recording = f"s13-join-refused.js-{layout}"
    seen = list(refusals(recording))
    assert [refused["status"] for _, refused, _ in seen] == [401, 401, 401, 400, 500]
    recorded_at = seen[-1][0]["query"]["access_token"]["jwt_claims"]["nbf"] + 5
    path = dual_path(auto_subscribe=True) if layout == "v0" else single_path(None, auto_subscribe=True)
    async with open_house() as house, open_back_end(house) as api:
        full = f"{recording.replace('.', '-')}-full"
        await api.call("CreateRoom", name=full, max_participants=1)
        async with house.visitor("first", single=layout == "v1", room=full) as first:
            await first.wait_connected()
            for asked, refused, validated in seen:
                target = f"{path}&{urlencode({'access_token': token(asked, recorded_at)})}"
                said = (refused["status"], without_token(refused["body"].strip()))
                assert await answers(house, target) == said
                said = (validated["status"], without_token(validated["body"].strip()))
                assert await answers(house, target.replace("?", "/validate?")) == said
            # There the people of a full room see a stranger go whom nobody let in: a fault, and not played.
            told = {info.identity for update in sent(first, "update") for info in update.participants}
            assert told <= {"first"}
