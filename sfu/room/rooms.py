"""All rooms of this process, each behind its fence."""

import logging
from collections.abc import Iterator

import trio

from sfu.environment import Environment
from sfu.errors import CloseReason, RoomClosedError, UnknownPresetError
from sfu.model import Claims, Identity, ParticipantSid, RoomName
from sfu.room.load import Load
from sfu.room.participant import Participant
from sfu.room.revocations import Revocations
from sfu.room.room import Room
from sfu.settings import RoomWishes

logger = logging.getLogger(__name__)


class Rooms:
    """Opens rooms on demand and runs each of them; a room that crashes takes no other with it."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.revocations = Revocations()
        self._rooms: dict[RoomName, Room] = {}
        self._nursery: trio.Nursery | None = None
        self._closing = False
        self._load = Load()
        self._emptied = trio.Event()
        self._emptied.set()

    def __iter__(self) -> Iterator[Room]:
        """Iterate over the rooms that are open."""
        return iter(list(self._rooms.values()))

    def people(self) -> Iterator[Participant]:
        """Iterate over the participants of all rooms, as they are now. The caller does not checkpoint meanwhile."""
        return (person for room in self for person in room.participants.values())

    def is_open(self, name: RoomName) -> bool:
        """Whether there is a room of this name now."""
        return self.find(name) is not None

    def is_revoked(self, name: RoomName, claims: Claims) -> bool:
        """Whether a token is refused because its bearer was sent out of the room."""
        return self.revocations.cover(name, claims)

    def is_taken(self, name: RoomName, identity: Identity) -> bool:
        """Whether somebody of this identity is in the room who is not to be replaced."""
        room = self.find(name)
        if room is None or room.settings.replaces_duplicates:
            return False
        person = room.participants.get(identity)
        return person is not None and person.stands_for is None

    def is_overloaded(self) -> bool:
        """Whether there are as many tracks, in and out, as there may be, or as many bytes of them each second."""
        limits = self.environment.limits
        if 0 < limits.bytes_per_second <= self._load.bytes_per_second:
            return True
        return bool(limits.tracks) and limits.tracks <= sum(
            len(person.publisher.publications) + len(person.subscriber.subscriptions) for person in self.people()
        )

    def find(self, name: RoomName) -> Room | None:
        """Return the room of this name if there is one now."""
        room = self._rooms.get(name)
        return None if room is None or room.closed else room

    def find_session(self, name: RoomName, identity: Identity, sid: ParticipantSid) -> Participant | None:
        """Return whose session a client means that was in the room called `name`, wherever that session is now.

        Whoever was moved may not have heard of it, and then asks where it was, by the `sid` that it had there. Otherwise
        the sid does not matter, because a client may have missed its latest one.
        """
        asked = self.find(name)
        there = None if asked is None else asked.participants.get(identity)
        if there is not None and there.sid == sid:
            return there  # as nearly always: else all rooms are looked through
        for room in self:
            person = room.participants.get(identity)
            if person is None or room.name == name or sid not in person.former_stays:
                continue
            if name in person.former_stays.values():  # else it is a namesake's token, for a room of the namesake's
                return person
        return there

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run rooms until cancelled, or until `close`."""
        try:
            async with trio.open_nursery() as self._nursery:
                if self.environment.limits.bytes_per_second:
                    self._nursery.start_soon(self._load.measure, self.people)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self.close()

    async def open(self, name: RoomName, wishes: RoomWishes | None = None, *, preset: str = "") -> Room:
        """Return the room called `name`, opened if it was not. A checkpoint in that case.

        Until the next checkpoint of the caller's it is not closed for want of people.

        Args:
            name: What it is called.
            wishes: What is asked of it if it has to be opened; one that is open stays as it is.
            preset: The name of a preset, which holds where `wishes` say nothing; empty for none.

        Raises:
            RoomClosedError: the server is stopping.
            UnknownPresetError: there is no such preset.
            LimitExceededError: the metadata wished for is too long.
        """
        if self._closing or self._nursery is None:
            raise RoomClosedError("the server is stopping")
        if (room := self.find(name)) is None:
            room = self._rooms[name] = self._new_room(name, wishes or RoomWishes(), preset)
            self._emptied = trio.Event()
            self._nursery.start_soon(self._host, room)
        with room.held():
            await room.wait_open()
        return room

    async def wait_closed(self) -> None:
        """Return once no room is alive."""
        await self._emptied.wait()

    def close(self) -> None:
        """Close every room: everybody is told that the server stops. Idempotent."""
        self._closing = True
        for room in self:
            room.close(CloseReason.SERVER_SHUTDOWN)

    def _new_room(self, name: RoomName, wishes: RoomWishes, preset: str) -> Room:
        settings = self.environment.settings
        if preset:
            if preset not in self.environment.presets:
                raise UnknownPresetError(preset)
            settings = settings.granting(self.environment.presets[preset])
        self.environment.limits.check_metadata(wishes.metadata)
        return Room(name, self.environment, settings.granting(wishes))

    async def _host(self, room: Room) -> None:
        logger.info("room %s opened", room.name)
        try:
            await room.run()
        except* Exception as failures:  # the fence: a bug in one room ends that room only
            logger.exception("room %s crashed", room.name, exc_info=failures)
        finally:
            if self._rooms.get(room.name) is room:
                del self._rooms[room.name]
            if not self._rooms:
                self._emptied.set()
            logger.info("room %s closed: %s", room.name, room.close_reason)
