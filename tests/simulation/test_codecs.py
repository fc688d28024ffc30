"""Which codec a track is published in, who can have it, and what those are told who cannot.

Clients by hand, which say what browsers were recorded to say, and send no media.
"""

from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from livekit.protocol import models
from livekit.protocol.models import SubscriptionError, TrackInfo, TrackType
from livekit.protocol.rtc import (
    AddTrackRequest,
    SessionDescription,
    SignalRequest,
    SignalResponse,
    SimulcastCodec,
    UpdateSubscription,
)

from rtp.extensions import DEPENDENCY_DESCRIPTOR
from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import Direction, Section, Setup, read_description
from rtp.sdp.transceiver import Capabilities
from sfu.media.capabilities import RECEIVE, SEND
from tests.rtp.sdp.peers import client, recorded, track
from tests.simulation.house import House, open_house, wait_until
from tests.simulation.rawsocket import RawClient, open_raw_client
from triforium.visitor.joining import dual_path, single_path

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])

VP8, H264, H265 = (
    next(codec for codec in SEND.video if codec.mime == mime) for mime in ("video/VP8", "video/H264", "video/H265")
)
EIGHT_BITS, TEN_BITS = (codec for codec in SEND.video if codec.mime == "video/VP9")
BROWSER = replace(RECEIVE, video=(VP8, H264))
VP8_ONLY = replace(RECEIVE, video=(VP8,))
FIREFOX = "&browser=Firefox&os=Linux"
AUDIO = ["audio/opus", "audio/red", "audio/PCMU", "audio/PCMA"]
SERVED = ["video/VP8", "video/H264", "video/VP9", "video/AV1", "video/H265", *AUDIO]
CODEC_UNSUPPORTED = SubscriptionError.SE_CODEC_UNSUPPORTED


class Caller:
    """A client in the room. `publisher` is the connection that it offers, `subscriber` that on which it gets tracks.

    `described` are the tracks that it gets by what was described last, by mid.
    """

    def __init__(self, raw: RawClient, knows: Capabilities, *, single: bool) -> None:
        self.publisher = client(knows)
        self.subscriber = self.publisher if single else client(knows)
        self.described: dict[str, str] = {}
        self._raw = raw
        self._kept: dict[str, deque[SignalResponse]] = defaultdict(deque)

    async def send(self, **message: object) -> None:
        await self._raw.send(SignalRequest(**message))

    async def receive(self, kind: str) -> SignalResponse:
        """Return the next message of `kind`; others are kept for later."""
        while not self._kept[kind]:
            message = SignalResponse.FromString(await self._raw.socket.receive())
            self._kept[message.WhichOneof("message")].append(message)
        return self._kept[kind].popleft()

    async def wants(self, sid: str) -> None:
        await self.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=True))

    async def announce(self, cid: str, *codecs: str) -> TrackInfo:
        asked = [SimulcastCodec(codec=codec, cid="" if at else cid) for at, codec in enumerate(codecs)]
        await self.send(add_track=AddTrackRequest(cid=cid, type=TrackType.VIDEO, simulcast_codecs=asked))
        return (await self.receive("track_published")).track_published.track

    async def describe(self, sdp: str) -> str:
        await self.send(offer=SessionDescription(type="offer", sdp=sdp, id=1))
        return (await self.receive("answer")).answer.sdp

    async def publish(self, cid: str, *codecs: str) -> TrackInfo:
        """Announce a track and describe it; return what is told of it."""
        info = await self.announce(cid, *codecs)
        local = replace(track(cid, 7), track_id=cid)
        self.publisher.add_transceiver(MediaKind.VIDEO, Direction.SENDONLY, local_track=local)
        self.publisher.receive_answer(await self.describe(self.publisher.create_offer()))
        return await self.told_of(info.sid)

    async def told_of(self, sid: str) -> TrackInfo:
        while True:
            for person in (await self.receive("update")).update.participants:
                for info in person.tracks:
                    if info.sid == sid:
                        return info

    async def negotiate(self) -> dict[str, str]:
        """Take up what the server wants to send; return the tracks that it described, by mid.

        On the single connection it is on us to offer, once the server has had its reasons.
        """
        if self.subscriber is self.publisher:
            await self.send(offer=SessionDescription(type="offer", sdp=self.subscriber.create_offer(), id=1))
            answer = (await self.receive("answer")).answer
            self.subscriber.receive_answer(answer.sdp)
            self.described = dict(answer.mid_to_track_id)
            return self.described
        offer = (await self.receive("offer")).offer
        self.subscriber.receive_offer(offer.sdp)
        for transceiver in self.subscriber.transceivers:
            transceiver.direction = Direction.RECVONLY
        answer = SessionDescription(type="answer", sdp=self.subscriber.create_answer(), id=offer.id)
        await self.send(answer=answer)
        self.described = dict(offer.mid_to_track_id)
        return self.described

    async def refused(self) -> tuple[str, int]:
        response = (await self.receive("subscription_response")).subscription_response
        return response.track_sid, response.err


