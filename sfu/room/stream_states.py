"""Telling a client which of the videos that it subscribes to are paused for want of bandwidth, once for each change."""

from collections.abc import Callable, Mapping

from livekit.protocol import rtc

from sfu.media.downtrack import DownTrack
from sfu.media.track import MediaTrack
from sfu.model import TrackSid


class StreamStates:
    """What a client knows of the states of its streams: they are active, unless it was told otherwise."""

    def __init__(self, tell: Callable[[rtc.SignalResponse], None]) -> None:
        self._tell = tell
        self._paused: set[TrackSid] = set()

    def look(self, streams: Mapping[TrackSid, tuple[MediaTrack, DownTrack]]) -> None:
        """Tell of all that have changed."""
        paused = {sid for sid, (_, down_track) in streams.items() if down_track.is_starved}
        changed = [sid for sid in streams if (sid in paused) != (sid in self._paused)]
        self._paused = paused
        if not changed:
            return
        infos = [
            rtc.StreamStateInfo(
                participant_sid=streams[sid][0].publisher_sid,
                track_sid=sid,
                state=rtc.PAUSED if sid in paused else rtc.ACTIVE,
            )
            for sid in changed
        ]
        self._tell(rtc.SignalResponse(stream_state_update=rtc.StreamStateUpdate(stream_states=infos)))
