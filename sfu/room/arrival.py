"""Waiting for somebody's first media path: packets that do not get through are the most frequent trouble of all."""

import logging
from typing import TYPE_CHECKING, Final

import trio

from sfu.errors import NeverConnectedError, PeerConnectionLostError

if TYPE_CHECKING:
    from sfu.room.participant import Participant

logger = logging.getLogger(__name__)

MEDIA_PATH_SECONDS: Final = 10.0
"""After this long without a media path, the log says what could be wrong."""

ARRIVAL_SECONDS: Final = 15.0
"""For the media path of a client that has no signal connection whose end could tell us that it is gone."""

JOIN_SECONDS: Final = 60.0
"""For that of one that has, as LiveKit's server gives it."""


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
        """Return once there has been a path; begun anew, it waits anew.

        Raises:
            PeerConnectionLostError: there is none, nor a signal connection on which it might still be agreed on.
            NeverConnectedError: there is none, for all that was said on the signal connection.
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
        seconds = JOIN_SECONDS if person.has_signal else ARRIVAL_SECONDS
        with trio.move_on_after(seconds - MEDIA_PATH_SECONDS):
            await self._connected.wait()
        if not self._connected.is_set():
            raise NeverConnectedError("no media path") if person.has_signal else PeerConnectionLostError("nobody came")
