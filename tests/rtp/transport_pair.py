"""Two `PeerTransport`s, a client's and a server's, joined by a seeded link in virtual time."""

import heapq
from datetime import UTC, datetime
from functools import cache
from itertools import count
from random import Random

from rtp.certificate import Certificate
from rtp.datachannel import DataChannels
from rtp.dcep import ChannelParameters
from rtp.dtls import DtlsContext, DtlsRole, DtlsTransport
from rtp.ice.candidates import IceCredentials
from rtp.ice.controlling import IceControllingAgent
from rtp.ice.lite import IceLiteAgent
from rtp.ice.outputs import Send
from rtp.sctp.association import SctpAssociation
from rtp.transport import PeerTransport, TransportOutput
from rtp.units import Address, Path
from tests.rtp.ice.checks import CLIENT, HERE, SERVER
from triforium.testing.links import Link, Route

HOME = ("198.51.100.7", 40000)
AWAY = ("203.0.113.9", 50000)
STEP_LIMIT = 50_000  # a pair that takes more runs in circles


@cache
def identity(name: str) -> tuple[Certificate, DtlsContext]:
    certificate = Certificate.generate(not_before=datetime(2026, 1, 1, tzinfo=UTC))
    return certificate, DtlsContext(certificate)


def dtls(role: DtlsRole, *, trusts: str | None = None) -> DtlsTransport:
    own, peer = ("server", "client") if role is DtlsRole.SERVER else ("client", "server")
    transport = DtlsTransport(identity(own)[0], role, identity(own)[1])
    transport.set_remote_fingerprints([identity(trusts or peer)[0].fingerprint])
    return transport


def server(credentials: IceCredentials = SERVER, *, trusts: str | None = None) -> PeerTransport:
    ice = IceLiteAgent(credentials)
    ice.set_remote(CLIENT)
    return PeerTransport(ice, dtls(DtlsRole.SERVER, trusts=trusts))


def client(random: Random) -> PeerTransport:
    ice = IceControllingAgent(
        CLIENT, tie_breaker=random.getrandbits(64), new_transaction_id=lambda: random.randbytes(12)
    )
    ice.set_remote(SERVER)
    return PeerTransport(ice, dtls(DtlsRole.CLIENT))


def channels(random: Random, *, is_dtls_client: bool) -> DataChannels:
    association = SctpAssociation(
        tag=random.randrange(1, 1 << 32), initial_tsn=random.getrandbits(32), cookie_secret=random.randbytes(32)
    )
    return DataChannels(association, is_dtls_client=is_dtls_client)


class Pair:
    """Carries datagrams and time to both ends; keeps what they tell, as (now, output).

    `media` has the packets in clear that the server (at 1) and the client (at 0) unprotected.
    """

    def __init__(self, seed: int = 0, link: Link | None = None, *, trusts: str | None = None) -> None:
        self.random = Random(seed)
        self.link = link or Link(delay_seconds=0.02)
        self.client, self.server = client(self.random), server(trusts=trusts)
        self.ends = (self.client, self.server)
        self.news: tuple[list[tuple[float, TransportOutput]], ...] = ([], [])
        self.media: tuple[list[bytes], list[bytes]] = ([], [])
        self.now = 0.0
        self.dead: set[Address] = set()  # nothing goes to or comes from these
        self._routes = (Route(self.random), Route(self.random))
        self._order = count()
        self._flying: list[tuple[float, int, int, bytes, Path]] = []

    def open_channels(self, *labels: str) -> None:
        """Have the client open these on an association of its making."""
        for end, transport in enumerate(self.ends):
            attached = channels(self.random, is_dtls_client=end == 0)
            self.perform(end, transport.attach_channels(attached, self.now, initiate=end == 0))
        for label in labels:
            self.client.channels.open(ChannelParameters(label), self.now)

    def begin(self) -> None:
        """Give the client the server's address."""
        self.perform(0, self.client.ice.add_remote_candidate(Path(HOME, HERE), self.now))

    def connect(self, until: float = 5.0) -> None:
        self.begin()
        self.run(until)
        assert self.client.connected, "no handshake in that time"
        assert self.server.connected, "no handshake in that time"

    def told(self, end: int, kind: type) -> list[TransportOutput]:
        return [output for _, output in self.news[end] if isinstance(output, kind)]

    def perform(self, end: int, outputs: list[TransportOutput]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self.send(end, output.data, output.path)
            else:
                self.news[end].append((self.now, output))

    def send(self, end: int, data: bytes, path: Path | None = None) -> None:
        """Put a datagram of `ends[end]` on its way, by its selected path unless told otherwise."""
        path = path or self.ends[end].ice.selected
        if self.dead & set(path):
            return
        for due in self._routes[end].carry(self.link, len(data), self.now) or []:
            heapq.heappush(self._flying, (due, next(self._order), 1 - end, data, Path(path.remote, path.local)))

    def run(self, until: float) -> None:
        for _ in range(STEP_LIMIT):
            timeouts = [time for end in self.ends if (time := end.next_timeout()) is not None]
            due = min(timeouts + [flight[0] for flight in self._flying[:1]], default=float("inf"))
            if due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            while self._flying and self._flying[0][0] <= self.now:
                _, _, end, data, path = heapq.heappop(self._flying)
                self.receive(end, data, path)
            for end, transport in enumerate(self.ends):
                self.perform(end, transport.handle_timeout(self.now))
        raise AssertionError(f"{STEP_LIMIT} steps and still at {self.now} s")

    def receive(self, end: int, data: bytes, path: Path) -> None:
        """Demultiplex as shells do."""
        transport = self.ends[end]
        if not data or not 128 <= data[0] <= 191:
            self.perform(end, transport.receive(data, path, self.now))
        else:
            is_rtcp = len(data) > 1 and 192 <= data[1] <= 223
            take = transport.receive_rtcp if is_rtcp else transport.receive_rtp
            if (packet := take(data, path, self.now)) is not None:
                self.media[end].append(packet)
