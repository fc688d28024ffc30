"""What a participant wants of what others publish, and the steps from what it has to that."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sfu.media.track import MediaTrack
from sfu.model import TrackSid

MAX_REMEMBERED_TRACKS: Final = 4096
"""Wishes may come before their tracks, and for tracks that never come: the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What to begin and what to end."""

    subscribe: tuple[MediaTrack, ...]
    unsubscribe: tuple[TrackSid, ...]


class Wishes:
    """Which tracks a participant wants: all unless it said otherwise, or none unless it asked."""

    def __init__(self, *, automatic: bool) -> None:
        self._automatic = automatic
        self._explicit: dict[TrackSid, bool] = {}
        self._disabled: set[TrackSid] = set()

    def set_wanted(self, sid: TrackSid, *, wanted: bool) -> None:
        """Note what the participant said of a track, which need not exist yet."""
        self._explicit[sid] = wanted
        if len(self._explicit) > MAX_REMEMBERED_TRACKS:
            del self._explicit[next(iter(self._explicit))]

    def wants(self, sid: TrackSid) -> bool:
        """Say whether it wants this one."""
        return self._explicit.get(sid, self._automatic)

    def set_disabled(self, sid: TrackSid, *, disabled: bool) -> None:
        """Note that it wants a track subscribed and nothing of it sent for now, or the end of that."""
        if not disabled:
            self._disabled.discard(sid)
        elif len(self._disabled) < MAX_REMEMBERED_TRACKS:
            self._disabled.add(sid)

    def is_disabled(self, sid: TrackSid) -> bool:
        """Say whether nothing of the track is to be sent for now."""
        return sid in self._disabled

    def forget(self, sid: TrackSid) -> None:
        """Forget a track that is gone for good."""
        self._explicit.pop(sid, None)
        self._disabled.discard(sid)


def plan(wishes: Wishes, available: Mapping[TrackSid, MediaTrack], subscribed: Iterable[TrackSid]) -> Steps:
    """Compare what is wanted and to be had with what there is."""
    present = dict.fromkeys(subscribed)  # not a set: the order of goodbyes is to be the same in every process
    return Steps(
        subscribe=tuple(track for sid, track in available.items() if sid not in present and wishes.wants(sid)),
        unsubscribe=tuple(sid for sid in present if sid not in available or not wishes.wants(sid)),
    )
