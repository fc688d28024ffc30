"""The published `livekit-agents`: its agent comes when somebody does, hears them and is heard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.meeting import SINGLE, Kind, open_meeting
from tests.e2e.server import KEY, SECRET, RunningServer

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / "build" / "agents" / "bin" / "python"
PROGRAM = Path(__file__).parents[1] / "agent_worker.py"

COMING_SECONDS = 60
"""For a worker to start, and its agent to come: what is imported first took 25 s where the processors were taken."""

LOSS_SECONDS = 60
"""For a killed agent to be missed, which takes as long as ICE consent lasts (RFC 7675 §5.1), and replaced."""


@asynccontextmanager
async def open_worker(server: RunningServer, frequency: int, log: Path) -> AsyncIterator[trio.Process]:
    """Run a worker whose agents sound a tone of `frequency`; it is killed when the block is left."""
    with log.open("wb") as output:
        command = [PYTHON, PROGRAM, server.url, KEY, SECRET, str(frequency)]
        process = await trio.lowlevel.open_process(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def sounds(frequency: int):
    """Return a condition: the agent is heard, with this tone."""
    return lambda view: (
        view.participants.get("agent", {}).get("microphone") is not None
        and view.participants["agent"]["microphone"].frequency == pytest.approx(frequency, abs=10)
    )


async def test_an_agent_comes_hears_and_is_heard_and_is_replaced_when_it_is_killed(folder) -> None:
    async with open_meeting(folder) as meeting, open_worker(meeting.server, 700, folder / "first.log") as first:
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        await alice.join()
        await alice.publish()
        await alice.until(sounds(700), within=COMING_SECONDS)
        async with open_worker(meeting.server, 1200, folder / "second.log"):
            first.kill()
            await alice.until(sounds(1200), within=LOSS_SECONDS)
            await alice.leave()
