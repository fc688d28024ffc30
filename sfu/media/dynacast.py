"""Dynacast: a publisher is told what nobody watches, so that it need not send it.

Theory of operation. Of each track and codec somebody knows what is wanted: the best quality that any subscriber would
like to see now. What is allowed follows it: upwards at once, since somebody waits; downwards after a while, since those
who look away often look back, and a layer that was stopped needs a key frame to begin again. A new track sends
everything that it has; that nobody wants it is told for the first time when there was time enough for subscribers to
come.
"""

from typing import Final

from rtp.timers import is_due
from sfu.media.simulcast import Quality

NOTHING: Final = -1
"""Below all qualities: nobody wants the track, or none of it is allowed."""

LOWERING_SECONDS: Final = 5.0
"""From the last time that less was wanted to telling the publisher."""

FIRST_SECONDS: Final = 10.0
"""From a track's first description to telling its publisher that less than all is wanted: subscribers are on their way."""


class LayerDemand:
    """What the publisher of a track may send in one codec, and whether it knows. Times are monotonic seconds.

    `allowed` is a `Quality`, or NOTHING: what it was told last, or will be with the next word. At first it sends all that
    it has in that codec, or nothing if it has not `begun`. `is_told`: it was told something of this codec at least once.
    """

    def __init__(self, now: float, *, begun: bool = True) -> None:
        self.allowed: int = Quality.HIGH if begun else NOTHING
        self.is_told = False
        self._wanted = self.allowed
        self._first_at = now + FIRST_SECONDS
        self._lower_at = now
        self._must_tell = False

    def want(self, wanted: int, now: float) -> None:
        """Take the best quality that anybody wants to see, or NOTHING."""
        if wanted < self._wanted:
            self._lower_at = now + LOWERING_SECONDS
        self._wanted = wanted

    def tell_again(self) -> None:
        """The publisher may not know what it was told, or may have forgotten it: it is told anew, without delay.

        Of a codec that it was never asked for it hears nothing.
        """
        self._must_tell = self.is_told or self.allowed != NOTHING

    def take_due(self, now: float) -> bool:
        """Say whether to tell the publisher now what is allowed; if so it is taken as told."""
        is_raised = self._wanted > self.allowed or (self._wanted == self.allowed != NOTHING and not self.is_told)
        is_lowered = is_due(self.next_timeout(), now)
        if not (is_raised or is_lowered or self._must_tell):
            return False
        self.allowed = self._wanted
        self.is_told = True
        self._must_tell = False
        return True

    def next_timeout(self) -> float | None:
        """Say when `take_due` may have something to say, if nothing else happens."""
        if self._wanted >= self.allowed:
            return None
        return self._lower_at if self.is_told else max(self._lower_at, self._first_at)
