"""What publishers say of their tracks after they have announced them: what is done to a sound, how large a picture is."""

from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from sfu.model import TrackSid
from sfu.room.track_info import set_features

if TYPE_CHECKING:
    from sfu.room.participant import Participant


def update_audio_track(participant: "Participant", update: rtc.UpdateLocalAudioTrack) -> None:
    """Take what is done to a sound, and tell everybody. Raises RefusedError: there is no such track."""
    info = participant.publisher.info(TrackSid(update.track_sid))
    set_features(info, update.features)
    _tell(participant, info)


def update_video_track(participant: "Participant", update: rtc.UpdateLocalVideoTrack) -> None:
    """Take how large a picture is, and tell everybody. Raises RefusedError: there is no such track."""
    info = participant.publisher.info(TrackSid(update.track_sid))
    info.width, info.height = update.width, update.height
    _tell(participant, info)


def _tell(participant: "Participant", info: models.TrackInfo) -> None:
    if TrackSid(info.sid) in participant.publisher.publications:  # else nobody knows of it yet
        participant.room.news.changed(participant)
