"""Who speaks in a room, told to those who hear them."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from sfu.media.speakers import WINDOW_SECONDS, Speaker, changed_speakers, current_speakers
from sfu.media.track import MediaTrack
from sfu.model import ParticipantSid, TrackSid
from sfu.notifier import Notifier

if TYPE_CHECKING:
    from sfu.room.participant import Participant

PRETENDED_LEVEL: Final = 0.9
MAX_PRETENCE_SECONDS: Final = 60.0
"""How loud, and for how long at most, somebody speaks who asks for that to be simulated."""


class Voices:
    """Listens to the tracks of a room. `tracks` may change at any time; `wake` says that they have."""

    def __init__(self, tracks: Mapping[TrackSid, MediaTrack], people: Callable[[], Iterable["Participant"]]) -> None:
        self._tracks = tracks
        self._people = people
        self._changed = Notifier()
        self._speakers: dict[ParticipantSid, Speaker[ParticipantSid]] = {}
        self._pretending: set[ParticipantSid] = set()

    def wake(self) -> None:
        """There is another track to listen to."""
        self._changed.notify()

    def speaker(self, sid: ParticipantSid) -> Speaker[ParticipantSid] | None:
        """Return what was last told of somebody who speaks."""
        return self._speakers.get(sid)

    async def run(self) -> NoReturn:
        """Tell everybody who of those they hear speaks, and that they do themselves; only what has changed."""
        due = trio.current_time()
        while True:
            seen = self._changed.version
            if not self._tracks and not self._speakers:  # nobody to listen to
                await self._changed.wait_changed(seen)
            due = max(due + WINDOW_SECONDS, trio.current_time())
            await trio.sleep_until(due)
            speaking = current_speakers((track.publisher_sid, track.level(due)) for track in self._tracks.values())
            changed = changed_speakers(self._speakers, speaking)
            self._speakers = speaking
            if changed:
                self._tell(changed)

    def pretend(self, sid: ParticipantSid, seconds: float, nursery: trio.Nursery) -> None:
        """Tell everybody that somebody speaks, and after `seconds` that it does not; one at a time for each."""
        if sid not in self._pretending:
            self._pretending.add(sid)
            nursery.start_soon(self._pretend, sid, seconds)

    async def _pretend(self, sid: ParticipantSid, seconds: float) -> None:
        self._tell([Speaker(sid, PRETENDED_LEVEL, active=True)])
        await trio.sleep(min(max(seconds, 0.0), MAX_PRETENCE_SECONDS))
        self._pretending.discard(sid)
        self._tell([Speaker(sid, 0.0, active=False)])

    def _tell(self, speakers: list[Speaker[ParticipantSid]]) -> None:
        for person in self._people():
            person.tell_speakers(speakers)
