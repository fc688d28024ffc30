from livekit.protocol.models import ParticipantInfo
from livekit.protocol.rtc import JoinResponse

from triforium.visitor import Roster

BOB = ParticipantInfo(sid="PA_bob", identity="bob", version=2)


def joined() -> Roster:
    roster = Roster()
    roster.join(JoinResponse(participant=ParticipantInfo(sid="PA_me", identity="me"), other_participants=[BOB]))
    return roster


def test_our_own_entry_is_not_among_the_others() -> None:
    roster = joined()
    roster.update(ParticipantInfo(sid="PA_me", identity="me", version=3))

    assert (roster.me.version, list(roster.others)) == (3, ["bob"])


def test_an_older_version_is_ignored_and_counted() -> None:
    roster = joined()
    roster.update(ParticipantInfo(sid="PA_bob", identity="bob", version=1))

    assert (roster.others["bob"], roster.stale_updates) == (BOB, 1)


def test_a_new_session_of_an_identity_begins_with_any_version() -> None:
    roster = joined()
    roster.update(ParticipantInfo(sid="PA_again", identity="bob", version=1))

    assert (roster.others["bob"].sid, roster.stale_updates) == ("PA_again", 0)


def test_who_is_disconnected_is_gone() -> None:
    roster = joined()
    roster.update(ParticipantInfo(sid="PA_bob", identity="bob", state=ParticipantInfo.State.DISCONNECTED))

    assert roster.others == {}
