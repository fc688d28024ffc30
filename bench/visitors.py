"""Participants in a process of their own, told what to do by JSON lines on standard input.

{"do": "join", "count": 50}      → seconds from connecting to media, of each; what else it takes is told at `join`
{"do": "publish", "kind": "video"}  → the first of them publishes
{"do": "stop_reading"}           → none of them takes any more data
{"do": "part"}                   → every other one asks for the lowest layer of what it gets
{"do": "count"}                  → what was sent and received since the last count
"""

import gc
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from random import SystemRandom
from typing import Final

import trio
from livekit.protocol.models import VideoQuality

from bench.messages import MessageSource, MessageTap
from bench.stamps import (
    LOW_LAYER_PLAN,
    SINGLE_PACKETS_PLAN,
    STAMPED_CALL_PLAN,
    CountingSocket,
    KernelTimedSocket,
    StampedPlan,
    Tap,
)
from rtp.sctp.inbound import RECEIVE_WINDOW_BYTES
from rtp.units import Address
from sfu.model import Claims, Identity, VideoGrant
from signaling import tokens
from triforium.config import DEVELOPMENT_KEYS
from triforium.visitor import BandwidthFeedback, Publication, Visitor, open_visitor, real_world
from triforium.visitor.link import Link
from triforium.visitor.simulcast import sample_layers
from triforium.visitor.sources import Vp8Source

DATA: Final = {
    "data-bulk": MessageSource.send_bulk,
    "data-lossy": MessageSource.send_lossy,
    "data-reliable": MessageSource.send_reliable,
}
"""What can be sent on data channels, and how."""

PATIENCE_SECONDS: Final = 30.0
WINDOW_PACKETS: Final = 64
"""On their way to the server and back, when it is to have as much as it can take: half of what it takes in one go."""

STALLED_BEATS: Final = 500
"""Of a millisecond, without room: what is on its way was lost, as are the first packets, which nobody is ready for."""


class WindowedSource(Vp8Source):
    """As much video as fits a window, whenever there is room in it. `come()` says how many packets have come back."""

    def __init__(self, come: Callable[[], int]) -> None:
        super().__init__(SINGLE_PACKETS_PLAN, SystemRandom())
        self._come = come
        self._packets = self._empty = 0

    def next_burst(self) -> list[bytes]:
        """Return frames of one packet each, none if the window is full."""
        room = WINDOW_PACKETS - (self._packets - self._come())
        self._empty = 0 if room > 0 else self._empty + 1
        if self._empty > STALLED_BEATS:
            self._packets = self._come()
            return []
        self._packets += max(0, room)
        return [payload for _ in range(room) for payload in super(WindowedSource, self).next_burst()]


