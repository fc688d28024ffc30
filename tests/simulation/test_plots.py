"""The plots of `make bench` are pictures that others can read, and show what came of a scenario."""

from io import BytesIO

import av

from bench.plots import PALETTE, PANEL_WIDTH, Ink, Panel, draw
from tests.simulation.bottleneck import FROZEN_SECONDS, Outcome, Phase, Sample, Screen, bottleneck


def panel(frames: list[float]) -> Panel:
    screen = Screen()
    screen.frames = [100 + at for at in frames]
    samples = [Sample(at / 10, 1, 1.5e6, 1_000_000) for at in range(1, 101)]
    return Panel("a link, 50 %", [Phase(10, bottleneck(2e6))], Outcome(samples, screen, 100.0))


def pixels(png: bytes) -> list[list[bytes]]:
    with av.open(BytesIO(png)) as container:
        frame = next(container.decode(video=0))
        row_bytes = frame.reformat(format="rgb24").to_ndarray()
    return [[bytes(pixel) for pixel in row] for row in row_bytes]


def colour(ink: Ink) -> bytes:
    return PALETTE[3 * ink : 3 * ink + 3]


def test_a_decoder_sees_a_panel_beside_another() -> None:
    picture = pixels(draw([panel([]), panel([])]))
    assert {len(row) for row in picture} == {2 * PANEL_WIDTH}
    seen = {pixel for row in picture for pixel in row}
    assert seen == {colour(ink) for ink in Ink}


def test_red_columns_are_as_wide_as_the_picture_was_frozen_for() -> None:
    flowing = [at / 30 for at in range(301)]
    frozen = [at for at in flowing if not 4 < at < 6 + FROZEN_SECONDS]
    legend = 30
    for frames, share in ((flowing, 0.0), (frozen, 0.2)):
        widths = [row.count(colour(Ink.FROZEN)) for row in pixels(draw([panel(frames)], columns=1))[legend:]]
        assert abs(max(widths) - share * (PANEL_WIDTH - 44)) <= 4
