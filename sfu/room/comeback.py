"""Waiting for somebody whose media path is gone: a phone between two networks comes back, a page that died does not.

event                             then
a connection is lost              the client is told to resume its session, and has `resume_seconds` for it
it resumes                        it has RECOVERY_SECONDS to find a path for media
it finds one                      nothing: it was never gone
either time is over               the participant is removed
"""

from collections.abc import Callable
from typing import Final, NoReturn

import trio

from sfu.errors import PeerConnectionLostError

RECOVERY_SECONDS: Final = 15.0
"""For media to find a way, once its client is back: after as long, clients themselves give up and join anew."""


class Comeback:
    """Whether one participant's media is lost, and until when we wait.

    `has_path` says whether media can flow, and `resume_seconds` are for the client to come back by a new signal
    connection.
    """

    def __init__(self, has_path: Callable[[], bool], *, resume_seconds: float) -> None:
        self._has_path = has_path
        self._resume_seconds = resume_seconds
        self._lost = trio.Event()
        self._lost_again = trio.Event()
        self._resumed = trio.Event()

    def lost(self) -> None:
        """A connection has lost its path: from here on the client has to come back."""
        self._resumed = trio.Event()
        self._lost.set()
        self._lost_again.set()

    def resumed(self) -> None:
        """The client has come back, and looks for a path."""
        self._resumed.set()

    async def run(self) -> NoReturn:
        """Watch until cancelled; begun anew, it goes on where it was.

        Raises:
            PeerConnectionLostError: the client has not come back, or has found no path.
        """
        while True:
            await self._lost.wait()
            with trio.move_on_after(self._resume_seconds) as patience:
                await self._resumed.wait()
            if patience.cancelled_caught:
                raise PeerConnectionLostError("media was lost, and nobody came back")
            self._lost_again = trio.Event()
            with trio.move_on_after(RECOVERY_SECONDS):
                await self._lost_again.wait()
                continue
            if not self._has_path():
                raise PeerConnectionLostError("the session was resumed, but media found no way")
            self._lost = trio.Event()
