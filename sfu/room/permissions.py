"""Who may have a participant's tracks: what the participant itself has said (LiveKit's SubscriptionPermission)."""

from livekit.protocol import rtc

from sfu.model import Identity, ParticipantSid, TrackSid


class SubscriptionPermissions:
    """All tracks for everybody, until the publisher says otherwise."""

    def __init__(self) -> None:
        self._request = rtc.SubscriptionPermission(all_participants=True)
        self._all_tracks: frozenset[str] = frozenset()
        self._tracks: dict[str, frozenset[str]] = {}

    def set(self, request: rtc.SubscriptionPermission) -> bool:
        """Take the publisher's word, which replaces all that it said before; return whether it says something new.

        Who is named neither by identity nor by sid makes the whole request void. Who is not named may have nothing.
        """
        entries = request.track_permissions
        is_void = any(not each.participant_identity and not each.participant_sid for each in entries)
        if request == self._request or is_void:
            return False
        self._request = request
        self._all_tracks = frozenset(_name(each) for each in entries if each.all_tracks)
        self._tracks = {_name(each): frozenset(each.track_sids) for each in entries}
        return True

    def allow(self, identity: Identity, sid: ParticipantSid, track: TrackSid) -> bool:
        """Say whether the participant of this identity and sid may have a track."""
        if self._request.all_participants:
            return True
        return any(name in self._all_tracks or track in self._tracks.get(name, ()) for name in (identity, sid))


def _name(permission: rtc.TrackPermission) -> str:
    return permission.participant_identity or permission.participant_sid
