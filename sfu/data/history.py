"""What tells a message that came before from a new one, and what keeps messages for readers who are not there yet."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sfu.data.packets import Audience
from sfu.model import ParticipantSid

MAX_NONCES: Final = 100
"""As many as LiveKit remembers."""

MAX_KEPT_BYTES: Final = 2 << 20
MAX_KEPT_MESSAGES: Final = 10_000
KEPT_SECONDS: Final = 15.0
"""How long clients give themselves to connect."""

NAME_BYTES: Final = 128
"""What keeping each name of an audience is charged with, about what Python's objects take."""


class SequenceFilter:
    """The reliable packets of one sender, which it numbers from 1: each is taken once.

    `highest` is the last number taken, 0 before the first. A gap is no fault: the channel itself loses nothing.
    """

    def __init__(self) -> None:
        self.highest = 0

    def take(self, sequence: int) -> bool:
        """Say whether a packet is new. Those without a number always are."""
        if not sequence:
            return True
        is_new = sequence > self.highest
        self.highest = max(self.highest, sequence)
        return is_new


class NonceFilter:
    """The last few nonces of a room: what came twice, by whatever ways, is taken once."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}

    def take(self, nonce: bytes) -> bool:
        """Say whether `nonce` is new. The empty one always is."""
        if not nonce:
            return True
        if nonce in self._seen:
            return False
        self._seen[nonce] = None
        if len(self._seen) > MAX_NONCES:
            del self._seen[next(iter(self._seen))]
        return True


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as it goes out; `at` in monotonic seconds, `sender` None for one of the server's."""

    data: bytes
    audience: Audience
    sender: ParticipantSid | None
    at: float

    @property
    def cost(self) -> int:
        """What keeping it is charged with, in bytes."""
        return len(self.data) + NAME_BYTES * (len(self.audience.identities) + len(self.audience.sids))


class History:
    """The room's latest reliable messages, numbered from 0, kept for those whose channel is still to open.

    `next_number` is the next message's. The oldest go when they are too old, too many, or too much together.
    """

    def __init__(self) -> None:
        self.next_number = 0
        self._kept: deque[Kept] = deque()
        self._bytes = 0

    def append(self, kept: Kept) -> None:
        """Keep one more."""
        self._kept.append(kept)
        self._bytes += kept.cost
        self.next_number += 1
        self.expire(kept.at)

    def expire(self, now: float) -> None:
        """Let go of what is not to be kept any longer."""
        while self._kept and (
            self._bytes > MAX_KEPT_BYTES or len(self._kept) > MAX_KEPT_MESSAGES or self._kept[0].at + KEPT_SECONDS < now
        ):
            self._bytes -= self._kept.popleft().cost

    @property
    def first_number(self) -> int:
        """The number of the oldest one kept."""
        return self.next_number - len(self._kept)

    def since(self, number: int) -> Iterator[Kept]:
        """Return what is left of the messages from `number` on, in order."""
        skipped = number - self.first_number
        return (kept for position, kept in enumerate(self._kept) if position >= skipped)
