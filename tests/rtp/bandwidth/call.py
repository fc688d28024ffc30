"""A sender that follows its estimate among layers, over a virtual path to a receiver that tells of arrivals."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from math import inf
from random import Random
from typing import Final

from rtp.bandwidth.prober import Prober
from tests.rtp.bandwidth.virtual_path import FOREIGN, STEP, Conditions, VirtualPath
from tests.rtp.bandwidth.ways import TransportWide, Way

LAYERS: Final = (150_000, 500_000, 1_700_000)
AUDIO_BPS: Final = 40_000
FRAME_SECONDS: Final = 1 / 30
KEY_FRAME_SECONDS: Final = 7.0
KEY_FRAME_FACTOR: Final = 9.0
"""How many times as large as another frame a key frame is."""
MTU: Final = 1_150
HEADER: Final = 30
PADDING: Final = 255
SWITCH_SECONDS: Final = 0.12
"""From a decision to the other layer's key frame."""
UP_MARGIN: Final = 1.05
"""By how much what is known must exceed what a higher layer takes."""


@dataclass
class Record:
    """What happened, in seconds since the start."""

    changes: list[tuple[float, int]] = field(default_factory=list)
    sent: list[tuple[float, int]] = field(default_factory=list)
    estimates: list[tuple[float, int | None, bool]] = field(default_factory=list)
    frames: list[float] = field(default_factory=list)  # when each was complete

    def sent_bps(self, start: float, end: float) -> float:
        return sum(size for at, size in self.sent if start <= at < end) * 8 / (end - start)

    def lowest_estimate(self, start: float, end: float) -> int | None:
        """The least that was ever believed of the path in that time; None if no limit was."""
        return min(
            (bitrate for at, bitrate, _ in self.estimates if start <= at < end and bitrate is not None), default=None
        )

    def layer_at(self, when: float) -> int:
        return next((layer for at, layer in reversed(self.changes) if at <= when), -1)

    def changes_between(self, start: float, end: float) -> int:
        return sum(start <= at < end for at, _ in self.changes)

    def back_after(self, when: float, layer: int) -> float:
        """How long after `when` this layer was sent again; infinite if it never was."""
        return next((at - when for at, which in self.changes if at > when and which == layer), inf)

    def below_after(self, when: float, bitrate: float) -> float:
        """How long after `when` until less than `bitrate` was sent in each second of the next five."""
        at = when
        while any(self.sent_bps(at + part, at + part + 1) > bitrate for part in range(5)):
            at += 0.1
        return at - when

    def frozen(self, start: float, end: float) -> float:
        """For how long a viewer waited for the next frame: what exceeds 150 ms and three frames, in all."""
        spans = pairwise(at for at in self.frames if start <= at < end)
        return sum(max(0.0, after - before - 0.15 - 3 * FRAME_SECONDS) for before, after in spans)


