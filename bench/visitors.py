"""Participants in a process of their own, told what to do by JSON lines on standard input.

{"do": "join", "count": 50, "at_once": false, "single": false}   → seconds from connecting to media, of each
{"do": "publish", "kind": "video"}                               → the first of them publishes
{"do": "count"}                                                  → what was sent and received since the last count
"""

import gc
import json
import sys
import time
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Final

import trio

from bench.stamps import STAMPED_CALL_PLAN, KernelTimedSocket, Tap
from sfu.model import Claims, Identity, VideoGrant
from signaling import tokens
from triforium.config import DEVELOPMENT_KEYS
from triforium.visitor import Publication, Visitor, open_visitor, real_world
from triforium.visitor.link import Link

PATIENCE_SECONDS: Final = 30.0


class Visitors:
    """All participants of this process."""

    def __init__(self, url: str, name: str, nursery: trio.Nursery) -> None:
        self._url = url
        self._names = (f"{name}-{number}" for number in count(1))
        self._nursery = nursery
        self._world = replace(real_world(), open_socket=KernelTimedSocket)
        self._visitors: list[Visitor] = []
        self._publications: list[Publication] = []
        self._taps: list[Tap] = []
        self._counted = {"sent": 0, "received": 0, "lost": 0, "wrong": 0}

    async def join(self, number: int, *, at_once: bool, single: bool) -> list[float]:
        """Let participants join, one after the other or all at once; return how long each took to be connected."""
        seconds: list[float] = []

        async def join_one() -> None:
            seconds.append(await self._nursery.start(self._visit, single))

        async with trio.open_nursery() as joining:
            for _ in range(number):
                if at_once:
                    joining.start_soon(join_one)
                else:
                    await join_one()
        for visitor in self._visitors:
            await visitor.wait_until(partial(is_complete, visitor, single=single))
        self._taps = [tap(visitor) for visitor in self._visitors]
        gc.collect()
        gc.freeze()
        return seconds

    async def publish(self, kind: str) -> None:
        """Let the first participant publish."""
        visitor = self._visitors[0]
        publication = await (visitor.publish_video() if kind == "video" else visitor.publish_audio())
        self._publications.append(publication)

    def count(self) -> dict[str, object]:
        """Return what was sent, received, lost and not as sent since the last call, and the delays in ascending order."""
        tracks = [track.statistics() for visitor in self._visitors for track in visitor.received.values()]
        now = {
            "sent": sum(publication.sender.packets for publication in self._publications),
            "received": sum(tap.packets for tap in self._taps),
            "lost": sum(track.lost for track in tracks),
            "wrong": sum(tap.wrong for tap in self._taps),
        }
        delays = sorted(delay for tap in self._taps for delay in tap.delays)
        for each in self._taps:
            each.delays.clear()
        since = {name: number - self._counted[name] for name, number in now.items()}
        self._counted = now
        silent = sum(not each.packets for each in self._taps)
        return {**since, "silent": silent, "delays": delays}

    async def _visit(self, single: bool, *, task_status: trio.TaskStatus[float]) -> None:  # noqa: FBT001 - start() passes no keywords
        identity = next(self._names)
        grant = VideoGrant(room_join=True, room="bench")
        key, secret = next(iter(DEVELOPMENT_KEYS.items()))
        token = tokens.mint(
            Claims(identity=Identity(identity), video=grant), key, secret, wall=time.time(), lifetime_seconds=3600
        )
        began_at = trio.current_time()
        async with open_visitor(
            self._world, self._url, token, single_connection=single, plan=STAMPED_CALL_PLAN
        ) as visitor:
            await visitor.wait_connected()
            assert visitor.connected_at is not None, "just waited for"
            self._visitors.append(visitor)
            task_status.started(visitor.connected_at - began_at)
            await visitor.wait_over()
            raise SystemExit(f"{identity} was thrown out: {visitor.disconnect_reason}, {visitor.connection_errors}")


def links(visitor: Visitor) -> list[Link]:
    return visitor._connections.links  # noqa: SLF001 - a visitor shows its tracks only, and we look at each packet


def is_complete(visitor: Visitor, *, single: bool) -> bool:
    """Say whether all connections of the layout are up."""
    return sum(link.is_established for link in links(visitor)) == (1 if single else 2)


def tap(visitor: Visitor) -> Tap:
    """Look at all that comes on the connection that brings media."""
    connection = links(visitor)[-1].connection
    assert connection.media is not None, "a visitor's connections have media"
    connection.media = tap = Tap(connection.media)
    return tap


async def main(url: str, name: str) -> None:
    async with trio.open_nursery() as nursery:
        visitors = Visitors(url, name, nursery)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            match json.loads(line):
                case {"do": "join", "count": number, "at_once": at_once, "single": single}:
                    with trio.fail_after(PATIENCE_SECONDS):
                        answer: object = await visitors.join(number, at_once=at_once, single=single)
                case {"do": "publish", "kind": kind}:
                    await visitors.publish(kind)
                    answer = "published"
                case {"do": "count"}:
                    answer = visitors.count()
                case request:
                    raise SystemExit(f"nobody knows how to {request}")
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        nursery.cancel_scope.cancel("nobody asks any more")


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
