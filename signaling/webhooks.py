"""Webhooks: what happens in rooms, posted to an operator's back ends in order, signed, and never in a room's way.

Each room has an outbox for each receiver, emptied one post at a time. A receiver that is slow, refuses or hangs delays
its own outbox and nothing else. What is dropped, and when, is said by `Drop`.
"""

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Final, NoReturn, TypeAlias, assert_never
from urllib.parse import urlsplit

import trio
from google.protobuf.json_format import MessageToJson
from livekit.protocol import models
from livekit.protocol.webhook import WebhookEvent

from sfu.model import RoomName
from sfu.room.events import (
    ParticipantAborted,
    ParticipantJoined,
    ParticipantLeft,
    RoomEvent,
    RoomFinished,
    RoomStarted,
    TrackPublished,
    TrackUnpublished,
)
from sfu.room.participant import Participant
from sfu.room.projections import participant_info, room_info
from sfu.room.room import Room

logger = logging.getLogger(__name__)

MAX_QUEUED_EVENTS: Final = 200
"""In one outbox."""

MAX_AGE_SECONDS: Final = 30.0
"""An event that has waited longer when its turn comes is no news."""

ATTEMPT_SECONDS: Final = 10.0
"""For a receiver to answer."""

RETRY_SECONDS: Final = (1.0, 2.0, 4.0, 8.0)
"""The pauses between attempts to post one event."""

MAX_POSTS: Final = 64
"""At one time, to one receiver."""

_MEDIA_TYPE: Final = "application/webhook+json"

Post: TypeAlias = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]
"""Posts a body with headers to a URL, and returns the HTTP status. Raises UnreachableError."""


class UnreachableError(Exception):
    """There was no answer to a post."""


class Drop(Enum):
    """Why an event was not delivered."""

    FULL = "its outbox was full, and the older events have precedence"
    STALE = "it had waited too long for its turn"
    REFUSED = "the receiver refused it"
    UNREACHABLE = "the receiver did not take it, time and again"


@dataclass(slots=True)
class _Outbox:
    """What one receiver is still to be told of one room. `waiting` has the bodies, and when they were queued."""

    url: str
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    has_dropped: bool = False


