"""Rooms as their visitors live them, from joining to the last goodbye, on a virtual clock and a virtual network."""

from contextlib import AsyncExitStack

import pytest
import trio
from livekit.protocol.models import DisconnectReason, ParticipantInfo, SubscriptionError, TrackSource, VideoQuality
from livekit.protocol.rtc import (
    LeaveRequest,
    MuteTrackRequest,
    RequestResponse,
    SessionDescription,
    SignalRequest,
    UpdateTrackSettings,
)

from sfu.model import RoomName
from sfu.room.projections import COMPATIBLE_VERSION
from sfu.settings import Patience
from tests.simulation.house import ROOM, flows, open_call, open_house, sent, wait_until
from tests.simulation.rawsocket import open_raw_client
from triforium.config import RoomConfig, RtcConfig
from triforium.testing import Link
from triforium.visitor import PublishRefusedError, Visitor

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])

PATIENCE = Patience()
DISCONNECTED = ParticipantInfo.State.DISCONNECTED
IN_FLIGHT_SECONDS = 0.2
"""More than anything is under way."""


def told_of(visitor: Visitor, identity: str) -> list[ParticipantInfo]:
    """Return all that the server said to a visitor about somebody, in order."""
    return [info for update in sent(visitor, "update") for info in update.participants if info.identity == identity]


def disabled(sid: str, *, disabled: bool) -> SignalRequest:
    return SignalRequest(track_setting=UpdateTrackSettings(track_sids=[sid], disabled=disabled))


def sections(visitor: Visitor) -> dict[str, str]:
    """Return which section the server last gave to each track that it sends: mids by sid."""
    latest = (sent(visitor, "offer") or sent(visitor, "answer"))[-1]
    return {sid: mid for mid, sid in latest.mid_to_track_id.items()}


async def assert_silent(visitor: Visitor, sid: str) -> None:
    await trio.sleep(IN_FLIGHT_SECONDS)
    before = visitor.received[sid].packets
    await trio.sleep(2)
    assert visitor.received[sid].packets == before


@both_layouts
async def test_two_visitors_hear_and_see_each_other(autojump_clock, single) -> None:
    async with open_call(single=single) as (_house, alice, bob):
        tracks = {}
        for visitor, other in ((alice, bob), (bob, alice)):
            tracks[other] = [await visitor.publish_audio(), await visitor.publish_video()]
        for visitor, published in tracks.items():
            for publication in published:
                await visitor.wait_until(flows(visitor, publication.sid, 20))
                statistics = visitor.received[publication.sid].statistics()
                assert (statistics.lost, statistics.unknown_payloads, statistics.restarts) == (0, 0, 0)
        assert alice.participants["bob"].state == ParticipantInfo.State.ACTIVE
        assert {track.sid for track in alice.participants["bob"].tracks} == {each.sid for each in tracks[alice]}
        assert alice.open_channels == {"_reliable", "_lossy", "_data_track"}


async def test_the_layouts_can_be_mixed(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=False) as bob,
    ):
        from_alice, from_bob = await alice.publish_video(), await bob.publish_video()
        await bob.wait_until(flows(bob, from_alice.sid))
        await alice.wait_until(flows(alice, from_bob.sid))


@both_layouts
async def test_a_late_joiner_begins_with_a_key_frame_within_two_seconds(autojump_clock, single) -> None:
    async with open_house() as house, house.visitor("alice", single=single) as alice:
        audio, video = await alice.publish_audio(), await alice.publish_video()
        await trio.sleep(30)
        came_at = trio.current_time()
        async with house.visitor("bob", single=single) as bob:
            assert [info.identity for info in bob.join.other_participants] == ["alice"]
            await bob.wait_until(flows(bob, video.sid, 1))
            statistics = bob.received[video.sid].statistics()
            assert statistics.first_arrival == statistics.last_key_frame
            await bob.wait_until(flows(bob, audio.sid, 1))
            assert trio.current_time() - came_at < 2


@both_layouts
async def test_what_is_unsubscribed_stops_and_comes_again_when_it_is_wanted_again(autojump_clock, single) -> None:
    async with open_call(single=single) as (_house, alice, bob):
        audio, video = await alice.publish_audio(), await alice.publish_video()
        for publication in (audio, video):
            await bob.wait_until(flows(bob, publication.sid))
        bob.subscribe(video.sid, wanted=False)
        await bob.wait_until(lambda: video.sid not in bob.subscribed)
        await assert_silent(bob, video.sid)
        await bob.wait_until(flows(bob, audio.sid))

        bob.subscribe(video.sid)
        await bob.wait_until(lambda: video.sid in bob.subscribed)
        await bob.wait_until(flows(bob, video.sid))


