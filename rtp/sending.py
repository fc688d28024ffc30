"""What one SSRC's sender knows: how much it has sent, and where its media clock stands (RFC 3550 §6.4.1)."""

from rtp.rtcp.reports import SenderReport
from rtp.units import Ssrc

_32_BITS = 0xFFFF_FFFF


class Sending:
    """Keeps the books on one outgoing SSRC."""

    def __init__(self, ssrc: Ssrc, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.packets = 0
        self.octets = 0
        """Of payload: headers and padding do not count (RFC 3550 §6.4.1)."""
        self._timestamp = 0
        self._sent_at = 0.0

    def sent(self, timestamp: int, size: int, now: float) -> None:
        """Count one packet with this RTP timestamp and `size` bytes of payload."""
        self.packets += 1
        self.octets += size
        self._timestamp = timestamp
        self._sent_at = now

    def timestamp_at(self, now: float) -> int:
        """Return where the media clock stands, in 32 bits: the last packet's timestamp and the time since.

        For whoever sends media as it is captured. A forwarder takes the time from its source's sender reports instead.
        """
        return (self._timestamp + int((now - self._sent_at) * self.clock_rate)) & _32_BITS

    def sender_report(self, ntp: int, rtp_timestamp: int) -> SenderReport | None:
        """Return a report that ties `rtp_timestamp` to the same instant in 64-bit NTP time.

        None before the first packet: a receiver would take the timestamp for the stream's.
        """
        if not self.packets:
            return None
        return SenderReport(self.ssrc, ntp, rtp_timestamp & _32_BITS, self.packets & _32_BITS, self.octets & _32_BITS)
