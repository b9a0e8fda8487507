"""Means over seeds with their 95 % intervals, and differences of runs that had the same seed."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

#: The 97.5 % quantiles of Student's t with 1 to 30 degrees of freedom. Beyond them the last is a little too wide.
T_975: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of n values, and half the width of the interval around it; None where one value says nothing of it."""

    mean: float
    half_width: float | None
    n: int

    def percent(self, *, signed: bool = False) -> str:
        """In percent, or in points where it is a difference."""
        sign = "+" if signed else ""
        width = "" if self.half_width is None else f" ± {100 * self.half_width:.2f}"
        return f"{100 * self.mean:{sign}.2f}{width}"


def interval(values: Sequence[float]) -> Interval:
    """Of at least one value, taken as normally distributed.

    Raises:
        ValueError: there is none.
    """
    if not values:
        raise ValueError("there are no values; give at least one")
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        return Interval(mean, None, n)
    quantile = T_975[min(n - 1, len(T_975)) - 1]
    return Interval(mean, quantile * statistics.stdev(values) / math.sqrt(n), n)


def paired(of: Mapping[int, float], to: Mapping[int, float]) -> Interval | None:
    """The difference of two rows of values by seed, over the seeds both have; None where there is none."""
    both = sorted(of.keys() & to.keys())
    return interval([of[seed] - to[seed] for seed in both]) if both else None