@both_layouts
async def test_without_auto_subscription_only_what_is_asked_for_comes(autojump_clock, single) -> None:
    async with open_house() as house, house.visitor("alice", single=single) as alice:
        audio, video = await alice.publish_audio(), await alice.publish_video()
        async with house.visitor("bob", single=single, auto_subscribe=False) as bob:
            await bob.wait_connected()
            await trio.sleep(2)
            assert not bob.subscribed
            bob.subscribe(audio.sid)
            await bob.wait_until(flows(bob, audio.sid))
            assert bob.subscribed == {audio.sid}
            assert video.sid not in bob.received


@both_layouts
async def test_a_disabled_track_is_not_sent_and_resumes_with_a_key_frame(autojump_clock, single) -> None:
    async with open_call(single=single) as (_house, alice, bob):
        video = await alice.publish_video()
        await bob.wait_until(flows(bob, video.sid))
        bob.send(disabled(video.sid, disabled=True))
        await assert_silent(bob, video.sid)

        key_frames = bob.received[video.sid].statistics().key_frames
        bob.send(disabled(video.sid, disabled=False))
        await bob.wait_until(flows(bob, video.sid, 1))
        statistics = bob.received[video.sid].statistics()
        assert statistics.key_frames == key_frames + 1
        await bob.wait_until(flows(bob, video.sid, 10))
        statistics = bob.received[video.sid].statistics()
        assert (statistics.lost, statistics.suspects, statistics.restarts) == (0, 0, 0)


async def test_a_wish_for_quality_off_is_a_wish_for_nothing_and_any_other_gets_the_only_layer(autojump_clock) -> None:
    async with open_call(single=True) as (_house, alice, bob):
        video = await alice.publish_video()
        await bob.wait_until(flows(bob, video.sid))
        bob.send(SignalRequest(track_setting=UpdateTrackSettings(track_sids=[video.sid], quality=VideoQuality.OFF)))
        await assert_silent(bob, video.sid)
        small = UpdateTrackSettings(track_sids=[video.sid], width=16, height=9, fps=5)
        bob.send(SignalRequest(track_setting=small))
        await bob.wait_until(flows(bob, video.sid, 10))


@both_layouts
@pytest.mark.parametrize("kind", ["audio", "video"])
async def test_mute_stops_packets_and_unmute_resumes_them(autojump_clock, single, kind) -> None:
    async with open_call(single=single) as (_house, alice, bob):
        publication = await (alice.publish_audio() if kind == "audio" else alice.publish_video())
        sid = publication.sid
        await bob.wait_until(flows(bob, sid))
        publication.mute(True)
        await bob.wait_until(lambda: any(track.muted for track in bob.participants["alice"].tracks))
        await alice.wait_until(lambda: any(track.muted for track in alice.me.tracks))
        await assert_silent(bob, sid)

        key_frames = bob.received[sid].statistics().key_frames
        publication.mute(False)
        await bob.wait_until(flows(bob, sid, 1))
        statistics = bob.received[sid].statistics()
        assert statistics.key_frames == (key_frames + 1 if kind == "video" else 0)
        await bob.wait_until(flows(bob, sid, 10))
        statistics = bob.received[sid].statistics()
        assert (statistics.lost, statistics.suspects, statistics.restarts) == (0, 0, 0)
        assert not any(track.muted for track in bob.participants["alice"].tracks)


async def test_the_server_forwards_nothing_of_a_muted_track_whatever_its_publisher_sends(autojump_clock) -> None:
    async with open_call(single=True) as (_house, alice, bob):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        alice.send(SignalRequest(mute=MuteTrackRequest(sid=audio.sid, muted=True)))
        await assert_silent(bob, audio.sid)
        assert not audio.is_muted


@both_layouts
async def test_what_is_published_after_something_was_unpublished_uses_its_section(autojump_clock, single) -> None:
    async with open_call(single=single) as (_house, alice, bob):
        first = await alice.publish_video()
        await bob.wait_until(flows(bob, first.sid))
        used = sections(bob)[first.sid]
        first.unpublish()
        await bob.wait_until(lambda: not bob.participants["alice"].tracks and not bob.subscribed)
        await trio.sleep(1)

        second = await alice.publish_video()
        await bob.wait_until(flows(bob, second.sid))
        assert sections(bob) == {second.sid: used}
        assert bob.subscribed == {second.sid}


