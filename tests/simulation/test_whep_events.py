"""WHEP's extensions: what a watcher is told by server-sent events, and the layers that it chooses among."""

import json

import pytest
import trio

from rtp.sdp.codecs import MediaKind
from tests.simulation.house import HTTP, open_house, wait_until
from tests.simulation.test_whep import watch
from triforium.visitor import open_whip
from triforium.visitor.events import Event, EventReader, open_events
from triforium.visitor.plain import EVENTS_EXTENSION, LAYER_EXTENSION

VIDEO = MediaKind.VIDEO


async def next_of(reader: EventReader, *names: str) -> Event:
    """Return the next event of these names."""
    while (event := await reader.receive()) is not None:
        if event.name in names:
            return event
    raise AssertionError("the stream has ended")


async def test_the_answer_names_the_extensions(autojump_clock) -> None:
    async with open_house() as house, watch(house) as tv:
        assert tv.extensions == {EVENTS_EXTENSION: f"{tv.location}/sse", LAYER_EXTENSION: f"{tv.location}/layer"}


async def test_a_watcher_is_told_whether_there_is_anything_to_see(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        watch(house) as tv,
        tv.open_events("active", "inactive") as events,
    ):
        with trio.move_on_after(10) as patience:
            await events.receive()
        assert patience.cancelled_caught, "that nothing is there at first is no news"
        for _ in range(2):
            video = await alice.publish_video()
            assert await events.receive() == Event("active", {})
            video.unpublish()
            assert await events.receive() == Event("inactive", {})


async def test_a_reader_that_comes_late_learns_how_things_are(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice, watch(house) as tv:
        await alice.publish_audio()
        await trio.sleep(5)
        async with tv.open_events() as events:
            assert [await events.receive() for _ in range(2)] == [
                Event("active", {}),
                Event("viewercount", {"viewercount": 1}),
            ]
            async with watch(house, "fan"):
                assert await events.receive() == Event("viewercount", {"viewercount": 2})
            assert await events.receive() == Event("viewercount", {"viewercount": 1})


async def test_a_reader_that_comes_back_is_told_all_and_takes_the_place_of_the_last(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice, watch(house) as tv:
        video = await alice.publish_video()
        path = (await tv.ask("POST", tv.extensions[EVENTS_EXTENSION], '["active", "inactive"]')).headers["location"]
        async with open_events(house.world(), HTTP, path) as first:
            assert await first.receive() == Event("active", {})
            async with open_events(house.world(), HTTP, path) as second:
                assert await second.receive() == Event("active", {})
                assert await first.receive() is None
        video.unpublish()
        await trio.sleep(1)
        async with open_events(house.world(), HTTP, path) as third:
            assert await third.receive() == Event("inactive", {})


async def test_layers_are_told_with_those_that_come_in(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice, watch(house) as tv:
        await alice.publish_audio()
        await alice.publish_simulcast()
        async with tv.open_events("layers") as events:
            layers = []
            while not all("bitrate" in layer for layer in layers) or not layers:
                told = (await events.receive()).data
                assert list(told) == ["1"], "the video is the second section of the offer"
                layers = told["1"]
        assert [layer["rid"] for layer in layers] == ["f", "h", "q"]
        assert [layer["bitrate"] for layer in layers] == sorted((each["bitrate"] for each in layers), reverse=True)
        assert all(layer["width"] and layer["height"] for layer in layers)


async def test_a_layer_is_chosen_until_the_choice_is_taken_back(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        watch(house, kinds=(VIDEO,)) as tv,
    ):
        video = await alice.publish_simulcast()
        subscriptions = house.participant("tv").subscriber.subscriptions
        await wait_until(lambda: video.sid in subscriptions)
        down_track = subscriptions[video.sid].down_track
        sizes = {each.layer: each for each in down_track.source.layers.published}
        for choice, layer in (
            ({"rid": "q"}, 0),
            ({"rid": "h", "mediaId": "0"}, 1),
            ({}, 2),
            ({"maxHeight": sizes[1].height}, 1),
            ({"maxWidth": 1}, 0),
            ({"mediaId": "0"}, 2),
        ):
            assert (await tv.choose_layer(**choice)).status == 200
            await wait_until(lambda layer=layer: down_track.statistics().layer == layer)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ('{"rid": 7}', 400),
        ('{"rid": "x"}', 404),
        ('{"mediaId": "1"}', 404),
        ('{"mediaId": "7"}', 404),
        ('{"temporalLayerId": 1}', 422),
    ],
)
async def test_a_choice_that_cannot_be_met_is_refused(autojump_clock, body: str, status: int) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        watch(house, kinds=(VIDEO, MediaKind.AUDIO)) as tv,
    ):
        await alice.publish_simulcast()
        await wait_until(lambda: house.participant("tv").subscriber.subscriptions)
        assert (await tv.ask("POST", f"{tv.location}/layer", body)).status == status


async def test_event_streams_end_with_their_session(autojump_clock) -> None:
    async with open_house() as house, watch(house) as tv:
        async with tv.open_events("active") as events:
            await tv.delete()
            assert await events.receive() is None
        assert (await tv.ask("POST", f"{tv.location}/sse")).status == 404


async def test_a_deleted_event_stream_ends_and_cannot_be_read(autojump_clock) -> None:
    async with open_house() as house, watch(house) as tv:
        path = (await tv.ask("POST", f"{tv.location}/sse")).headers["location"]
        async with open_events(house.world(), HTTP, path) as events:
            assert (await tv.ask("DELETE", path)).status == 200
            assert await next_of(events, "viewercount")
            assert await events.receive() is None
        async with open_events(house.world(), HTTP, path) as events:
            assert events.status == 404


async def test_a_session_has_few_event_streams_and_an_idle_one_is_kept_alive(autojump_clock) -> None:
    async with open_house() as house, watch(house) as tv, tv.open_events("active") as events:
        body = json.dumps(["active", "no such event"])
        statuses = [(await tv.ask("POST", f"{tv.location}/sse", body)).status for _ in range(4)]
        assert statuses == [201, 201, 201, 429]
        began = trio.current_time()
        assert await events.next_part() == b":\n\n"
        assert 14 < trio.current_time() - began < 16


@pytest.mark.parametrize("body", ["{}", "[1]", "\xff"])
async def test_a_list_of_events_is_a_list_of_names(autojump_clock, body: str) -> None:
    async with open_house() as house, watch(house) as tv:
        assert (await tv.ask("POST", f"{tv.location}/sse", body)).status == 400


async def test_extensions_are_asked_as_they_are_meant_and_by_whom_they_are_for(autojump_clock) -> None:
    async with open_house() as house, watch(house) as tv, watch(house, "fan") as fan:
        assert (await tv.ask("GET", f"{tv.location}/sse")).status == 405
        assert (await tv.ask("PATCH", f"{tv.location}/sse/ES_unknown")).status == 404
        assert (await tv.ask("POST", f"{tv.location}/subtitles")).status == 404
        for extension in ("sse", "layer"):
            assert (await tv.ask("POST", f"{fan.location}/{extension}", "{}")).status == 404


async def test_who_publishes_has_no_extensions_of_those_who_watch(autojump_clock) -> None:
    async with open_house() as house, open_whip(house.world(), HTTP, house.token("camera")) as camera:
        for extension in ("sse", "layer"):
            session = camera.location.replace("/whip/", "/whep/")
            assert (await camera.ask("POST", f"{session}/{extension}", "[]")).status == 404
