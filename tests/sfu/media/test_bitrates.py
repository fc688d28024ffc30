from sfu.media.bitrates import OVERHEAD_BYTES, SAMPLE_SECONDS, BitrateMeter


def test_nothing_is_known_before_there_is_a_sample() -> None:
    meter = BitrateMeter()
    assert meter.sample(10, 1000, 5.0) is None
    assert meter.sample(20, 2000, 5.0 + SAMPLE_SECONDS / 2) is None


def test_headers_count() -> None:
    meter = BitrateMeter()
    meter.sample(0, 0, 0.0)
    assert meter.sample(10, 1000, 1.0) == 8 * (1000 + 10 * OVERHEAD_BYTES)


def test_whoever_asks_soon_after_gets_the_same() -> None:
    meter = BitrateMeter()
    meter.sample(0, 0, 0.0)
    first = meter.sample(10, 1000, 1.0)
    assert meter.sample(99, 99_000, 1.1) == first


def test_a_rate_that_changes_is_followed_faster_upwards() -> None:
    up, down = BitrateMeter(), BitrateMeter()
    for meter in (up, down):
        meter.sample(0, 0, 0.0)
        meter.sample(0, 10_000, 1.0)
    assert up.sample(0, 30_000, 2.0) == 120_000
    assert down.sample(0, 10_000, 2.0) == 60_000
