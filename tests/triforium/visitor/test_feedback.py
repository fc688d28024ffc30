import pytest

from triforium.visitor.feedback import MAX_SHARE, REMB_SECONDS, ReceiverEstimator

PACKET_BYTES = 1_250
PACKETS_PER_SECOND = 100
SENT_BPS = 8 * PACKET_BYTES * PACKETS_PER_SECOND


def receive(estimator: ReceiverEstimator, start: float, seconds: float, *, queue_growth: float = 0.0) -> list[int]:
    """Let packets arrive; each second the way takes `queue_growth` seconds longer. Return the estimates."""
    estimates: list[int] = []
    due = start + REMB_SECONDS
    for at in range(round(seconds * PACKETS_PER_SECOND)):
        sent_at = start + at / PACKETS_PER_SECOND
        now = sent_at + 0.02 + queue_growth * (sent_at - start)
        estimator.receive(int(sent_at * (1 << 18)) & 0xFF_FFFF, PACKET_BYTES, now)
        if now >= due:
            due = now + REMB_SECONDS
            if (estimate := estimator.take(now)) is not None:
                estimates.append(estimate)
    return estimates


def test_it_begins_below_what_arrives_and_grows_slowly_to_a_little_more() -> None:
    estimates = receive(ReceiverEstimator(), 60.0, 20.0)  # send times wrap after 64 s
    assert estimates[0] < SENT_BPS
    assert estimates == sorted(estimates)
    assert estimates[-1] == pytest.approx(MAX_SHARE * SENT_BPS, rel=0.05)


def test_it_falls_below_what_arrives_when_a_queue_grows() -> None:
    estimator = ReceiverEstimator()
    receive(estimator, 100.0, 10.0)
    estimates = receive(estimator, 110.0, 2.0, queue_growth=0.5)
    assert estimates[-1] < SENT_BPS


def test_nothing_is_known_before_anything_came() -> None:
    assert ReceiverEstimator().take(1.0) is None
