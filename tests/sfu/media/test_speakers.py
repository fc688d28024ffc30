from math import log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.extensions import find_extension, parse_audio_level
from rtp.packet import parse_header
from sfu.media.speakers import SPEAKING, AudioLevels, Speaker, changed_speakers, current_speakers
from tests.rtp.wire import recorded_rtp

RATE = 48_000
FRAME = 960  # 20 ms


class Track:
    """A track of packets 20 ms apart, on time."""

    def __init__(self) -> None:
        self.levels = AudioLevels(RATE)
        self.timestamp = 0
        self.now = 0.0
        self.say(127)

    def say(self, *levels: int) -> float:
        for level in levels:
            self.levels.receive_packet(level, self.timestamp, self.now)
            self.timestamp += FRAME
            self.now += 0.02
        return self.levels.level(self.now)


def linear(level: int, share: float = 1.0) -> float:
    return 10 ** (-level / 20) * share


def test_nothing_is_known_before_a_window_is_full() -> None:
    track = Track()
    assert track.say(*[10] * 19) == 0.0
    assert track.say(10) == pytest.approx(linear(10) * 2 / 3)


def test_the_level_comes_near_its_new_value_window_by_window() -> None:
    track = Track()
    track.say(*[10] * 20)
    assert track.say(*[10] * 20) == pytest.approx(linear(10) * 8 / 9)
    assert track.say(*[20] * 20) == pytest.approx(linear(10) * 8 / 27 + linear(20) * 2 / 3)


def test_the_loudest_packet_of_a_window_counts_and_pauses_count_against_it() -> None:
    assert Track().say(*[30] * 9, 10, *[60] * 10) == pytest.approx(linear(10, share=0.5) * 2 / 3)


def test_less_speech_than_two_fifths_of_a_window_is_none_and_ends_what_was() -> None:
    track = Track()
    track.say(*[10] * 40)
    assert track.say(*[0] * 7, *[127] * 13) == 0.0
    assert track.say(*[35] * 8, *[127] * 12) > 0.0


def test_what_is_quieter_than_speech_is_none() -> None:
    assert Track().say(*[36] * 20) == 0.0


def test_who_sends_nothing_any_more_is_silent() -> None:
    track = Track()
    track.say(*[10] * 20)
    sent_at = track.now - 0.02
    assert track.levels.level(sent_at + 0.79) > 0.0
    assert track.levels.level(sent_at + 0.8) == 0.0


def test_a_muted_track_is_forgotten() -> None:
    track = Track()
    track.say(*[10] * 30)
    track.levels.reset()
    assert track.levels.level(track.now) == 0.0
    assert track.say(*[10] * 20) == 0.0, "the window begins anew, with the second packet"


def test_late_and_repeated_packets_count_for_nothing() -> None:
    track = Track()
    track.say(*[127] * 5)
    for timestamp in (0, FRAME, track.timestamp - FRAME):
        for _ in range(50):
            track.levels.receive_packet(0, timestamp, track.now)
    assert track.say(*[127] * 15) == 0.0


def test_a_packet_after_a_pause_does_not_stand_for_the_pause() -> None:
    track = Track()
    track.say(*[10] * 10)
    track.timestamp += 3600 * RATE
    assert track.say(127) == 0.0, "a window of nearly all silence"


def test_recorded_beeps_of_a_tenth_of_a_second_are_no_speech() -> None:
    # recorded from Chromium 156: its fake microphone beeps twice a second, up to -7 dBov
    levels, loud = AudioLevels(RATE), 0
    for recorded in recorded_rtp():
        if recorded.what == "opus":
            header = parse_header(recorded.packet)
            element = find_extension(recorded.packet, header, 1)
            assert element is not None
            now = recorded.line["t_ms"] / 1000
            levels.receive_packet(parse_audio_level(element), header.timestamp, now)
            loud += parse_audio_level(element) <= 35
            assert levels.level(now) == 0.0
    assert loud == 16


@given(st.lists(st.tuples(st.integers(0, 127), st.integers(-(1 << 33), 1 << 33), st.floats(0, 1))))
def test_no_publisher_is_louder_than_loud(packets: list[tuple[int, int, float]]) -> None:
    levels, now = AudioLevels(RATE), 0.0
    for level, timestamp, elapsed in packets:
        now += elapsed
        levels.receive_packet(level, timestamp, now)
        assert 0.0 <= levels.level(now) <= 1.0


def test_speakers_are_ranked_by_their_loudest_track_and_told_in_eighths() -> None:
    speakers = current_speakers([("a", 0.13), ("b", 0.3), ("c", SPEAKING / 2), ("a", 0.9), ("d", SPEAKING)])
    assert list(speakers.values()) == [
        Speaker("a", 1.0, active=True),
        Speaker("b", 0.375, active=True),
        Speaker("d", 0.125, active=True),
    ]


def test_the_quietest_speech_is_35_decibels_below_the_loudest_tone() -> None:
    assert 20 * log10(SPEAKING) == pytest.approx(-35)


def test_only_changes_are_told() -> None:
    before = current_speakers([("a", 0.13), ("b", 0.3), ("c", 0.5)])
    assert changed_speakers({}, before) == [
        Speaker("c", 0.5, active=True),
        Speaker("b", 0.375, active=True),
        Speaker("a", 0.25, active=True),
    ]
    assert changed_speakers(before, current_speakers([("a", 0.2), ("c", 0.45), ("b", 0.26)])) == []
    after = current_speakers([("a", 0.01), ("b", 0.31), ("c", 0.8)])
    assert changed_speakers(before, after) == [Speaker("c", 0.875, active=True), Speaker("a", 0.0, active=False)]
    assert changed_speakers(after, after) == []


NAMES = st.sampled_from("abcd")
ROOMS = st.lists(st.lists(st.tuples(NAMES, st.floats(0, 1)), max_size=5), max_size=8)


@given(ROOMS)
def test_who_follows_the_changes_knows_who_speaks(rooms: list[list[tuple[str, float]]]) -> None:
    before: dict[str, Speaker[str]] = {}
    told: dict[str, Speaker[str]] = {}
    for levels in rooms:
        after = current_speakers(levels)
        changes = changed_speakers(before, after)
        assert len({speaker.participant for speaker in changes}) == len(changes)
        for speaker in changes:
            told[speaker.participant] = speaker
            assert speaker.active == (speaker.level > 0)
        assert {name: speaker for name, speaker in told.items() if speaker.active} == after
        before = after
