"""What an operator does to a participant: mutes its tracks, chooses what it gets, changes what it may do."""

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from livekit.protocol import models, rtc

from sfu.model import TrackSid, VideoGrant
from sfu.room import projections
from sfu.room.subscriptions import MAX_REMEMBERED_TRACKS

if TYPE_CHECKING:
    from sfu.room.participant import Participant
    from sfu.room.room import Room


def mute_track(room: "Room", participant: "Participant", sid: TrackSid, *, muted: bool) -> models.TrackInfo | None:
    """Mute or unmute somebody's track, and tell everybody; return the track.

    Of one that is not published only its publisher is told, who may know of it already; None is returned.
    """
    participant.tell(rtc.SignalResponse(mute=rtc.MuteTrackRequest(sid=sid, muted=muted)))
    publication = participant.publisher.publications.get(sid)
    if publication is None:
        return None
    with room.environment.endpoint.batch():
        participant.publisher.set_muted(sid, muted=muted)
    room.news.changed(participant)
    return publication.info


def update_subscriptions(
    participant: "Participant",
    sids: Iterable[str],
    by_participant: Iterable[models.ParticipantTracks],
    *,
    wanted: bool,
) -> None:
    """Subscribe somebody to tracks, or end that. They are named one by one, or by who publishes them.

    Of more than can be remembered the first are taken.
    """
    every = dict.fromkeys(sids)
    for tracks in islice(by_participant, MAX_REMEMBERED_TRACKS):
        every |= dict.fromkeys(tracks.track_sids)
    for sid in islice(every, MAX_REMEMBERED_TRACKS):
        participant.reconciler.set_wanted(TrackSid(sid), wanted=wanted)
    participant.reconciler.reconcile()


def set_permission(room: "Room", participant: "Participant", permission: models.ParticipantPermission) -> None:
    """Say anew all that a participant may do.

    Tracks that it may no longer publish, or get, end at once. Everybody is told, and it gets a token that says so.
    """
    claims = msgspec.structs.replace(participant.claims, video=_grant(participant.grant, permission))
    if projections.permission(claims) == projections.permission(participant.claims):
        return
    was_hidden = participant.is_hidden
    participant.claims = claims
    with room.environment.endpoint.batch():
        for sid in participant.publisher.take_back(participant.grant):
            participant.tell(rtc.SignalResponse(track_unpublished=rtc.TrackUnpublishedResponse(track_sid=sid)))
        participant.is_publisher = participant.grant.may_publish and participant.publisher.peer.connection.connected
        participant.reconciler.reconcile()
        participant.data.permission_changed()
    room.permission_changed(participant, was_hidden=was_hidden)
    participant.set_claims(claims)


def _grant(grant: VideoGrant, permission: models.ParticipantPermission) -> VideoGrant:
    """Return `grant` with every permission replaced, also by what `permission` leaves out."""
    return msgspec.structs.replace(
        grant,
        can_subscribe=permission.can_subscribe,
        can_publish=permission.can_publish,
        can_publish_data=permission.can_publish_data,
        can_publish_sources=tuple(
            name.lower() for name, number in models.TrackSource.items() if number in permission.can_publish_sources
        ),
        can_update_own_metadata=permission.can_update_metadata,
        can_subscribe_metrics=permission.can_subscribe_metrics,
        can_manage_agent_session=permission.can_manage_agent_session,
        hidden=permission.hidden,
        recorder=permission.recorder,
        agent=permission.agent,
    )
