"""Opus out of RED and into it (RFC 2198): what a track is turned into once, for all who cannot have it as it comes.

Numbers are the source's own, closed up where it dropped something: so a redundant frame's is found by counting back.
"""

from collections import deque
from typing import Final, Protocol, TypeAlias

from rtp.errors import DecodeError
from rtp.payload.red import (
    BLOCK_HEADER_BYTES,
    MAX_REDUNDANT_BYTES,
    MAX_TIMESTAMP_OFFSET,
    PRIMARY_HEADER_BYTES,
    RedBlock,
    parse_red,
    serialize_red,
)
from sfu.media.fanout import MAX_PAYLOAD_BYTES, NO_EPOCH, PacketFacts

Forwarded: TypeAlias = tuple[bytes, PacketFacts]

MAX_RECOVERED: Final = 2
"""Frames before a packet's own that are taken from its redundancy, if they were lost."""
MAX_WRAPPED: Final = 2
"""Redundant frames in a packet of our making."""
MAX_LATE: Final = 64
"""Packets back from the newest, up to which it is known what was made of each: one that comes later is dropped."""


class Conversion(Protocol):
    """Makes of each packet of a track those of another format."""

    def convert(self, packet: bytes, facts: PacketFacts) -> list[Forwarded]:
        """Return the packets, in the order in which to send them, each with a number of its epoch that none had yet.

        Raises:
            DecodeError: the packet cannot be read.
        """


class RedUnwrapper:
    """Takes the Opus out of RED, and what was lost before it too: a frame is given away once, as it came first."""

    def __init__(self, opus_payload_type: int) -> None:
        self._opus = opus_payload_type
        self._epoch = NO_EPOCH
        self._highest = self._timestamp = 0
        self._seen = 0  # bit n: the number that is n below the highest was given away

    def convert(self, packet: bytes, facts: PacketFacts) -> list[Forwarded]:
        """Return the packet's own frame, after those before it that never came. As `Conversion` has it."""
        *redundant, primary = parse_red(packet, facts.payload_at, facts.payload_end)
        if primary.payload_type != self._opus:
            raise DecodeError(f"RED of payload type {primary.payload_type}")
        if facts.epoch != self._epoch:
            self._epoch, self._highest, self._timestamp, self._seen = facts.epoch, facts.sequence, facts.timestamp, 1
            return _frames(packet, facts, [(0, primary)])
        ahead = facts.sequence - self._highest
        if ahead <= 0:
            bit = 1 << -ahead
            if -ahead >= MAX_LATE or self._seen & bit:
                return []
            self._seen |= bit
            return _frames(packet, facts, [(0, primary)])
        self._seen = (self._seen << min(ahead, MAX_LATE) | 1) & ((1 << MAX_LATE) - 1)
        frames = [*self._missing(redundant, facts.timestamp, ahead), (0, primary)]
        for back, _ in frames:
            self._seen |= 1 << back
        self._highest, self._timestamp = facts.sequence, facts.timestamp
        return _frames(packet, facts, frames)

    def _missing(self, redundant: list[RedBlock], timestamp: int, ahead: int) -> list[tuple[int, RedBlock]]:
        """Return what was lost just before a packet, oldest first, each with how many numbers it is back.

        Time has to go the same way as numbers. It does not if padding was lost, which had a number and no time.
        """
        found: list[tuple[int, RedBlock]] = []
        elapsed, nearer = (timestamp - self._timestamp) & 0xFFFF_FFFF, 0
        for back, block in enumerate(reversed(redundant), start=1):
            if back >= ahead or back > MAX_RECOVERED or not nearer < block.timestamp_offset < elapsed:
                break
            nearer = block.timestamp_offset
            if block.end > block.start and block.payload_type == self._opus:
                found.append((back, block))
        return found[::-1]


class RedWrapper:
    """Puts Opus into RED, each frame with those before it."""

    def __init__(self, opus_payload_type: int) -> None:
        self._opus = opus_payload_type
        self._epoch = NO_EPOCH
        self._recent: deque[tuple[int, int, bytes]] = deque(maxlen=MAX_WRAPPED)  # newest last

    def convert(self, packet: bytes, facts: PacketFacts) -> list[Forwarded]:
        """Return the frame with those just before it, as far as they came. As `Conversion` has it."""
        if facts.epoch != self._epoch:
            self._epoch = facts.epoch
            self._recent.clear()
        frame = packet[facts.payload_at : facts.payload_end]
        room = MAX_PAYLOAD_BYTES - PRIMARY_HEADER_BYTES - len(frame)
        if room < 0:
            return []  # no Opus: its frames have 1275 bytes at most (RFC 6716 §3.2.1)
        redundant: list[tuple[int, bytes]] = []
        for sequence, timestamp, earlier in reversed(self._recent):
            offset = (facts.timestamp - timestamp) & 0xFFFF_FFFF
            room -= BLOCK_HEADER_BYTES + len(earlier)
            is_near = 0 < facts.sequence - sequence <= MAX_WRAPPED and 0 < offset <= MAX_TIMESTAMP_OFFSET
            if not is_near or room < 0 or len(earlier) > MAX_REDUNDANT_BYTES:
                break
            redundant.insert(0, (offset, earlier))
        if not self._recent or facts.sequence > self._recent[-1][0]:
            self._recent.append((facts.sequence, facts.timestamp, frame))
        payload = serialize_red(self._opus, frame, redundant)
        return [(payload, _part(facts, facts.sequence, facts.timestamp, 0, len(payload)))]


def _frames(packet: bytes, facts: PacketFacts, frames: list[tuple[int, RedBlock]]) -> list[Forwarded]:
    """Return the frames of a packet as packets of their own, which lie in the one that brought them."""
    return [
        (
            packet,
            _part(
                facts,
                facts.sequence - back,
                facts.timestamp - block.timestamp_offset & 0xFFFF_FFFF,
                block.start,
                block.end,
            ),
        )
        for back, block in frames
    ]


def _part(facts: PacketFacts, sequence: int, timestamp: int, start: int, end: int) -> PacketFacts:
    """Return the facts of what was made of a packet. Only its own frame has its mark, where speech begins, and its time."""
    return PacketFacts(
        sequence,
        timestamp,
        facts.marker and sequence == facts.sequence,
        facts.layer,
        facts.epoch,
        facts.is_entry,
        start,
        end,
        facts.arrived_at,
        captured=facts.captured if sequence == facts.sequence else None,
    )
