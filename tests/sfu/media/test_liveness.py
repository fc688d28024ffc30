from hypothesis import given
from hypothesis import strategies as st

from sfu.media.liveness import CAMERA, SCREEN_SHARE, TrackLiveness


def camera(*layers: int) -> TrackLiveness:
    track = TrackLiveness(CAMERA)
    for layer in layers:
        assert track.receive_packet(layer, 0.0)
    return track


def run_cycle(track: TrackLiveness, *layers: int) -> bool:
    """Let one cycle pass in which these layers send something."""
    due = track.next_timeout()
    assert due is not None
    for layer in layers:
        track.receive_packet(layer, due - 0.1)
    return track.handle_timeout(due)


def test_a_layer_lives_from_its_first_packet_on() -> None:
    track = TrackLiveness(CAMERA)
    assert (track.live, track.next_timeout()) == (frozenset(), None)
    assert track.receive_packet(2, 3.0)
    assert (track.live, track.next_timeout()) == ({2}, 3.5)
    assert not track.receive_packet(2, 3.1), "nothing new"
    assert track.receive_packet(0, 3.2)
    assert (track.live, track.next_timeout()) == ({0, 2}, 3.5)


def test_layers_live_and_die_one_by_one() -> None:
    track = camera(0, 1, 2)
    assert not run_cycle(track, 0, 1, 2)
    assert run_cycle(track, 0, 1)
    assert track.live == {0, 1}
    assert not run_cycle(track, 0, 1, 2)
    assert track.live == {0, 1}, "it has to show itself for longer"


def test_a_layer_that_has_stopped_must_show_itself_for_a_while() -> None:
    track = camera(0, 1, 2)
    run_cycle(track, 0, 1, 2)
    run_cycle(track, 1)
    returned = [run_cycle(track, 0, 1, 2) for _ in range(CAMERA.cycles_to_return)]
    assert [at for at, changed in enumerate(returned, start=1) if changed] == [
        CAMERA.lowest_cycles_to_return,
        CAMERA.cycles_to_return,
    ]
    assert track.live == {0, 1, 2}


def test_a_gap_on_the_way_back_begins_it_anew() -> None:
    track = camera(0, 1)
    run_cycle(track, 0, 1)
    run_cycle(track, 0)
    for _ in range(CAMERA.cycles_to_return - 1):
        run_cycle(track, 0, 1)
    run_cycle(track, 0)
    assert not run_cycle(track, 0, 1)
    assert track.live == {0}


def test_an_early_call_ends_no_cycle() -> None:
    track = camera(0)
    assert not track.handle_timeout(0.499)
    assert track.next_timeout() == 0.5


def test_a_cycle_that_ends_late_is_one_cycle() -> None:
    track = camera(0)
    assert not track.handle_timeout(60.0)
    assert (track.live, track.next_timeout()) == ({0}, 60.5)


def test_a_still_picture_is_worth_a_packet_now_and_then() -> None:
    track = TrackLiveness(SCREEN_SHARE)
    track.receive_packet(0, 0.0)
    track.receive_packet(2, 0.0)
    assert not track.handle_timeout(2.0)
    track.receive_packet(2, 3.9)
    assert track.handle_timeout(4.0)
    assert track.live == {2}
    assert run_cycle(track, 0, 2)
    assert track.live == {0, 2}


def test_after_a_silence_of_all_layers_each_lives_from_its_first_packet_on() -> None:
    track = camera(0, 1, 2)
    run_cycle(track, 0, 1, 2)
    assert run_cycle(track)
    assert (track.live, track.next_timeout()) == (frozenset(), None)
    assert track.receive_packet(2, 9.0)
    assert track.live == {2}


def test_a_layer_that_was_taken_back_lives_from_its_next_packet_on() -> None:
    track = camera(0, 2)
    assert track.forget(2)
    assert not track.forget(2)
    assert track.live == {0}
    assert track.receive_packet(2, 1.0)
    assert track.live == {0, 2}


def test_a_mute_is_no_silence() -> None:
    track = camera(0, 2)
    track.reset()
    assert (track.live, track.next_timeout()) == (frozenset(), None)
    assert not track.handle_timeout(100.0)
    assert track.receive_packet(2, 100.0)


@given(st.lists(st.sets(st.integers(0, 2)), max_size=40))
def test_who_is_heard_long_enough_lives_and_who_is_not_does_not(cycles: list[set[int]]) -> None:
    track = camera(0, 1, 2)
    for layers in cycles:
        if track.next_timeout() is None:
            for layer in layers:
                assert track.receive_packet(layer, 100.0)
            continue
        before = track.live
        run_cycle(track, *layers)
        assert track.live <= layers | before
        if layers:
            assert before & layers <= track.live
    if track.next_timeout() is not None:
        for _ in range(CAMERA.cycles_to_return + 1):
            run_cycle(track, 0, 1, 2)
        assert track.live == {0, 1, 2}
