"""Planted faults: a bug ends exactly the one whom it belongs to, it is logged, and the others miss nothing.

Bob's cores, rows, timers and workers are made to raise, one at a time. Alice publishes, Carol listens: every packet of
Alice's must reach Carol, in its time, whatever becomes of Bob.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from livekit.protocol.models import ParticipantInfo, TrackSource
from livekit.protocol.rtc import LeaveRequest, MuteTrackRequest, SignalRequest, UpdateTrackSettings

from sfu.room.joining import Joining
from sfu.room.participant import Participant
from sfu.room.peer import Peer
from sfu.room.reconciler import SETTINGS_SECONDS
from sfu.room.subscriber import Subscription
from tests.simulation.house import House, flows, open_house
from triforium.testing import Link
from triforium.visitor import JoinRefusedError, Publication, SignalLostError, Visitor

PATIENCE_SECONDS = 30
"""Until whatever was planted has been stepped on, or consent is lost."""

layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
connections = pytest.mark.parametrize(
    ("single", "which"),
    [(True, "publisher"), (False, "publisher"), (False, "subscriber")],
    ids=["single", "dual-publisher", "dual-subscriber"],
)


class PlantedError(Exception):
    """No code catches this by name."""


def plant(target: object, name: str) -> None:
    """Let the next call of a method of one object raise, and every later one too."""

    def fault(*args: object, **kwargs: object) -> object:
        raise PlantedError(name)

    assert callable(getattr(target, name)), "a fault in what is never called proves nothing"
    setattr(target, name, fault)


class Scene:
    """Alice publishes, Bob and Carol listen, Bob publishes too; and what Carol got of Alice before the fault."""

    def __init__(self, house: House, alice: Visitor, bob: Visitor, carol: Visitor) -> None:
        self.house, self.alice, self.bob, self.carol = house, alice, bob, carol
        self.audio: Publication
        self.video: Publication
        self.bobs: Publication

    async def begin(self) -> None:
        self.audio = await self.alice.publish_audio()
        self.video = await self.alice.publish_video()
        self.bobs = await self.bob.publish_audio()
        for visitor in (self.bob, self.carol):
            for publication in (self.audio, self.video):
                await visitor.wait_until(flows(visitor, publication.sid))
        await self.carol.wait_until(flows(self.carol, self.bobs.sid))

    @property
    def participant(self) -> Participant:
        """Bob as the server knows him."""
        return self.house.participant("bob")

    def peer(self, which: str) -> Peer:
        """One of Bob's connections; on the single one they are the same."""
        participant = self.participant
        return participant.publisher.peer if which == "publisher" else participant.subscriber.peer

    def subscription(self) -> Subscription:
        """What Bob gets of Alice's video."""
        return self.participant.subscriber.subscriptions[self.video.sid]

    def say_something(self, which: str) -> None:
        """Let Bob send a message on a data channel of one of his connections."""
        connections = self.bob._connections
        transport = (getattr(connections, which) or connections.publisher).connection
        channel = transport.transport.channels.by_label("_reliable")
        transport.do(lambda now: transport.transport.send_message(channel.channel_id, b"hello", now))

    async def check_bob_is_out(self) -> None:
        """See that Bob is gone, that he and the others were told, and that Carol missed nothing of Alice."""
        with trio.fail_after(PATIENCE_SECONDS):
            await self.bob.wait_over()
        assert self.bob.left is not None
        assert self.bob.left.action == LeaveRequest.Action.RECONNECT
        assert self.house.identities() == {"alice", "carol"}
        with trio.fail_after(5):
            await self.carol.wait_until(lambda: "bob" not in self.carol.participants)
            await self.carol.wait_until(lambda: self.bobs.sid not in self.carol.subscribed)
        await self.check_others_missed_nothing()

    async def check_others_missed_nothing(self) -> None:
        for publication, interval in ((self.audio, 0.1), (self.video, 0.2)):
            await self.carol.wait_until(flows(self.carol, publication.sid, 10))
            statistics = self.carol.received[publication.sid].statistics()
            assert (statistics.lost, statistics.late, statistics.restarts, statistics.unknown_payloads) == (0, 0, 0, 0)
            arrivals = statistics.arrivals
            assert max(b - a for a, b in itertools.pairwise(arrivals)) == pytest.approx(interval, abs=0.02)
        assert self.carol.participants["alice"].state == ParticipantInfo.State.ACTIVE

    def check_logged(self, *wanted: str) -> None:
        """See that just this was logged as an error, each with the exception that was planted."""
        errors = self.house.take_errors()
        assert len(errors) == len(wanted)
        for error, words in zip(errors, wanted, strict=True):
            assert words in error
            assert "PlantedError" in error


