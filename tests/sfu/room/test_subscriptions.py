"""What a participant wants of tracks, as far as it is remembered."""

from sfu.media.simulcast import DEFAULT_WISH
from sfu.model import MAX_SID_LENGTH, TrackSid
from sfu.room.subscriptions import DEFAULT_SETTINGS, TrackSettings, Wishes

DISABLED = TrackSettings(is_disabled=True, wish=DEFAULT_WISH)


def test_wishes_are_remembered_for_tracks_that_are_still_to_come() -> None:
    wishes, sid = Wishes(automatic=False), TrackSid("T" * MAX_SID_LENGTH)
    wishes.set_wanted(sid, wanted=True)
    wishes.set_settings(sid, DISABLED)
    assert (wishes.wants(sid), wishes.settings(sid)) == (True, DISABLED)


def test_wishes_are_not_remembered_for_what_can_be_no_id_of_a_track() -> None:
    wishes, sid = Wishes(automatic=False), TrackSid("T" * (MAX_SID_LENGTH + 1))
    wishes.set_wanted(sid, wanted=True)
    wishes.set_settings(sid, DISABLED)
    assert (wishes.wants(sid), wishes.settings(sid)) == (False, DEFAULT_SETTINGS)
