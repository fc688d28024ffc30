"""What was received lately, to be sent again to whoever lost it."""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

MAX_VIDEO_PACKETS: Final = 500
"""A second and a half of a 3 Mbit/s layer: no receiver waits longer for a lost packet than for a key frame."""

MAX_AUDIO_PACKETS: Final = 200

MAX_BYTES: Final = 1 << 20
"""Full packets of video, as many as are kept, are 600 kB. A packet may also be a datagram of 64 kB."""

_FactsT = TypeVar("_FactsT")


class PacketHistory(Generic[_FactsT]):
    """The newest packets of one incoming stream, by unwrapped sequence number, each with what was found out about it.

    Packets are kept in clear, by reference and unchanged: whoever sends one again makes a copy, as for the first time.
    The oldest to have come are forgotten first. All costs are constant.
    """

    def __init__(self, *, max_packets: int, max_bytes: int = MAX_BYTES) -> None:
        self._max_packets = max_packets
        self._max_bytes = max_bytes
        self._packets: OrderedDict[int, tuple[bytes, _FactsT]] = OrderedDict()  # in order of arrival
        self._bytes = 0

    def __len__(self) -> int:
        """How many packets are kept."""
        return len(self._packets)

    @property
    def size_bytes(self) -> int:
        """How many bytes of packets are kept."""
        return self._bytes

    def put(self, sequence: int, packet: bytes, facts: _FactsT) -> None:
        """Keep a packet. What a number has once stood for it stands for as long as it is kept."""
        packets = self._packets
        if sequence in packets:
            return
        packets[sequence] = packet, facts
        self._bytes += len(packet)
        while len(packets) > self._max_packets or self._bytes > self._max_bytes:
            _, (oldest, _) = packets.popitem(last=False)
            self._bytes -= len(oldest)

    def get(self, sequence: int) -> tuple[bytes, _FactsT] | None:
        """Return the packet of this number with its facts; None if it never came, or was forgotten."""
        return self._packets.get(sequence)
