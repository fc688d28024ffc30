"""A virtual network and a repeatable order of tasks, for tests of this server and of what embeds it."""

from triforium.testing.links import Link
from triforium.testing.network import Fate, MemoryDatagramSocket, Network, TracedDatagram, open_network
from triforium.testing.schedule import deterministic_scheduling
from triforium.testing.streams import MemoryListener, MemoryStream

__all__ = [
    "Fate",
    "Link",
    "MemoryDatagramSocket",
    "MemoryListener",
    "MemoryStream",
    "Network",
    "TracedDatagram",
    "deterministic_scheduling",
    "open_network",
]
