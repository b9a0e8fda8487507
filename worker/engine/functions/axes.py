"""A rectangle of a picture with numbers along two of its edges: where a point goes, and which numbers to write."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: No picture can show larger numbers: their differences have to be numbers too.
LARGEST_SHOWN: Final = 1e150
#: The least value on a logarithmic scale: what is below lies on its lower end.
SMALLEST_SHOWN: Final = 1e-100


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The numbers along one edge, from low to high."""

    low: float
    high: float
    logarithmic: bool = False

    def share(self, values: Array) -> Array:
        """How far along the edge: 0 at low, 1 at high."""
        if self.logarithmic:
            low, high = math.log10(self.low), math.log10(self.high)
            return (np.log10(np.clip(values, np.finfo(float).tiny, None)) - low) / (high - low)
        return (values - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Round numbers along it, and how they are written."""
        return _powers(self.low, self.high) if self.logarithmic else round_numbers(self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """A rectangle in pixels, y downwards, and its scales."""

    left: float
    right: float
    top: float
    bottom: float
    x: Scale
    y: Scale

    def at(self, points: Array) -> Array:
        """Pixels of points, both [k, 2]; far outside the rectangle they stay just outside."""
        across = np.clip(self.x.share(points[:, 0]), -3, 4)
        up = np.clip(self.y.share(points[:, 1]), -3, 4)
        return np.stack(
            [self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)], axis=1
        )

    def runs(self, curve: Array) -> list[Array]:
        """Pixels of a curve, [k, 2], in pieces where it is finite; a piece of one point cannot be drawn."""
        pixels = self.at(curve)
        pieces = np.split(pixels, np.flatnonzero(~np.isfinite(pixels).all(1)))
        runs = [piece[np.isfinite(piece).all(1)] for piece in pieces]
        return [run for run in runs if len(run) > 1]


def round_numbers(low: float, high: float, *, about: int = 6) -> list[tuple[float, str]]:
    """About so many round numbers in [low, high], evenly spaced, and how they are written."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [i * step for i in range(first, last + 1)]
    return list(zip(values, _written(values, step), strict=True))


def round_ratios(low: float, high: float, *, about: int = 12) -> list[float]:
    """About so many round numbers in [low, high], evenly spaced on a logarithmic scale; 0 < low < high."""
    decades = math.log10(high / low)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    if decades * 3 <= about * 1.5:
        factors: Sequence[int] = (1, 2, 5)
    else:
        factors = (1, 3) if decades * 2 <= about * 1.5 else (1,)
        exponents = exponents[:: max(1, round(decades / about))]
    return [value for e in exponents for f in factors if low <= (value := f * 10.0**e) <= high]


def _powers(low: float, high: float) -> list[tuple[float, str]]:
    return [(value, f"{value:g}") for value in round_ratios(low, high, about=6)]


def _written(values: Sequence[float], step: float) -> list[str]:
    """With the digits it takes to tell them apart, and no more."""
    largest = max(map(abs, values), default=0.0)
    if largest >= 1e6 or step < 1e-4:
        digits = max(0, math.ceil(math.log10(max(largest / step, 1.0)))) if largest else 0
        return [f"{value:.{digits}e}" if value else "0" for value in values]
    return [f"{value + 0.0:.10f}".rstrip("0").rstrip(".") for value in values]
