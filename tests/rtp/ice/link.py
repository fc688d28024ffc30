"""A controlling and a lite agent, joined by a seeded link that delays and loses, in virtual time."""

import heapq
from itertools import count
from random import Random

from rtp.ice.controlling import IceControllingAgent
from rtp.ice.lite import IceLiteAgent
from rtp.ice.outputs import IceOutput, Send
from rtp.units import Address, Path

MAX_STEPS = 20_000  # a world that takes more runs in circles


class World:
    """Carries datagrams and time to both agents; keeps what they tell, as (now, output)."""

    def __init__(
        self,
        client: IceControllingAgent,
        server: IceLiteAgent,
        *,
        seed: int = 0,
        loss: float = 0.0,
        delay: float = 0.02,
    ) -> None:
        self.client = client
        self.server = server
        self.now = 0.0
        self.loss = loss
        self.delay = delay
        self.dead: set[Address] = set()  # nothing goes to or comes from these
        self.sent: list[tuple[float, Send]] = []  # by the client
        self.client_news: list[tuple[float, IceOutput]] = []
        self.server_news: list[tuple[float, IceOutput]] = []
        self._random = Random(seed)
        self._order = count()
        self._flying: list[tuple[float, int, IceControllingAgent | IceLiteAgent, Send]] = []

    def of_client(self, outputs: list[IceOutput]) -> None:
        """Do what the client asks for."""
        for output in outputs:
            if isinstance(output, Send):
                self.sent.append((self.now, output))
                self._fly(output, self.server)
            else:
                self.client_news.append((self.now, output))

    def of_server(self, outputs: list[IceOutput]) -> None:
        """Do what the server asks for."""
        for output in outputs:
            if isinstance(output, Send):
                self._fly(output, self.client)
            else:
                self.server_news.append((self.now, output))

    def run(self, until: float) -> None:
        """Let the world go on to `until`."""
        for _ in range(MAX_STEPS):
            due = min((time for time in self._times() if time is not None), default=until)
            if due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            if self.now >= until and not self._flying:
                return
            self._step()
        raise AssertionError(f"{MAX_STEPS} steps and still at {self.now} s")

    def _times(self) -> list[float | None]:
        return [self.client.next_timeout(), self.server.next_timeout(), self._flying[0][0] if self._flying else None]

    def _step(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, receiver, send = heapq.heappop(self._flying)
            via = Path(send.path.remote, send.path.local)
            if receiver is self.client:
                self.of_client(self.client.receive(send.data, via, self.now))
            else:
                self.of_server(self.server.receive(send.data, via, self.now))
        self.of_client(self.client.handle_timeout(self.now))
        self.of_server(self.server.handle_timeout(self.now))

    def _fly(self, send: Send, receiver: IceControllingAgent | IceLiteAgent) -> None:
        if self._random.random() < self.loss or self.dead & set(send.path):
            return
        arrives = self.now + self.delay * self._random.uniform(0.5, 1.5)
        heapq.heappush(self._flying, (arrives, next(self._order), receiver, send))