class Visitors:
    """All participants of this process."""

    def __init__(self, url: str, name: str, nursery: trio.Nursery) -> None:
        self._url = url
        self._names = (f"{name}-{number}" for number in count(1))
        self._nursery = nursery
        self._world = real_world()
        self._visitors: list[Visitor] = []
        self._checked: list[Visitor] = []
        self._publications: list[Publication] = []
        self._taps: list[Tap] = []
        self._message_taps: list[MessageTap] = []
        self._message_sources: list[MessageSource] = []
        self._sockets: dict[Address, KernelTimedSocket] = {}
        self._counters: list[CountingSocket] = []
        self._counted = {"sent": 0, "received": 0, "lost": 0, "wrong": 0}

    async def join(
        self,
        number: int,
        *,
        at_once: bool = False,
        single: bool = False,
        room: str = "bench",
        checked_every: int = 1,
        low: bool = False,
        feedback: str = BandwidthFeedback.PLENTY.name,
    ) -> list[float]:
        """Let participants join, one after the other or all at once; return how long each took to be connected.

        Of every `checked_every` of them one checks all that it gets, and the media of the others are only counted.
        `low` is for a meeting: each publishes as much as one with a small picture does. `feedback` names how they let the
        server know what they can receive.
        """
        seconds: list[float] = []
        plan = LOW_LAYER_PLAN if low else STAMPED_CALL_PLAN
        told = BandwidthFeedback[feedback]

        async def join_one(index: int) -> None:
            is_checked = index % checked_every == 0
            visit = partial(self._visit, room, plan, single=single, is_checked=is_checked, feedback=told)
            seconds.append(await self._nursery.start(visit))

        async with trio.open_nursery() as joining:
            for index in range(number):
                if at_once:
                    joining.start_soon(join_one, index)
                else:
                    await join_one(index)
        for visitor in self._visitors:
            await visitor.wait_until(partial(is_complete, visitor, single=single))
        self._taps = [tap(visitor) for visitor in self._checked]
        self._message_taps = [self._tap_messages(visitor) for visitor in self._checked]
        gc.collect()
        gc.freeze()
        return seconds

    async def publish(self, kind: str) -> None:
        """Let the first participant publish: "video", "audio", "layers" (two of video), or "flood", which the second gets.

        Of data it sends "data-bulk", "data-lossy" or "data-reliable". In a "meeting" everybody publishes audio and video.
        """
        first = self._visitors[0]
        if kind == "video":
            self._publications.append(await first.publish_video())
        elif kind == "layers":
            layers = sample_layers(STAMPED_CALL_PLAN, SystemRandom())[:2]
            self._publications.append(await first.publish_simulcast(layers=layers))
        elif kind == "audio":
            self._publications.append(await first.publish_audio())
        elif kind == "flood":
            echo = self._taps[1]
            self._publications.append(await first.publish_video(media=WindowedSource(lambda: echo.packets)))
        elif kind in DATA:
            source = MessageSource(first)
            self._message_sources.append(source)
            self._nursery.start_soon(DATA[kind], source)
        elif kind == "meeting":
            for visitor in self._visitors:
                self._publications += [await visitor.publish_audio(), await visitor.publish_video()]
        else:
            raise SystemExit(f"nobody publishes {kind}")

    def part(self) -> None:
        """Let every other participant ask for the lowest layer of all that it gets."""
        for visitor in self._visitors[::2]:
            for sid in visitor.received:
                visitor.set_track(sid, quality=VideoQuality.LOW)

    def stop_reading(self) -> None:
        """Let nobody take any more data: their windows close, and stay closed."""
        for visitor in self._visitors:
            links(visitor)[-1].connection.hold(RECEIVE_WINDOW_BYTES)

    def count(self) -> dict[str, object]:
        """Return what was sent, received, lost and not as sent since the last call, and the delays in ascending order."""
        tracks = [track.statistics() for visitor in self._visitors for track in visitor.received.values()]
        taps = (*self._taps, *self._message_taps)
        received = [
            *(each.packets for each in (*self._taps, *self._counters)),
            *(tap.messages for tap in self._message_taps),
        ]
        now = {
            "sent": sum(sender.packets for publication in self._publications for sender in publication.senders)
            + sum(source.messages for source in self._message_sources),
            "received": sum(received),
            "lost": sum(track.lost for track in tracks) + sum(tap.lost for tap in self._message_taps),
            "wrong": sum(tap.wrong for tap in taps),
        }
        delays = sorted(delay for tap in taps for delay in tap.delays)
        for tap in taps:
            tap.delays.clear()
        since = {name: number - self._counted[name] for name, number in now.items()}
        self._counted = now
        silent = len(self._visitors) - sum(number > 0 for number in received)
        return {**since, "silent": silent, "delays": delays}

    async def _visit(
        self,
        room: str,
        plan: StampedPlan,
        *,
        single: bool,
        is_checked: bool,
        feedback: BandwidthFeedback,
        task_status: trio.TaskStatus[float],
    ) -> None:
        open_socket = self._open_timed if is_checked else self._open_counter
        identity = next(self._names)
        grant = VideoGrant(room_join=True, room=room)
        key, secret = next(iter(DEVELOPMENT_KEYS.items()))
        token = tokens.mint(
            Claims(identity=Identity(identity), video=grant), key, secret, wall=time.time(), lifetime_seconds=3600
        )
        began_at = trio.current_time()
        async with open_visitor(
            replace(self._world, open_socket=open_socket),
            self._url,
            token,
            single_connection=single,
            plan=plan,
            feedback=feedback,
        ) as visitor:
            await visitor.wait_connected()
            assert visitor.connected_at is not None, "just waited for"
            self._visitors.append(visitor)
            if is_checked:
                self._checked.append(visitor)
            task_status.started(visitor.connected_at - began_at)
            await visitor.wait_over()
            raise SystemExit(f"{identity} was thrown out: {visitor.disconnect_reason}, {visitor.connection_errors}")

    def _tap_messages(self, visitor: Visitor) -> MessageTap:
        sending, reading = links(visitor)[0], links(visitor)[-1]
        visitor.data = message_tap = MessageTap(sending.connection, self._sockets[reading.socket.address])
        return message_tap

    def _open_timed(self, host: str, port: int) -> KernelTimedSocket:
        timed = KernelTimedSocket(host, port)
        self._sockets[timed.address] = timed
        return timed

    def _open_counter(self, host: str, port: int) -> CountingSocket:
        counter = CountingSocket(host, port)
        self._counters.append(counter)
        return counter


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
                case {"do": "join", "count": number, **how}:
                    with trio.fail_after(PATIENCE_SECONDS):
                        answer: object = await visitors.join(number, **how)
                case {"do": "publish", "kind": kind}:
                    await visitors.publish(kind)
                    answer = "published"
                case {"do": "part"}:
                    visitors.part()
                    answer = "parted"
                case {"do": "stop_reading"}:
                    visitors.stop_reading()
                    answer = "stopped"
                case {"do": "count"}:
                    answer = visitors.count()
                case request:
                    raise SystemExit(f"nobody knows how to {request}")
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        nursery.cancel_scope.cancel("nobody asks any more")


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
