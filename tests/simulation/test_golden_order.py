"""Our server says to visitors what LiveKit's said to published clients, in the same order where order matters.

Visitors play the first three of the recorded scenarios, with the manners of either client, in either layout.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from google.protobuf.json_format import MessageToDict
from livekit.protocol.models import ParticipantInfo, TrackSource

from tests.simulation.house import flows, open_house, sent
from tests.simulation.recording import NOT_SERVED, UNTIMELY, Message, recorded, simulated
from tests.simulation.stage import Stage, clients, layouts, play
from tests.simulation.test_golden_sessions import leave_together
from triforium.testing import Link
from triforium.visitor import Habits, Visitor


@clients
@layouts
async def test_one_participant_comes_and_goes_as_recorded(autojump_clock, client, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice")
        await trio.sleep(6.5)
        await alice.leave()
        return {"alice": alice}

    await play("s01-join-leave", client, layout, act)


@clients
@layouts
async def test_a_late_joiner_is_told_what_was_recorded(autojump_clock, client, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice")
        await trio.sleep(0.1)
        if stage.is_rust:  # announces both at once
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.publish_video)
                nursery.start_soon(alice.publish_audio)
        else:
            await alice.publish_video()
            await alice.publish_audio()
        await trio.sleep(2.5)
        bob = await stage.enter("bob")
        await trio.sleep(5)
        carol = await stage.enter("carol", auto_subscribe=False)
        await trio.sleep(5)
        await bob.leave()
        await trio.sleep(4)
        if stage.is_rust and not stage.single:  # both went at once, and neither heard of the other's going
            await carol.leave()
            await alice.leave()
        else:
            await alice.leave()
            await trio.sleep(1)
            await carol.leave()
        return {"alice": alice, "bob": bob, "carol": carol}

    await play("s02-late-joiner", client, layout, act)


@clients
@layouts
async def test_publishing_muting_and_unpublishing_is_told_as_recorded(autojump_clock, client, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        bob = await stage.enter("bob")
        await trio.sleep(1)
        alice = await stage.enter("alice")
        await trio.sleep(3.5)
        camera = await alice.publish_video()
        await trio.sleep(2.5)
        microphone = await alice.publish_audio()
        await trio.sleep(3)
        for publication in (microphone,) if stage.is_rust else (microphone, camera):
            for muted in (True, False):
                publication.mute(muted)
                await trio.sleep(1)
        await trio.sleep(1)
        camera.unpublish()
        await trio.sleep(2)
        if not stage.is_rust:
            await alice.publish_video(source=TrackSource.SCREEN_SHARE)
            await trio.sleep(2)
        await alice.leave()
        await trio.sleep(1)
        await bob.leave()
        return {"alice": alice, "bob": bob}

    await play("s03-publish-mute-unpublish", client, layout, act)


LONG_STAY = "s12-long.js-v1"
"""Of one layout there is a recording. What the server says of its own accord is the same in both."""


@layouts
async def test_in_a_stay_of_six_minutes_nothing_is_said_but_what_was_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice")
        await trio.sleep(2.2)
        bob = await stage.enter("bob")
        await alice.publish_audio()
        await trio.sleep(365)
        cast = {"alice": alice, "bob": bob}
        for identity, visitor in cast.items():
            theirs = told_in_time(recorded(LONG_STAY, identity, "s>c"))
            if identity == "bob":  # he heard of her leave by its number, too, which is by chance
                assert theirs["room_update"].pop() == (1, 0)
            assert told_in_time(simulated(visitor, "s>c")) == theirs
        await leave_together(alice, bob)
        return cast

    if layout == "v1":
        await play("s12-long", "js", layout, act)
        return
    async with open_house() as house, AsyncExitStack() as visitors:
        await act(Stage(house, "s12-long", "js", layout, visitors))


def told_in_time(messages: list[Message]) -> dict[str, list[object]]:
    """Return what is told at its own time: tokens, qualities, and the room's counts."""
    told: dict[str, list[object]] = {"refresh_token": [], "connection_quality": [], "room_update": []}
    for kind, fields in messages:
        if kind == "refresh_token":
            told[kind].append("a token")
        elif kind == "connection_quality":
            told[kind].append([each.get("quality", "POOR") for each in fields["updates"]])
        elif kind == "room_update":
            told[kind].append((fields["room"].get("num_participants", 0), fields["room"].get("num_publishers", 0)))
    return told


# What the recordings' comparison leaves out, and what it sees only by kind.


NEWS = (UNTIMELY.keys() | NOT_SERVED.keys() | {"update"}) - {"trickle"}


def kinds(visitor: Visitor) -> list[str]:
    return [message.kind for message in simulated(visitor, "s>c")]


@asynccontextmanager
async def late_joiner(*, single: bool, habits: Habits) -> AsyncIterator[Visitor]:
    """Let Bob find Alice's camera and microphone when he joins."""
    async with open_house() as house, house.visitor("alice", single=single) as alice:
        published = [await alice.publish_video(), await alice.publish_audio()]
        await trio.sleep(1)
        async with house.visitor("bob", single=single, habits=habits) as bob:
            for publication in published:
                await bob.wait_until(flows(bob, publication.sid))
            await trio.sleep(1)
            yield bob


