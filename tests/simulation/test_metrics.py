"""What an operator's dashboard reads of a server."""

from base64 import b64encode

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from signaling.api.metrics import Metrics
from tests.signaling.client import Client
from tests.simulation.back_end import BackEnd, open_back_end
from tests.simulation.house import flows, open_house

IN_THE_OPEN = {"development": True}


async def scrape(operator: BackEnd) -> dict[tuple[str, ...], float]:
    """Return every sample, by name and the values of its labels but the node's."""
    answer = await operator.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *(value for label, value in sample.labels.items() if not label.startswith("node"))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_metrics_show_what_is_and_keep_what_was(autojump_clock) -> None:
    async with open_house(config=IN_THE_OPEN) as house, open_back_end(house) as operator:
        async with house.visitor("alice", single=True) as alice, house.visitor("bob", single=False) as bob:
            audio, video = await alice.publish_audio(), await alice.publish_video()
            for track in (audio, video):
                await bob.wait_until(flows(bob, track.sid))
            now = await scrape(operator)
        await trio.sleep(5)
        later = await scrape(operator)
    assert (now["livekit_room_total",], now["livekit_participant_total",]) == (1, 2)
    assert (later["livekit_room_total",], later["livekit_participant_total",]) == (1, 0)
    published = {kind: now["livekit_track_published_total", kind] for kind in ("AUDIO", "VIDEO")}
    assert published == {"AUDIO": 1, "VIDEO": 1}
    assert now["livekit_track_subscribed_total",] == 2
    assert now["livekit_participant_join_total", "rtc_connected"] == 2
    assert later["triforium_departures_total", "CLIENT_LEFT"] == 2
    for counter in (
        ("livekit_packet_total", "incoming"),
        ("livekit_packet_total", "outgoing"),
        ("livekit_packet_bytes", "outgoing"),
        ("triforium_datagrams_total", "incoming"),
        ("triforium_wake_ups_total",),
    ):
        assert 0 < now[counter] <= later[counter], counter
    assert later["triforium_loop_stall_seconds_count",] > 5


async def test_in_production_metrics_have_a_port_of_their_own(autojump_clock) -> None:
    async with open_house() as house, open_back_end(house) as operator:
        assert (await operator.get("/metrics")).status == 404


@pytest.mark.parametrize(
    ("given", "status"), [("watcher:secret", 200), ("watcher:guess", 401), ("", 401)], ids=["right", "wrong", "none"]
)
async def test_a_password_keeps_metrics_from_others(autojump_clock, given, status) -> None:
    async with open_house() as house, trio.open_nursery() as nursery:
        metrics = Metrics(house.server.rooms, username="watcher", password="secret")
        client = Client(nursery, metrics.handlers()["/metrics"])
        headers = {"Authorization": f"Basic {b64encode(given.encode()).decode()}"} if given else {}
        answer = await client.get("/", headers)
        assert answer.status == status
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        nursery.cancel_scope.cancel()
