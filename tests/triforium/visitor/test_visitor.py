"""Visitors in a server's rooms, all of it in memory and on a virtual clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from random import Random

import pytest
import trio
from livekit.protocol.models import DisconnectReason, ParticipantInfo
from trio.testing import MockClock

from sfu.media.receiver import Receiver
from triforium.app import Server
from triforium.testing import Link, Network, open_network
from triforium.testing.world import serve_in_memory, simulation_certificate
from triforium.visitor import (
    Habits,
    JoinRefusedError,
    LeftError,
    SignalLostError,
    Visitor,
    VisitorWorld,
    memory_world,
    open_visitor,
)

SERVER = ("192.0.2.1", 7880)
CHANNELS = {"_reliable", "_lossy", "_data_track"}

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
both_habits = pytest.mark.parametrize("habits", list(Habits), ids=lambda habits: habits.name.lower())


class House:
    """A server, and a door to it for visitors, each at a host of its own."""

    def __init__(self, network: Network, server: Server) -> None:
        self.network = network
        self.server = server
        self._hosts = 0

    def world(self) -> VisitorWorld:
        self._hosts += 1
        return memory_world(
            self.network,
            f"198.51.100.{self._hosts}",
            random=Random(self._hosts),
            wall=self.server.wall,
            certificate=simulation_certificate(),
        )

    def visit(
        self,
        identity: str,
        *,
        single: bool = True,
        habits: Habits = Habits.JAVASCRIPT,
        use_json: bool = False,
        auto_subscribe: bool = True,
    ) -> AbstractAsyncContextManager[Visitor]:
        token = self.server.token("lobby", identity)
        return open_visitor(
            self.world(),
            SERVER,
            token,
            single_connection=single,
            habits=habits,
            use_json=use_json,
            auto_subscribe=auto_subscribe,
        )

    def receiver(self, sid: str) -> Receiver:
        (room,) = self.server.rooms
        tracks = [
            track for participant in room.participants.values() for track in participant.publisher.publications.values()
        ]
        return next(track.media.receiver for track in tracks if track.media.sid == sid)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_network(Random(1)) as network:
        network.default_link = Link(delay_seconds=0.01)
        async with serve_in_memory(network, Random(2)) as server:
            yield House(network, server)


def packets_of(visitor: Visitor, sid: str) -> int:
    return visitor.received[sid].packets if sid in visitor.received else 0


def has_received(visitor: Visitor, sid: str, packets: int) -> Callable[[], bool]:
    return lambda: packets_of(visitor, sid) >= packets


@both_layouts
@both_habits
async def test_what_one_publishes_the_other_receives_to_the_last_byte(
    autojump_clock: MockClock, house: House, *, single: bool, habits: Habits
) -> None:
    async with house.visit("alice", single=single, habits=habits) as alice:
        await alice.wait_connected()
        async with house.visit("bob", single=single, habits=habits) as bob:
            await bob.wait_connected()
            audio = await alice.publish_audio()
            video = await alice.publish_video()
            await bob.wait_until(has_received(bob, audio.sid, 10))
            await bob.wait_until(has_received(bob, video.sid, 10))

            heard, seen = bob.received[audio.sid].statistics(), bob.received[video.sid].statistics()

    assert (heard.unknown_payloads, heard.lost, heard.suspects) == (0, 0, 0)
    assert (seen.unknown_payloads, seen.lost, seen.suspects, seen.picture_gaps) == (0, 0, 0, 0)
    assert seen.frames == seen.packets
    assert seen.key_frames >= 1
    assert alice.open_channels == bob.open_channels == CHANNELS
    assert bob.disconnect_reason == DisconnectReason.CLIENT_INITIATED


@both_layouts
async def test_a_late_joiner_starts_with_a_key_frame(autojump_clock: MockClock, house: House, *, single: bool) -> None:
    async with house.visit("alice", single=single) as alice:
        video = await alice.publish_video()
        await trio.sleep(10)
        async with house.visit("bob", single=single) as bob:
            began = trio.current_time()
            await bob.wait_until(has_received(bob, video.sid, 1))
            assert bob.participants["alice"].tracks[0].sid == video.sid
            assert trio.current_time() - began < 2
            seen = bob.received[video.sid].statistics()
            assert (seen.key_frames, seen.last_key_frame) == (1, seen.first_arrival)


@both_layouts
async def test_a_muted_track_is_silent_until_it_is_unmuted(
    autojump_clock: MockClock, house: House, *, single: bool
) -> None:
    async with house.visit("alice", single=single) as alice, house.visit("bob", single=single) as bob:
        video = await alice.publish_video()
        await bob.wait_until(has_received(bob, video.sid, 5))

        video.mute(True)
        await bob.wait_until(lambda: bob.participants["alice"].tracks[0].muted)
        before = packets_of(bob, video.sid)
        await trio.sleep(5)
        assert packets_of(bob, video.sid) == before

        video.mute(False)
        await bob.wait_until(has_received(bob, video.sid, before + 5))
        assert not bob.participants["alice"].tracks[0].muted


@both_layouts
async def test_an_unpublished_track_ends_and_its_successor_arrives(
    autojump_clock: MockClock, house: House, *, single: bool
) -> None:
    async with house.visit("alice", single=single) as alice, house.visit("bob", single=single) as bob:
        first = await alice.publish_audio()
        await bob.wait_until(has_received(bob, first.sid, 5))

        first.unpublish()
        await bob.wait_until(lambda: first.sid not in bob.subscribed and not bob.participants["alice"].tracks)
        second = await alice.publish_audio()
        await bob.wait_until(has_received(bob, second.sid, 5))

        assert second.sid != first.sid
        assert bob.subscribed == {second.sid}


async def test_without_auto_subscribe_only_what_was_asked_for_comes(autojump_clock: MockClock, house: House) -> None:
    async with house.visit("alice") as alice, house.visit("bob", auto_subscribe=False) as bob:
        audio = await alice.publish_audio()
        video = await alice.publish_video()
        await trio.sleep(5)
        assert bob.subscribed == set()

        bob.subscribe(video.sid)
        await bob.wait_until(has_received(bob, video.sid, 5))
        assert bob.subscribed == {video.sid}
        assert packets_of(bob, audio.sid) == 0

        bob.subscribe(video.sid, wanted=False)
        await bob.wait_until(lambda: bob.subscribed == set())


async def test_more_tracks_than_spare_sections_arrive(autojump_clock: MockClock, house: House) -> None:
    async with house.visit("alice") as alice, house.visit("bob") as bob:
        for _ in range(5):
            track = await alice.publish_audio()
            await bob.wait_until(has_received(bob, track.sid, 2))
        assert len(bob.subscribed) == 5


async def test_more_tracks_than_one_report_has_room_for_are_reported_on(
    autojump_clock: MockClock, house: House
) -> None:
    async with house.visit("alice") as alice, house.visit("bob") as bob:
        tracks = [await alice.publish_audio() for _ in range(60)]
        for track in tracks:
            await bob.wait_until(has_received(bob, track.sid, 2))
        await trio.sleep(3)
        for track in tracks:
            (down_track,) = house.receiver(track.sid).down_tracks
            assert down_track.reports
        assert bob.connection_errors == []


async def test_one_who_speaks_json_is_a_participant_like_others(autojump_clock: MockClock, house: House) -> None:
    async with house.visit("alice", use_json=True) as alice, house.visit("bob") as bob:
        audio = await alice.publish_audio()
        await bob.wait_until(has_received(bob, audio.sid, 5))
        await alice.wait_until(lambda: "bob" in alice.participants)


@both_layouts
@pytest.mark.parametrize("how", [Visitor.rebind, Visitor.migrate])
async def test_media_follows_a_visitor_to_another_address(
    autojump_clock: MockClock, house: House, how: Callable[[Visitor, str], None], *, single: bool
) -> None:
    async with house.visit("alice", single=single) as alice, house.visit("bob", single=single) as bob:
        there, back = await alice.publish_audio(), await bob.publish_audio()
        await bob.wait_until(has_received(bob, there.sid, 5))
        await alice.wait_until(has_received(alice, back.sid, 5))

        how(bob, "203.0.113.7")
        # A NAT's new binding shows with the next consent check, which is at most 2.5 s away.
        with trio.fail_after(2.8 if how is Visitor.rebind else 0.5):
            await bob.wait_until(has_received(bob, there.sid, packets_of(bob, there.sid) + 2))
            await alice.wait_until(has_received(alice, back.sid, packets_of(alice, back.sid) + 2))

        assert bob.connection_errors == []


@both_layouts
async def test_one_who_vanished_is_missed_in_the_end(autojump_clock: MockClock, house: House, *, single: bool) -> None:
    async with house.visit("alice", single=single) as alice:
        async with house.visit("bob", single=single) as bob:
            await bob.publish_audio()
            await alice.wait_until(lambda: "bob" in alice.participants)
            bob.vanish()
            with pytest.raises(LeftError):
                await bob.wait_until(lambda: False)
        assert "leave" not in [message.kind for message in bob.messages]
        await alice.wait_until(lambda: "bob" not in alice.participants)


async def test_the_older_of_two_of_one_identity_is_told_why_it_leaves(autojump_clock: MockClock, house: House) -> None:
    async with house.visit("alice") as old, house.visit("alice") as new:
        await old.wait_over()
        await new.wait_connected()

    assert old.disconnect_reason == DisconnectReason.DUPLICATE_IDENTITY


async def test_what_the_server_says_of_us_is_kept(autojump_clock: MockClock, house: House) -> None:
    async with house.visit("alice") as alice:
        first_token = alice.token
        await alice.wait_until(lambda: alice.me.state == ParticipantInfo.State.ACTIVE)

        assert alice.me.identity == "alice"
        assert alice.join.room.name == "lobby"
        assert alice.token == first_token or alice.token.count(".") == 2
        assert alice.joined_at is not None
        assert alice.connected_at is not None
        assert alice.joined_at <= alice.connected_at


async def test_a_refused_join_says_why(autojump_clock: MockClock, house: House) -> None:
    with pytest.raises(JoinRefusedError) as refusal:
        async with open_visitor(house.world(), SERVER, "no token", single_connection=True):
            raise AssertionError("nobody gets here")

    assert (refusal.value.status, refusal.value.body) == (401, "invalid authorization token")


async def test_a_door_that_closes_unanswered_is_a_lost_signal(
    autojump_clock: MockClock, house: House, nursery: trio.Nursery
) -> None:
    async def slam() -> None:
        stream = await listener.accept()
        await stream.aclose()

    listener = house.network.listen_tcp("192.0.2.9", 80)
    nursery.start_soon(slam)

    with pytest.raises(SignalLostError):
        async with open_visitor(house.world(), "ws://192.0.2.9", "token", single_connection=False):
            raise AssertionError("nobody gets here")


async def test_nobody_at_home_is_an_os_error(autojump_clock: MockClock, house: House) -> None:
    with pytest.raises(ConnectionRefusedError):
        async with open_visitor(house.world(), ("192.0.2.1", 1), "token", single_connection=True):
            raise AssertionError("nobody gets here")


@both_layouts
async def test_a_visitor_gives_all_its_sockets_back(autojump_clock: MockClock, house: House, *, single: bool) -> None:
    world = house.world()
    ports = set(range(49_152, 49_252))
    async with open_visitor(world, SERVER, house.server.token("lobby", "alice"), single_connection=single) as alice:
        await alice.wait_connected()

    for port in ports:  # every one can be had again
        world.open_socket(world.host, port).close()


async def test_a_visitor_that_is_cancelled_says_goodbye(autojump_clock: MockClock, house: House) -> None:
    async with house.visit("alice") as alice:
        began = trio.current_time()
        with trio.move_on_after(5):
            async with house.visit("bob"):
                await alice.wait_until(lambda: "bob" in alice.participants)
                await trio.sleep_forever()

        await alice.wait_until(lambda: "bob" not in alice.participants)
        assert trio.current_time() - began < 9, "a visitor that vanished would be missed after 15 s more"


@both_layouts
async def test_simulcast_is_published_in_layers_each_of_which_stops_goes_on_and_starts_anew(
    house: House, single: bool, autojump_clock: MockClock
) -> None:
    async with house.visit("alice", single=single) as alice, house.visit("bob", single=single) as bob:
        publication = await alice.publish_simulcast()
        assert [layer.rid for layer in publication.info.layers] == ["", "", ""], "told once the description has come"
        await bob.wait_until(lambda: packets_of(bob, publication.sid) >= 5)
        (track,) = bob.participants["alice"].tracks
        assert track.simulcast
        assert [layer.rid for layer in track.layers] == ["q", "h", "f"]
        receiver = house.receiver(publication.sid)
        streams = receiver.statistics().streams
        assert {ssrc: stream.layer for ssrc, stream in streams.items()} == {
            sender.ssrc: layer for layer, sender in enumerate(publication.senders)
        }

        quarter, _, full = publication.senders
        sent = [sender.packets for sender in publication.senders]
        publication.stop_layer(2)
        await trio.sleep(1)
        assert full.ssrc not in receiver.streams
        assert (full.packets, quarter.packets) == (sent[2], sent[0] + 5)
        publication.start_layer(2)
        await trio.sleep(1)
        assert receiver.streams[full.ssrc].layer == 2

        old = full.ssrc
        publication.restart(2)
        await trio.sleep(1)
        assert full.ssrc != old
        assert receiver.statistics().streams[full.ssrc].is_active


async def test_simulcast_can_name_its_layers_by_ssrc(house: House, autojump_clock: MockClock) -> None:
    async with house.visit("alice") as alice, house.visit("bob") as bob:
        publication = await alice.publish_simulcast(by_ssrc=True)
        await bob.wait_until(lambda: packets_of(bob, publication.sid) >= 5)
        offer = next(each.content.offer.sdp for each in reversed(alice.messages) if each.kind == "offer")
        assert f"ssrc-group:SIM {' '.join(str(sender.ssrc) for sender in publication.senders)}" in offer


async def test_a_track_is_disabled_and_enabled_as_its_subscriber_wishes(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.visit("alice") as alice, house.visit("bob") as bob:
        sid = (await alice.publish_video()).sid
        await bob.wait_until(lambda: packets_of(bob, sid) >= 5)
        bob.set_track(sid, disabled=True)
        await trio.sleep(1)
        came = packets_of(bob, sid)
        await trio.sleep(1)
        assert packets_of(bob, sid) == came
        bob.set_track(sid)
        await bob.wait_until(lambda: packets_of(bob, sid) > came)
