from rtp.rtcp.reports import SenderReport
from rtp.sending import Sending
from rtp.units import Ssrc


def test_nothing_is_reported_before_the_first_packet() -> None:
    assert Sending(Ssrc(1), 48_000).sender_report(1 << 32, 5) is None


def test_a_report_counts_packets_and_payload() -> None:
    sending = Sending(Ssrc(1), 48_000)
    sending.sent(960, 100, 0.0)
    sending.sent(1920, 50, 0.02)
    assert sending.sender_report(1 << 32, 1920) == SenderReport(Ssrc(1), 1 << 32, 1920, 2, 150)


def test_counts_and_timestamp_wrap_in_reports() -> None:
    sending = Sending(Ssrc(1), 48_000)
    sending.packets = sending.octets = (1 << 32) - 1
    sending.sent(0, 3, 0.0)
    assert sending.sender_report(1, (1 << 32) + 9) == SenderReport(Ssrc(1), 1, 9, 0, 2)


def test_the_media_clock_goes_on_between_packets_and_wraps() -> None:
    sending = Sending(Ssrc(1), 48_000)
    sending.sent(0xFFFF_FFFF, 100, 5.0)
    assert sending.timestamp_at(5.0) == 0xFFFF_FFFF
    assert sending.timestamp_at(5.5) == 23_999
