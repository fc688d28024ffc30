"""What is measured: media at its pace, joins, and participants who only stay. Each measurement has its own server."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol

from bench.processes import Process, machine_busy_seconds, run

WINDOW_SECONDS: Final = 8.0
SETTLING_SECONDS: Final = 2.0
"""After joins, and after the first packets: everybody has heard of everybody, key frames have come."""

PATIENCE_SECONDS: Final = 15.0
"""For the first packet to reach everybody."""

JOINS: Final = 50
IDLE_PARTICIPANTS: Final = 100
BYSTANDERS_IN_A_ROOM: Final = 50

_QUANTILES: Final = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


class Load(Protocol):
    """Something to measure."""

    def measure(self) -> dict[str, float]:
        """Take about ten seconds and return figures by name."""


@dataclass(frozen=True, slots=True)
class Media:
    """One publishes ("video" or "audio"), all others subscribe; everybody has two connections.

    Of every `checked_every` subscribers one looks at what it gets; the kernel counts what the others get. `bystanders`
    are in other rooms and do nothing. `feedback` names how subscribers tell what they can receive.
    """

    kind: str
    subscribers: int
    checked_every: int = 1
    bystanders: int = 0
    feedback: str = "PLENTY"

    def measure(self) -> dict[str, float]:
        """Return what a packet costs, how long it takes, and whether the load was what it should be."""
        with start_call() as call, run("visitors", call.url, "bystander") as bystanders:
            for number in range(self.bystanders // BYSTANDERS_IN_A_ROOM):
                bystanders.ask(do="join", count=BYSTANDERS_IN_A_ROOM, at_once=True, room=f"idle-{number}")
            call.publisher.ask(do="join", count=1)
            call.subscribers.ask(
                do="join", count=self.subscribers, checked_every=self.checked_every, feedback=self.feedback
            )
            call.publisher.ask(do="publish", kind=self.kind)
            return call.watch([bystanders])


@dataclass(frozen=True, slots=True)
class Layers:
    """One publishes two layers alike; first all subscribers get the upper one, then half of them the other."""

    subscribers: int

    def measure(self) -> dict[str, float]:
        """Return the figures of the second, and what a packet costs then beside what it cost at first."""
        with start_call() as call:
            call.publisher.ask(do="join", count=1)
            call.subscribers.ask(do="join", count=self.subscribers)
            call.publisher.ask(do="publish", kind="layers")
            together = call.watch()
            call.subscribers.ask(do="part")
            apart = call.watch()
            return apart | {"ratio": apart["packet_us"] / together["packet_us"]}


@dataclass(frozen=True, slots=True)
class Flood:
    """One publishes as much video as the server can take; one gets it back, and the kernel counts what all others get."""

    subscribers: int

    def measure(self) -> dict[str, float]:
        """Return what a packet costs when there is always another."""
        with start_call() as call:
            call.publisher.ask(do="join", count=2)
            call.subscribers.ask(do="join", count=self.subscribers - 1, checked_every=self.subscribers)
            call.publisher.ask(do="publish", kind="flood")
            return call.watch()


@dataclass(frozen=True, slots=True)
class Data:
    """One sends user packets on a data channel, in bulk or ("data-lossy") at a steady pace; all others get them."""

    kind: str
    message_bytes: int
    subscribers: int

    def measure(self) -> dict[str, float]:
        """Return how much goes through, what it costs and how long it takes."""
        with start_call() as call:
            call.publisher.ask(do="join", count=1)
            call.subscribers.ask(do="join", count=self.subscribers)
            call.publisher.ask(do="publish", kind=self.kind)
            figures = call.watch()
            megabits = figures["packets_out"] * self.message_bytes * 8e-6
            return figures | {"megabits": megabits, "megabits_per_core": megabits / figures["server_percent"] * 100}


@dataclass(frozen=True, slots=True)
class SlowReader:
    """One sends reliable messages at a steady pace; all others get them, and then one more comes, and reads nothing."""

    readers: int

    def measure(self) -> dict[str, float]:
        """Return the figures with the one who reads nothing, and what the server takes without."""
        with start_call() as call, run("visitors", call.url, "slow") as slow:
            call.publisher.ask(do="join", count=1)
            call.subscribers.ask(do="join", count=self.readers)
            call.publisher.ask(do="publish", kind="data-reliable")
            without = call.watch()
            slow.ask(do="join", count=1)
            slow.ask(do="stop_reading")
            figures = call.watch([slow])
            return figures | {"percent_without": without["server_percent"], "delay_without": without["delay_p99_ms"]}


@dataclass(frozen=True, slots=True)
class Meeting:
    """All publish audio and a small picture, and get those of all others."""

    participants: int

    def measure(self) -> dict[str, float]:
        """Return what a packet costs, how long it takes, and whether the load was what it should be."""
        with start_server() as (server, url), run("visitors", url, "visitor") as visitors:
            visitors.ask(do="join", count=self.participants, low=True)
            visitors.ask(do="publish", kind="meeting")
            return watch_media(server, visitors, visitors)


@dataclass(frozen=True, slots=True)
class JoinsAtOnce:
    """All come at the same moment, with two connections each."""

    def measure(self) -> dict[str, float]:
        """Return how long the joins took, and what they cost."""
        with start_server() as (server, url), run("visitors", url, "visitor") as visitors:
            before = server.cpu_seconds
            seconds = visitors.ask(do="join", count=JOINS, at_once=True)
            return {
                "slowest_ms": max(seconds) * 1e3,
                "p50_ms": median(seconds) * 1e3,
                "cpu_ms": (server.cpu_seconds - before) / JOINS * 1e3,
                "generator_cpu_ms": visitors.cpu_seconds / JOINS * 1e3,
            }


@dataclass(frozen=True, slots=True)
class Idlers:
    """They come one after the other, publish nothing, and stay."""

    single: bool

    def measure(self) -> dict[str, float]:
        """Return what the joins took, the memory that each keeps, and what it costs that they are there."""
        with start_server() as (server, url), run("visitors", url, "visitor") as visitors:
            empty = server.resident_bytes
            visitors.ask(do="join", count=1, single=self.single)  # what is made once, is made now
            time.sleep(SETTLING_SECONDS)
            first, before = server.resident_bytes, server.cpu_seconds
            seconds = visitors.ask(do="join", count=JOINS, single=self.single)
            joins = server.cpu_seconds - before
            visitors.ask(do="join", count=IDLE_PARTICIPANTS - JOINS - 1, single=self.single)
            time.sleep(SETTLING_SECONDS)
            grown = server.resident_bytes - first
            return cpu_shares(server, [visitors]) | {
                "join_p50_ms": median(seconds) * 1e3,
                "join_p99_ms": max(seconds) * 1e3,  # of 50 there is no other
                "join_cpu_ms": joins / JOINS * 1e3,
                "empty_mib": empty / 2**20,
                "participant_kib": grown / (IDLE_PARTICIPANTS - 1) / 2**10,
            }


@dataclass(frozen=True, slots=True)
class Crowd:
    """People come to one room and publish nothing; all in one process, in memory."""

    people: int

    def measure(self) -> dict[str, float]:
        """Return what the joins cost both sides, how much was said, and when everybody knew everybody."""
        with run("crowd", str(self.people)) as crowd:
            return crowd.read()


@dataclass(frozen=True, slots=True)
class Turnover:
    """People come and go, one after the other: "full", or by "signal" alone; all in one process, in memory."""

    kind: str
    visits: int

    def measure(self) -> dict[str, float]:
        """Return what a visit cost both sides, and what the last left in memory that the first had not."""
        with run("turnover", self.kind, str(self.visits)) as turnover:
            return turnover.read()


@dataclass(frozen=True, slots=True)
class Dispatches:
    """Workers are registered, and agents sent to rooms at a steady pace."""

    workers: int
    per_second: int

    def measure(self) -> dict[str, float]:
        """Return how long jobs took to be assigned, and what each cost."""
        with start_server() as (server, url), run("workers", url) as workers:
            seconds = workers.ask(do="register", count=self.workers)
            workers.ask(do="dispatch", per_second=self.per_second, seconds=SETTLING_SECONDS)
            before = server.cpu_seconds
            delays = sorted(workers.ask(do="dispatch", per_second=self.per_second, seconds=WINDOW_SECONDS))
            cpu = server.cpu_seconds - before
            return {
                "register_ms": seconds / self.workers * 1e3,
                "server_percent": cpu / WINDOW_SECONDS * 100,
                "dispatch_cpu_ms": cpu / len(delays) * 1e3,
                **{f"assigned_{name}_ms": quantile(delays, share) * 1e3 for name, share in _QUANTILES.items()},
            }


def watch_media(
    server: Process, publisher: Process, subscribers: Process, others: Sequence[Process] = ()
) -> dict[str, float]:
    """Watch what goes from one process to the other for a window, once it has come to all."""
    wait_for_media(subscribers)
    time.sleep(SETTLING_SECONDS)
    processes = list(dict.fromkeys((publisher, subscribers)))
    for process in processes:
        process.ask(do="count")
    before = server.ask()
    shares = cpu_shares(server, [*processes, *others])
    after, counts = server.ask(), [process.ask(do="count") for process in processes]
    if any(count["wrong"] for count in counts):
        raise SystemExit("packets arrived otherwise than they were sent")
    received = sum(count["received"] for count in counts)
    delays = sorted(delay for count in counts for delay in count["delays"])
    return shares | {
        "packet_us": shares["server_percent"] / 100 * WINDOW_SECONDS * 1e6 / received,
        "packets_in": sum(count["sent"] for count in counts) / WINDOW_SECONDS,
        "packets_out": received / WINDOW_SECONDS,
        "lost": sum(count["lost"] for count in counts),
        "per_wake_up": (after["received"] - before["received"]) / (after["wake_ups"] - before["wake_ups"]),
        **{f"delay_{name}_ms": quantile(delays, share) * 1e3 if delays else 0.0 for name, share in _QUANTILES.items()},
    }


@dataclass(frozen=True, slots=True)
class Call:
    """A server, at this URL, and the processes of those who publish and those who subscribe."""

    server: Process
    url: str
    publisher: Process
    subscribers: Process

    def watch(self, others: Sequence[Process] = ()) -> dict[str, float]:
        """Watch what goes from the ones to the others for a window, once it has come to all."""
        return watch_media(self.server, self.publisher, self.subscribers, others)


@contextmanager
def start_call() -> Iterator[Call]:
    """Run a server and two processes of visitors, none of whom has joined, for as long as the block lasts."""
    with (
        start_server() as (server, url),
        run("visitors", url, "publisher") as publisher,
        run("visitors", url, "subscriber") as subscribers,
    ):
        yield Call(server, url, publisher, subscribers)


@contextmanager
def start_server() -> Iterator[tuple[Process, str]]:
    """Run a server for as long as the block lasts."""
    with run("server") as server:
        yield server, server.read()["url"]


def wait_for_media(subscribers: Process) -> None:
    """Return when everybody has received something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while silent := subscribers.ask(do="count")["silent"]:
        if time.monotonic() > deadline:
            raise SystemExit(f"{silent} subscribers received nothing")
        time.sleep(0.1)


def cpu_shares(server: Process, generators: Sequence[Process]) -> dict[str, float]:
    """Watch for a window; return the share of one core that was the server's, the generators' and everybody else's."""

    def read() -> tuple[float, float, float]:
        return server.cpu_seconds, sum(each.cpu_seconds for each in generators), machine_busy_seconds()

    before = read()
    time.sleep(WINDOW_SECONDS)
    ours, generated, busy = (100 * (now - then) / WINDOW_SECONDS for now, then in zip(read(), before, strict=True))
    return {"server_percent": ours, "generator_percent": generated, "others_percent": max(0.0, busy - ours - generated)}


def quantile(ascending: Sequence[float], share: float) -> float:
    """Return the value below which `share` of all lie."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))]
