"""WHIP on a network in memory: what a peer without LiveKit's signalling can do, and what becomes of it."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from unittest.mock import patch

import pytest
import trio
from livekit.protocol.models import HIGH, LOW, ParticipantInfo, TrackSource, VideoQuality

from rtp.dtls import DtlsRole
from rtp.ice.candidates import IceCredentials
from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import Setup
from rtp.sdp.fragment import Fragment, parse_fragment
from rtp.sdp.negotiation import Negotiation
from rtp.units import Mid, Rid
from sfu.errors import CloseReason
from tests.rtp.sdp.peers import recorded
from tests.signaling.client import Answer, HttpClient
from tests.simulation.house import HTTP, House, flows, open_house, wait_until
from tests.simulation.test_api import open_api
from tests.support.judging import TrackJudge
from tests.support.packetizing import KINDS, EncodedSource
from triforium.config import RoomConfig
from triforium.visitor import JoinRefusedError, ReceivedPacket, ReceivedTrack, Visitor, open_whip
from triforium.visitor.link import Link
from triforium.visitor.plan import MediaPlan
from triforium.visitor.simulcast import Layer, sample_layers

OFFER = recorded("whip.chromium.client-offer")
PATCH = {"Content-Type": "application/trickle-ice-sdpfrag"}


def whip(house: House, identity: str = "camera", *, layers: tuple = (), **claims: object):
    """Let a camera publish for as long as the block lasts."""
    return open_whip(house.world(), HTTP, house.token(identity, **claims), layers=layers)


def tracks(visitor: Visitor, identity: str = "camera") -> dict[TrackSource, str]:
    """Return the sids of what somebody publishes, by source."""
    info = visitor.participants.get(identity, ParticipantInfo())
    return {track.source: track.sid for track in info.tracks}


async def wait_published(visitor: Visitor, identity: str = "camera") -> dict[TrackSource, str]:
    await visitor.wait_until(lambda: len(tracks(visitor, identity)) == 2)
    return tracks(visitor, identity)


async def test_what_is_published_by_whip_is_had_like_any_track(autojump_clock) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        async with whip(house) as camera:
            sids = await wait_published(bob)
            await bob.wait_until(flows(bob, sids[TrackSource.CAMERA], 20))
            await bob.wait_until(flows(bob, sids[TrackSource.MICROPHONE], 20))
            info = bob.participants["camera"]
            assert (info.kind, info.state) == (ParticipantInfo.INGRESS, ParticipantInfo.ACTIVE)
            assert camera.location == f"/whip/v1/{info.sid}"
            assert {track.mime_type for track in info.tracks} == {"video/VP8", "audio/opus"}
            statistics = [bob.received[sid].statistics() for sid in sids.values()]
            assert [(each.lost, each.unknown_payloads, each.restarts) for each in statistics] == [(0, 0, 0)] * 2
        await bob.wait_until(lambda: "camera" not in bob.participants)
        assert house.identities() == {"bob"}


@contextmanager
def waiting_for_the_hello() -> Iterator[None]:
    """Have peers offer `a=setup:passive`, as FFmpeg does: they leave the first word to the server."""
    make, offer = Link.__init__, Negotiation.create_offer

    def make_waiting(self: Link, *args: object, **options: object) -> None:
        make(self, *args, **options)
        self._dtls.take_role(DtlsRole.SERVER)

    def offer_waiting(self: Negotiation) -> str:
        return offer(self).replace("a=setup:actpass", "a=setup:passive")

    with patch.object(Link, "__init__", make_waiting), patch.object(Negotiation, "create_offer", offer_waiting):
        yield


async def test_who_waits_for_the_servers_hello_gets_it(autojump_clock) -> None:
    async with open_house() as house, AsyncExitStack() as stack:
        with waiting_for_the_hello():
            await stack.enter_async_context(whip(house))
        bob = await stack.enter_async_context(house.visitor("bob", single=True))
        sids = await wait_published(bob)
        await bob.wait_until(flows(bob, sids[TrackSource.CAMERA], 20))
        assert house.participant("camera").publisher.peer.negotiation.setup is Setup.ACTIVE


async def test_the_answer_has_all_that_there_is_to_know(autojump_clock) -> None:
    async with open_house() as house, whip(house) as camera:
        peer = house.participant("camera").publisher.peer
        assert camera.etag == f'"{peer.negotiation.local.credentials.ufrag}"'
        response = await camera.patch(camera.fragment(), "*")
        fragment = parse_fragment(response.body.decode())
        assert [each.address for each in fragment.candidates] == list(house.server.media_addresses)
        assert fragment.is_complete


@pytest.mark.parametrize("rids", ["qhf", "210"], ids=["LiveKit", "OBS"])
async def test_simulcast_layers_are_chosen_among(autojump_clock, rids) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        world = house.world()
        named = zip(sample_layers(MediaPlan(), world.random), rids, strict=True)
        layers = [replace(layer, rid=Rid(rid)) for layer, rid in named]
        async with open_whip(world, HTTP, house.token("camera"), layers=layers[::-1]):
            sid = (await wait_published(bob))[TrackSource.CAMERA]
            publication = house.participant("camera").publisher.publications[sid]
            down_track = house.participant("bob").subscriber.subscriptions[sid].down_track
            await wait_until(lambda: down_track.statistics().layer == 2)
            bob.set_track(sid, quality=VideoQuality.LOW)
            await wait_until(lambda: down_track.statistics().layer == 0)
            announced = {layer.quality: layer.rid for layer in publication.info.layers}
            assert (announced[LOW], announced[HIGH], publication.info.simulcast) == (rids[0], rids[-1], True)
            assert down_track.source.layers.name(0) == rids[0]


async def test_layers_whose_names_say_nothing_are_told_apart_by_their_size(autojump_clock) -> None:
    kind = KINDS["vp8"]
    judge = TrackJudge(kind.mime)

    def watch(track: ReceivedTrack, packet: ReceivedPacket) -> None:
        if track.kind is MediaKind.VIDEO:
            judge.receive(packet)

    async with open_house() as house, house.visitor("bob", single=True, watch=watch) as bob:
        world = house.world()
        layers = [
            Layer(
                rid=Rid(rid),
                width=0,
                height=0,
                bitrate_bps=0,
                media=EncodedSource(kind.mime, at, kind.new_packetizer(world.random)),
            )
            for at, rid in enumerate(("low", "mid", "high"))
        ]
        async with open_whip(world, HTTP, house.token("camera"), layers=layers[::-1]):
            sid = (await wait_published(bob))[TrackSource.CAMERA]
            for quality in (VideoQuality.HIGH, VideoQuality.LOW, VideoQuality.MEDIUM, VideoQuality.HIGH):
                bob.set_track(sid, quality=quality)
                await wait_until(lambda quality=quality: judge.layer == quality)
                await trio.sleep(1)
            bob.set_track(sid, width=128, height=96)
            await wait_until(lambda: judge.layer == 1)
            published = house.participant("camera").publisher.publications[sid].media.receiver.layers
            assert [published.name(each.layer) for each in published.published] == ["low", "mid", "high"]
    assert judge.faults == []
    assert judge.layers[-5:] == [2, 0, 1, 2, 1]


async def test_an_ice_restart_finds_the_way_from_another_address(autojump_clock) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob, whip(house) as camera:
        sid = (await wait_published(bob))[TrackSource.CAMERA]
        await camera.connected.wait()
        before = camera.etag
        host = house.new_host()
        response = await camera.restart(host)
        assert (response.status, response.headers["content-type"]) == (200, PATCH["Content-Type"])
        assert camera.etag != before
        connection = house.participant("camera").publisher.peer.connection
        await wait_until(lambda: connection.selected is not None and connection.selected.remote[0] == host)
        await bob.wait_until(flows(bob, sid, 20))
        assert (await camera.patch(camera.fragment(), before)).status == 412
        assert bob.received[sid].statistics().restarts == 0


async def test_a_restart_brings_back_whose_media_was_lost(autojump_clock) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob, whip(house) as camera:
        sid = (await wait_published(bob))[TrackSource.CAMERA]
        await camera.connected.wait()
        connection = house.participant("camera").publisher.peer.connection
        camera.vanish()
        await wait_until(lambda: connection.selected is None, every=0.1)
        camera.come_back()
        await trio.sleep(3)
        assert (await camera.restart(house.new_host())).status == 200
        await bob.wait_until(flows(bob, sid, 20))
        await trio.sleep(60)
        assert "camera" in house.identities()


async def test_whoever_vanishes_is_gone_after_a_while(autojump_clock) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob, whip(house) as camera:
        await wait_published(bob)
        await camera.connected.wait()
        began = trio.current_time()
        camera.vanish()
        await bob.wait_until(lambda: "camera" not in bob.participants)
        assert 15 < trio.current_time() - began < 22
        assert (await camera.delete()).status == 404


async def test_who_closes_the_connection_has_left(autojump_clock) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob, whip(house) as camera:
        await wait_published(bob)
        await camera.connected.wait()
        began = trio.current_time()
        camera.hang_up()
        await bob.wait_until(lambda: "camera" not in bob.participants)
        assert trio.current_time() - began < 0.1


async def test_a_peer_that_never_comes_leaves_nothing_behind(autojump_clock) -> None:
    async with open_house() as house, open_camera_door(house) as http:
        token = house.token("camera")
        answer = await post(http, token)
        assert answer.status == 201
        assert house.identities() == {"camera"}
        await trio.sleep(14.9)
        assert house.identities() == {"camera"}
        await trio.sleep(0.2)
        assert house.identities() == set()
        headers = PATCH | {"Authorization": f"Bearer {token}", "If-Match": "*"}
        assert (await http.ask("PATCH", answer.headers["Location"], headers, fragment())).status == 404


async def test_a_kick_ends_the_session(autojump_clock) -> None:
    async with open_api() as (house, api), whip(house) as camera:
        await camera.connected.wait()
        await api.call("RemoveParticipant", room="lobby", identity="camera")
        assert (await camera.trickle()).status == 404
        assert (await camera.delete()).status == 404


async def test_the_api_mutes_what_came_by_whip(autojump_clock) -> None:
    async with open_api() as (house, api), house.visitor("bob", single=True) as bob, whip(house):
        sid = (await wait_published(bob))[TrackSource.MICROPHONE]
        await api.call("MutePublishedTrack", room="lobby", identity="camera", track_sid=sid, muted=True)
        await bob.wait_until(lambda: any(track.muted for track in bob.participants["camera"].tracks))
        await trio.sleep(1)
        packets = bob.received[sid].packets
        await trio.sleep(2)
        assert bob.received[sid].packets == packets


async def test_a_token_that_has_expired_opens_nothing_though_media_flows(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("bob", single=True) as bob,
        whip(house, lifetime_seconds=30) as camera,
    ):
        sid = (await wait_published(bob))[TrackSource.CAMERA]
        await trio.sleep(100)
        assert [(await camera.trickle()).status, (await camera.delete()).status] == [401, 401]
        await bob.wait_until(flows(bob, sid, 20))
        house.room().remove(house.participant("camera"), CloseReason.PARTICIPANT_REMOVED)


async def test_another_session_of_the_identity_takes_its_place(autojump_clock) -> None:
    async with open_house() as house, whip(house) as first, whip(house) as second:
        await second.connected.wait()
        assert first.location != second.location
        assert (await first.trickle()).status == 404
        assert (await second.trickle()).status == 204


async def test_a_session_is_for_its_own_token_alone(autojump_clock) -> None:
    async with open_house() as house, whip(house) as camera:
        mine, camera.token = camera.token, house.token("mallory")
        assert (await camera.delete()).status == 404
        camera.token = house.token("camera", room="elsewhere")
        assert (await camera.delete()).status == 404
        camera.token = mine
        assert [(await camera.delete()).status for _ in range(2)] == [200, 404]


async def test_signalling_cannot_resume_what_has_none(autojump_clock) -> None:
    async with open_house() as house, whip(house) as camera:
        await camera.connected.wait()
        assert not house.participant("camera").can_resume(single_connection=True)


async def test_a_server_that_starts_again_knows_no_session(autojump_clock) -> None:
    async with open_house() as house:
        path = "/whip/v1/PA_abcdefghijkl"
        async with open_camera_door(house) as http:
            headers = PATCH | {"Authorization": f"Bearer {house.token('camera')}", "If-Match": '"abc"'}
            assert (await http.ask("PATCH", path, headers, fragment())).status == 404
            assert (await http.ask("DELETE", path, headers)).status == 404


async def test_a_patch_is_held_to_the_session(autojump_clock) -> None:
    async with open_house() as house, whip(house) as camera:
        etag, bare = camera.etag, camera.etag.strip('"')

        async def patch(body: str, **headers: str) -> int:
            every = PATCH | {name.replace("_", "-"): value for name, value in headers.items()}
            return (await camera.ask("PATCH", camera.location, body, every)).status

        ours = camera.fragment().serialize()
        other = Fragment(IceCredentials("other", "p" * 24), camera.fragment().mids, (), is_complete=False).serialize()
        assert await patch(ours, If_Match=etag) == 204
        assert await patch(ours, If_Match=bare) == 204
        assert await patch(ours, If_Match=f'"x", {etag}') == 204
        assert await patch(ours) == 428
        assert await patch(ours, If_Match='"wrong"') == 412
        assert await patch(other, If_Match=etag) == 400
        assert await patch("v=0\r\n", If_Match=etag) == 400
        assert await patch("\udcff".encode("utf-8", "surrogatepass").decode("latin-1"), If_Match=etag) == 400
        assert await patch("a=mid:0\r\n", If_Match="*") == 400
        assert await patch(ours, If_Match=etag, Content_Type="text/plain") == 415
        for method in ("GET", "HEAD", "PUT", "POST"):
            response = await camera.ask(method, camera.location)
            assert (response.status, response.headers["allow"]) == (405, "DELETE, OPTIONS, PATCH")
        response = await camera.ask("OPTIONS", camera.location)
        assert (response.status, response.headers["accept-patch"]) == (204, PATCH["Content-Type"])


async def test_the_endpoint_takes_posts_of_sdp_alone(autojump_clock) -> None:
    async with open_house() as house, open_camera_door(house) as http:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            answer = await http.ask(method, "/whip/v1")
            assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS, POST")
        answer = await http.ask("OPTIONS", "/whip/v1")
        assert (answer.status, answer.headers["Accept-Post"]) == (204, "application/sdp")
        asked = {"Origin": "http://page", "Access-Control-Request-Method": "POST"}
        answer = await http.ask("OPTIONS", "/whip/v1", asked | {"Access-Control-Request-Headers": "authorization"})
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization"
        assert (await post(http, house.token("camera"), content_type="text/plain")).status == 415
        assert (await post(http, "nonsense")).status == 401
        assert (await post(http, house.token("camera", can_publish=False))).status == 403
        assert (await post(http, house.token("camera", can_publish_sources=("camera",)))).status == 403
        assert house.identities() == set()


BRIEF = RoomConfig(empty_timeout=5, departure_timeout=1)
VIDEO = OFFER[OFFER.index("m=video") :]


@pytest.mark.parametrize(
    ("offer", "status", "reason"),
    [
        ("", 400, "begin with v=0"),
        ("hello\r\n", 400, "<letter>=<value>"),
        (OFFER.replace("a=group:BUNDLE 0 1\r\n", ""), 400, "BUNDLE"),
        (OFFER.replace("a=rtcp-mux\r\n", ""), 400, "rtcp-mux"),
        (OFFER.replace("a=sendonly", "a=recvonly"), 400, "sends nothing"),
        (re.sub("(VP8|H264|VP9|AV1)/90000", "XY/90000", OFFER), 406, "no codec"),
        (OFFER + "m=text 9 RTP/AVP 98\r\na=mid:9\r\n", 406, "neither audio nor video"),
        (OFFER + "".join(VIDEO.replace("a=mid:1\r\n", f"a=mid:{mid}\r\n") for mid in range(2, 130)), 400, "BUNDLE"),
        (OFFER + "m=audio 0 RTP/AVP 0\r\n" * 300, 400, "256"),
        (OFFER + "a=x\r\n" * (1 << 18), 400, "characters"),
    ],
    ids=lambda value: str(value)[-30:],
)
async def test_an_offer_that_cannot_be_served_is_refused_as_a_whole(autojump_clock, offer, status, reason) -> None:
    async with open_house(room=BRIEF) as house, open_camera_door(house) as http:
        answer = await post(http, house.token("camera"), offer)
        assert answer.status == status, answer.text
        assert reason in answer.text
        assert house.identities() == set()


async def test_a_recorded_offer_of_chromium_is_answered(autojump_clock) -> None:
    async with open_house() as house, open_camera_door(house) as http:
        answer = await post(http, house.token("camera"))
        assert (answer.status, answer.headers["Content-Type"]) == (201, "application/sdp")
        assert answer.text.count("a=candidate:") == answer.text.count("a=end-of-candidates") == 1
        assert answer.text.count("a=recvonly") == 2
        assert "usedtx" not in answer.text


async def test_a_flood_of_posts_leaves_one_session(autojump_clock) -> None:
    async with open_house(room=BRIEF) as house:
        token = house.token("camera")

        async def flood() -> None:
            async with open_camera_door(house) as http:
                for _ in range(20):
                    assert (await post(http, token)).status == 201

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(flood)
        assert len(house.room().participants) == 1
        assert house.server.endpoint.statistics().connections == 1


async def test_a_room_that_cannot_be_joined_says_so(autojump_clock) -> None:
    async with open_house(room=RoomConfig(max_participants=1)) as house, house.visitor("bob", single=True):
        with pytest.raises(JoinRefusedError, match="403"):
            async with whip(house):
                pass
        assert house.identities() == {"bob"}


@pytest.mark.parametrize("path", ["/whip/v1", "/whep/v1"])
async def test_whoever_is_removed_while_the_offer_comes_stays_out(autojump_clock, path) -> None:
    async with open_api(room=RoomConfig(removal_revokes=True)) as (house, api), house.visitor("bob", single=True):
        async with house.visitor("camera", single=True) as before, open_camera_door(house) as http:
            await before.wait_connected()
            finish = await begin_post(http, house.token("camera"), path)
            await trio.sleep(2)
            await api.call("RemoveParticipant", room="lobby", identity="camera")
            assert b" 401 " in await finish()
        assert house.identities() == {"bob"}


@pytest.mark.parametrize("path", ["/whip/v1", "/whep/v1"])
async def test_a_room_that_closes_while_the_offer_comes_is_not_made_again(autojump_clock, path) -> None:
    async with open_api(room=RoomConfig(auto_create=False)) as (house, api), open_camera_door(house) as http:
        await api.call("CreateRoom", name="lobby")
        finish = await begin_post(http, house.token("camera"), path)
        await trio.sleep(2)
        await api.call("DeleteRoom", room="lobby")
        assert b" 404 " in await finish()


async def test_a_stand_in_is_no_session_of_its_original(autojump_clock) -> None:
    async with open_api() as (house, api), house.visitor("bob", single=True, room="dest") as bob, whip(house) as camera:
        await camera.connected.wait()
        await api.call("ForwardParticipant", room="lobby", identity="camera", destination_room="dest")
        await wait_published(bob)
        own, camera.token = camera.token, house.token("camera", room="dest")
        for etag in (camera.etag, "*"):
            assert (await camera.patch(camera.fragment(), etag)).status == 404
        assert (await camera.delete()).status == 404
        assert house.identities("dest") == {"bob", "camera"}
        camera.token = own
        assert (await camera.trickle()).status == 204


async def begin_post(http: HttpClient, token: str, path: str) -> Callable[[], Awaitable[bytes]]:
    """Post half an offer; return what posts the other half, and returns the first line of the answer."""
    offer = (OFFER.replace("a=sendonly", "a=recvonly") if path == "/whep/v1" else OFFER).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/sdp\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(offer)}\r\n\r\n"
    )
    await http.stream.send_all(head.encode() + offer[:100])

    async def finish() -> bytes:
        await http.stream.send_all(offer[100:])
        return bytes(await http.stream.receive_some(65536)).partition(b"\r\n")[0]

    return finish


def fragment() -> bytes:
    return Fragment(IceCredentials("abcd", "p" * 24), (Mid("0"),), (), is_complete=True).serialize().encode()


@asynccontextmanager
async def open_camera_door(house: House) -> AsyncIterator[HttpClient]:
    """Connect somebody who posts offers by hand."""
    async with await house.network.connect_tcp(house.new_host(), HTTP) as stream:
        yield HttpClient(stream)


async def post(
    http: HttpClient, token: str, offer: str = OFFER, *, content_type: str = "application/sdp", path: str = "/whip/v1"
) -> Answer:
    headers = {"Content-Type": content_type, "Authorization": f"Bearer {token}"}
    return await http.ask("POST", path, headers, offer.encode())
