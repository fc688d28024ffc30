from sfu.media.layers import ALIVE_SECONDS, best_layer


def test_the_best_layer_is_the_highest_that_lives() -> None:
    assert best_layer({0: 9.9, 1: 9.8, 2: 9.0}, now=10.0) == 1
    assert best_layer({0: 10.0, 2: 10.0 - ALIVE_SECONDS}, now=10.0) == 2
    assert best_layer({1: 3.0}, now=10.0) is None
    assert best_layer({}, now=10.0) is None