async def test_on_the_single_connection_the_first_answer_carries_the_tracks_and_one_more_offer_is_asked_for(
    autojump_clock,
) -> None:
    async with late_joiner(single=True, habits=Habits.RUST) as bob:
        assert [kind for kind in kinds(bob) if kind not in NEWS] == [
            "join",
            "refresh_token",
            "subscription_permission_update",
            "subscription_permission_update",
            "answer",
            "trickle",
            "media_sections_requirement",
            "answer",
        ]
        (requirement,) = sent(bob, "media_sections_requirement")
        assert (requirement.num_audios, requirement.num_videos) == (0, 0)
        first, second = sent(bob, "answer")
        publisher = bob.participants["alice"]
        assert set(first.mid_to_track_id.values()) == {track.sid for track in publisher.tracks}
        assert second.mid_to_track_id == first.mid_to_track_id
        assert first.id == second.id == 0, "an offer without an id is answered without one"
        for track in publisher.tracks:
            assert f"a=msid:{publisher.sid}|{track.sid} {track.sid}\r\n" in first.sdp
        assert first.sdp.count("a=msid:") == 2
        assert first.sdp.count("a=sendonly") == 6, "idle sections too, without a track"


async def test_for_tracks_that_come_or_go_together_one_more_offer_is_asked_for(autojump_clock) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        await bob.wait_connected()
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.publish_video)
                nursery.start_soon(alice.publish_audio)
            await bob.wait_until(lambda: len(bob.subscribed) == 2)
            assert len(sent(bob, "media_sections_requirement")) == 1
        await bob.wait_until(lambda: not bob.subscribed)
        assert len(sent(bob, "media_sections_requirement")) == 2


async def test_on_two_connections_the_first_offer_has_the_tracks_that_are_there(autojump_clock) -> None:
    """A second one would come late for who joins anew: `livekit-client` may have announced by then that it is back.

    It (2.23) does that once what it publishes is there again, but for two seconds after it joined it keeps the news of
    tracks that come, and loses them.
    """
    async with late_joiner(single=False, habits=Habits.JAVASCRIPT) as bob:
        (offer,) = sent(bob, "offer")
        publisher = bob.participants["alice"]
        assert "m=application" in offer.sdp
        assert sorted(offer.mid_to_track_id.values()) == sorted(track.sid for track in publisher.tracks)
        for track in publisher.tracks:
            assert f"a=msid:{publisher.sid}|{track.sid} {track.sid}\r\n" in offer.sdp
        assert offer.sdp.count("a=sendrecv") >= 2


@layouts
async def test_a_join_response_shows_a_participant_that_has_no_state_yet(autojump_clock, layout) -> None:
    async with open_house() as house, house.visitor("alice", single=layout == "v1") as alice:
        (theirs,) = (m for m in recorded(f"s01-join-leave.js-{layout}", "alice", "s>c") if m.kind == "join")
        ours = MessageToDict(alice.join, preserving_proto_field_name=True)
        for absent in ("state", "version", "tracks"):
            assert absent not in theirs.fields["participant"]
            assert absent not in ours["participant"]
        for field in ("subscriber_primary", "fast_publish", "ping_interval", "ping_timeout", "server_version"):
            assert ours.get(field) == theirs.fields.get(field), field


async def test_becoming_active_is_told_to_oneself_with_the_next_three_seconds(autojump_clock) -> None:
    async with open_house(link=Link()) as house, house.visitor("alice", single=True) as alice:
        await alice.wait_until(lambda: alice.me.state == ParticipantInfo.State.ACTIVE)
        assert trio.current_time() - alice.joined_at == pytest.approx(3, abs=0.01)
        assert kinds(alice).count("update") == 1


@layouts
async def test_who_wants_no_subscriptions_is_told_only_of_people_and_counts(autojump_clock, layout) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        await alice.publish_audio()
        async with house.visitor("carol", single=layout == "v1", auto_subscribe=False) as carol:
            await trio.sleep(12)
            first_words = {"join", "refresh_token", "answer", "trickle"} | ({"offer"} if layout == "v0" else set())
            assert set(kinds(carol)) - NEWS == first_words


@layouts
async def test_candidates_follow_the_description_that_they_belong_to_and_the_last_is_marked(
    autojump_clock, layout
) -> None:
    async with open_house() as house, house.visitor("alice", single=layout == "v1") as alice:
        await alice.publish_audio()
        said = [kind for kind in kinds(alice) if kind in {"offer", "answer", "trickle"}]
        assert said[:4] in (["answer", "trickle", "answer", "answer"], ["offer", "trickle", "answer", "trickle"])
        assert said.count("trickle") == (1 if layout == "v1" else 2)
        assert all(trickle.final for trickle in sent(alice, "trickle"))


@pytest.mark.parametrize("habits", list(Habits))
async def test_pings_are_answered_in_the_form_in_which_they_come(autojump_clock, habits) -> None:
    async with open_house() as house, house.visitor("alice", single=True, habits=habits) as alice:
        await trio.sleep(12)
        asked = [message for message in alice.messages if message.is_sent and message.kind == "ping_req"]
        answers = sent(alice, "pong_resp")
        assert len(answers) == len(asked) == 2 + (habits is Habits.RUST)
        assert [each.last_ping_timestamp for each in answers] == [each.content.ping_req.timestamp for each in asked]
        assert len(sent(alice, "pong")) == (0 if habits is Habits.RUST else 2)
