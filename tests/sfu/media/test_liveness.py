from hypothesis import given
from hypothesis import strategies as st

from sfu.media.liveness import LOWEST_LAYER, SCREEN_SHARE, UPPER_LAYER, Cadence, LayerLiveness, TrackLiveness


def feed(layer: LayerLiveness, packets_per_cycle: list[int]) -> list[bool]:
    """Give it so many packets in each of the next cycles; return whether it lives after each."""
    lives = []
    for packets in packets_per_cycle:
        due = layer.next_timeout()
        assert due is not None
        for _ in range(packets):
            layer.receive_packet(due - 0.1)
        layer.handle_timeout(due)
        lives.append(layer.is_live)
    return lives


def started(cadence: Cadence) -> LayerLiveness:
    layer = LayerLiveness(cadence)
    layer.receive_packet(0.0)
    return layer


def test_a_layer_lives_from_its_first_packet_on() -> None:
    layer = LayerLiveness(UPPER_LAYER)
    assert not layer.is_live
    assert layer.next_timeout() is None
    assert layer.receive_packet(3.0)
    assert layer.is_live
    assert layer.next_timeout() == 3.5
    assert not layer.receive_packet(3.1), "nothing new"


def test_a_cycle_with_too_few_packets_is_the_end_of_it() -> None:
    layer = started(UPPER_LAYER)
    assert feed(layer, [4, 5, 4]) == [True, True, False]


def test_a_layer_that_has_stopped_must_show_itself_for_a_while() -> None:
    # the packet that started it makes the first cycle a good one
    assert feed(started(LOWEST_LAYER), [0, 0, 1, 1, 1, 0]) == [True, False, False, False, False, False]
    assert feed(started(LOWEST_LAYER), [0, 0, 1, 1, 1, 1]) == [True, False, False, False, False, True]


def test_an_early_call_ends_no_cycle() -> None:
    layer = started(LOWEST_LAYER)
    assert not layer.handle_timeout(0.499)
    assert layer.next_timeout() == 0.5


def test_death_and_return_are_told_once() -> None:
    layer = started(SCREEN_SHARE)
    told = []
    for cycle, packets in enumerate([0, 0, 0, 1, 1], start=1):
        for _ in range(packets):
            layer.receive_packet(2.0 * cycle - 1)
        told.append(layer.handle_timeout(2.0 * cycle))
    assert told == [False, True, False, True, False]


def test_a_cycle_that_ends_late_is_one_cycle() -> None:
    layer = started(LOWEST_LAYER)
    assert not layer.handle_timeout(60.0)
    assert layer.is_live
    assert layer.next_timeout() == 60.5


def test_silence_during_a_pause_shows_nothing_and_the_first_packet_after_it_does() -> None:
    layer = started(UPPER_LAYER)
    layer.pause()
    assert not layer.is_live
    assert layer.next_timeout() is None
    assert not layer.handle_timeout(100.0)
    assert layer.receive_packet(100.0)
    assert layer.is_live


@given(st.lists(st.integers(0, 6)))
def test_a_stopped_layer_lives_again_after_so_many_good_cycles_in_sequence(cycles: list[int]) -> None:
    layer = started(UPPER_LAYER)
    lives = [True, *feed(layer, [UPPER_LAYER.samples, *cycles])]
    good = [True, True, *(packets >= UPPER_LAYER.samples for packets in cycles)]
    for at in range(1, len(lives)):
        if not good[at]:
            assert not lives[at]
        elif not lives[at - 1]:
            needed = UPPER_LAYER.cycles_to_return
            assert lives[at] == (at >= needed and all(good[at - needed + 1 : at + 1]))
        else:
            assert lives[at]


def camera(*layers: int) -> TrackLiveness:
    track = TrackLiveness(lambda layer: UPPER_LAYER if layer else LOWEST_LAYER)
    for layer in layers:
        assert track.receive_packet(layer, 0.0)
    return track


def run_cycle(track: TrackLiveness, *layers: int) -> bool:
    """Let one cycle pass in which these layers send enough."""
    due = track.next_timeout()
    assert due is not None
    for layer in layers:
        for _ in range(UPPER_LAYER.samples):
            track.receive_packet(layer, due - 0.1)
    return track.handle_timeout(due)


def test_layers_live_and_die_one_by_one() -> None:
    track = camera(0, 1, 2)
    assert track.live == {0, 1, 2}
    assert not run_cycle(track, 0, 1, 2)
    assert run_cycle(track, 0, 1)
    assert track.live == {0, 1}
    assert not run_cycle(track, 0, 1, 2)
    assert track.live == {0, 1}, "it has to show itself for longer"


def test_after_a_silence_of_all_layers_each_lives_from_its_first_packet_on() -> None:
    track = camera(0, 1, 2)
    run_cycle(track, 0, 1, 2)
    assert run_cycle(track)
    assert track.live == frozenset()
    assert track.next_timeout() is None
    assert track.receive_packet(2, 9.0)
    assert track.live == {2}


def test_a_layer_that_was_taken_back_lives_from_its_next_packet_on() -> None:
    track = camera(0, 2)
    track.forget(2)
    track.forget(2)
    assert track.live == {0}
    assert track.receive_packet(2, 1.0)
    track.pause()
    assert track.live == frozenset()
