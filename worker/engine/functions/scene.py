"""What both pictures of a run show: a background, and the path as points of a plane.

one variable     x against f(x)       the function's curve behind it
two              x0 against x1        the function's map behind it
more             step against f(x)    nothing behind it
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lowland.spec.expressions import Expression
from lowland.spec.functions import Named, Point
from worker.engine.functions import Function, landscape
from worker.engine.functions.axes import LARGEST_SHOWN, SMALLEST_SHOWN, Array, Scale
from worker.engine.functions.landscape import Curve, Map
from worker.engine.functions.trail import Trail

#: Points of the path that are drawn, at most.
MAX_DRAWN: Final = 1000
#: Values are shown on a logarithmic scale where their ratio is at least so large.
WIDE: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A plane with the path on it."""

    title: str
    variant: str
    x: Scale
    y: Scale
    x_name: str
    y_name: str
    background: Curve | Map | None
    path: Array
    """[k, 2]"""
    steps: Array
    """Each point's step, [k]."""
    values: Array
    """f at each, [k]."""
    minima: Array
    """Those in the plane, [m, 2]."""


def scene_of(
    known: Named | Expression, function: Function, *, minima: Sequence[Point], trail: Trail, variant: str
) -> Scene:
    """The scene of a run that has ended."""
    drawn = evenly(len(trail.steps), MAX_DRAWN)
    values, points = _shown(trail.values[drawn]), _shown(trail.points[drawn])
    steps = trail.steps[drawn]
    usual = known.window if isinstance(known, Named) else None
    title = known.name if isinstance(known, Named) else known.text
    variables = points.shape[1]
    if variables > 2:
        return _over_steps(title, variant, steps=steps, values=values)
    windows = landscape.windows(points, usual)
    if variables == 1:
        background = landscape.curve(function, windows[0])
        return Scene(
            title=title,
            variant=variant,
            x=windows[0],
            y=landscape.heights_shown(background, values),
            x_name="x",
            y_name="f(x)",
            background=background,
            path=np.stack([points[:, 0], values], axis=1),
            steps=steps,
            values=values,
            minima=np.array(
                [(*minimum, known.least) for minimum in minima] if isinstance(known, Named) else []
            ).reshape(-1, 2),
        )
    lowest = min(trail.best_value, known.least) if isinstance(known, Named) else trail.best_value
    return Scene(
        title=title,
        variant=variant,
        x=windows[0],
        y=windows[1],
        x_name="x0",
        y_name="x1",
        background=landscape.map_of(function, *windows, lowest=max(lowest, -LARGEST_SHOWN)),
        path=points,
        steps=steps,
        values=values,
        minima=np.array(minima).reshape(-1, 2),
    )


def evenly(count: int, most: int) -> list[int]:
    """The indices of all of them, or of so many evenly spaced ones, the first and the last included."""
    chosen = min(count, most)
    return [i * (count - 1) // max(chosen - 1, 1) for i in range(chosen)]


def _over_steps(title: str, variant: str, *, steps: Array, values: Array) -> Scene:
    low, high = float(values.min()), float(values.max())
    logarithmic = low > 0 and high >= WIDE * max(low, SMALLEST_SHOWN)
    low = max(low, SMALLEST_SHOWN) if logarithmic else low
    margin = 0.06 * (high - low) or max(abs(high), 1.0)
    ratio = (high / low) ** 0.06 if logarithmic else 1.0
    return Scene(
        title=title,
        variant=variant,
        x=Scale(low=0.0, high=float(steps[-1])),
        y=Scale(low=low / ratio, high=high * ratio, logarithmic=True)
        if logarithmic
        else Scale(low=low - margin, high=high + margin),
        x_name="step",
        y_name="f(x)",
        background=None,
        path=np.stack([steps, np.maximum(values, low)], axis=1),
        steps=steps,
        values=values,
        minima=np.empty((0, 2)),
    )


def _shown(numbers: Array) -> Array:
    return np.clip(numbers, -LARGEST_SHOWN, LARGEST_SHOWN)
