"""How long one subscriber is to hold pictures back: a header extension, written until it is known to have come.

Theory of operation. A receiver keeps to the last playout delay that it was told, so that it has to be told only once;
and any packet may be lost, so that all carry it until a report shows that one of them came. They are changed on their way
to be encrypted, and what changes them is taken out of that way again: whoever is told nothing pays nothing for it.
"""

from collections.abc import Callable
from typing import Final

from rtp.extensions import MAX_PLAYOUT_DELAY_MS, playout_delay, with_extension
from rtp.serial import unwrap
from sfu.settings import PlayoutDelay

DEFAULT_MAX_MS: Final = 10_000
"""So the most is never 0. With 0 for both, Firefox shows no picture at all."""

_JITTER_FACTOR: Final = 10
"""The least delay, in jitters: what the network does, pictures are to be held back for, within the room's bounds."""

_MAX_CHANGE_MS_PER_SECOND: Final = 80
"""A change is a picture that goes too fast or too slowly: people do not see this much."""

_MIN_CHANGE_MS: Final = 50
"""For less the subscriber is not told anew: jitter is never quite the same twice."""


class PlayoutDelayWriter:
    """Tells one subscriber of the playout delay, as the extension `identifier`, from the number `last_sequence` on.

    Numbers are unwrapped, and as sent.
    """

    def __init__(self, delay: PlayoutDelay, identifier: int, last_sequence: int) -> None:
        self.identifier = identifier
        self._floor_ms = min(delay.min_ms, MAX_PLAYOUT_DELAY_MS)
        self._ceiling_ms = min(max(delay.max_ms or DEFAULT_MAX_MS, self._floor_ms), MAX_PLAYOUT_DELAY_MS)
        self._least_ms = self._told_ms = float(self._floor_ms)
        self._followed_at: float | None = None
        self._last_untold: int | None = last_sequence  # None: the subscriber knows

    def before(self, protect: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        """Return what to call instead of `protect`, until `report_received` says otherwise."""
        if self._last_untold is None:
            return protect
        identifier, data = self.identifier, playout_delay(int(self._told_ms), self._ceiling_ms)
        return lambda packet: protect(with_extension(packet, identifier, data))

    def report_received(
        self, highest_sequence: int, jitter_seconds: float | None, last_sequence: int, now: float
    ) -> bool:
        """Look at what the subscriber reports. Return whether `before` is to be asked again.

        `highest_sequence` is the newest number that it got, of which 16 bits count, and `last_sequence` the newest that
        was sent. The delay follows the jitter, if that is given.
        """
        if jitter_seconds is not None and self._follow(jitter_seconds * 1000, now):
            self._last_untold = last_sequence
            return True
        if self._last_untold is None or unwrap(highest_sequence & 0xFFFF, near=last_sequence) <= self._last_untold:
            return False
        self._last_untold = None
        return True

    def _follow(self, jitter_ms: float, now: float) -> bool:
        """Move towards what the jitter asks for. Return whether that is worth telling."""
        reach = 0.0 if self._followed_at is None else _MAX_CHANGE_MS_PER_SECOND * max(0.0, now - self._followed_at)
        self._followed_at = now
        wanted = min(max(jitter_ms * _JITTER_FACTOR, self._floor_ms), self._ceiling_ms)
        self._least_ms += min(max(wanted - self._least_ms, -reach), reach)
        if abs(self._least_ms - self._told_ms) < _MIN_CHANGE_MS:
            return False
        self._told_ms = self._least_ms
        return True
