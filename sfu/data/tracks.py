"""Data tracks: who publishes which, who wants them, and under which handle each gets them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from livekit.protocol import models, rtc

from sfu.data.frames import MAX_HANDLE, parse_handle, with_handle
from sfu.data.packets import Person
from sfu.model import MAX_SID_LENGTH, ParticipantSid, TrackSid

MAX_NAME_LENGTH: Final = 256
MAX_CUSTOM_LENGTH: Final = 32
"""Of names of encodings that are nobody's but the client's."""

MAX_REQUEST_BYTES: Final = 4096
"""Of what is asked for, which everybody is told: the name of a schema, too, and what is newer than we are."""

MAX_TRACKS: Final = 256
"""Of one participant: everybody is told of all of them with each of its news."""

MAX_WISHES: Final = 4096
"""Wishes may come before their tracks, and for tracks that never come: the oldest are forgotten."""

MAX_FIRST_HANDLE: Final = 256

_Reason = rtc.RequestResponse


class DataTrackRefusedError(Exception):
    """A request that gets a `RequestResponse` with this reason."""

    def __init__(self, reason: rtc.RequestResponse.Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DataTrack:
    """One published track. `readers` are those who get it, with the handle that each knows it by."""

    info: models.DataTrackInfo
    publisher: Person
    readers: dict[ParticipantSid, int] = field(default_factory=dict)

    @property
    def sid(self) -> TrackSid:
        """`DTR_` and twelve characters."""
        return TrackSid(self.info.sid)


class _Reader:
    """What one participant wants and gets."""

    def __init__(self, first_handle: int, *, automatic: bool) -> None:
        self.automatic = automatic
        self.wishes: dict[TrackSid, bool] = {}
        self.handles: dict[int, DataTrack] = {}
        self._next_handle = first_handle

    def wants(self, sid: TrackSid) -> bool:
        return self.wishes.get(sid, self.automatic)

    def new_handle(self) -> int:
        """Return a handle that is free, and was not used lately."""
        while self._next_handle in self.handles:
            self._next_handle = self._next_handle % MAX_HANDLE + 1
        handle, self._next_handle = self._next_handle, self._next_handle % MAX_HANDLE + 1
        return handle


class DataTracks:
    """The data tracks of one room.

    `new_sid` makes ids; `roll(n)` rolls a die with the numbers from 1 to n; `may_have` says whether a track's publisher
    lets somebody have it.
    """

    def __init__(
        self,
        new_sid: Callable[[], str],
        roll: Callable[[int], int],
        may_have: Callable[[Person, DataTrack], bool],
    ) -> None:
        self._new_sid = new_sid
        self._roll = roll
        self._may_have = may_have
        self._published: dict[ParticipantSid, dict[int, DataTrack]] = {}
        self._readers: dict[ParticipantSid, _Reader] = {}

    def join(self, sid: ParticipantSid, *, automatic: bool) -> None:
        """Let somebody publish and subscribe; if `automatic`, it gets all that it does not decline."""
        self._published[sid] = {}
        self._readers[sid] = _Reader(self._roll(MAX_FIRST_HANDLE), automatic=automatic)

    def leave(self, sid: ParticipantSid) -> None:
        """End what somebody publishes and gets. Idempotent."""
        self.unpublish_all(sid)
        self._published.pop(sid, None)
        if (reader := self._readers.pop(sid, None)) is not None:
            for track in reader.handles.values():
                del track.readers[sid]

    def publish(self, publisher: Person, request: rtc.PublishDataTrackRequest) -> models.DataTrackInfo:
        """Publish a track. Raises DataTrackRefusedError."""
        tracks = self._published[publisher.sid]
        _check(publisher, request, [track.info for track in tracks.values()])
        info = models.DataTrackInfo(
            pub_handle=request.pub_handle,
            sid=self._new_sid(),
            name=request.name,
            encryption=request.encryption,
            frame_encoding=request.frame_encoding if request.HasField("frame_encoding") else None,
            schema=request.schema if request.HasField("schema") else None,
        )
        tracks[request.pub_handle] = DataTrack(info, publisher)
        return info

    def adopt(self, publisher: Person, infos: Iterable[models.DataTrackInfo]) -> None:
        """Publish what somebody published in another room."""
        self._published[publisher.sid].update({info.pub_handle: DataTrack(info, publisher) for info in infos})

    def unpublish(self, sid: ParticipantSid, pub_handle: int) -> models.DataTrackInfo:
        """End a track. Raises DataTrackRefusedError if there is none of that handle."""
        track = self._published[sid].pop(pub_handle, None)
        if track is None:
            raise DataTrackRefusedError(_Reason.NOT_FOUND, "no data track has this handle")
        self._withdraw(track)
        return track.info

    def unpublish_all(self, sid: ParticipantSid) -> list[models.DataTrackInfo]:
        """End all that somebody publishes."""
        tracks = list(self._published.get(sid, {}).values())
        for track in tracks:
            self.unpublish(sid, track.info.pub_handle)
        return [track.info for track in tracks]

    def published(self, sid: ParticipantSid) -> list[models.DataTrackInfo]:
        """Return what somebody publishes."""
        return [track.info for track in self._published.get(sid, {}).values()]

    def set_wanted(self, sid: ParticipantSid, track: TrackSid, *, wanted: bool) -> None:
        """Note that a participant wants a track or not, which need not exist yet; `reconcile` acts on it."""
        if len(track) > MAX_SID_LENGTH:
            return
        wishes = self._readers[sid].wishes
        wishes[track] = wanted
        if len(wishes) > MAX_WISHES:
            del wishes[next(iter(wishes))]

    def reconcile(self, reader: Person) -> bool:
        """Give a participant what it wants and may have, and nothing else. True if that has changed its handles."""
        state = self._readers[reader.sid]
        due = {track.sid: track for track in self._available(reader) if state.wants(track.sid)}
        surplus = [handle for handle, track in state.handles.items() if track.sid not in due]
        for handle in surplus:
            state.handles.pop(handle).readers.pop(reader.sid, None)
        lacking = [track for track in due.values() if reader.sid not in track.readers]
        for track in lacking:
            handle = track.readers[reader.sid] = state.new_handle()
            state.handles[handle] = track
        return bool(surplus or lacking)

    def handles(self, sid: ParticipantSid) -> Mapping[int, DataTrack]:
        """Return what a participant gets, by handle."""
        return self._readers[sid].handles

    def route(self, sender: ParticipantSid, packet: bytes) -> list[tuple[ParticipantSid, bytes]] | None:
        """Return who gets a packet, and as what; None if its sender has published no such track. Raises DecodeError."""
        track = self._published[sender].get(parse_handle(packet))
        if track is None:
            return None
        return [(reader, with_handle(packet, handle)) for reader, handle in track.readers.items()]

    def _available(self, reader: Person) -> Iterable[DataTrack]:
        if not reader.grant.may_subscribe:
            return ()
        return (
            track
            for publisher, tracks in self._published.items()
            if tracks and publisher != reader.sid
            for track in tracks.values()
            if not track.publisher.grant.hidden and self._may_have(reader, track)
        )

    def _withdraw(self, track: DataTrack) -> None:
        """Nobody gets it any longer; their handles are let go of when they are reconciled."""
        for sid in track.readers:
            self._readers[sid].wishes.pop(track.sid, None)


def _check(publisher: Person, request: rtc.PublishDataTrackRequest, others: list[models.DataTrackInfo]) -> None:
    """Raise DataTrackRefusedError if a track may not be published, or not under this name or handle."""
    customs = [
        encoding.custom
        for encoding in (request.frame_encoding, request.schema.encoding)
        if encoding.WhichOneof("value") == "custom"
    ]
    checks = (
        (publisher.grant.may_publish_data, _Reason.NOT_ALLOWED, "does not have permission to publish data"),
        (1 <= request.pub_handle <= MAX_HANDLE, _Reason.INVALID_HANDLE, "a handle is a number from 1 to 65535"),
        (1 <= len(request.name) <= MAX_NAME_LENGTH, _Reason.INVALID_NAME, "a name has 1 to 256 characters"),
        (
            all(1 <= len(custom) <= MAX_CUSTOM_LENGTH for custom in customs),
            _Reason.INVALID_REQUEST,
            "the name of an encoding has 1 to 32 characters",
        ),
        (
            request.ByteSize() <= MAX_REQUEST_BYTES,
            _Reason.INVALID_REQUEST,
            "a data track is described at too great length",
        ),
        (
            all(other.pub_handle != request.pub_handle for other in others),
            _Reason.DUPLICATE_HANDLE,
            "a data track with same handle already exists",
        ),
        (
            all(other.name != request.name for other in others),
            _Reason.DUPLICATE_NAME,
            "a data track with same name already exists",
        ),
        (len(others) < MAX_TRACKS, _Reason.LIMIT_EXCEEDED, "exceeds data track limit"),
    )
    for is_met, reason, message in checks:
        if not is_met:
            raise DataTrackRefusedError(reason, message)