class Webhooks:
    """Tells receivers what happens in rooms.

    Args:
        urls: The receivers.
        sign: Makes the token that vouches for a body.
        post: Reaches the receivers.
        wall: Gives Unix seconds.
        new_id: Makes an event's id, by which receivers know what they have had already.
        full_room: Whether events of tracks have all of the room in them, and not its name and id alone.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        sign: Callable[[bytes], str],
        post: Post,
        wall: Callable[[], float],
        new_id: Callable[[], str],
        full_room: bool = False,
    ) -> None:
        self.dropped: Counter[Drop] = Counter()
        self._sign = sign
        self._post = post
        self._wall = wall
        self._new_id = new_id
        self._full_room = full_room
        self._posting = {url: trio.CapacityLimiter(MAX_POSTS) for url in urls}
        self._outboxes: dict[tuple[str, RoomName], _Outbox] = {}
        self._nursery: trio.Nursery | None = None
        self._idle = trio.Event()
        self._idle.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Deliver until cancelled. Started once it can be told."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()
        raise AssertionError("it sleeps until cancelled")

    async def wait_idle(self) -> None:
        """Return once everything has been delivered, or dropped."""
        await self._idle.wait()

    def tell(self, event: RoomEvent) -> None:
        """Queue what has happened, for every receiver. Never blocks."""
        if not self._posting:
            return
        body = MessageToJson(self._describe(event), indent=None).encode()
        for url in self._posting:
            self._queue(url, event.room.name, body)

    def _queue(self, url: str, room: RoomName, body: bytes) -> None:
        assert self._nursery is not None, "rooms open after us"
        outbox = self._outboxes.get((url, room))
        if outbox is None:
            outbox = self._outboxes[url, room] = _Outbox(url)
            self._idle = trio.Event()
            self._nursery.start_soon(self._empty, room, outbox)
        if len(outbox.waiting) >= MAX_QUEUED_EVENTS:
            self._drop(outbox, Drop.FULL)
        else:
            outbox.waiting.append((trio.current_time(), body))

    async def _empty(self, room: RoomName, outbox: _Outbox) -> None:
        try:
            while outbox.waiting:
                queued_at, body = outbox.waiting.popleft()
                if trio.current_time() - queued_at > MAX_AGE_SECONDS:
                    self._drop(outbox, Drop.STALE)
                else:
                    await self._deliver(outbox, body)
        except Exception:  # the fence: a fault in what posts costs this outbox only
            logger.exception("webhooks of room %s to %s failed", room, _name(outbox.url))
        finally:
            del self._outboxes[outbox.url, room]  # no await since the queue was seen empty: nothing is lost
            if not self._outboxes:
                self._idle.set()

    async def _deliver(self, outbox: _Outbox, body: bytes) -> None:
        """Post one event until the receiver has taken it, or will not."""
        for pause in (*RETRY_SECONDS, None):
            status = await self._attempt(outbox.url, body)
            if 200 <= status < 300:
                return
            if status and status < 500 and status != HTTPStatus.TOO_MANY_REQUESTS:
                self._drop(outbox, Drop.REFUSED)
                return
            if pause is not None:
                await trio.sleep(pause)
        self._drop(outbox, Drop.UNREACHABLE)

    async def _attempt(self, url: str, body: bytes) -> int:
        """Post once; return the status of the answer, 0 if there was none."""
        headers = {"Content-Type": _MEDIA_TYPE, "Authorization": self._sign(body), "User-Agent": "Triforium"}
        async with self._posting[url]:
            try:
                with trio.move_on_after(ATTEMPT_SECONDS):
                    return await self._post(url, body, headers)
            except UnreachableError as error:
                logger.debug("no answer from %s: %s", _name(url), error)
        return 0

    def _drop(self, outbox: _Outbox, cause: Drop) -> None:
        self.dropped[cause] += 1
        if not outbox.has_dropped:  # one line for each time of trouble
            outbox.has_dropped = True
            logger.warning("an event was not delivered to %s: %s", _name(outbox.url), cause.value)

    def _describe(self, event: RoomEvent) -> WebhookEvent:
        match event:
            case RoomStarted(room):
                said = WebhookEvent(event="room_started", room=room_info(room))
            case RoomFinished(room):
                said = WebhookEvent(event="room_finished", room=room_info(room))
            case ParticipantJoined(room, participant):
                said = _of_participant("participant_joined", room, participant)
            case ParticipantLeft(room, participant):
                said = _of_participant("participant_left", room, participant)
            case ParticipantAborted(room, participant):
                said = _of_participant("participant_connection_aborted", room, participant)
            case TrackPublished(room, participant, track):
                said = self._of_track("track_published", room, participant, track)
            case TrackUnpublished(room, participant, track):
                said = self._of_track("track_unpublished", room, participant, track)
            case _:
                assert_never(event)
        said.id = self._new_id()
        said.created_at = int(self._wall())
        return said

    def _of_track(self, name: str, room: Room, participant: Participant, track: models.TrackInfo) -> WebhookEvent:
        return WebhookEvent(
            event=name,
            room=room_info(room) if self._full_room else models.Room(sid=room.sid, name=room.name),
            participant=models.ParticipantInfo(sid=participant.sid, identity=participant.identity),
            track=track,
        )


def _of_participant(name: str, room: Room, participant: Participant) -> WebhookEvent:
    return WebhookEvent(event=name, room=room_info(room), participant=participant_info(participant))


def _name(url: str) -> str:
    """Name a receiver in the log, without what may be secret in its URL."""
    return urlsplit(url).hostname or "a receiver"
