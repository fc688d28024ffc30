"""How well media gets through to somebody, and from somebody: a score per track, and one word for its participant.

Theory of operation. Each track is looked at once in a window. What got lost on the way, how late and how unevenly the
rest came, and whether less is sent than should be, make a score from 100 down; of the three the worst counts. Scores
fall fast and recover slowly, so that a word once said stands for a while. A window in which nothing was to be sent says
nothing: a track that rests is as good as ever. Silence where there should be media is poor, or lost if the peer says
nothing at all any more. The scale, and the mean opinion score that is told beside the word, are those that LiveKit's
clients are used to.
"""

from dataclasses import dataclass
from enum import Enum, auto
from math import sqrt
from typing import Final

from rtp.sdp.codecs import MediaKind

WINDOW_SECONDS: Final = 5.0

BEST: Final = 100.0
DRY: Final = 40.0
"""Nothing came, though the peer is there."""
LOWEST: Final = 30.0
"""However bad it is, as long as something gets through."""
SILENT: Final = 20.0
"""Nothing came, and the peer said nothing either."""

RISING_WEIGHT: Final = 0.4
FALLING_WEIGHT: Final = 0.8
"""Of the newest window in the score."""

LOSS_WEIGHTS: Final = {MediaKind.AUDIO: 8.0 / 1.5, MediaKind.VIDEO: 10.0}
"""Points for each percent that is lost; Opus mends some of it by itself (in-band FEC)."""

USUAL_RATES: Final = {MediaKind.AUDIO: 50.0, MediaKind.VIDEO: 30.0}
"""Packets a second: of fewer, one lost is more percents and harms no more."""

LAYER_POINTS: Final = 35.0
"""For each layer that is missing."""

REPORT_PATIENCE_WINDOWS: Final = 6
"""Who has not reported for so long on what it gets is not there any more."""

_SLOW_MS: Final = 160.0
"""A delay beyond this disturbs a conversation (ITU-T G.107)."""


class Rating(Enum):
    """What a score amounts to."""

    LOST = auto()
    POOR = auto()
    GOOD = auto()
    EXCELLENT = auto()


def rate(score: float) -> Rating:
    """Put a score in a word."""
    if score > 80:
        return Rating.EXCELLENT
    if score > 40:
        return Rating.GOOD
    return Rating.POOR if score > SILENT else Rating.LOST


def mean_opinion(score: float) -> float:
    """Return the mean opinion score, 1 to 4.5, that a score stands for (ITU-T G.107 annex B)."""
    opinion = 1 + 0.035 * score + 7e-6 * score * (score - 60) * (100 - score)
    return min(4.5, max(1.0, opinion))


@dataclass(frozen=True, slots=True)
class Counts:
    """What the receiver of a track has counted so far: `expected` packets and, of those, `lost` ones.

    The counts never go back but by packets that came late, and `jitter_seconds` and `round_trip_seconds` are of now.
    `missing_layers` says how far below the best that could be sent is what is sent.
    """

    expected: int
    lost: int
    jitter_seconds: float
    round_trip_seconds: float = 0.0
    missing_layers: int = 0


class TrackScore:
    """The score of one track in one direction; to be looked at once in each window."""

    def __init__(self, kind: MediaKind) -> None:
        self.value = BEST
        self._kind = kind
        self._last = Counts(0, 0, 0.0)
        self._has_rested = True
        self._unreported = 0

    def rest(self, *, is_peer_silent: bool) -> None:
        """Nothing was to be sent in this window: whatever was bad before is over, but for somebody who is not there."""
        self._has_rested = True
        self._unreported = 0
        if not (is_peer_silent and self.value <= SILENT):
            self.value = BEST

    def count(self, counts: Counts, *, is_peer_silent: bool) -> None:
        """Take what was counted until the end of a window. The first one after a rest only begins the count.

        `is_peer_silent`: the peer said nothing at all in this window.
        """
        last, had_rested = self._last, self._has_rested
        self._last, self._has_rested, self._unreported = counts, False, 0
        if had_rested:
            return
        packets = counts.expected - last.expected
        lost = max(0, counts.lost - last.lost)
        if packets <= 0 or lost >= packets:
            self._take_silence(is_peer_silent=is_peer_silent)
            return
        # A layer that is only just being changed is not missing.
        missing = min(counts.missing_layers, last.missing_layers)
        self._move_to(min(_packet_score(self._kind, packets, lost, counts), BEST - LAYER_POINTS * missing))

    def starve(self) -> None:
        """Nothing was sent, because the way could not carry it."""
        self.rest(is_peer_silent=False)
        self.value = LOWEST

    def miss(self) -> None:
        """Whoever gets the track has not reported in this window."""
        self._unreported += 1
        if self._unreported >= REPORT_PATIENCE_WINDOWS:
            self.value = SILENT

    def _take_silence(self, *, is_peer_silent: bool) -> None:
        if is_peer_silent:
            self.value = SILENT
        elif self._kind is MediaKind.VIDEO:
            self.value = DRY
        else:
            self.rest(is_peer_silent=False)  # who is silent may send nothing at all (RFC 7587 §3.1.3)

    def _move_to(self, score: float) -> None:
        old = max(self.value, LOWEST)
        weight = RISING_WEIGHT if score > old else FALLING_WEIGHT
        self.value = max(LOWEST, weight * score + (1 - weight) * old)


def _packet_score(kind: MediaKind, packets: int, lost: int, counts: Counts) -> float:
    delay_ms = (counts.round_trip_seconds / 2 + 2 * counts.jitter_seconds) * 1000
    slowness = (delay_ms - 120) / 10 if delay_ms > _SLOW_MS else delay_ms / 40
    share = min(1.0, packets / WINDOW_SECONDS / USUAL_RATES[kind])
    return BEST - slowness - 100 * lost / packets * LOSS_WEIGHTS[kind] * sqrt(share)
