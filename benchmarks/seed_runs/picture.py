"""The table as a picture: for each sheet a panel with every seed's accuracy, their means and intervals, and the seed's.

The axes do not begin at 0: dots are compared by their place, not by a length.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Final

from benchmarks.seed_runs.sheets import SHEETS
from benchmarks.seed_runs.table import Row

WIDTH: Final = 760
#: Where axes begin and end.
LEFT: Final = 150
RIGHT: Final = 720
ROW_HEIGHT: Final = 30
#: Of a panel: its title, and its axis.
TITLE_HEIGHT: Final = 44
AXIS_HEIGHT: Final = 50

#: Colours that differ for every kind of colour vision (Okabe and Ito), on white.
INK: Final = "#1f2937"
FAINT: Final = "#6b7280"
BLUE: Final = "#0072b2"
ORANGE: Final = "#d55e00"


def draw(rows: Sequence[Row]) -> str:
    """The whole picture; a panel for each sheet and number of epochs."""
    panels = [list(panel) for _, panel in groupby(rows, key=lambda row: (row.sheet, row.epochs))]
    heights = [TITLE_HEIGHT + ROW_HEIGHT * len(panel) + AXIS_HEIGHT for panel in panels]
    height = sum(heights) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="14">',
        "<title>Test accuracy of the variants over seeds, beside what the seed states</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
    ]
    top = 0
    for panel, panel_height in zip(panels, heights, strict=True):
        parts += _panel(panel, top)
        top += panel_height
    parts += [_text(LEFT, height - 12, "Mean, 95 % interval over seeds, single seeds", colour=FAINT, size=13), "</svg>"]
    return "\n".join(parts) + "\n"


def _panel(rows: Sequence[Row], top: float) -> Iterator[str]:
    sheet = SHEETS[rows[0].sheet]
    low, high, step = axis(_extent(rows, sheet.seed_accuracy))
    bottom = top + TITLE_HEIGHT + ROW_HEIGHT * len(rows)

    def at(accuracy: float) -> float:
        return LEFT + (100 * accuracy - low) / (high - low) * (RIGHT - LEFT)

    yield _text(LEFT, top + 30, f"{sheet.title}, {rows[0].epochs} epochs", size=16, weight="600")
    yield _line((LEFT, bottom), (RIGHT, bottom), FAINT)
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        yield _line((at(value / 100), bottom), (at(value / 100), bottom + 5), FAINT)
        yield _text(at(value / 100), bottom + 20, f"{value:.6g}", colour=FAINT, size=13, align="middle")
    yield _text(RIGHT, bottom + 38, "test accuracy, %", colour=FAINT, size=13, align="end")
    if sheet.seed_accuracy is not None:
        x = at(sheet.seed_accuracy)
        yield _line((x, top + TITLE_HEIGHT), (x, bottom), ORANGE, dash="5 4")
        yield _text(x, bottom + 38, f"the seed {100 * sheet.seed_accuracy:.0f}", colour=ORANGE, size=13, align="middle")
    for number, row in enumerate(rows):
        y = top + TITLE_HEIGHT + ROW_HEIGHT * (number + 0.5)
        yield _text(LEFT - 14, y + 5, row.variant, align="end")
        yield from _row(row, y, at)


def axis(extent: tuple[float, float]) -> tuple[float, float, float]:
    """Where an axis begins and ends that shows an extent of percentages, and the step of its ticks."""
    low, high = extent
    rough = max(high - low, 0.1) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return math.floor(low / step - 0.2) * step, math.ceil(high / step + 0.2) * step, step


def _row(row: Row, y: float, at: Callable[[float], float]) -> Iterator[str]:
    yield from (_dot(at(test), y, FAINT, radius=2.5) for test in row.tests)
    if row.test.half_width is not None:
        left, right = (at(end) for end in _ends(row.test.mean, row.test.half_width))
        yield _line((left, y), (right, y), BLUE, width=2)
        yield from (_line((x, y - 5), (x, y + 5), BLUE, width=2) for x in (left, right))
    yield _dot(at(row.test.mean), y, BLUE, radius=5)


def _ends(mean: float, half_width: float) -> tuple[float, float]:
    """An interval's, as far as accuracies go."""
    return max(0.0, mean - half_width), min(1.0, mean + half_width)


def _extent(rows: Sequence[Row], seed_accuracy: float | None) -> tuple[float, float]:
    """The least and the largest percentage to be shown."""
    ends = [test for row in rows for test in row.tests]
    for row in rows:
        ends += _ends(row.test.mean, row.test.half_width or 0.0)
    if seed_accuracy is not None:
        ends.append(seed_accuracy)
    return 100 * min(ends), 100 * max(ends)


def _line(
    start: tuple[float, float], end: tuple[float, float], colour: str, *, width: float = 1, dash: str = ""
) -> str:
    ends = f'x1="{start[0]:.2f}" y1="{start[1]:.2f}" x2="{end[0]:.2f}" y2="{end[1]:.2f}"'
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"{dashes}/>'


def _dot(x: float, y: float, colour: str, *, radius: float) -> str:
    return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:g}" fill="{colour}"/>'


def _text(
    x: float, y: float, text: str, *, colour: str = INK, size: int = 14, align: str = "start", weight: str = "400"
) -> str:
    look = f'fill="{colour}" font-size="{size}" text-anchor="{align}" font-weight="{weight}"'
    return f'<text x="{x:.2f}" y="{y:.2f}" {look}>{escape(text)}</text>'
