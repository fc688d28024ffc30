"""Prometheus metrics: under LiveKit's own names where they mean the same, so that its dashboards work, else under ours.

Most are read off the rooms when somebody asks; only what would be forgotten with a room is counted as it happens.
"""

import hmac
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from typing import Final, NoReturn, assert_never

import trio
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from sfu.media.totals import Totals
from sfu.room.events import (
    ParticipantAborted,
    ParticipantJoined,
    ParticipantLeft,
    RoomEvent,
    RoomFinished,
    RoomStarted,
    TrackPublished,
    TrackUnpublished,
)
from sfu.room.participant import Participant
from sfu.room.rooms import Rooms
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.routes import Handler

PATH: Final = "/metrics"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

STALL_INTERVAL_SECONDS: Final = 1.0
"""How often the loop is asked how late it is."""

STALL_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)

_NODE_TYPE: Final = "SERVER"


class Metrics:
    """What a server's operator watches. `hear` is to be told of all that happens in rooms.

    With `username` and `password` only who knows them is shown anything (RFC 7617).
    """

    def __init__(self, rooms: Rooms, *, username: str = "", password: str = "") -> None:
        self._rooms = rooms
        self._credentials = f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}" if username else ""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._stalls = Histogram(
            "triforium_loop_stall_seconds",
            "How late a task is woken: as late as media may be handled.",
            buckets=STALL_BUCKETS,
            registry=self._registry,
        )
        self._joins: Counter[str] = Counter()
        self._departures: Counter[str] = Counter()
        self._incoming = self._outgoing = Totals()  # of those who have left
        self._data_drops: Counter[str] = Counter()  # of rooms that are closed

    def hear(self, event: RoomEvent) -> None:
        """Count an event. Neither waits nor raises."""
        match event:
            case ParticipantJoined():
                self._joins["rtc_connected"] += 1
            case ParticipantLeft() | ParticipantAborted():
                self._take_leave_of(event.participant)
            case RoomFinished():
                self._data_drops.update({drop.name: count for drop, count in event.room.data.statistics().items()})
            case RoomStarted() | TrackPublished() | TrackUnpublished():
                pass  # to be seen in the rooms
            case _:
                assert_never(event)

    async def run(self) -> NoReturn:
        """Measure how late the loop is, until cancelled."""
        while True:
            due = trio.current_time() + STALL_INTERVAL_SECONDS
            await trio.sleep_until(due)
            self._stalls.observe(max(0.0, trio.current_time() - due))

    def handlers(self) -> dict[str, Handler]:
        """What to answer under which path."""
        return {PATH: self._answer}

    def collect(self) -> Iterator[Metric]:
        """Read everything off the rooms: `prometheus_client` calls it."""
        people = list(self._rooms.people())
        yield self._gauge("livekit_room_total", "Rooms that are open.", sum(1 for _ in self._rooms))
        yield self._gauge("livekit_participant_total", "Participants that are in a room.", len(people))
        yield self._published(people)
        subscribed = sum(len(person.subscriber.subscriptions) for person in people)
        yield self._gauge("livekit_track_subscribed_total", "Tracks that participants are sent.", subscribed)
        yield from self._traffic(people)
        yield _counted("livekit_participant_join", "Participants by how far they came.", "state", self._joins)
        yield _counted("triforium_departures", "Participants that have gone, by reason.", "reason", self._departures)
        yield from self._datagrams()
        drops = self._data_drops.copy()
        for room in self._rooms:
            drops.update({drop.name: count for drop, count in room.data.statistics().items()})
        yield _counted("triforium_data_drops", "Messages on data channels that went no further.", "cause", drops)

    def _take_leave_of(self, participant: Participant) -> None:
        reason = participant.close_reason
        self._departures[reason.name if reason is not None else "UNKNOWN"] += 1
        self._incoming += participant.publisher.totals()
        self._outgoing += participant.subscriber.totals()

    def _gauge(self, name: str, help_text: str, value: float) -> GaugeMetricFamily:
        gauge = GaugeMetricFamily(name, help_text, labels=("node_id", "node_type"))
        gauge.add_metric((self._rooms.environment.node_id, _NODE_TYPE), value)
        return gauge

    def _published(self, people: list[Participant]) -> GaugeMetricFamily:
        kinds = Counter(
            publication.media.kind.value for person in people for publication in person.publisher.publications.values()
        )
        gauge = GaugeMetricFamily("livekit_track_published_total", "Tracks that are published.", labels=("kind",))
        for kind, count in sorted(kinds.items()):
            gauge.add_metric((kind.upper(),), count)
        return gauge

    def _traffic(self, people: list[Participant]) -> Iterator[Metric]:
        incoming = sum((person.publisher.totals() for person in people), self._incoming)
        outgoing = sum((person.subscriber.totals() for person in people), self._outgoing)
        ways = (("incoming", incoming), ("outgoing", outgoing))
        packets = {way: totals.packets for way, totals in ways}
        yield _counted("livekit_packet", "RTP packets of tracks.", "direction", packets)
        lost = {way: totals.lost for way, totals in ways}
        yield _counted("livekit_packet_loss", "RTP packets that were lost on the way.", "direction", lost)
        octets = GaugeMetricFamily("livekit_packet_bytes", "Their payload, in bytes.", labels=("direction",))
        for way, totals in ways:
            octets.add_metric((way,), totals.octets)
        yield octets

    def _datagrams(self) -> Iterator[Metric]:
        statistics = self._rooms.environment.endpoint.statistics()
        ways = {"incoming": statistics.datagrams_received, "outgoing": statistics.datagrams_sent}
        yield _counted("triforium_datagrams", "UDP datagrams.", "direction", ways)
        drops = {cause.name: count for cause, count in statistics.drops.items()} | {"KERNEL": statistics.kernel_drops}
        yield _counted("triforium_datagram_drops", "UDP datagrams that nobody got.", "cause", drops)
        yield CounterMetricFamily(
            "triforium_wake_ups", "How often datagrams woke the server.", value=statistics.wake_ups
        )

    async def _answer(self, exchange: Exchange) -> None:
        given = exchange.request.header("Authorization")
        if self._credentials and not hmac.compare_digest(given.encode(), self._credentials.encode()):
            raise HttpError(401, "unauthorized", {"WWW-Authenticate": 'Basic realm="metrics"'})
        await exchange.respond(200, generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE})


def _counted(name: str, help_text: str, label: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_text, labels=(label,))
    for value, count in sorted(counts.items()):
        family.add_metric((value,), count)
    return family