class Call:
    """One sender and one receiver. `pick` chooses a fixed layer; by default the estimate does."""

    def __init__(
        self,
        conditions: Conditions,
        *,
        way: Callable[[], Way] = TransportWide,
        seed: int = 1,
        fixed: int | None = None,
        highest: int = 2,
        foreign: Callable[[float], float] | None = None,
        feedback_loss: float = 0.0,
    ) -> None:
        self._random = Random(seed)
        self.path = VirtualPath(conditions, self._random)
        self._way = way()
        self.estimator = self._way.estimator
        self.prober = Prober()
        self.record = Record()
        self._fixed, self._highest, self._foreign = fixed, highest, foreign
        self._feedback_loss = feedback_loss
        self._delay = conditions.delay_seconds
        self._layer = self._target = fixed if fixed is not None else highest
        self._switch_at: float | None = None
        self._next_frame = self._next_audio = 0.0
        self._next_key_frame = 0.0
        self._arriving: list[tuple[float, int]] = []
        self._news = deque()
        self._foreign_credit = 0.0
        self._frame_of: dict[int, int] = {}
        self._missing: dict[int, int] = {}
        self._frames = 0

    def run(self, seconds: float) -> Record:
        self.record.changes.append((0.0, self._layer))
        for tick in range(round(seconds / STEP)):
            self._step(tick * STEP)
        return self.record

    def _step(self, now: float) -> None:
        self._send_media(now)
        self._compete(now)
        self._probe(now)
        for arrival in self.path.step(now):
            heappush(self._arriving, arrival)
        while self._arriving and self._arriving[0][0] <= now + STEP:
            at, number = heappop(self._arriving)
            self._receive(number, at)
        for news in self._way.take(now):
            if self._random.random() >= self._feedback_loss:
                self._news.append((now + self._delay, news))
        while self._news and self._news[0][0] <= now:
            if self._way.tell(self._news.popleft()[1], now):
                self._follow(now)
        if (due := self.estimator.next_timeout()) is not None and now >= due and self.estimator.handle_timeout(now):
            self._follow(now)
        if round(now / STEP) % 100 == 0:
            self._follow(now)

    def _follow(self, now: float) -> None:
        estimate = self.estimator.estimate
        self.record.estimates.append((now, estimate.bitrate_bps, estimate.is_congested))
        self.prober.receive_estimate(estimate, now)
        if self._fixed is not None:
            return
        budget = estimate.bitrate_bps
        target = self._highest
        if budget is not None:
            while target and LAYERS[target] + AUDIO_BPS > budget / (UP_MARGIN if target > self._target else 1):
                target -= 1
        if estimate.is_congested:
            target = min(target, self._target)
        if target != self._target:
            self._target = target
            self._switch_at = now + SWITCH_SECONDS
        is_best = self._target == self._highest
        wanted = None if is_best else int(UP_MARGIN * (LAYERS[self._target + 1] + AUDIO_BPS)) + 1
        self.prober.want(wanted, now)

    def _send_media(self, now: float) -> None:
        if self._switch_at is not None and now >= self._switch_at:
            self._switch_at = None
            if self._layer != self._target:
                self._layer = self._target
                self.record.changes.append((now, self._layer))
                self._next_key_frame = now
        if now >= self._next_audio:
            self._next_audio += 0.02
            self._send(AUDIO_BPS // 400, now, frame=0)
        if now >= self._next_frame:
            self._next_frame += FRAME_SECONDS
            size = LAYERS[self._layer] / 8 * FRAME_SECONDS * self._random.uniform(0.75, 1.25)
            if now >= self._next_key_frame:
                self._next_key_frame = now + KEY_FRAME_SECONDS
                size *= KEY_FRAME_FACTOR
            packets = int(size // MTU) + 1
            self._frames += 1
            self._missing[self._frames] = packets
            for _ in range(packets):
                self._send(int(size / packets) + HEADER, now, frame=self._frames)

    def _compete(self, now: float) -> None:
        if self._foreign is None:
            return
        self._foreign_credit += self._foreign(now) * STEP / 8
        while self._foreign_credit >= MTU:
            self._foreign_credit -= MTU
            self.path.send(FOREIGN, MTU, now)

    def _probe(self, now: float) -> None:
        if (due := self.prober.next_timeout()) is None or now < due:
            return
        for pad in self.prober.handle_timeout(now, self.estimator.sent_bytes):
            for _ in range(max(1, round(pad.size / PADDING))):
                self._send(PADDING, now)

    def _send(self, size: int, now: float, *, frame: int | None = None) -> None:
        name = self._way.send(size, now)
        if frame is not None:
            self._frame_of[name] = frame
            self.record.sent.append((now, size))
        self.path.send(name, size, now)

    def _receive(self, name: int, at: float) -> None:
        self._way.note(name, at)
        if frame := self._frame_of.pop(name, 0):
            self._missing[frame] -= 1
            if not self._missing[frame]:
                self.record.frames.append(at)
