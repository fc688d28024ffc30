"""Who may have which track, by the publisher's word."""

import pytest
from livekit.protocol.rtc import SubscriptionPermission, TrackPermission

from sfu.model import Identity, ParticipantSid, TrackSid
from sfu.room.permissions import SubscriptionPermissions

VOICE, FACE = TrackSid("TR_voice"), TrackSid("TR_face")


def allowed(permissions: SubscriptionPermissions, identity: str) -> set[str]:
    sid = ParticipantSid(f"PA_{identity}")
    return {track for track in (VOICE, FACE) if permissions.allow(Identity(identity), sid, track)}


@pytest.mark.parametrize(
    ("request_", "bob", "carol"),
    [
        (SubscriptionPermission(all_participants=True), {VOICE, FACE}, {VOICE, FACE}),
        (SubscriptionPermission(), set(), set()),
        (
            SubscriptionPermission(track_permissions=[TrackPermission(participant_identity="bob", all_tracks=True)]),
            {VOICE, FACE},
            set(),
        ),
        (
            SubscriptionPermission(track_permissions=[TrackPermission(participant_sid="PA_carol", all_tracks=True)]),
            set(),
            {VOICE, FACE},
        ),
        (
            SubscriptionPermission(track_permissions=[TrackPermission(participant_identity="bob", track_sids=[VOICE])]),
            {VOICE},
            set(),
        ),
    ],
    ids=["everybody", "nobody", "by identity", "by sid", "one track"],
)
def test_who_is_named_may_have_what_is_named_and_nobody_else(request_, bob, carol) -> None:
    permissions = SubscriptionPermissions()
    permissions.set(request_)
    assert (allowed(permissions, "bob"), allowed(permissions, "carol")) == (bob, carol)


def test_everybody_may_have_everything_until_something_is_said() -> None:
    assert allowed(SubscriptionPermissions(), "bob") == {VOICE, FACE}


def test_a_request_that_names_nobody_is_void() -> None:
    permissions = SubscriptionPermissions()
    nobody = SubscriptionPermission(track_permissions=[TrackPermission(all_tracks=True)])
    assert not permissions.set(nobody)
    assert allowed(permissions, "bob") == {VOICE, FACE}


def test_only_something_new_is_news() -> None:
    permissions = SubscriptionPermissions()
    assert not permissions.set(SubscriptionPermission(all_participants=True))
    assert permissions.set(SubscriptionPermission())
    assert not permissions.set(SubscriptionPermission())
