"""What a picture shows of a function itself: its curve over one variable, its levels over two.

Where a function is not finite there is nothing to show, and it is left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from worker.engine.functions import Function
from worker.engine.functions.axes import LARGEST_SHOWN, Array, Scale, round_numbers, round_ratios

#: Points along a curve, and along each side of a map.
CURVE_POINTS: Final = 480
MAP_POINTS: Final = 96

#: A map's levels, about so many.
LEVELS: Final = 12
#: Levels are spaced evenly unless the heights above the lowest differ by such a ratio; then logarithmically.
WIDE: Final = 100.0

#: How much of the path's extent is shown around it, and the least part of the larger extent that the other is.
MARGIN: Final = 0.5
FLATTEST: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """f over one variable."""

    points: Array
    """[k, 2]: x and f(x), nan where f is not finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """f over two variables."""

    x: Array
    y: Array
    heights: Array
    """[y, x], nan where f is not finite."""
    lowest: float
    """The least value known of, there or elsewhere."""
    levels: Sequence[float]
    """Heights between two colours, ascending; there is one colour more."""


def curve(function: Function, window: Scale) -> Curve:
    """The curve in a window."""
    x = np.linspace(window.low, window.high, CURVE_POINTS)
    return Curve(points=np.stack([x, _heights(function, x[None])], axis=1))


def map_of(function: Function, x: Scale, y: Scale, *, lowest: float) -> Map:
    """The map of a window; `lowest` is the least value known of, there or elsewhere."""
    across, up = np.linspace(x.low, x.high, MAP_POINTS), np.linspace(y.low, y.high, MAP_POINTS)
    heights = _heights(function, np.stack(np.meshgrid(across, up)))
    finite = heights[np.isfinite(heights)]
    lowest = float(finite.min(initial=lowest))
    return Map(x=across, y=up, heights=heights, lowest=lowest, levels=_levels(finite, lowest))


def windows(points: Array, usual: tuple[float, float] | None) -> list[Scale]:
    """What to show of each variable: what is usual, widened to hold the path, or what surrounds the path.

    Args:
        points: the path, [k, n].
        usual: the same for each variable.
    """
    low, high = points.min(0), points.max(0)
    if usual is not None:
        margin = 0.05 * (high - low)
        low = np.where(low < usual[0], low - margin, usual[0])
        high = np.where(high > usual[1], high + margin, usual[1])
    else:
        extent = high - low
        extent = np.maximum(extent, FLATTEST * extent.max())
        middle = (low + high) / 2
        size = np.maximum(np.abs(middle), 1.0)
        # A path that goes nowhere is shown with as much around it as its numbers are large.
        half = np.where(extent > 1e-6 * size, (0.5 + MARGIN) * extent, size)
        low, high = middle - half, middle + half
    return [Scale(low=float(a), high=float(b)) for a, b in zip(low, high, strict=True)]


def heights_shown(curve: Curve, values: Array) -> Scale:
    """What to show of f: the path, and the whole curve unless that would leave the path no room."""
    heights = curve.points[np.isfinite(curve.points[:, 1]), 1]
    low, high = min(heights.min(initial=math.inf), values.min()), max(heights.max(initial=-math.inf), values.max())
    room = 4 * (values.max() - low)
    if 0 < room < high - low:
        high = low + room / 2
    margin = 0.06 * (high - low) or max(abs(high), 1.0)
    return Scale(low=float(low - margin), high=float(high + margin))


def _heights(function: Function, points: Array) -> Array:
    with torch.no_grad():
        heights = function(torch.from_numpy(points)).numpy()
    return np.where(np.isfinite(heights), np.clip(heights, -LARGEST_SHOWN, LARGEST_SHOWN), np.nan)


def _levels(heights: Array, lowest: float) -> list[float]:
    if not heights.size:
        return []
    above = heights - lowest
    near, far = (float(quantile) for quantile in np.quantile(above, (0.02, 1.0)))
    if far <= 1e-12 * max(abs(lowest), 1e-300):
        return []
    if near < far / WIDE:
        return [lowest + level for level in round_ratios(max(near, far * 1e-6), far, about=LEVELS)]
    return [level for level, _ in round_numbers(lowest, lowest + far, about=LEVELS) if level > lowest]
