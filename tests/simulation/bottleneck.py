"""A publisher of three layers, and a subscriber behind a bottleneck: what is sent, and what can be seen of it.

All that the subscriber goes by is what arrives, and when.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Final

import trio

from rtp.payload.vp8 import is_keyframe, parse_vp8
from rtp.units import Rid
from tests.simulation.house import House, open_house
from triforium.testing import Link
from triforium.testing.world import SERVER_HOST
from triforium.visitor import BandwidthFeedback, Layer, MediaPlan, ReceivedPacket, ReceivedTrack
from triforium.visitor.sources import VP8

FRAMES_PER_SECOND: Final = 30
PACKET_BYTES: Final = 1_100
KEY_FRAME_TIMES: Final = 6
"""How much bigger than others a key frame is."""

LAYER_BPS: Final = (150_000, 500_000, 1_700_000)
HEIGHTS: Final = (180, 360, 720)

FROZEN_SECONDS: Final = 0.15 + 3 / FRAMES_PER_SECOND
"""Longer between two frames that can be decoded is seen as a frozen picture."""

GIVE_UP_SECONDS: Final = 3.0
"""For so long Chromium 156 waits for a packet before it asks for a key frame."""


class RatedSource:
    """VP8 of a certain bitrate: frames of random sizes, key frames when asked for; nothing that could be decoded."""

    mime = VP8
    clock_rate = 90_000
    interval_seconds = 1 / FRAMES_PER_SECOND

    def __init__(self, bitrate_bps: int, random: Random) -> None:
        self._mean = bitrate_bps / 8 / FRAMES_PER_SECOND
        self._random = random
        self._picture_id = random.randrange(1 << 15)
        self._wants_key_frame = True
        self._debt = 0.0

    def next_burst(self) -> list[bytes]:
        is_key, self._wants_key_frame = self._wants_key_frame, False
        size = self._mean * self._random.uniform(0.7, 1.3)
        if is_key:  # what a key frame takes, those after it lack
            self._debt += (KEY_FRAME_TIMES - 1) * size
            size *= KEY_FRAME_TIMES
        else:
            repaid = min(self._debt, 0.3 * size)
            self._debt -= repaid
            size -= repaid
        self._picture_id = (self._picture_id + 1) & 0x7FFF
        # X | S; I; M and 15 bits of picture id; then the frame's header, of which the first bit tells a key frame
        tail = bytes((0x80, 0x80 | self._picture_id >> 8, self._picture_id & 0xFF))
        head = b"\x10\x02\x00\x9d\x01\x2a\x40\x01\xb4\x00" if is_key else b"\x11\x02\x00"
        frame = head.ljust(max(len(head), round(size)), b"\0")
        parts = [frame[at : at + PACKET_BYTES] for at in range(0, len(frame), PACKET_BYTES)]
        return [bytes((0x90 if index == 0 else 0x80,)) + tail + part for index, part in enumerate(parts)]

    def request_key_frame(self) -> None:
        self._wants_key_frame = True


def layers(random: Random, bitrates: Sequence[int] = LAYER_BPS) -> tuple[Layer, ...]:
    """Return layers to publish, of these bitrates."""
    return tuple(
        Layer(rid=rid, width=height * 16 // 9, height=height, bitrate_bps=bitrate, media=RatedSource(bitrate, random))
        for rid, height, bitrate in zip(map(Rid, "qhf"), HEIGHTS, bitrates, strict=False)
    )


class Screen:
    """Sees which frames can be decoded: each that is complete, and follows on one that was decoded or is a key frame."""

    def __init__(self) -> None:
        self.frames: list[float] = []
        """When each could be decoded."""
        self.octets: list[tuple[float, int]] = []
        self._next: int | None = None
        self._packets: dict[int, tuple[bool, bool, bool]] = {}  # by number: is first, is last, of a key frame
        self._stuck_since: float | None = None

    def watch(self, track: ReceivedTrack, packet: ReceivedPacket) -> None:
        """Take a packet of the one track that there is."""
        now = packet.arrived_at
        self.octets.append((now, len(packet.payload)))
        if not packet.payload:
            return
        descriptor = parse_vp8(packet.payload)
        is_key = is_keyframe(packet.payload, descriptor)
        self._packets[packet.sequence] = descriptor.start_of_frame, packet.marker, is_key
        self._advance(now)
        if any(is_key for _, _, is_key in self._packets.values()):
            self._jump(now)
        if not self._packets:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since > GIVE_UP_SECONDS:
            self._stuck_since = now
            track.request_key_frame()

    def _advance(self, now: float) -> None:
        """Decode what follows on what was decoded."""
        while self._next is not None:
            end = self._end(self._next)
            if end is None:
                return
            for sequence in range(self._next, end):
                del self._packets[sequence]
            self._next = end
            self.frames.append(now)

    def _jump(self, now: float) -> None:
        """Go on at a key frame that is complete, though what is before it is not."""
        for sequence in sorted(self._packets):
            is_first, _, is_key = self._packets[sequence]
            if is_first and is_key and self._end(sequence) is not None:
                self._packets = {each: packet for each, packet in self._packets.items() if each >= sequence}
                self._next = sequence
                self._advance(now)
                return

    def _end(self, sequence: int) -> int | None:
        """Return the number after the frame that begins with this; None if it is not complete."""
        while (packet := self._packets.get(sequence)) is not None:
            sequence += 1
            if packet[1]:
                return sequence
        return None

    def frozen_spans(self, start: float, end: float) -> list[tuple[float, float]]:
        """Return from when to when nothing moved that should have."""
        times = [start, *(at for at in self.frames if start < at < end), end]
        return [
            (earlier + FROZEN_SECONDS, later) for earlier, later in pairwise(times) if later > earlier + FROZEN_SECONDS
        ]

    def frozen_seconds(self, start: float, end: float) -> float:
        """Return for how long nothing moved that should have."""
        return sum(until - since for since, until in self.frozen_spans(start, end))

    def longest_freeze(self, start: float, end: float) -> float:
        times = [start, *(at for at in self.frames if start < at < end), end]
        return max(max(0.0, later - earlier - FROZEN_SECONDS) for earlier, later in pairwise(times))


@dataclass(slots=True)
class Sample:
    """What was so at one instant: the layer being sent, and how much was sent in the second before it."""

    at: float
    layer: int | None
    sent_bps: float
    budget_bps: int | None


@dataclass(slots=True)
class Outcome:
    """What came of a scenario. Times are in seconds from the first frame."""

    samples: list[Sample]
    screen: Screen
    started_at: float
    messages: list[object] = field(default_factory=list)

    def layers_from(self, start: float, end: float = float("inf")) -> list[int | None]:
        """Return the layers that were sent between two instants, one after the other."""
        found = [each.layer for each in self.samples if start <= each.at < end]
        return [layer for at, layer in enumerate(found) if at == 0 or found[at - 1] != layer]

    def changes(self, start: float, end: float = float("inf")) -> int:
        return len([layer for layer in self.layers_from(start, end) if layer is not None]) - 1

    def frozen(self, start: float, end: float) -> float:
        return self.screen.frozen_seconds(self.started_at + start, self.started_at + end)

    def frozen_spans(self, start: float, end: float) -> list[tuple[float, float]]:
        spans = self.screen.frozen_spans(self.started_at + start, self.started_at + end)
        return [(since - self.started_at, until - self.started_at) for since, until in spans]

    def fell_below(self, bitrate_bps: float, start: float) -> float:
        """Return after how long less is sent than this; probes may send more for a moment afterwards."""
        fitting = (each.at - start for each in self.samples if each.at >= start and each.sent_bps <= bitrate_bps)
        return next(fitting, float("inf"))

    def reached(self, layer: int, start: float) -> float:
        """Return after how long a layer is sent."""
        return next(
            (each.at - start for each in self.samples if each.at >= start and each.layer == layer), float("inf")
        )


SAMPLE_SECONDS: Final = 0.1
RATE_SAMPLES: Final = 10
"""Over which the rate of what is sent is taken."""


@dataclass(frozen=True, slots=True)
class Phase:
    """For so long the link is like this, and somebody else sends so much through it."""

    seconds: float
    link: Link
    competing_bps: float = 0.0


def bottleneck(rate_bps: float | None, *, queue_seconds: float = 0.3, loss: float = 0.0) -> Link:
    """Return a link of 20 ms, whose queue holds so many seconds."""
    if rate_bps is None:
        return Link(delay_seconds=0.02, loss=loss)
    return Link(delay_seconds=0.02, rate_bps=rate_bps, queue_bytes=round(rate_bps / 8 * queue_seconds), loss=loss)


class Competitor:
    """Sends packets of no use through the same bottleneck, at a steady rate."""

    def __init__(self, house: House, host: str) -> None:
        self.bitrate_bps = 0.0
        self._network = house.network
        self._host = host
        self._next = trio.current_time()

    async def send_until(self, end: float) -> None:
        """Send what is due, each packet in its time, and return at `end`."""
        while self.bitrate_bps and self._next < end:
            await trio.sleep_until(self._next)
            self._network.send(bytes(PACKET_BYTES), (SERVER_HOST, 9), (self._host, 9))
            self._next = trio.current_time() + 8 * PACKET_BYTES / self.bitrate_bps
        self._next = max(self._next, end)
        await trio.sleep_until(end)


async def run_phases(
    phases: Sequence[Phase],
    *,
    feedback: BandwidthFeedback,
    single: bool = False,
    seed: int = 1,
    config: dict[str, object] | None = None,
    during: Callable[[House, float], None] | None = None,
) -> Outcome:
    """Play the phases one after the other, and watch. `during` is called with each sample's time."""
    random = Random(seed)
    screen = Screen()
    async with open_house(seed=seed, config=config) as house:
        host = house.new_host()
        async with (
            house.visitor("alice", single=single) as alice,
            house.visitor(
                "bob", single=single, feedback=feedback, watch=screen.watch, world=house.world(host), plan=MediaPlan()
            ) as bob,
        ):
            await alice.wait_connected()
            await bob.wait_connected()
            video = await alice.publish_simulcast(layers=layers(random))
            await bob.wait_until(lambda: bool(screen.frames))
            down_track = house.participant("bob").subscriber.subscriptions[video.sid].down_track
            media = house.participant("bob").subscriber.peer.media
            outcome = Outcome([], screen, trio.current_time())
            competitor = Competitor(house, host)
            due = trio.current_time()
            sent = deque([media.bandwidth.sent_bytes], maxlen=RATE_SAMPLES + 1)
            for phase in phases:
                house.network.set_link(SERVER_HOST, host, phase.link)
                competitor.bitrate_bps = phase.competing_bps
                until = due + phase.seconds
                while due < until - 1e-6:
                    due += SAMPLE_SECONDS
                    await competitor.send_until(due)
                    sent.append(media.bandwidth.sent_bytes)
                    statistics = down_track.statistics()
                    outcome.samples.append(
                        Sample(
                            due - outcome.started_at,
                            statistics.layer,
                            8 * (sent[-1] - sent[0]) / SAMPLE_SECONDS / (len(sent) - 1),
                            media.bandwidth.statistics().budget_bps,
                        )
                    )
                    if during is not None:
                        during(house, due - outcome.started_at)
            outcome.messages = [each for each in bob.messages if not each.is_sent]
    return outcome