@asynccontextmanager
async def open_scene(*, single: bool) -> AsyncIterator[Scene]:
    async with (
        open_house(link=Link(delay_seconds=0.01)) as house,
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single) as bob,
        house.visitor("carol", single=single) as carol,
    ):
        scene = Scene(house, alice, bob, carol)
        await scene.begin()
        yield scene


@connections
@pytest.mark.parametrize("place", ["ice.receive", "ice.answer_repeat", "dtls.receive", "channels.receive"])
async def test_a_fault_in_a_core_that_receives_ends_its_participant(autojump_clock, single, which, place) -> None:
    async with open_scene(single=single) as scene:
        core, method = place.split(".")
        plant(getattr(scene.peer(which).connection.transport, core), method)
        if place == "ice.receive":
            scene.bob.rebind(scene.house.new_host())  # or all checks but those of a new path are answered unread
        scene.say_something(which)
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed")


@layouts
async def test_a_fault_in_the_reception_of_an_ssrc_ends_its_publisher(autojump_clock, single) -> None:
    async with open_scene(single=single) as scene:
        receiver = scene.participant.publisher.publications[scene.bobs.sid].media.receiver
        (stream,) = receiver.streams.values()
        plant(stream.reception, "receive")
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed")


@connections
async def test_a_fault_in_a_timer_of_the_transport_ends_its_participant(autojump_clock, single, which) -> None:
    async with open_scene(single=single) as scene:
        plant(scene.peer(which).connection.transport.ice, "handle_timeout")
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed")


@connections
async def test_a_fault_in_a_timer_of_the_media_ends_its_participant(autojump_clock, single, which) -> None:
    async with open_scene(single=single) as scene:
        plant(scene.peer(which).media, "handle_timeout")
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed")


@layouts
async def test_a_fault_in_a_row_ends_its_subscriber(autojump_clock, single) -> None:
    async with open_scene(single=single) as scene:

        def protect(packet: bytes) -> bytes:
            raise PlantedError("protect")

        scene.subscription().down_track.row.protect = protect
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed")


@layouts
async def test_a_fault_in_a_decision_ends_its_subscriber(autojump_clock, single) -> None:
    async with open_scene(single=single) as scene:
        plant(scene.subscription().down_track, "enter")
        for disabled in (True, False):
            setting = UpdateTrackSettings(track_sids=[scene.video.sid], disabled=disabled)
            scene.bob.send(SignalRequest(track_setting=setting))
            await trio.sleep(2 * SETTINGS_SECONDS)  # shorter than that, it is never stopped
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed")


@layouts
@pytest.mark.parametrize("published", [True, False], ids=["published", "subscribed"])
async def test_a_fault_in_what_is_counted_for_the_quality_ends_its_participant(
    autojump_clock, single, published
) -> None:
    async with open_scene(single=single) as scene:
        receiver = scene.participant.publisher.publications[scene.bobs.sid].media.receiver
        plant(receiver if published else scene.subscription().down_track, "counts")
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed")


@layouts
async def test_a_fault_in_a_down_track_that_its_publisher_mutes_ends_its_subscriber(autojump_clock, single) -> None:
    async with open_scene(single=single) as scene:
        plant(scene.subscription().down_track, "set_pause")
        scene.alice.send(SignalRequest(mute=MuteTrackRequest(sid=scene.video.sid, muted=False)))
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed", "bob did not leave in order")


