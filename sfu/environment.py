"""What the world gives to rooms: the network, the clocks, the dice and the keys. All of it is a parameter in tests."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rtp.certificate import Certificate
from rtp.dtls import DtlsContext
from rtp.ice.candidates import Candidate
from sfu.model import Claims
from sfu.room.events import Tell
from sfu.settings import CongestionSettings, DataSettings, Limits, Patience, RoomSettings, RoomWishes
from sfu.transport.endpoint import UdpEndpoint


@dataclass(slots=True)
class Offered:
    """Where clients are told to send media, as far as is known by now."""

    candidates: tuple[Candidate, ...]

    def replace(self, host: str, by: str) -> None:
        """Offer one address in place of another, from the next description on."""
        offered = [
            replace(each, address=(by, each.address[1])) if each.address[0] == host else each
            for each in self.candidates
        ]
        self.candidates = tuple({each.address: each for each in reversed(offered)}.values())[::-1]


@dataclass(frozen=True, slots=True)
class Environment:
    """Handed down from the composition root; nothing below reads a clock or rolls a die of its own.

    `wall` gives Unix seconds; `offered` is what every description offers; `mint_token` makes the token that a
    participant gets to come back with. `settings` are for rooms of which nothing else is asked, `presets` are wishes that
    can be asked for by name. `tell` is told of all that happens in rooms.
    """

    endpoint: UdpEndpoint
    offered: Offered
    certificate: Certificate
    dtls: DtlsContext
    wall: Callable[[], float]
    random: random.Random
    mint_token: Callable[[Claims], str]
    node_id: str
    settings: RoomSettings
    limits: Limits
    data: DataSettings
    congestion: CongestionSettings
    patience: Patience
    presets: Mapping[str, RoomWishes]
    tell: Tell

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What every description offers, from now on."""
        return self.offered.candidates
