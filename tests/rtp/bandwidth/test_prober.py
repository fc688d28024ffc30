from rtp.bandwidth.estimate import Estimate
from rtp.bandwidth.prober import FIRST_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS, PROBE_SECONDS, Pad, Prober


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
    prober.want(400_000, 0)
    pads = padding(prober, PROBE_SECONDS, media_bps=200_000)
    assert prober.statistics().probes == 1
    padded = sum(pad.size for pad in pads) * 8 / PROBE_SECONDS
    assert 230_000 <= padded <= 260_000  # to 440 kbit/s: a tenth more than is wanted


def test_a_probe_is_no_leap_in_the_dark() -> None:
    prober = Prober()
    prober.receive_estimate(Estimate(300_000), 0)
    prober.want(1_700_000, 0)
    padded = sum(pad.size for pad in padding(prober, PROBE_SECONDS, media_bps=200_000)) * 8 / PROBE_SECONDS
    assert 240_000 <= padded <= 270_000  # to 450 kbit/s: half as much again as is known to arrive


def test_one_success_leads_to_the_next_probe_until_enough_is_known() -> None:
    prober = Prober()
    prober.receive_estimate(Estimate(300_000), 0)
    prober.want(1_700_000, 0)
    rates, now = [300_000], 0.0
    while rates[-1] < 1_700_000:
        assert padding(prober, now + 0.4, media_bps=0, now=now)
        now += 0.45
        rates.append(int(1.5 * rates[-1]))
        prober.receive_estimate(Estimate(rates[-1]), now)
    assert prober.next_timeout() is None
    assert prober.statistics().successes == len(rates) - 1 == 5
    assert now < 3


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


def test_one_trouble_after_the_other_makes_probes_rarer() -> None:
    prober = Prober()
    prober.want(1_700_000, 0)
    waits = []
    for at in (0, 5, 10, 15, 20, 60):
        prober.receive_estimate(Estimate(300_000, is_congested=True), at)
        prober.receive_estimate(Estimate(300_000), at + 0.1)
        waits.append((prober.next_timeout() or 0) - at)
    assert waits == [*sorted(waits[:5]), FIRST_INTERVAL_SECONDS]
    assert waits[4] == MAX_INTERVAL_SECONDS


def test_after_a_success_the_next_trouble_is_the_first_again() -> None:
    prober = Prober()
    prober.want(1_700_000, 0)
    prober.receive_estimate(Estimate(300_000), 0)
    padding(prober, 20, media_bps=200_000)
    assert prober.statistics().probes < 6
    now = prober.next_timeout()
    assert now is not None
    padding(prober, now + PROBE_SECONDS, media_bps=200_000, now=now)
    prober.receive_estimate(Estimate(500_000), now + 0.5)
    prober.receive_estimate(Estimate(500_000, is_congested=True), now + 0.6)
    prober.receive_estimate(Estimate(500_000), now + 0.7)
    assert prober.next_timeout() == now + 0.6 + FIRST_INTERVAL_SECONDS
