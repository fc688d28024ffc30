"""Both layouts' descriptions, between a visitor's connections and a server's negotiation, without any network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random

import pytest
import trio
from livekit.protocol.rtc import JoinResponse, MediaSectionsRequirement, SessionDescription, SignalRequest
from trio.testing import MockClock

from rtp.certificate import Certificate
from rtp.ice.candidates import host_candidate, new_credentials
from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import Direction, Setup
from rtp.sdp.negotiation import Negotiation
from rtp.sdp.transceiver import LocalTrack, LocalTransport
from rtp.units import Ssrc
from sfu.media import capabilities
from triforium.testing import open_network
from triforium.visitor.connections import DEBOUNCE_SECONDS, Connections, Habits
from triforium.visitor.link import Link
from triforium.visitor.plan import MediaPlan
from triforium.visitor.sending import Sender
from triforium.visitor.sources import AudioSource
from triforium.visitor.world import VisitorWorld, memory_world

CERTIFICATE = Certificate.generate(not_before=datetime(2026, 1, 1, tzinfo=UTC))
TRACK = LocalTrack("PA_publisher|TR_one", "TR_one", Ssrc(1234))


class Owner:
    """Nothing is ever connected here."""

    def connection_established(self, connection: object) -> None: ...
    def connection_closed(self, connection: object) -> None: ...
    def channel_opened(self, connection: object, channel: object) -> None: ...
    def channel_message(self, connection: object, message: object) -> None: ...
    def channel_closed(self, connection: object, channel: object) -> None: ...
    def channel_drained(self, connection: object, channel: object) -> None: ...


class Desk:
    """A visitor's connections, with what they send and start in plain lists."""

    def __init__(self, world: VisitorWorld, *, single: bool, habits: Habits = Habits.JAVASCRIPT) -> None:
        self.sent: list[SignalRequest] = []
        self.started: list[Link] = []
        self.connections = Connections(
            world,
            Owner(),
            single=single,
            habits=habits,
            plan=MediaPlan(),
            send=self.sent.append,
            start=self.started.append,
            tell=lambda: None,
        )

    def kinds(self) -> list[str | None]:
        return [request.WhichOneof("message") for request in self.sent]

    def last(self, kind: str) -> SessionDescription:
        return next(getattr(each, kind) for each in reversed(self.sent) if each.WhichOneof("message") == kind)


def new_server(*, candidates: tuple[str, ...] = ("10.0.0.1",)) -> Negotiation:
    transport = LocalTransport(
        new_credentials(Random(5).randbytes),
        CERTIFICATE.fingerprint,
        tuple(host_candidate((host, 7882), index) for index, host in enumerate(candidates)),
        lite=True,
        setup=Setup.PASSIVE,
    )
    return Negotiation(transport, receive=capabilities.RECEIVE, send=capabilities.SEND, session_id=1, with_data=True)


def server_answer(
    server: Negotiation, offer: SessionDescription, tracks: dict[str, str] | None = None
) -> SessionDescription:
    server.receive_offer(offer.sdp)
    return SessionDescription(type="answer", sdp=server.create_answer(), id=offer.id, mid_to_track_id=tracks or {})


@asynccontextmanager
async def open_desk(*, single: bool, habits: Habits = Habits.JAVASCRIPT) -> AsyncIterator[Desk]:
    async with open_network(Random(1)) as network:
        world = memory_world(network, "10.0.0.2", random=Random(7), wall=lambda: 1e9, certificate=CERTIFICATE)
        desk = Desk(world, single=single, habits=habits)
        yield desk
        desk.connections.close()


async def test_the_first_offer_of_the_single_layout_has_spare_sections_and_data() -> None:
    async with open_desk(single=True) as desk:
        server = new_server()

        offer = desk.connections.first_offer()
        answer = server_answer(server, offer)

        assert offer.id == 1
        assert [each.kind for each in server.transceivers] == [MediaKind.AUDIO] * 3 + [MediaKind.VIDEO] * 3
        assert server.data_mid is not None
        desk.connections.joined(JoinResponse())
        desk.connections.take_answer(answer)
        assert desk.kinds() == ["offer", "trickle"], "livekit-client offers again at once"
        assert desk.last("offer").id == 2


async def test_the_rust_core_neither_numbers_nor_repeats_its_offers() -> None:
    async with open_desk(single=True, habits=Habits.RUST) as desk:
        offer = desk.connections.first_offer()
        desk.connections.joined(JoinResponse())
        desk.connections.take_answer(server_answer(new_server(), offer))

        assert offer.id == 0
        assert desk.kinds() == ["trickle"]


async def test_the_map_says_which_track_comes_in_which_section() -> None:
    async with open_desk(single=True, habits=Habits.RUST) as desk:
        server = new_server()
        offer = desk.connections.first_offer()
        server.receive_offer(offer.sdp)
        section = server.transceivers[0]
        section.local_track = TRACK
        sdp = server.create_answer()

        desk.connections.take_answer(
            SessionDescription(type="answer", sdp=sdp, mid_to_track_id={str(section.mid): "TR_one"})
        )

        assert desk.connections.subscribed == {"TR_one"}
        assert desk.connections.received["TR_one"].ssrc == TRACK.ssrc