@asynccontextmanager
async def open_caller(
    house: House,
    identity: str,
    knows: Capabilities = BROWSER,
    *,
    single: bool = False,
    query: str = "",
    spares: MediaKind = MediaKind.VIDEO,
) -> AsyncIterator[Caller]:
    """Send a client to the room, which on the single connection has two sections of a kind to spare."""
    spare = client(knows)
    for _ in range(2):
        spare.add_transceiver(spares, Direction.RECVONLY)
    offer = SessionDescription(type="offer", sdp=spare.create_offer(), id=1)
    path = single_path(offer, auto_subscribe=True) if single else dual_path(auto_subscribe=True)
    async with open_raw_client(house, house.token(identity), path + query) as raw:
        caller = Caller(raw, knows, single=single)
        if single:
            caller.publisher = caller.subscriber = spare
            answer = (await caller.receive("answer")).answer
            caller.publisher.receive_answer(answer.sdp)
            caller.described = dict(answer.mid_to_track_id)
        else:
            await caller.negotiate()
        yield caller


def video(sdp: str) -> Section:
    """Return the last section of video that a description has."""
    sections = read_description(sdp, Setup.ACTPASS).sections
    return next(section for section in reversed(sections) if section.media is MediaKind.VIDEO)


async def payload_type_for_bob(house: House, sid: str) -> int:
    """Wait until bob has agreed to a track, and return what it is sent as."""
    down_track = house.participant("bob").subscriber.subscriptions[sid].down_track
    await wait_until(lambda: down_track.bound)
    return down_track.row.payload_type


def mimes(info: TrackInfo) -> list[str]:
    return [codec.mime_type for codec in info.codecs]


@pytest.mark.parametrize("layout", ["js-v0", "js-v1", "py-v0", "py-v1"])
@pytest.mark.parametrize(
    ("name", "mime", "mode"),
    [
        ("h264", "video/H264", models.VideoLayer.ONE_SPATIAL_LAYER_PER_STREAM),
        ("vp9", "video/VP9", models.VideoLayer.MULTIPLE_SPATIAL_LAYERS_PER_STREAM),
        ("av1", "video/AV1", models.VideoLayer.MULTIPLE_SPATIAL_LAYERS_PER_STREAM),
    ],
)
async def test_a_recorded_publisher_is_answered_with_what_came_first_then(
    autojump_clock, layout, name, mime, mode
) -> None:
    offer = recorded(f"publish-{name}.{layout}.client-offer")
    section = video(offer)
    model = video(recorded(f"publish-{name}.{layout}.server-answer")).codecs[0]
    async with open_house() as house, open_caller(house, "alice") as alice:
        announced = mime.partition("/")[2].lower()
        info = await alice.announce(section.track.track_id, announced, "vp8")
        assert (info.mime_type, mimes(info)) == ("", [f"video/{announced}", "video/vp8"])
        answered = video(await alice.describe(offer))
        (codec,) = answered.codecs
        assert (DEPENDENCY_DESCRIPTOR in answered.extensions) is (name != "h264")
        assert (codec.mime, codec.payload_type, codec.rtx_payload_type, codec.fmtp) == (
            model.mime,
            model.payload_type,
            model.rtx_payload_type,
            model.fmtp,
        )
        info = await alice.told_of(info.sid)
        assert (info.mime_type, mimes(info)) == (mime, [mime, "video/vp8"])
        assert [codec.mid for codec in info.codecs] == [section.mid, ""]
        assert [codec.video_layer_mode for codec in info.codecs] == [
            mode,
            models.VideoLayer.ONE_SPATIAL_LAYER_PER_STREAM,
        ]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (("vp8",), "video/VP8"),
        (("h264", "vp8"), "video/H264"),
        (("H264",), "video/H264"),
        ((), "video/VP8"),  # the browser's own order
        (("vp9", "vp8"), "video/VP9"),
        (("av1", "h264"), "video/AV1"),
        (("h266", "h264"), "video/VP8"),  # one that is not served counts as the best that is
    ],
)
async def test_the_answer_names_the_codec_that_was_announced_alone_and_does_so_again(
    autojump_clock, asked, answered
) -> None:
    offer = recorded("publish-h264.js-v0.client-offer")
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await alice.announce(video(offer).track.track_id, *asked)
        for _ in range(2):
            assert [codec.mime for codec in video(await alice.describe(offer)).codecs] == [answered]
        assert (await alice.told_of(info.sid)).mime_type == answered


