"""When to ask a publisher for a key frame: merged over all who want one, throttled, and repeated until it comes."""

from typing import Final

THROTTLE_SECONDS: Final = 0.5
"""At most one request in this time: more would triple the quantiser at the same bit rate."""

RETRY_SECONDS: Final = 1.0
"""A request may be lost, and so may the key frame."""

MAX_TRIES: Final = 30
"""After this the publisher cannot or will not: wait for the next who asks."""


class KeyframeRequests:
    """The requests for one source of video. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self._due: float | None = None
        self._tries = 0

    def request(self, now: float) -> bool:
        """Somebody needs a key frame. Return whether the publisher is to be asked earlier than planned."""
        self._tries = 0
        earliest = now if self._asked_at is None else max(now, self._asked_at + THROTTLE_SECONDS)
        if self._due is not None and self._due <= earliest:
            return False
        self._due = earliest
        return True

    def received(self) -> None:
        """One came: everybody who waited can start."""
        self._due = None
        self._tries = 0

    def cancel(self) -> None:
        """There is nobody who could send one."""
        self._due = None

    def next_timeout(self) -> float | None:
        """Say when `take_due` may have something to say."""
        return self._due

    def take_due(self, now: float) -> bool:
        """Say whether to ask the publisher now; if so it is taken as asked."""
        if self._due is None or now < self._due:
            return False
        self._asked_at = now
        self._tries += 1
        self._due = now + RETRY_SECONDS if self._tries < MAX_TRIES else None
        return True
