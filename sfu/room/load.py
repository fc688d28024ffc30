"""How much media the server carries."""

from collections.abc import Callable, Iterable
from typing import Final, NoReturn

import trio

from sfu.room.participant import Participant

LOAD_SECONDS: Final = 2.0


class Load:
    """`bytes_per_second` of RTP payload came and went in the last `LOAD_SECONDS`, of all tracks together."""

    def __init__(self) -> None:
        self.bytes_per_second = 0.0

    async def measure(self, people: Callable[[], Iterable[Participant]]) -> NoReturn:
        """Measure what `people` publish and are sent, until cancelled."""
        before: dict[Participant, int] = {}
        since = trio.current_time()
        while True:
            await trio.sleep(LOAD_SECONDS)
            now = trio.current_time()
            counted = {
                person: person.publisher.totals().octets + person.subscriber.totals().octets for person in people()
            }
            octets = sum(
                max(0, count - before.get(person, 0))  # whoever is moved begins at 0
                for person, count in counted.items()
            )
            self.bytes_per_second = octets / (now - since)
            before, since = counted, now
