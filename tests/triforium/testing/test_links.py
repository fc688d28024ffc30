from random import Random

from hypothesis import given
from hypothesis import strategies as st

from triforium.testing.links import HOLD_BACK_SECONDS, Link, Route

PERFECT = Link()
probabilities = st.floats(0, 1)
seconds = st.floats(0, 2)
links = st.builds(
    Link,
    delay_seconds=seconds,
    jitter_seconds=seconds,
    loss=probabilities,
    duplicate=probabilities,
    rate_bps=st.none() | st.floats(1_000, 1e9),
    queue_bytes=st.integers(0, 100_000),
)


def route(seed: int = 1) -> Route:
    return Route(Random(seed))


def test_a_perfect_link_takes_no_time() -> None:
    assert route().carry(PERFECT, 1_200, 5.0) == [5.0]


def test_a_delay_is_added_to_each() -> None:
    link = Link(delay_seconds=0.25)
    assert route().carry(link, 1_200, 5.0) == [5.25]


def test_a_bottleneck_sends_one_after_the_other() -> None:
    link = Link(rate_bps=8_000, delay_seconds=0.5)  # a thousand bytes a second
    path = route()
    assert [path.carry(link, 250, 1.0) for _ in range(3)] == [[1.75], [2.0], [2.25]]
    assert path.carry(link, 250, 10.0) == [10.75]


def test_a_full_queue_turns_away_what_does_not_fit() -> None:
    link = Link(rate_bps=8_000, queue_bytes=1_000)
    path = route()
    assert path.carry(link, 600, 0.0) == [0.6]
    assert path.carry(link, 500, 0.0) is None
    assert path.carry(link, 400, 0.0) == [1.0]
    assert path.backlog(link, 0.0) == 1_000
    assert path.backlog(link, 0.75) == 250
    assert path.carry(link, 751, 0.75) is None
    assert path.carry(link, 750, 0.75) == [1.75]


def test_loss_comes_as_often_as_asked() -> None:
    path, link = route(), Link(loss=0.1)
    lost = sum(path.carry(link, 100, 0.0) == [] for _ in range(10_000))
    assert 900 < lost < 1_100


def test_duplicates_come_as_often_as_asked() -> None:
    path, link = route(), Link(duplicate=0.2)
    doubled = sum(path.carry(link, 100, 0.0) == [0.0, 0.0] for _ in range(10_000))
    assert 1_850 < doubled < 2_150


def test_a_reordered_datagram_is_overtaken_within_the_holding_time() -> None:
    path = route()
    assert path.carry(Link(reorder=1.0, delay_seconds=0.1), 100, 1.0) == [1.1 + HOLD_BACK_SECONDS]
    assert path.carry(Link(delay_seconds=0.1), 100, 1.01) == [1.11]


def test_jitter_spreads_arrivals_over_its_whole_range() -> None:
    path, link = route(), Link(delay_seconds=0.1, jitter_seconds=0.05)
    delays = [arrival - now for now in range(1_000) for arrival in path.carry(link, 100, now) or ()]
    assert 0.1 <= min(delays) < 0.101
    assert 0.149 < max(delays) <= 0.15


@given(link=links, seed=st.integers(), gaps=st.lists(st.floats(0, 1)))
def test_without_reordering_order_is_kept(link: Link, seed: int, gaps: list[float]) -> None:
    path, now, last = route(seed), 0.0, 0.0
    for gap in gaps:
        now += gap
        for arrival in path.carry(link, 1_000, now) or ():
            assert arrival >= max(last, now + link.delay_seconds)
            last = arrival


@given(link=links, seed=st.integers(), sizes=st.lists(st.integers(1, 2_000)))
def test_the_same_seed_gives_the_same_arrivals(link: Link, seed: int, sizes: list[int]) -> None:
    one, other = route(seed), route(seed)
    assert [one.carry(link, size, 0.0) for size in sizes] == [other.carry(link, size, 0.0) for size in sizes]


@given(link=links, sizes=st.lists(st.integers(1, 2_000)))
def test_a_queue_never_holds_more_than_it_may(link: Link, sizes: list[int]) -> None:
    path = route()
    for size in sizes:
        path.carry(link, size, 0.0)
        assert path.backlog(link, 0.0) <= link.queue_bytes