async def test_a_requirement_is_met_by_another_offer_with_more_sections(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async with open_desk(single=True, habits=Habits.RUST) as desk:
        server = new_server()
        desk.connections.take_answer(server_answer(server, desk.connections.first_offer()))

        nursery.start_soon(desk.connections.run)
        desk.sent.clear()

        desk.connections.take_requirement(MediaSectionsRequirement(num_audios=1))
        desk.connections.take_requirement(MediaSectionsRequirement(num_videos=2))
        await trio.sleep(DEBOUNCE_SECONDS + 0.001)
        assert desk.kinds() == ["offer"], "one for both"
        desk.connections.take_requirement(MediaSectionsRequirement())
        await trio.sleep(1)
        assert desk.kinds() == ["offer"], "the next one waits for the answer"

        desk.connections.take_answer(server_answer(server, desk.last("offer")))
        assert len(server.transceivers) == 9
        await trio.sleep(1)
        assert desk.kinds() == ["offer", "offer"]


async def test_an_answer_to_an_older_offer_is_ignored() -> None:
    async with open_desk(single=True) as desk:
        old = server_answer(new_server(), desk.connections.first_offer())
        old.id = 7

        desk.connections.take_answer(old)

        assert desk.connections.publisher.negotiation.is_offering


async def test_what_is_published_stands_in_the_next_offer_until_it_is_taken_away() -> None:
    async with open_desk(single=True, habits=Habits.RUST) as desk:
        server = new_server()
        desk.connections.take_answer(server_answer(server, desk.connections.first_offer()))
        sender = Sender(MediaKind.AUDIO, AudioSource(MediaPlan()), Ssrc(99), Random(3))

        desk.connections.publish([sender], "the-cid")
        desk.connections.offer()
        desk.connections.take_answer(server_answer(server, desk.last("offer")))

        section = server.transceivers[-1]
        assert section.remote_track is not None
        assert (section.remote_track.track_id, section.remote_track.encodings[0].ssrc) == ("the-cid", 99)
        assert sender.is_agreed

        desk.connections.unpublish([sender])
        desk.connections.offer()
        desk.connections.take_answer(server_answer(server, desk.last("offer")))

        assert section.remote_track is None
        assert section.current_direction is Direction.INACTIVE


@pytest.mark.parametrize(
    ("habits", "kinds"),
    [
        (Habits.JAVASCRIPT, ["answer", "offer", "trickle", "trickle"]),
        (Habits.RUST, ["offer", "trickle", "answer", "trickle"]),
    ],
)
async def test_with_two_connections_the_servers_offer_is_answered_and_ours_made(
    habits: Habits, kinds: list[str]
) -> None:
    async with open_desk(single=False, habits=habits) as desk:
        subscriber = new_server()
        subscriber.add_data_section()
        desk.connections.joined(JoinResponse(subscriber_primary=True, fast_publish=True))

        desk.connections.take_offer(SessionDescription(type="offer", sdp=subscriber.create_offer(), id=42))

        assert desk.kinds() == kinds
        assert desk.last("answer").id == (42 if habits is Habits.JAVASCRIPT else 0)
        subscriber.receive_answer(desk.last("answer").sdp)
        publisher = new_server()
        desk.connections.take_answer(server_answer(publisher, desk.last("offer")))
        assert publisher.data_mid is not None
        assert desk.started == [desk.connections.subscriber]
        assert desk.connections.primary is desk.connections.subscriber


async def test_without_fast_publish_the_publisher_is_offered_when_there_is_something_to_publish() -> None:
    async with open_desk(single=False) as desk:
        subscriber = new_server()
        subscriber.add_data_section()
        desk.connections.joined(JoinResponse(subscriber_primary=True))
        desk.connections.take_offer(SessionDescription(type="offer", sdp=subscriber.create_offer(), id=42))
        assert desk.kinds() == ["answer", "trickle"]

        desk.connections.publish([Sender(MediaKind.AUDIO, AudioSource(MediaPlan()), Ssrc(99), Random(3))], "cid")
        desk.connections.offer()

        assert desk.kinds() == ["answer", "trickle", "offer", "trickle"]


async def test_without_a_subscriber_the_publisher_is_primary_and_offered_at_once() -> None:
    async with open_desk(single=False) as desk:
        desk.connections.joined(JoinResponse(subscriber_primary=False))

        assert desk.kinds() == ["offer", "trickle"]
        assert desk.connections.primary is desk.connections.publisher


async def test_a_servers_offer_says_by_itself_which_tracks_come() -> None:
    async with open_desk(single=False) as desk:
        server = new_server()
        server.add_data_section()
        section = server.add_transceiver(MediaKind.VIDEO, Direction.SENDRECV, local_track=TRACK)
        desk.connections.joined(JoinResponse(subscriber_primary=True))

        desk.connections.take_offer(SessionDescription(type="offer", sdp=server.create_offer(), id=1))
        server.receive_answer(desk.last("answer").sdp)

        assert desk.connections.subscribed == {"TR_one"}
        assert section.current_direction is Direction.SENDONLY
        assert desk.connections.received["TR_one"].kind is MediaKind.VIDEO
