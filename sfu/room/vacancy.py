"""How long a room stays open without people."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from sfu.room.headcount import Headcount
from sfu.settings import RoomSettings


class Vacancy:
    """Whether a room has nobody in it, and until when it waits for somebody; agents, recorders and the like do not count."""

    def __init__(self, settings: RoomSettings, headcount: Headcount) -> None:
        self._settings = settings
        self._headcount = headcount
        self._opened_at = trio.current_time()
        self._left_at: float | None = None
        self._was_used = False
        self._holds = 0
        self._changed = trio.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the room open, for somebody who is on the way in."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self.changed()

    def entered(self, *, is_dependent: bool) -> None:
        """Somebody has come in."""
        self._was_used |= not is_dependent
        self.changed()

    def left(self) -> None:
        """Somebody has gone: whoever it was, the time for others to come begins anew."""
        self._left_at = trio.current_time()
        self.changed()

    def changed(self) -> None:
        """Who is there may count now, or no longer."""
        self._changed.set()

    async def wait_over(self) -> None:
        """Return once nobody has been there for as long as the room's settings say."""
        while True:
            self._changed = trio.Event()
            with trio.move_on_at(self._until()) as patience:
                await self._changed.wait()
            if patience.cancelled_caught and trio.current_time() >= self._until():  # somebody may come just now
                return

    def _until(self) -> float:
        """Say when the room closes if nobody comes."""
        if self._holds or self._headcount.independent:
            return float("inf")
        if self._was_used and self._left_at is not None:
            return self._left_at + self._settings.departure_timeout_seconds
        return self._opened_at + self._settings.empty_timeout_seconds
