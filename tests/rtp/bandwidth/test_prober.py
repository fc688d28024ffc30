from rtp.bandwidth.estimate import Estimate
from rtp.bandwidth.prober import FIRST_INTERVAL_SECONDS, PROBE_SECONDS, Pad, Prober


def padding(prober: Prober, until: float, media_bps: int, now: float = 0.0, sent: int = 0) -> list[Pad]:
    """Run a prober beside a steady stream of media."""
    pads: list[Pad] = []
    while now < until:
        sent += media_bps // 800
        for pad in prober.handle_timeout(now, sent):
            pads.append(pad)
            sent += pad.size
        now += 0.01
    return pads


def test_nothing_is_probed_for_while_no_limit_is_known_or_nothing_more_is_wanted() -> None:
    prober = Prober()
    prober.want(1_000_000, 0)
    assert prober.next_timeout() is None
    prober.receive_estimate(Estimate(500_000), 0)
    assert prober.next_timeout() == 0
    prober.want(500_000, 0)
    assert prober.next_timeout() is None


def test_media_counts_and_only_what_is_missing_is_padded() -> None:
    prober = Prober()
    prober.receive_estimate(Estimate(300_000), 0)
    prober.want(500_000, 0)
    pads = padding(prober, PROBE_SECONDS, media_bps=200_000)
    assert {pad.cluster for pad in pads} == {1}
    padded = sum(pad.size for pad in pads) * 8 / PROBE_SECONDS
    assert 300_000 <= padded <= 370_000  # to 550 kbit/s: a tenth more than is wanted


def test_a_probe_that_the_estimate_does_not_follow_is_repeated_later_and_later() -> None:
    prober = Prober()
    prober.receive_estimate(Estimate(300_000), 0)
    prober.want(1_700_000, 0)
    pads = padding(prober, 30, media_bps=150_000)
    assert pads
    assert 5 <= prober.statistics().probes <= 8
    assert prober.statistics().successes == 0


def test_congestion_ends_a_probe() -> None:
    prober = Prober()
    prober.receive_estimate(Estimate(300_000), 0)
    prober.want(1_700_000, 0)
    assert padding(prober, 0.1, media_bps=150_000)
    prober.receive_estimate(Estimate(300_000, is_congested=True), 0.1)
    assert prober.next_timeout() is None
    prober.receive_estimate(Estimate(300_000), 0.5)
    assert prober.next_timeout() == 0.1 + FIRST_INTERVAL_SECONDS
