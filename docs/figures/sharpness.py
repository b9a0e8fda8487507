"""Draw the figure of docs/explanation/sharpness.md: `python docs/figures/sharpness.py` writes sharpness.svg beside it.

Left: a loss with a sharp and a flat minimum, and the worst loss within ρ of each w. Right: the balls of three norms and
where `sam.SAM` goes in each of them. The output is the same on every run; a test compares it with the file.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

import sam

FIGURE: Final = Path(__file__).with_suffix(".svg")

WIDTH: Final = 960
HEIGHT: Final = 430
#: Colours that differ for every kind of colour vision (Okabe and Ito), on white.
INK: Final = "#1f2937"
FAINT: Final = "#6b7280"
BLUE: Final = "#0072b2"
ORANGE: Final = "#d55e00"
GREEN: Final = "#007a5a"

#: Depth, place and width of the two minima, on a loss of 1.
SHARP: Final = (0.93, -1.5, 0.2)
FLAT: Final = (0.83, 0.95, 1.05)
LEFT_RHO: Final = 0.4

#: The gradient on the right, and what is drawn for each norm: p, its colour and its label.
GRADIENT: Final = (0.92, 0.56)
NORMS: Final = ((1.0, BLUE, "p = 1"), (2.0, ORANGE, "p = 2"), (math.inf, GREEN, "p = ∞"))

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axes:
    """A rectangle of the picture, and the numbers at its edges."""

    left: float
    right: float
    top: float
    bottom: float
    x: Point
    y: Point

    def at(self, point: Point) -> Point:
        """Where a point goes in the picture."""
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


def draw() -> str:
    """The whole picture."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="14">',
        "<title>The worst loss within ρ, and the perturbation in three norms</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        *_minima(Axes(56, 510, 60, 370, (-2.6, 3.0), (-0.02, 1.12))),
        *_balls(Axes(580, 910, 60, 390, (-1.32, 1.98), (-1.32, 1.98))),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def loss(w: float) -> float:
    """1 with two dips, Gaussian in w."""
    return 1 - sum(depth * math.exp(-(((w - place) / width) ** 2)) for depth, place, width in (SHARP, FLAT))


def worst_loss(w: float, rho: float) -> float:
    """The largest loss within ρ of w."""
    return max(loss(w + rho * i / 100) for i in range(-100, 101))


def perturbation(gradient: Point, p: float, rho: float) -> Point:
    """Where sam.SAM takes its second gradient, seen from w = 0, for a linear loss."""
    w = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = sam.SAM([w], torch.optim.SGD, rho=rho, p=p, lr=0.0)
    visited: list[list[float]] = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        visited.append(w.tolist())
        value = (torch.tensor(gradient, dtype=torch.float64) * w).sum()
        value.backward()
        return value

    optimizer.step(closure)
    x, y = visited[1]
    return x, y


def _minima(axes: Axes) -> Iterable[str]:
    w = [axes.x[0] + (axes.x[1] - axes.x[0]) * i / 400 for i in range(401)]
    yield _text((axes.left, 34), "The worst loss within ρ of w", size=16, weight="600")
    yield from _frame(axes, "w", "loss")
    yield _path([axes.at((x, worst_loss(x, LEFT_RHO))) for x in w], ORANGE, dash="7 4")
    yield _path([axes.at((x, loss(x))) for x in w], INK)
    for name, (_, place, _width) in (("sharp minimum", SHARP), ("flat minimum", FLAT)):
        low, high = loss(place), worst_loss(place, LEFT_RHO)
        left, right = axes.at((place - LEFT_RHO, low)), axes.at((place + LEFT_RHO, low))
        yield _line(left, right, FAINT, width=1.5)
        yield from (_line((x, left[1] - 4), (x, left[1] + 4), FAINT, width=1.5) for x in (left[0], right[0]))
        yield _line(axes.at((place, low)), axes.at((place, high)), ORANGE, width=1.5)
        yield _dot(axes.at((place, low)), INK)
        yield _dot(axes.at((place, high)), ORANGE)
        yield _text((right[0] + 8, right[1] + 5), name)
        yield _text((left[0] - 8, left[1] + 5), "w ± ρ", colour=FAINT, size=13, align="end")
    yield _text(axes.at((-0.62, 1.035)), "max L(w + ε), |ε| ≤ ρ", colour=ORANGE, align="middle")
    yield _text(axes.at((-0.42, 0.46)), "L(w)", align="end")