async def test_an_announced_codec_that_is_not_served_is_replaced_at_once_and_named_once(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await alice.announce("cam", "h266", "vp8")
        assert [(codec.mime_type, codec.cid) for codec in info.codecs] == [("video/VP8", "cam")]


async def test_the_track_tells_the_codec_that_was_agreed_whatever_was_announced(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice", VP8_ONLY) as alice:
        info = await alice.publish("cam", "h264")
        assert (info.mime_type, mimes(info)) == ("video/VP8", ["video/h264", "video/VP8"])
        assert [codec.mid for codec in info.codecs] == ["", info.mid]


async def test_a_section_that_is_used_again_goes_by_what_its_new_track_was_announced_with(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        first = await alice.publish("cam", "h264")
        second = await alice.announce("screen", "vp8")
        (transceiver,) = alice.publisher.transceivers
        transceiver.local_track = replace(track("screen", 8), track_id="screen")
        answer = await alice.describe(alice.publisher.create_offer())
        assert [codec.mime for codec in video(answer).codecs] == ["video/VP8"]
        second = await alice.told_of(second.sid)
        assert (first.mime_type, second.mime_type, second.mid) == ("video/H264", "video/VP8", first.mid)


@both_layouts
async def test_h265_goes_from_who_encodes_it_to_who_decodes_it(autojump_clock, single) -> None:
    knows = replace(RECEIVE, video=(VP8, H265))
    async with (
        open_house() as house,
        open_caller(house, "bob", knows, single=single) as bob,
        open_caller(house, "alice", knows) as alice,
    ):
        info = await alice.publish("cam", "h265", "vp8")
        assert (info.mime_type, mimes(info)) == ("video/H265", ["video/H265", "video/vp8"])
        await bob.receive("subscription_permission_update")
        await bob.negotiate()
        assert await payload_type_for_bob(house, info.sid) == H265.payload_type


@both_layouts
async def test_subscribers_get_h264_under_the_number_that_it_has_on_their_connection(autojump_clock, single) -> None:
    theirs = replace(RECEIVE, video=(VP8, replace(H264, payload_type=120, rtx_payload_type=121)))
    async with (
        open_house() as house,
        open_caller(house, "bob", theirs, single=single) as bob,
        open_caller(house, "alice") as alice,
    ):
        info = await alice.publish("cam", "h264")
        await bob.receive("subscription_permission_update")
        described = await bob.negotiate()
        assert list(described.values()) == [info.sid]
        assert await payload_type_for_bob(house, info.sid) == (120 if single else H264.payload_type)


@both_layouts
async def test_who_cannot_decode_a_track_is_told_so_once_and_gets_the_others(autojump_clock, single) -> None:
    async with (
        open_house() as house,
        open_caller(house, "bob", VP8_ONLY, single=single) as bob,
        open_caller(house, "alice") as alice,
    ):
        unknown = await alice.publish("cam", "h264")
        await bob.receive("subscription_permission_update")
        await bob.negotiate()
        assert await bob.refused() == (unknown.sid, CODEC_UNSUPPORTED)
        subscriptions = house.participant("bob").subscriber.subscriptions
        assert not subscriptions

        known = await alice.publish("screen", "vp8")
        await bob.receive("subscription_permission_update")
        while known.sid not in (await bob.negotiate()).values():
            pass
        await wait_until(lambda: subscriptions[known.sid].down_track.bound)
        assert list(subscriptions) == [known.sid]

        await bob.wants(unknown.sid)
        await bob.negotiate()
        assert await bob.refused() == (unknown.sid, CODEC_UNSUPPORTED)
        assert subscriptions[known.sid].down_track.bound


@both_layouts
@pytest.mark.parametrize("profiles", [(TEN_BITS,), (EIGHT_BITS, TEN_BITS)], ids=["alone", "both"])
async def test_who_decodes_the_profile_of_a_codec_gets_it(autojump_clock, single, profiles) -> None:
    async with (
        open_house() as house,
        open_caller(house, "bob", replace(RECEIVE, video=(VP8, *profiles)), single=single) as bob,
        open_caller(house, "alice", replace(RECEIVE, video=(VP8, TEN_BITS, EIGHT_BITS))) as alice,
    ):
        info = await alice.publish("cam", "vp9", "vp8")
        assert info.mime_type == "video/VP9"
        await bob.receive("subscription_permission_update")
        await bob.negotiate()
        assert await payload_type_for_bob(house, info.sid) == TEN_BITS.payload_type


@both_layouts
async def test_who_decodes_another_profile_of_a_codec_alone_is_told_so(autojump_clock, single) -> None:
    async with (
        open_house() as house,
        open_caller(house, "bob", replace(RECEIVE, video=(VP8, EIGHT_BITS)), single=single) as bob,
        open_caller(house, "alice", replace(RECEIVE, video=(TEN_BITS, EIGHT_BITS))) as alice,
    ):
        info = await alice.publish("cam", "vp9")
        await bob.receive("subscription_permission_update")
        await bob.negotiate()
        assert await bob.refused() == (info.sid, CODEC_UNSUPPORTED)


async def test_a_publisher_keeps_the_profile_that_it_began_with(autojump_clock) -> None:
    offer = recorded("publish-vp9.js-v0.client-offer")
    async with open_house() as house, open_caller(house, "alice") as alice:
        await alice.announce(video(offer).track.track_id, "vp9")
        assert [codec.payload_type for codec in video(await alice.describe(offer)).codecs] == [98]
        turned = offer.replace(" 98 99 100 101 ", " 100 101 98 99 ")
        assert turned != offer
        assert [codec.payload_type for codec in video(await alice.describe(turned)).codecs] == [98]


async def test_firefox_on_linux_gets_h264_and_is_not_to_send_it(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_caller(house, "firefox", query=FIREFOX) as firefox,
        open_caller(house, "alice") as alice,
    ):
        join = (await firefox.receive("join")).join
        assert [codec.mime for codec in join.enabled_publish_codecs] == ["video/VP8", "video/H265", *AUDIO]
        assert [codec.mime for codec in join.room.enabled_codecs] == SERVED
        info = await firefox.publish("cam", "h264", "vp8")
        assert (info.mime_type, mimes(info)) == ("video/VP8", ["video/VP8"])
        (section,) = firefox.publisher.transceivers
        assert [codec.mime for codec in section.codecs] == ["video/VP8"]

        theirs = await alice.publish("cam", "h264")
        await firefox.negotiate()
        await wait_until(lambda: house.participant("firefox").subscriber.subscriptions[theirs.sid].down_track.bound)


async def test_others_may_publish_all_that_is_served(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        join = (await alice.receive("join")).join
        assert [codec.mime for codec in join.enabled_publish_codecs] == SERVED
