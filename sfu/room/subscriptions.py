"""What a participant wants of what others publish, and the steps from what it has to that."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from rtp.sdp.codecs import MediaKind
from sfu.media.simulcast import DEFAULT_WISH, Wish
from sfu.media.track import MediaTrack
from sfu.model import MAX_SID_LENGTH, TrackSid
from sfu.settings import Limits

MAX_REMEMBERED_TRACKS: Final = 4096
"""Wishes may come before their tracks, and for tracks that never come: the oldest are forgotten."""


PATIENCE_SECONDS: Final = 60.0
"""How long a track that is asked for by its id, and does not exist, is waited for."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What to begin and what to end."""

    subscribe: tuple[MediaTrack, ...]
    unsubscribe: tuple[TrackSid, ...]


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """How a participant wants to be sent a track: what it would like to see of it, and whether anything for now."""

    is_disabled: bool = False
    wish: Wish = DEFAULT_WISH


DEFAULT_SETTINGS: Final = TrackSettings()


class Wishes:
    """Which tracks a participant wants, and how: all unless it said otherwise, or none unless it asked."""

    def __init__(self, *, automatic: bool, settings: TrackSettings = DEFAULT_SETTINGS) -> None:
        """Begin without any in particular. `settings` are how all tracks are wanted of which nothing else is said."""
        self._automatic = automatic
        self._default_settings = settings
        self._explicit: dict[TrackSid, bool] = {}
        self._settings: dict[TrackSid, TrackSettings] = {}
        self._missing_since: dict[TrackSid, float] = {}

    @property
    def gives_up_at(self) -> float:
        """When `give_up` is wanted next: the time at which a track that is still missing is given up."""
        return min(self._missing_since.values(), default=float("inf")) + PATIENCE_SECONDS

    def give_up(self, existing: Collection[TrackSid], now: float) -> list[TrackSid]:
        """Look for tracks that were asked for by their ids; return those that never came, wanted from now on no more."""
        missing = [sid for sid, wanted in self._explicit.items() if wanted and sid not in existing]
        self._missing_since = {sid: self._missing_since.get(sid, now) for sid in missing}
        given_up = [sid for sid, since in self._missing_since.items() if now >= since + PATIENCE_SECONDS]
        for sid in given_up:
            self.forget(sid)
        return given_up

    def set_wanted(self, sid: TrackSid, *, wanted: bool) -> None:
        """Note what the participant said of a track, which need not exist yet."""
        if len(sid) > MAX_SID_LENGTH:
            return
        self._explicit[sid] = wanted
        if len(self._explicit) > MAX_REMEMBERED_TRACKS:
            del self._explicit[next(iter(self._explicit))]

    def wants(self, sid: TrackSid) -> bool:
        """Say whether it wants this one."""
        return self._explicit.get(sid, self._automatic)

    def set_settings(self, sid: TrackSid, settings: TrackSettings) -> None:
        """Note how it wants a track, which need not exist yet."""
        if len(sid) > MAX_SID_LENGTH:
            return
        self._settings[sid] = settings
        if len(self._settings) > MAX_REMEMBERED_TRACKS:
            del self._settings[next(iter(self._settings))]

    def settings(self, sid: TrackSid) -> TrackSettings:
        """Return how it wants this one."""
        return self._settings.get(sid, self._default_settings)

    def forget_settings(self, sid: TrackSid) -> None:
        """Forget how it wanted this one."""
        self._settings.pop(sid, None)

    def forget_all(self) -> None:
        """Forget what was said of single tracks."""
        self._explicit.clear()
        self._settings.clear()
        self._missing_since.clear()

    def forget(self, sid: TrackSid) -> None:
        """Forget a track that is gone for good."""
        self._explicit.pop(sid, None)
        self._settings.pop(sid, None)
        self._missing_since.pop(sid, None)


def plan(
    wishes: Wishes, available: Mapping[TrackSid, MediaTrack], subscribed: Iterable[TrackSid], limits: Limits
) -> Steps:
    """Compare what is wanted and to be had with what there is; what is beyond a limit waits until something ends."""
    present = dict.fromkeys(subscribed)  # not a set: the order of goodbyes is to be the same in every process
    wanted = {sid: track for sid, track in available.items() if wishes.wants(sid)}
    places = {MediaKind.AUDIO: limits.audio_subscriptions or inf, MediaKind.VIDEO: limits.video_subscriptions or inf}
    subscribe = []
    for sid, track in sorted(wanted.items(), key=lambda each: each[0] not in present):  # who is in keeps the place
        places[track.kind] -= 1
        if sid not in present and places[track.kind] >= 0:
            subscribe.append(track)
    return Steps(tuple(subscribe), tuple(sid for sid in present if sid not in wanted))