def _balls(axes: Axes) -> Iterable[str]:
    yield _text((axes.left, 34), "The perturbation ε̂ for a gradient g", size=16, weight="600")
    yield _line(axes.at((axes.x[0], 0)), axes.at((axes.x[1], 0)), "#d1d5db", width=1)
    yield _line(axes.at((0, axes.y[0])), axes.at((0, axes.y[1])), "#d1d5db", width=1)
    for p, colour, label in NORMS:
        yield _path([axes.at(point) for point in _sphere(p)], colour, close=True, width=1.75)
        x, y = perturbation(GRADIENT, p, 1.0)
        # the line of equal ε·g through ε̂: the ball touches it and does not cross it, which is Hölder with equality
        across = (-GRADIENT[1], GRADIENT[0])
        start, end = (axes.at((x + s * across[0], y + s * across[1])) for s in (0.62, -0.62))
        yield _line(start, end, colour, width=1.25, dash="4 4")
        yield _text((end[0] + 5, end[1] + 12), label, colour=colour, weight="600")
        yield _line(axes.at((0, 0)), axes.at((x, y)), colour, width=2)
        yield _dot(axes.at((x, y)), colour, radius=5)
    tip = (GRADIENT[0] * 1.75, GRADIENT[1] * 1.75)
    yield from _arrow(axes.at((0, 0)), axes.at(tip), INK)
    x, y = axes.at(tip)
    yield _text((x + 8, y + 2), "g", weight="600", style="italic")
    yield _text(
        (axes.left, axes.bottom + 22),
        f"Solid: ‖ε‖{_low('p')} = ρ. Dashed: ε · g = ρ‖g‖{_low('q')}",
        colour=FAINT,
        size=13,
    )


def _sphere(p: float) -> Sequence[Point]:
    """Points with ‖ε‖_p = 1, once around."""
    if p == 1:
        return [(1, 0), (0, 1), (-1, 0), (0, -1)]
    if math.isinf(p):
        return [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    return [(math.cos(math.tau * i / 120), math.sin(math.tau * i / 120)) for i in range(120)]


def _frame(axes: Axes, x: str, y: str) -> Iterable[str]:
    yield from _arrow((axes.left, axes.bottom), (axes.right, axes.bottom), FAINT, width=1.25)
    yield from _arrow((axes.left, axes.bottom), (axes.left, axes.top), FAINT, width=1.25)
    yield _text((axes.right, axes.bottom + 20), x, colour=FAINT, align="end", style="italic")
    yield _text((axes.left - 10, axes.top - 4), y, colour=FAINT)


def _path(points: Iterable[Point], colour: str, *, width: float = 2.25, dash: str = "", close: bool = False) -> str:
    moves = " L".join(f"{x:.2f} {y:.2f}" for x, y in points)
    return f'<path d="M{moves}{" Z" if close else ""}" fill="none" {_stroke(colour, width, dash)}/>'


def _line(start: Point, end: Point, colour: str, *, width: float, dash: str = "") -> str:
    ends = f'x1="{start[0]:.2f}" y1="{start[1]:.2f}" x2="{end[0]:.2f}" y2="{end[1]:.2f}"'
    return f"<line {ends} {_stroke(colour, width, dash)}/>"


def _arrow(start: Point, end: Point, colour: str, *, width: float = 2) -> Iterable[str]:
    yield _line(start, end, colour, width=width)
    length = math.dist(start, end)
    along = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    corners = [
        (end[0] - 9 * along[0] - side * along[1], end[1] - 9 * along[1] + side * along[0]) for side in (-4.5, 4.5)
    ]
    yield f'<polygon points="{" ".join(f"{x:.2f},{y:.2f}" for x, y in [end, *corners])}" fill="{colour}"/>'


def _dot(at: Point, colour: str, *, radius: float = 4) -> str:
    return f'<circle cx="{at[0]:.2f}" cy="{at[1]:.2f}" r="{radius:g}" fill="{colour}"/>'


def _text(
    at: Point,
    text: str,
    *,
    colour: str = INK,
    size: int = 14,
    align: str = "start",
    weight: str = "400",
    style: str = "normal",
) -> str:
    look = f'fill="{colour}" font-size="{size}" text-anchor="{align}" font-weight="{weight}" font-style="{style}"'
    return f'<text x="{at[0]:.2f}" y="{at[1]:.2f}" {look}>{text}</text>'


def _low(text: str) -> str:
    """A subscript, and a space after it that brings the line back up."""
    return f'<tspan dy="4" font-size="10">{text}</tspan><tspan dy="-4"> </tspan>'


def _stroke(colour: str, width: float, dash: str) -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'stroke="{colour}" stroke-width="{width:g}" stroke-linejoin="round"{dashes}'


if __name__ == "__main__":
    FIGURE.write_text(draw(), encoding="utf-8")
