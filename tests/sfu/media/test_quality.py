"""What a track's score is made of, and how it moves from one window to the next."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.sdp.codecs import MediaKind
from sfu.media.quality import (
    BEST,
    DRY,
    LOWEST,
    REPORT_PATIENCE_WINDOWS,
    SILENT,
    WINDOW_SECONDS,
    Counts,
    Rating,
    TrackScore,
    mean_opinion,
    rate,
)

AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO


class Path(NamedTuple):
    """Packets a second, the share of them that is lost, jitter and round trip in ms, and missing layers."""

    rate: float
    loss: float = 0.0
    jitter_ms: float = 0
    round_trip_ms: float = 0
    missing: int = 0


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        (AUDIO, Path(50), 100),
        (AUDIO, Path(50, 0.0, 10, 40), 99),  # 40 ms: nobody hears it
        (AUDIO, Path(50, 0.0, 50, 400), 82),  # 300 ms: people begin to talk at once
        (AUDIO, Path(50, 0.02), 89),
        (AUDIO, Path(50, 0.10), 47),
        (AUDIO, Path(2.6, 0.08), 91),  # one of the few packets that tell of silence
        (VIDEO, Path(100), 100),
        (VIDEO, Path(100, 0.01), 90),
        (VIDEO, Path(100, 0.05), 50),
        (VIDEO, Path(100, 0.20), LOWEST),
        (VIDEO, Path(100, missing=1), 65),
        (VIDEO, Path(100, missing=2), LOWEST),
        (VIDEO, Path(100, 0.01, missing=1), 65),  # the worst counts, and not their sum
    ],
)
def test_a_steady_state_has_its_score(kind: MediaKind, path: Path, expected: float) -> None:
    score = TrackScore(kind)
    for window in range(30):
        packets = round(path.rate * WINDOW_SECONDS) * window
        lost = round(packets * path.loss)
        counts = Counts(packets, lost, path.jitter_ms / 1000, path.round_trip_ms / 1000, path.missing)
        score.count(counts, is_peer_silent=False)
    assert score.value == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize(
    ("score", "rating", "opinion"),
    [
        (BEST, Rating.EXCELLENT, 4.5),
        (80.1, Rating.EXCELLENT, 4.028),
        (80, Rating.GOOD, 4.024),
        (40.1, Rating.GOOD, 2.069),
        (DRY, Rating.POOR, 2.064),
        (LOWEST, Rating.POOR, 1.609),  # recorded
        (SILENT, Rating.LOST, 1.252),  # recorded
    ],
)
def test_a_score_is_put_in_a_word_and_on_the_scale_of_opinions(score: float, rating: Rating, opinion: float) -> None:
    assert rate(score) is rating
    assert mean_opinion(score) == pytest.approx(opinion, abs=0.001)


def windows(*steps: tuple[int, int], is_peer_silent: bool = False) -> TrackScore:
    """Play windows of so many packets, so many of them lost, after one that begins the count."""
    score = TrackScore(VIDEO)
    expected = lost = 0
    for packets, missed in [(1, 0), *steps]:
        expected += packets
        lost += missed
        score.count(Counts(expected, lost, 0.0), is_peer_silent=is_peer_silent)
    return score


def test_the_first_window_only_begins_the_count() -> None:
    score = TrackScore(VIDEO)
    score.count(Counts(1000, 500, 0.0), is_peer_silent=False)
    assert score.value == BEST


def test_it_falls_faster_than_it_recovers() -> None:
    assert windows((500, 25)).value == pytest.approx(60)  # 50 is the window's own
    assert windows((500, 25), (500, 0)).value == pytest.approx(76)
    assert windows((500, 25), (500, 0), (500, 0)).value == pytest.approx(85.6)


def test_silence_is_poor_while_the_peer_is_there_and_lost_if_it_is_not() -> None:
    assert windows((500, 0), (0, 0)).value == DRY
    assert windows((500, 0), (0, 0), is_peer_silent=True).value == SILENT
    assert rate(windows((500, 0), (0, 0), (500, 0)).value) is Rating.GOOD, "it recovers step by step"


def test_audio_may_be_silent_without_a_fault() -> None:
    score = TrackScore(AUDIO)
    for packets in (1, 251, 251, 251):
        score.count(Counts(packets, 0, 0.0), is_peer_silent=False)
        assert score.value == BEST
    score.count(Counts(300, 0, 0.0), is_peer_silent=False)
    score.count(Counts(300, 0, 0.0), is_peer_silent=True)
    assert score.value == SILENT


def test_what_comes_late_was_not_lost() -> None:
    assert windows((500, 20), (500, -20)).value > windows((500, 20), (500, 0)).value - 1


def test_a_track_that_rests_is_as_good_as_ever_and_its_count_begins_anew() -> None:
    score = windows((500, 100))
    assert score.value == LOWEST
    score.rest(is_peer_silent=False)
    assert score.value == BEST
    score.count(Counts(501, 100, 0.0), is_peer_silent=True)  # it was to be sent for a part of this window only
    assert score.value == BEST


def test_who_was_lost_is_not_found_because_the_track_is_muted() -> None:
    score = windows((500, 0), (0, 0), is_peer_silent=True)
    score.rest(is_peer_silent=True)
    assert score.value == SILENT
    score.rest(is_peer_silent=False)
    assert score.value == BEST


def test_who_is_starved_is_poor_at_once_and_recovers_with_the_next_window() -> None:
    score = windows((500, 0))
    score.starve()
    assert rate(score.value) is Rating.POOR
    score.count(Counts(600, 0, 0.0), is_peer_silent=False)
    assert rate(score.value) is Rating.POOR, "it was sent for a part of this window only"
    score.count(Counts(1100, 0, 0.0), is_peer_silent=False)
    assert score.value == pytest.approx(58)


def test_a_layer_that_is_only_just_being_changed_is_not_missing() -> None:
    score = TrackScore(VIDEO)
    for at, missing in enumerate([0, 2, 0, 1]):
        score.count(Counts(500 * at + 1, 0, 0.0, 0.0, missing), is_peer_silent=False)
        assert score.value == BEST
    score.count(Counts(2501, 0, 0.0, 0.0, 2), is_peer_silent=False)
    assert score.value < BEST


def test_a_subscriber_is_lost_that_has_not_reported_for_half_a_minute() -> None:
    score = windows((500, 0))
    for _ in range(REPORT_PATIENCE_WINDOWS - 1):
        score.miss()
    assert score.value == BEST
    score.miss()
    assert rate(score.value) is Rating.LOST


count = st.integers(-(2**32), 2**32)


@given(st.lists(st.tuples(count, count, st.floats(0, 1e6), st.integers(0, 3)), max_size=20), st.sampled_from(MediaKind))
def test_whatever_a_peer_reports_the_score_stays_on_its_scale(
    reports: list[tuple[int, int, float, int]], kind: MediaKind
) -> None:
    score = TrackScore(kind)
    for expected, lost, jitter, missing in reports:
        score.count(Counts(expected, lost, jitter, jitter, missing), is_peer_silent=False)
        assert SILENT <= score.value <= BEST