@both_layouts
async def test_who_leaves_and_comes_back_is_somebody_new_with_the_same_name(autojump_clock, single) -> None:
    async with open_house() as house, house.visitor("bob", single=single) as bob:
        sids = []
        for _ in range(3):
            async with house.visitor("alice", single=single) as alice:
                audio = await alice.publish_audio()
                sids.append(alice.me.sid)
                await bob.wait_until(flows(bob, audio.sid))
            assert alice.disconnect_reason == DisconnectReason.CLIENT_INITIATED
            assert alice.signal_code == 1000
            await bob.wait_until(lambda: "alice" not in bob.participants and not bob.subscribed)
        assert len(set(sids)) == 3
        gone = [info for info in told_of(bob, "alice") if info.state == DISCONNECTED]
        assert [info.sid for info in gone] == sids
        assert {info.disconnect_reason for info in gone} == {DisconnectReason.CLIENT_INITIATED}
        assert not any(info.tracks for info in gone)


@both_layouts
async def test_a_second_session_of_an_identity_takes_the_place_of_the_first(autojump_clock, single) -> None:
    async with (
        open_house() as house,
        house.visitor("bob", single=single) as bob,
        house.visitor("alice", single=single) as alice,
    ):
        old = await alice.publish_audio()
        await bob.wait_until(flows(bob, old.sid))
        async with house.visitor("alice", single=single) as newcomer:
            await alice.wait_over()
            assert alice.disconnect_reason == DisconnectReason.DUPLICATE_IDENTITY
            assert alice.left.action == LeaveRequest.Action.DISCONNECT
            assert alice.signal_code == 1000
            new = await newcomer.publish_audio()
            await bob.wait_until(flows(bob, new.sid))
            await trio.sleep(20)
            assert house.identities() == {"alice", "bob"}
            assert all(info.state != DISCONNECTED for info in told_of(bob, "alice"))
            assert bob.participants["alice"].sid == newcomer.me.sid
            assert bob.subscribed == {new.sid}