@layouts
async def test_a_fault_while_somebody_else_publishes_ends_its_subscriber(autojump_clock, single) -> None:
    async with open_scene(single=single) as scene:
        plant(scene.participant.subscriber, "subscribe")
        screen = await scene.alice.publish_video(source=TrackSource.SCREEN_SHARE)
        await scene.carol.wait_until(flows(scene.carol, screen.sid))
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed")


@layouts
async def test_a_fault_while_somebody_else_unpublishes_ends_its_subscriber(autojump_clock, single) -> None:
    async with open_scene(single=single) as scene:
        screen = await scene.alice.publish_video(source=TrackSource.SCREEN_SHARE)
        await scene.bob.wait_until(flows(scene.bob, screen.sid))
        plant(scene.participant.subscriber, "unsubscribe")
        screen.unpublish()
        await scene.carol.wait_until(lambda: screen.sid not in scene.carol.subscribed)
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed")


@layouts
async def test_a_fault_while_somebody_leaves_does_not_keep_them_in_the_room(autojump_clock, single) -> None:
    async with open_scene(single=single) as scene:
        plant(scene.subscription().down_track, "close")
        await scene.bob.leave()
        assert scene.house.identities() == {"alice", "carol"}
        await scene.carol.wait_until(lambda: "bob" not in scene.carol.participants)
        await scene.check_others_missed_nothing()
        scene.check_logged("bob")


async def test_a_fault_in_the_worker_that_offers_ends_its_participant(autojump_clock) -> None:
    async with open_scene(single=False) as scene:
        plant(scene.participant.subscriber, "offer")
        screen = await scene.alice.publish_video(source=TrackSource.SCREEN_SHARE)
        await scene.carol.wait_until(flows(scene.carol, screen.sid))
        await scene.check_bob_is_out()
        scene.check_logged("bob crashed")


@layouts
async def test_a_fault_in_a_request_handler_ends_its_socket(autojump_clock, single) -> None:
    async with open_scene(single=single) as scene:
        plant(scene.participant, "set_muted")
        scene.bob.send(SignalRequest(mute=MuteTrackRequest(sid=scene.bobs.sid, muted=True)))
        with trio.fail_after(2):
            await scene.bob.wait_over()
        assert scene.bob.signal_code is not None
        await scene.check_others_missed_nothing()
        scene.check_logged("GET /rtc")
        with trio.fail_after(PATIENCE_SECONDS):  # then nothing is left that could say that he lives
            await scene.carol.wait_until(lambda: "bob" not in scene.carol.participants)
        await scene.check_others_missed_nothing()


@layouts
async def test_a_fault_while_somebody_joins_ends_their_socket_before_anybody_heard_of_them(
    autojump_clock, single, monkeypatch
) -> None:
    async with open_scene(single=single) as scene:
        join = Participant.join

        def fault(participant: Participant, joining: Joining) -> None:
            join(participant, joining)
            if participant.identity == "dave":
                raise PlantedError("join")

        monkeypatch.setattr(Participant, "join", fault)
        with pytest.raises((JoinRefusedError, SignalLostError)):
            async with scene.house.visitor("dave", single=single):
                raise AssertionError("nobody lets Dave in")
        assert scene.house.identities() == {"alice", "bob", "carol"}
        await scene.check_others_missed_nothing()
        assert "dave" not in scene.carol.participants
        scene.check_logged("GET /rtc")


async def test_a_fault_in_a_worker_of_a_room_ends_that_room_and_no_other(autojump_clock) -> None:
    async with open_scene(single=True) as scene, scene.house.visitor("dora", single=True, room="elsewhere") as dora:
        await dora.wait_connected()
        plant(scene.house.room("elsewhere").news, "flush")
        with trio.fail_after(5):
            await dora.wait_over()
        assert dora.left is not None
        await scene.check_others_missed_nothing()
        scene.check_logged("room elsewhere crashed")
        assert not scene.house.identities("elsewhere")
