"""Codec regression: once somebody needs a track's backup codec, everybody who can gets that, and the first one ends.

Else its publisher would have to encode and send the track twice. It says by the track's policy whether it minds. That
is for as long as the backup comes, even if who needed it has left, as with LiveKit's server: the next one may need it.
"""

from typing import Final

from livekit.protocol import models

from sfu.room.publisher import Publication

SMALL_ROOM: Final = 5
"""In rooms with fewer people the backup is preferred unless the publisher asked for both: in larger ones the first codec
spares its many subscribers more than a second encoder costs."""


def regress(publication: Publication, people: int) -> bool:
    """Prefer the backup codec of a track if it flows, and should be; return whether its subscribers are to follow."""
    track, policy = publication.media, publication.info.backup_codec_policy
    if policy == models.SIMULCAST or (policy == models.PREFER_REGRESSION and people >= SMALL_ROOM):
        return False
    first, *others = track.codecs
    if first != track.receiver.codec.mime:
        return False  # it is preferred already
    for mime in others:
        backup = track.receivers.get(mime)
        if backup is not None and any(down_track.flows for down_track in backup.down_tracks):
            track.prefer(mime)
            return True
    return False
