"""Waiting for somebody's first media path: packets that do not get through are the most frequent trouble of all."""

import logging
from typing import TYPE_CHECKING, Final

import trio

from sfu.errors import PeerConnectionLostError

if TYPE_CHECKING:
    from sfu.room.participant import Participant

logger = logging.getLogger(__name__)

MEDIA_PATH_SECONDS: Final = 10.0
"""After this long without a media path, the log says what could be wrong."""

ARRIVAL_SECONDS: Final = 15.0
"""For the media path of a client that has no signal connection whose end could tell us that it is gone."""


class Arrival:
    """Whether media could flow to and from one participant at some time of its session."""

    def __init__(self, participant: "Participant") -> None:
        self._participant = participant
        self._connected = trio.Event()

    @property
    def is_over(self) -> bool:
        """Whether there has been a media path."""
        return self._connected.is_set()

    def connected(self) -> None:
        """There is a media path. Idempotent."""
        self._connected.set()

    async def run(self) -> None:
        """Return once there has been a path, or nobody has to be waited for; begun anew, it waits anew.

        Raises:
            PeerConnectionLostError: there is none, nor a signal connection whose end could be waited for.
        """
        person = self._participant
        with trio.move_on_after(MEDIA_PATH_SECONDS) as patience:
            await self._connected.wait()
        if patience.cancelled_caught:
            logger.warning(
                "%s in %s has no media path after %.0f s; %s",
                person.identity,
                person.room.name,
                MEDIA_PATH_SECONDS,
                person.explain_missing_media(),
            )
        if person.has_signal:
            return
        with trio.move_on_after(ARRIVAL_SECONDS - MEDIA_PATH_SECONDS):
            await self._connected.wait()
        if not self._connected.is_set():
            raise PeerConnectionLostError("nobody came")
