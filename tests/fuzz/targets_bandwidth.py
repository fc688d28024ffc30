"""What receivers say of the path to them: what arrived and when, and what they think it carries."""

import struct

from rtp.bandwidth.estimate import MIN_BITRATE_BPS
from rtp.bandwidth.remote import RemoteEstimator
from rtp.bandwidth.send_side import SendSideEstimator
from rtp.errors import DecodeError
from rtp.rtcp.transport_cc import MAX_STATUSES, TransportCcFeedback, parse_transport_cc
from rtp.units import Ssrc
from tests.fuzz.target import Target
from tests.rtp.wire import recorded_rtcp

_ROUND = struct.Struct("!BBB")  # packets sent, hundredths of a second since the last, bytes of feedback that follow
_REMB = struct.Struct("!BHBI")  # what happens, bytes sent, hundredths of a second since the last, bit/s


def _bodies() -> list[bytes]:
    recorded = [bytes.fromhex(line["hex"]) for line in recorded_rtcp() if line["what"] == "TWCC"]
    made_up = TransportCcFeedback(Ssrc(1), Ssrc(2), 3, 0xFF_FFFF, 5, (1, None, -300, 300, *[None] * 30, *range(20)))
    return [data[4:] for data in (*recorded, made_up.serialize())]


def _run_parse(data: bytes) -> None:
    feedback = parse_transport_cc(data)
    assert 0 < len(feedback.deltas) <= MAX_STATUSES
    assert parse_transport_cc(feedback.serialize()[4:]) == feedback


def _conversations() -> list[bytes]:
    honest = bytearray()
    for number in range(20):
        told = TransportCcFeedback(Ssrc(1), Ssrc(2), 10 * number, number, number, (0, 4, None, *[1] * 7)).serialize()[
            4:
        ]
        honest += _ROUND.pack(10, 6, len(told)) + told
    return [bytes(honest), bytes(honest[:200]) + bytes(honest[100:400])]


def _run_send_side(data: bytes) -> None:
    estimator, now, at, sent = SendSideEstimator(), 0.0, 0, 0
    while at + _ROUND.size <= len(data):
        count, elapsed, size = _ROUND.unpack_from(data, at)
        at += _ROUND.size
        for _ in range(count):
            estimator.sent(1_000, now)
        sent += count
        now += elapsed / 100
        if (due := estimator.next_timeout()) is not None and due <= now:
            estimator.handle_timeout(now)
        try:
            feedback = parse_transport_cc(data[at : at + size])
        except DecodeError:
            continue
        finally:
            at += size
        estimator.receive_feedback(feedback, now)
        bitrate = estimator.estimate.bitrate_bps
        assert bitrate is None or bitrate >= MIN_BITRATE_BPS
    statistics = estimator.statistics()
    assert statistics.sent == sent
    assert 0 <= statistics.received <= sent
    assert 0 <= statistics.lost <= sent - statistics.received


def _rembs() -> list[bytes]:
    return [b"".join(_REMB.pack(number % 4, 12_000, 20, 300_000 + 7_000 * (number % 9)) for number in range(40))]


def _run_remote(data: bytes) -> None:
    estimator, now = RemoteEstimator(), 0.0
    for what, size, elapsed, bitrate in _REMB.iter_unpack(data[: len(data) // _REMB.size * _REMB.size]):
        now += elapsed / 100
        if (due := estimator.next_timeout()) is not None and due <= now:
            estimator.handle_timeout(now)
        estimator.count_sent(size, now)
        match what & 3:
            case 0:
                estimator.count_nacks(what >> 2, now)
            case 1:
                estimator.receive_remb(bitrate << (what >> 2), now)
            case _:
                estimator.receive_remb(bitrate, now)
        bitrate_bps = estimator.estimate.bitrate_bps
        assert bitrate_bps is None or bitrate_bps >= MIN_BITRATE_BPS


TARGETS = [
    Target("transport-cc", _bodies, _run_parse),
    Target("send-side-estimator", _conversations, _run_send_side),
    Target("remote-estimator", _rembs, _run_remote),
]
