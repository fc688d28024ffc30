"""What a client asks to be done to itself, to see how it bears it (LiveKit's SimulateScenario)."""

from typing import Final

import trio

RESUME_SECONDS: Final = 5.0
"""For how long after the request the next resumes fare badly."""


class ResumeTrouble:
    """How the next attempts of a participant to resume its session fare.

    `cuts_after_news` ends the new signal connection as soon as everybody's state was told; `refuses` lets it not begin.
    """

    def __init__(self) -> None:
        self._cuts_until = float("-inf")
        self._refuses_once = False

    def cut_next(self) -> None:
        """Cut the signal connections that resume within the next seconds."""
        self._cuts_until = trio.current_time() + RESUME_SECONDS

    def refuse_next(self) -> None:
        """Refuse the next signal connection."""
        self._refuses_once = True

    def takes_cut(self) -> bool:
        """Say whether this one is to be cut, once for each time it was asked for."""
        is_due = trio.current_time() < self._cuts_until
        self._cuts_until = float("-inf")
        return is_due

    def takes_refusal(self) -> bool:
        """Say whether this one is to be refused, once for each time it was asked for."""
        is_due, self._refuses_once = self._refuses_once, False
        return is_due
