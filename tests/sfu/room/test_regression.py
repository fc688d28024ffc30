"""When everybody is moved to the codec that somebody needed."""

import pytest
from livekit.protocol.models import PREFER_REGRESSION, REGRESSION, SIMULCAST, BackupCodecPolicy, TrackInfo

from sfu.room.publisher import Publication
from sfu.room.regression import SMALL_ROOM, regress
from tests.sfu.in_trio import in_trio
from tests.sfu.media.publisher import KEY_FRAME, VP8, Source
from tests.sfu.media.test_track import Backed


@pytest.mark.parametrize(
    ("policy", "people", "is_moved"),
    [
        (PREFER_REGRESSION, SMALL_ROOM - 1, True),
        (PREFER_REGRESSION, SMALL_ROOM, False),
        (REGRESSION, 1000, True),
        (SIMULCAST, 2, False),
    ],
)
@in_trio
def test_the_publisher_and_the_size_of_the_room_decide(
    policy: BackupCodecPolicy, people: int, *, is_moved: bool
) -> None:
    backed = Backed()
    publication = Publication(TrackInfo(backup_codec_policy=policy), backed.media, "cam")
    backed.get(VP8)
    assert not regress(publication, people), "it is only asked for"
    backup, source = backed.receiver(VP8), Source(6, VP8)
    backed.media.add_receiver(backup)
    assert not regress(publication, people), "nothing has come"
    backed.feed(backup, source, source.next(KEY_FRAME))
    assert regress(publication, people) is is_moved
    assert next(iter(backed.media.codecs)) == ("video/VP8" if is_moved else "video/H264")
    assert not regress(publication, people), "once is enough"


@in_trio
def test_the_backup_stays_preferred_when_who_needed_it_has_left_until_it_ends() -> None:
    backed = Backed()
    publication = Publication(TrackInfo(backup_codec_policy=REGRESSION), backed.media, "cam")
    backed.get(VP8)
    backup, source = backed.receiver(VP8), Source(6, VP8)
    backed.media.add_receiver(backup)
    backed.feed(backup, source, source.next(KEY_FRAME))
    assert regress(publication, 2)
    backed.down_track.close()
    assert not regress(publication, 2)
    assert list(backed.media.codecs) == ["video/VP8", "video/H264"]
    backed.media.remove_receiver(backup)
    assert list(backed.media.codecs) == ["video/H264", "video/VP8"]
