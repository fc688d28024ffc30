"""Looking for tracks that people say they publish, and of which nothing comes."""

import logging
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NoReturn

import trio

if TYPE_CHECKING:
    from sfu.room.participant import Participant

logger = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 30.0
"""For the media of a track that is not muted, on a connection that is up: as long as LiveKit's server waits."""

CHECK_SECONDS: Final = 5.0


class Supervision:
    """Writes one line in the log for each such track: the client believes to be heard or seen, and nobody tells it."""

    def __init__(self, people: Callable[[], Iterable["Participant"]]) -> None:
        self._people = people
        self._silent_since: dict[str, float] = {}

    async def run(self) -> NoReturn:
        """Look at everybody's tracks now and then, until cancelled."""
        while True:
            await trio.sleep(CHECK_SECONDS)
            self._check(trio.current_time())

    def _check(self, now: float) -> None:
        silent = {}
        for person in self._people():
            if not person.publisher.peer.connection.connected:
                continue  # of that, another line tells
            for info in person.publisher.silent_tracks():
                since = self._silent_since.get(info.sid, now)
                if since + PATIENCE_SECONDS <= now:
                    logger.warning(
                        "nothing has come of track %s of %s, after %.0f s", info.sid, person.identity, now - since
                    )
                    since = math.inf  # said once
                silent[info.sid] = since
        self._silent_since = silent