@both_layouts
async def test_who_vanishes_is_removed_once_nobody_has_come_back(autojump_clock, single) -> None:
    async with (
        open_house() as house,
        house.visitor("bob", single=single) as bob,
        house.visitor("alice", single=single) as alice,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        alice.vanish()
        gone_at = trio.current_time()
        await trio.sleep(PATIENCE.consent_seconds)
        assert house.identities() == {"alice", "bob"}
        await bob.wait_until(lambda: "alice" not in bob.participants)
        assert trio.current_time() - gone_at < PATIENCE.consent_seconds + PATIENCE.resume_seconds + 1
        assert told_of(bob, "alice")[-1].disconnect_reason == DisconnectReason.CONNECTION_TIMEOUT
        assert house.identities() == {"bob"}


@both_layouts
async def test_how_long_is_waited_for_who_vanishes_is_a_setting(autojump_clock, single) -> None:
    config = {"rtc": RtcConfig(consent_timeout=6), "room": RoomConfig(resume_timeout=30)}
    async with (
        open_house(config=config) as house,
        house.visitor("bob", single=single) as bob,
        house.visitor("alice", single=single) as alice,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        alice.vanish()
        gone_at = trio.current_time()
        await bob.wait_until(lambda: "alice" not in bob.participants)
        assert trio.current_time() - gone_at == pytest.approx(36, abs=1)


@both_layouts
async def test_an_answered_peer_whose_socket_breaks_lives_by_its_media(autojump_clock, single) -> None:
    async with (
        open_house() as house,
        house.visitor("bob", single=single) as bob,
        house.visitor("alice", single=single) as alice,
    ):
        await alice.publish_audio()
        await bob.wait_until(lambda: "alice" in bob.participants)
        participant = house.participant("alice")
        participant.signal_lost(participant._sink)
        await trio.sleep(30)
        assert house.identities() == {"alice", "bob"}


async def test_who_loses_the_socket_before_there_is_media_is_removed(autojump_clock) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        await bob.wait_connected()
        async with open_raw_client(house, house.token("alice")) as alice:
            await alice.receive("offer")
            assert house.identities() == {"alice", "bob"}
            await trio.sleep(1)
            alice.stream.break_now()
        await wait_until(lambda: house.identities() == {"bob"})
        assert trio.current_time() < 5


async def test_who_never_answers_an_offer_is_sent_away(autojump_clock) -> None:
    async with open_house() as house, open_raw_client(house, house.token("alice")) as alice:
        await alice.receive("offer")
        asked_at = trio.current_time()
        leave = (await alice.receive("leave")).leave
        assert trio.current_time() - asked_at == pytest.approx(15, abs=0.1)
        assert (leave.reason, leave.action) == (DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT)
        assert await alice.close_code() == 1000


@both_layouts
async def test_nobody_sees_or_hears_of_who_is_hidden(autojump_clock, single) -> None:
    async with open_house() as house, house.visitor("bob", single=single) as bob:
        audio = await bob.publish_audio()
        async with house.visitor("ghost", single=single, grant={"hidden": True}) as ghost:
            await ghost.wait_until(flows(ghost, audio.sid))
            await ghost.publish_audio()
            await trio.sleep(7)
            async with house.visitor("carol", single=single) as carol:
                await carol.wait_until(flows(carol, audio.sid))
                assert set(carol.participants) == {"bob"}
                assert carol.subscribed == {audio.sid}
        await trio.sleep(7)
        assert not told_of(bob, "ghost")
        assert not bob.subscribed
        assert not sent(bob, "track_subscribed") or house.room()._flowing  # a ghost alone is nobody


async def test_who_may_not_publish_is_told_so(autojump_clock) -> None:
    async with open_house() as house:
        async with house.visitor("alice", single=True, grant={"can_publish": False}) as alice:
            assert not alice.join.fast_publish
            with pytest.raises(PublishRefusedError) as refusal:
                await alice.publish_audio()
            assert refusal.value.reason == "NOT_ALLOWED"
        async with house.visitor("bob", single=True, grant={"can_publish_sources": ("camera",)}) as bob:
            await bob.publish_video()
            with pytest.raises(PublishRefusedError) as refusal:
                await bob.publish_audio()
            assert refusal.value.reason == "NOT_ALLOWED"
            assert [track.source for track in bob.me.tracks] == [TrackSource.CAMERA]


@both_layouts
async def test_who_may_not_subscribe_publishes_and_gets_nothing(autojump_clock, single) -> None:
    async with open_house() as house, house.visitor("alice", single=single) as alice:
        await alice.publish_audio()
        async with house.visitor("bob", single=single, grant={"can_subscribe": False}) as bob:
            assert not bob.join.subscriber_primary
            video = await bob.publish_video()
            await alice.wait_until(flows(alice, video.sid))
            await trio.sleep(3)
            assert not bob.received
            assert not sent(bob, "offer")
            assert "alice" in bob.participants


async def test_a_room_that_nobody_enters_closes_after_its_empty_timeout(autojump_clock) -> None:
    async with open_house(room=RoomConfig(empty_timeout=300)) as house:
        opened_at = trio.current_time()
        room = await house.server.rooms.open(RoomName("empty"))
        await room.wait_closed()
        assert trio.current_time() == opened_at + 300


async def test_a_room_closes_when_the_last_has_left_for_as_long_as_its_departure_timeout(autojump_clock) -> None:
    async with open_house(room=RoomConfig(departure_timeout=20)) as house:
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
            room = house.room()
            alice.send(SignalRequest(leave=LeaveRequest()))
            await wait_until(lambda: not house.identities(), every=0.001)
            left_at = trio.current_time()
        await room.wait_closed()
        assert trio.current_time() == pytest.approx(left_at + 20, abs=0.001)


async def test_a_room_to_which_somebody_returns_stays_open(autojump_clock) -> None:
    async with open_house() as house:
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
            room = house.room()
        await trio.sleep(19)
        async with house.visitor("bob", single=True) as bob:
            await bob.wait_connected()
            await trio.sleep(60)
            assert house.room() is room


@both_layouts
async def test_a_client_that_speaks_json_is_answered_in_json(autojump_clock, single) -> None:
    async with (
        open_house() as house,
        house.visitor("bob", single=single) as bob,
        house.visitor("alice", single=single, use_json=True) as alice,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        video = await bob.publish_video()
        await alice.wait_until(flows(alice, video.sid))
        assert alice.participants["bob"].state == ParticipantInfo.State.ACTIVE


@pytest.mark.parametrize("frame", [b"\xff\xff\xff", "{no json", "[1]"], ids=["binary", "text", "list"])
async def test_a_frame_that_is_no_signal_request_ends_its_socket_and_no_more(autojump_clock, frame) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        await bob.wait_connected()
        async with open_raw_client(house, house.token("alice")) as alice:
            await alice.receive("offer")
            await alice.socket.send(frame)
            assert await alice.close_code() == 1000
        await wait_until(lambda: house.identities() == {"bob"})
        await bob.publish_audio()


@pytest.mark.parametrize("frame", [b"", b"\xfa\x3f\x01x", "{}", '{"unheardOf": 1}'])
async def test_a_request_that_says_nothing_we_know_is_skipped(autojump_clock, frame) -> None:
    async with open_house() as house, open_raw_client(house, house.token("alice")) as alice:
        await alice.receive("offer")
        await alice.socket.send(frame)
        await alice.socket.send(SignalRequest(ping=1).SerializeToString())
        while True:
            answer = await alice.socket.receive()
            if (b"pong" in answer.encode()) if isinstance(answer, str) else answer:
                break
        assert house.identities() == {"alice"}


@pytest.mark.parametrize("sdp", ["", "nonsense", "v=0\r\nm=\r\n", "v=0\r\n" * 2000, "\0"])
async def test_a_description_that_cannot_be_read_gets_no_answer_and_does_no_harm(autojump_clock, sdp) -> None:
    async with open_house() as house, house.visitor("alice", single=False) as alice:
        audio = await alice.publish_audio()
        answers = len(sent(alice, "answer"))
        alice.send(SignalRequest(offer=SessionDescription(type="offer", sdp=sdp, id=99)))
        alice.send(SignalRequest(answer=SessionDescription(type="answer", sdp=sdp, id=99)))
        await trio.sleep(2)
        assert len(sent(alice, "answer")) == answers
        async with house.visitor("bob", single=True) as bob:
            await bob.wait_until(flows(bob, audio.sid))
            video = await bob.publish_video()
            await alice.wait_until(flows(alice, video.sid))


async def test_muting_a_track_that_does_not_exist_is_answered_not_found(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        await alice.wait_connected()
        alice.send(SignalRequest(mute=MuteTrackRequest(sid="TR_nobody", muted=True)))
        await alice.wait_until(lambda: bool(sent(alice, "request_response")))
        (answer,) = sent(alice, "request_response")
        assert answer.reason == RequestResponse.Reason.NOT_FOUND
        assert answer.mute.sid == "TR_nobody"


async def test_wishes_about_tracks_that_do_not_exist_do_no_harm(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        await alice.wait_connected()
        alice.subscribe("TR_nobody")
        alice.subscribe("TR_nobody", wanted=False)
        alice.send(disabled("TR_nobody", disabled=True))
        audio = await alice.publish_audio()
        async with house.visitor("bob", single=True) as bob:
            await bob.wait_until(flows(bob, audio.sid))


@pytest.mark.parametrize("is_known", [True, False])
async def test_who_wants_to_resume_is_told_to_join_anew(autojump_clock, is_known) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        await bob.wait_connected()
        path = f"/rtc?reconnect=1&protocol=17&sid={bob.me.sid if is_known else 'PA_nobody'}"
        async with open_raw_client(house, house.token("bob" if is_known else "alice"), path) as resuming:
            leave = (await resuming.receive("leave")).leave
            assert (leave.reason, leave.action) == (DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT)
            assert await resuming.close_code() == 1000
        assert house.identities() == {"bob"}


async def test_everybody_is_told_when_the_server_stops(autojump_clock) -> None:
    async with open_house() as house, AsyncExitStack() as visitors:
        people = [
            await visitors.enter_async_context(house.visitor(f"{single}-{number}", single=single))
            for single in (True, False)
            for number in range(2)
        ]
        for person in people:
            await person.publish_audio()
        stopping_at = trio.current_time()
        house.stop()
        for person in people:
            await person.wait_over()
        assert trio.current_time() - stopping_at < 5
        assert [person.disconnect_reason for person in people] == [DisconnectReason.SERVER_SHUTDOWN] * 4
        assert [person.signal_code for person in people] == [1000] * 4


@both_layouts
async def test_a_token_to_come_back_with_is_sent_at_once_and_every_five_minutes(autojump_clock, single) -> None:
    async with open_house() as house, house.visitor("alice", single=single) as alice:
        await trio.sleep(601)
        times = [each.time - alice.joined_at for each in alice.messages if each.kind == "refresh_token"]
        assert times == pytest.approx([0, 300, 600], abs=0.1)
        token = alice.token
    async with open_house() as house, open_raw_client(house, token) as again:
        assert (await again.receive("join")).join.participant.identity == "alice"


async def test_news_of_who_publishes_nothing_waits_for_the_next_three_seconds(autojump_clock) -> None:
    async with open_house(link=Link()) as house, house.visitor("alice", single=True) as alice:
        opened_at = alice.joined_at
        await trio.sleep(3.5)
        async with house.visitor("bob", single=True) as bob:
            await alice.wait_until(lambda: "bob" in alice.participants)
            assert trio.current_time() - opened_at == pytest.approx(6, abs=0.01)
            await trio.sleep(0.5)
            await bob.publish_audio()
            await alice.wait_until(lambda: alice.participants["bob"].is_publisher)
            assert trio.current_time() - opened_at == pytest.approx(6.5, abs=0.5)
        assert trio.current_time() - opened_at < 8
        await alice.wait_until(lambda: "bob" not in alice.participants)
        assert trio.current_time() - opened_at < 8, "a publisher's departure is told at once"


async def test_changed_counts_are_told_every_five_seconds(autojump_clock) -> None:
    async with open_house(link=Link()) as house, house.visitor("alice", single=True) as alice:
        opened_at = alice.joined_at
        async with house.visitor("bob", single=True) as bob:
            await trio.sleep(5.5)
            await bob.publish_audio()
            await trio.sleep(6)
        await trio.sleep(10)
        updates = [each for each in alice.messages if each.kind == "room_update"]
        assert [each.time - opened_at for each in updates] == pytest.approx([5, 10, 15], abs=0.01)
        rooms = [each.content.room_update.room for each in updates]
        assert [(room.num_participants, room.num_publishers) for room in rooms] == [(2, 0), (2, 1), (1, 0)]


async def test_the_join_response_says_who_and_what_the_server_is(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=False) as alice:
        join = alice.join
        assert (join.server_info.version, join.server_info.protocol) == (COMPATIBLE_VERSION, 17)
        assert join.room.name == ROOM
        assert join.subscriber_primary
        assert join.participant.identity == "alice"
        assert join.participant.state == ParticipantInfo.State.JOINING
        assert (join.ping_interval, join.ping_timeout) == (5, 15)


@both_layouts
async def test_media_survives_five_per_cent_of_loss(autojump_clock, single) -> None:
    async with open_call(single=single, link=Link(delay_seconds=0.03, loss=0.05, jitter_seconds=0.01)) as (
        _house,
        alice,
        bob,
    ):
        audio, video = await alice.publish_audio(), await alice.publish_video()
        for publication in (audio, video):
            await bob.wait_until(flows(bob, publication.sid, 50))
        statistics = bob.received[video.sid].statistics()
        assert statistics.key_frames
        assert statistics.suspects == statistics.restarts == 0


@both_layouts
@pytest.mark.parametrize("way", ["rebind", "migrate"])
async def test_media_follows_who_changes_address(autojump_clock, single, way) -> None:
    async with open_call(single=single) as (house, alice, bob):
        from_alice, from_bob = await alice.publish_audio(), await bob.publish_video()
        await bob.wait_until(flows(bob, from_alice.sid))
        await alice.wait_until(flows(alice, from_bob.sid))
        moved_at = trio.current_time()
        getattr(alice, way)(house.new_host())
        await bob.wait_until(flows(bob, from_alice.sid, 10))
        await alice.wait_until(flows(alice, from_bob.sid, 10))
        assert trio.current_time() - moved_at < 8
        assert not alice.connection_errors


async def test_who_does_not_read_what_is_said_is_cut_off_and_nobody_else_waits(autojump_clock) -> None:
    async with open_call(single=True) as (house, alice, bob):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        async with open_raw_client(house, house.token("sloth")):
            await wait_until(lambda: "sloth" in house.identities())
            for _ in range(300):
                audio.mute(True)
                audio.mute(False)
                await trio.sleep(0.01)
            await bob.wait_until(flows(bob, audio.sid))
            await wait_until(lambda: house.identities() == {"alice", "bob"})
            assert trio.current_time() < 40
        assert not any(track.muted for track in bob.participants["alice"].tracks)


@both_layouts
async def test_who_asks_for_a_track_that_never_comes_is_told_after_a_minute(autojump_clock, single) -> None:
    async with open_call(single=single) as (_house, alice, bob):
        await bob.wait_connected()
        asked_at = trio.current_time()
        bob.subscribe("TR_neverseen")
        await bob.wait_until(lambda: sent(bob, "subscription_response"))
        assert trio.current_time() - asked_at == pytest.approx(60, abs=0.1)
        (told,) = sent(bob, "subscription_response")
        assert (told.track_sid, told.err) == ("TR_neverseen", SubscriptionError.SE_TRACK_NOTFOUND)
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
