"""What `livekit-client` is told a while later when it joins anew, lest it loses what others do at the same time.

For two seconds after it has joined (2.23: `minReconnectWait`) it keeps its events, to fire them once it announces that it
is back. But it announces that as soon as all its tracks are published again, if it is connected by then; what it keeps
from there on it never fires. When a server is restarted all come back together, and nearly every page lost somebody's
tracks. So it is told that its tracks are published once those two seconds are over. Media does not wait for that.
"""

from collections.abc import Callable
from typing import Final

import trio
from livekit.protocol import models, rtc

from sfu.model import Claims

HOLD_SECONDS: Final = 2.5
"""From the join on: what the client waits, and half a second for its timer to be late."""

HELD: Final = frozenset(
    {"track_published", "track_subscribed", "track_unpublished", "subscribed_quality_update", "mute"}
)
"""What is told of the client's own tracks: all of it, since it heeds nothing of a track that it does not know yet."""


class Rejoining:
    """Holds messages back for a while, if it is such a client that comes."""

    def __init__(self, claims: Claims, client: models.ClientInfo) -> None:
        """Begin at the join. Whoever joins with a token that a server made to come back with was there before."""
        self.is_over = not (
            claims.is_refreshed and client.sdk in {models.ClientInfo.JS, models.ClientInfo.REACT_NATIVE}
        )
        self._until = trio.current_time() + HOLD_SECONDS
        self._held: list[rtc.SignalResponse] = []

    def holds(self, response: rtc.SignalResponse) -> bool:
        """Keep the message for later, if it is one that waits; return whether it is."""
        if self.is_over or response.WhichOneof("message") not in HELD:
            return False
        self._held.append(response)
        return True

    async def run(self, tell: Callable[[rtc.SignalResponse], None]) -> None:
        """Tell what was held back, in order, when it is time; cancelled and begun anew, it goes on."""
        await trio.sleep_until(self._until)
        self.is_over = True
        for response in self._held:
            tell(response)
        self._held.clear()
