"""Plots of scenarios, as one PNG (ISO/IEC 15948): a panel each, drawn with nothing but the standard library.

A panel shows, over time, what the link carries and what was sent, the estimate, the layer at the foot, and as red columns
when the picture was frozen.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Final

from tests.simulation.bottleneck import Outcome, Phase

PANEL_WIDTH, PANEL_HEIGHT = 440, 170
LEFT, TOP, RIGHT, BOTTOM = 34, 22, 10, 34  # of a panel, round what is plotted
TOP_BPS: Final = 3e6
"""What is at the upper edge; more is cut off."""

LAYER_STEP: Final = 5
"""Pixels from a layer's line to the next one's."""


class Ink(IntEnum):
    """A colour: its number in the palette."""

    PAPER = 0
    TEXT = 1
    GRID = 2
    LINK = 3
    SENT = 4
    ESTIMATE = 5
    LAYER = 6
    FROZEN = 7


PALETTE: Final = bytes.fromhex("ffffff 222222 dddddd 888888 1f77b4 ff7f0e 2ca02c f4a6a6")

_ROWS: Final = (
    "75557 26227 71747 71717 55711 74717 74757 71122 75757 75717 "
    "25755 65656 34443 65556 74647 74644 34553 55755 72227 11152 55655 44447 57755 65555 25552 65644 "
    "25573 65655 34216 72222 55557 55552 55775 55255 55222 71247 00002 00024 51245 11244 00700"
)
GLYPHS: Final = {
    character: [int(row) for row in _ROWS[6 * at : 6 * at + 5]]
    for at, character in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ.,%/-")
}
"""Five rows each, of three bits."""

GLYPH_SCALE: Final = 2


class Canvas:
    """Pixels of a few colours. What falls outside is not drawn."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._rows = [bytearray(width) for _ in range(height)]

    def fill(self, x: int, y: int, width: int, height: int, ink: Ink) -> None:
        """Paint a rectangle, given its upper left corner."""
        left, right = max(0, x), min(self.width, x + width)
        for row in self._rows[max(0, y) : max(0, y + height)]:
            row[left:right] = bytes((ink,)) * max(0, right - left)

    def line(self, points: Iterable[tuple[int, int]], ink: Ink) -> None:
        """Draw from point to point; x never goes back."""
        for (x, y), (next_x, next_y) in pairwise(points):
            steps = max(1, next_x - x)
            heights = [y + (next_y - y) * step // steps for step in range(steps + 1)]
            for at, (low, high) in enumerate(map(sorted, pairwise(heights))):
                self.fill(x + at, low, 1, high - low + 2, ink)

    def write(self, x: int, y: int, text: str, ink: Ink) -> int:
        """Write capitals from the upper left corner `x`, `y` on; return where the text ends."""
        for character in text.upper():
            for row, bits in enumerate(GLYPHS.get(character, ())):
                for column in range(3):
                    if bits >> 2 - column & 1:
                        at = x + column * GLYPH_SCALE, y + row * GLYPH_SCALE
                        self.fill(*at, GLYPH_SCALE, GLYPH_SCALE, ink)
            x += 4 * GLYPH_SCALE
        return x

    def png(self) -> bytes:
        """Return the picture as a file."""
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 3, 0, 0, 0)
        pixels = zlib.compress(b"".join(b"\0" + row for row in self._rows), 9)
        chunks = ((b"IHDR", header), (b"PLTE", PALETTE), (b"IDAT", pixels), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@dataclass(frozen=True, slots=True)
class Panel:
    """What came of one scenario, under which title."""

    title: str
    phases: Sequence[Phase]
    outcome: Outcome


def draw(panels: Sequence[Panel], *, columns: int = 2) -> bytes:
    """Return a PNG of all panels, row by row, with a legend above."""
    rows = -(-len(panels) // columns)
    canvas = Canvas(columns * PANEL_WIDTH, (rows * PANEL_HEIGHT) + TOP)
    x = LEFT
    for ink in (Ink.LINK, Ink.SENT, Ink.ESTIMATE, Ink.LAYER, Ink.FROZEN):
        x = canvas.write(x, 6, f"{ink.name}  ", ink)
    canvas.write(x, 6, "MBIT/S OVER SECONDS", Ink.TEXT)
    for at, panel in enumerate(panels):
        _Plot(canvas, at % columns * PANEL_WIDTH, at // columns * PANEL_HEIGHT + TOP, panel).draw()
    return canvas.png()


class _Plot:
    """One panel on a canvas, from its upper left corner on."""

    def __init__(self, canvas: Canvas, x: int, y: int, panel: Panel) -> None:
        self._canvas = canvas
        self._left, self._upper = x + LEFT, y + TOP
        self._width, self._height = PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM
        self._panel = panel
        self._seconds = panel.outcome.samples[-1].at

    def draw(self) -> None:
        """Draw what lies behind first."""
        self._canvas.write(self._left, self._upper - 16, self._panel.title, Ink.TEXT)
        outcome = self._panel.outcome
        for start, end in outcome.frozen_spans(0, self._seconds):
            self._canvas.fill(self._x(start), self._upper, self._x(end) - self._x(start) + 1, self._height, Ink.FROZEN)
        self._draw_grid()
        self._draw_link()
        samples = outcome.samples
        self._canvas.line([(self._x(each.at), self._y(each.sent_bps)) for each in samples], Ink.SENT)
        self._canvas.line(
            [(self._x(each.at), self._y(each.budget_bps)) for each in samples if each.budget_bps is not None],
            Ink.ESTIMATE,
        )
        foot = self._upper + self._height
        for before, after in pairwise(samples):
            if after.layer is not None:
                width = self._x(after.at) - self._x(before.at) + 1
                self._canvas.fill(self._x(before.at), foot - 4 - LAYER_STEP * after.layer, width, 3, Ink.LAYER)

    def _draw_grid(self) -> None:
        for megabits in range(4):
            y = self._y(megabits * 1e6)
            self._canvas.fill(self._left, y, self._width, 1, Ink.GRID)
            self._canvas.write(self._left - 14, y - 5, str(megabits), Ink.TEXT)
        for second in range(0, round(self._seconds) + 1, 10):
            self._canvas.fill(self._x(second), self._upper, 1, self._height, Ink.GRID)
            self._canvas.write(self._x(second) - 3, self._upper + self._height + 6, str(second), Ink.TEXT)

    def _draw_link(self) -> None:
        at = 0.0
        corners: list[tuple[int, int]] = []
        for phase in self._panel.phases:
            if phase.link.rate_bps is not None:
                y = self._y(phase.link.rate_bps - phase.competing_bps)
                corners += [(self._x(at), y), (self._x(at + phase.seconds), y)]
            at += phase.seconds
        self._canvas.line(corners, Ink.LINK)

    def _x(self, seconds: float) -> int:
        return self._left + round(seconds / self._seconds * self._width)

    def _y(self, bitrate_bps: float) -> int:
        return self._upper + round((1 - min(1.0, bitrate_bps / TOP_BPS)) * self._height)
