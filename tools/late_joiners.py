"""How soon a page sees who publishes already: `python -m tools.late_joiners [JOINS]`, from the root, after `make e2e`.

One page of headless Chromium publishes a camera of 640x360 at 15 frames a second, as livekit-client does by default; another
one joins again and again, in each of LiveKit's layouts. What is printed are the times from beginning to join to the first
frame shown. All share this machine, which is to have nothing else to do.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import trio

from tests.e2e.meeting import DUAL, SINGLE, Kind, Meeting, Participant, open_meeting

JOINS = 20
LIVEKIT_P50_MS = "465 to 684"


async def main(joins: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_meeting(Path(folder)) as meeting:
            alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
            await alice.join()
            await alice.publish()
            for layout in (SINGLE, DUAL):
                report(layout, await join_often(meeting, alice, layout, joins))
    print(f"LiveKit's server has a p50 of {LIVEKIT_P50_MS} ms.")


async def join_often(meeting: Meeting, alice: Participant, layout: str, joins: int) -> list[float]:
    """Return the milliseconds of each join but the first one, for which the page is still cold."""
    bob = await meeting.invite("bob", Kind.BROWSER, layout, name=f"bob-{layout}")
    taken = []
    for _ in range(joins + 1):
        await bob.join()
        taken.append(1000 * (await bob.sees(alice)).first_frame_seconds)
        await bob.leave()
        await alice.until(lambda view: "bob" not in view.participants)
    return taken[1:]


def report(layout: str, taken: list[float]) -> None:
    print(
        f"{layout} connection, {len(taken)} joins: p50 {statistics.median(taken):.0f} ms, longest {max(taken):.0f} ms"
    )


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else JOINS)
