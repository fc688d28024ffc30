"""Sums over streams, for the line in the log that a session leaves behind."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Totals:
    """Packets, bytes of payload, and packets lost on the way."""

    packets: int = 0
    octets: int = 0
    lost: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        """Return the sum of both."""
        return Totals(self.packets + other.packets, self.octets + other.octets, self.lost + other.lost)

    def __sub__(self, other: "Totals") -> "Totals":
        """Return what has been added to `other`."""
        return Totals(self.packets - other.packets, self.octets - other.octets, self.lost - other.lost)
