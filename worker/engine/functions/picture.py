"""path.svg: the path of a run on the function it went down."""

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Final, cast

import contourpy
import numpy as np
from numpy import ma

from lowland.spec.show import cut
from worker.engine.functions import svg
from worker.engine.functions.axes import Axes
from worker.engine.functions.colours import FAINT, INK, MINIMUM, NOWHERE, PAPER, PATH, depths
from worker.engine.functions.landscape import Curve, Map
from worker.engine.functions.scene import Scene

if TYPE_CHECKING:
    from contourpy._contourpy import FillReturn_OuterOffset  # what it returns depends on an argument

WIDTH: Final = 760
HEIGHT: Final = 560

#: Every step has a dot of its own where there are not more.
MAX_DOTS: Final = 150


def draw(scene: Scene) -> str:
    """The whole picture, the same for the same scene."""
    is_map = isinstance(scene.background, Map)
    axes = Axes(left=72, right=660 if is_map else 728, top=72, bottom=500, x=scene.x, y=scene.y)
    parts = [
        svg.text(cut(scene.title), 72, 32, colour=INK, size=17, weight=600),
        svg.text(_caption(scene), 72, 54, colour=FAINT),
        svg.clipped(_inside(scene, axes), axes.left, axes.top, axes.right - axes.left, axes.bottom - axes.top),
        *_frame(scene, axes),
        *_legend(scene),
        *(_key(scene.background, axes) if isinstance(scene.background, Map) else []),
    ]
    return svg.document(
        parts, width=WIDTH, height=HEIGHT, title=f"{cut(scene.title)}: {_caption(scene)}", background=PAPER
    )


def _caption(scene: Scene) -> str:
    steps = int(scene.steps[-1])
    return (
        f"{scene.variant}, {steps} {'step' if steps == 1 else 'steps'}: "
        f"from f(x) = {scene.values[0] + 0.0:.6g} to {scene.values[-1] + 0.0:.6g}"
    )


def _inside(scene: Scene, axes: Axes) -> Iterable[str]:
    match scene.background:
        case Map() as background:
            yield svg.rectangle(axes.left, axes.top, axes.right - axes.left, axes.bottom - axes.top, fill=NOWHERE)
            yield from _bands(background, axes)
        case Curve() as background:
            yield from _grid(axes)
            yield from (svg.polyline(run, colour=INK, width=2) for run in axes.runs(background.points))
        case None:
            yield from _grid(axes)
    for x, y in axes.at(scene.minima).tolist():
        yield svg.circle(x, y, 7, fill=MINIMUM, stroke=INK)
    path = axes.at(scene.path)
    yield svg.polyline(path, colour=PAPER, width=4.5, opacity=0.75)
    yield svg.polyline(path, colour=PATH, width=2)
    if len(path) <= MAX_DOTS:
        yield from (svg.circle(x, y, 2.5, fill=PATH, stroke="none") for x, y in path[1:-1].tolist())
    yield svg.circle(path[0, 0], path[0, 1], 5, fill=PAPER, stroke=PATH, width=2.5)
    yield svg.circle(path[-1, 0], path[-1, 1], 5.5, fill=PATH, stroke=PAPER, width=2)


def _bands(background: Map, axes: Axes) -> Iterable[str]:
    """Each colour covers all that is at least so high, so that no seams show between two."""
    heights = ma.masked_invalid(background.heights)
    contours = contourpy.contour_generator(
        background.x, background.y, heights, fill_type=contourpy.FillType.OuterOffset
    )
    edges = [-np.inf, *background.levels]
    for edge, colour in zip(edges, depths(len(edges)), strict=True):
        polygons, offsets = cast("FillReturn_OuterOffset", contours.filled(edge, np.inf))
        outlines = [
            axes.at(polygon[start:end])
            for polygon, bounds in zip(polygons, offsets, strict=True)
            for start, end in pairwise(bounds)
        ]
        yield svg.area(outlines, colour=colour)


def _grid(axes: Axes) -> Iterable[str]:
    for value, _ in axes.y.ticks():
        _, y = axes.at(np.array([[axes.x.low, value]]))[0]
        yield svg.line(axes.left, y, axes.right, y, colour=NOWHERE)


def _frame(scene: Scene, axes: Axes) -> Iterable[str]:
    yield svg.rectangle(axes.left, axes.top, axes.right - axes.left, axes.bottom - axes.top, fill="none", stroke=FAINT)
    for value, label in axes.x.ticks():
        x, _ = axes.at(np.array([[value, axes.y.low]]))[0]
        yield svg.line(x, axes.bottom, x, axes.bottom + 5, colour=FAINT)
        yield svg.text(label, x, axes.bottom + 20, colour=INK, align="middle")
    for value, label in axes.y.ticks():
        _, y = axes.at(np.array([[axes.x.low, value]]))[0]
        yield svg.line(axes.left - 5, y, axes.left, y, colour=FAINT)
        yield svg.text(label, axes.left - 9, y + 4.5, colour=INK, align="end")
    yield svg.text(
        scene.x_name, (axes.left + axes.right) / 2, axes.bottom + 42, colour=INK, align="middle", style="italic"
    )
    yield svg.text(scene.y_name, axes.left - 9, axes.top - 8, colour=INK, align="end", style="italic")


def _legend(scene: Scene) -> Iterable[str]:
    entries = [
        ("start", PAPER, PATH),
        ("end", PATH, PAPER),
        *([("minimum", MINIMUM, INK)] if len(scene.minima) else []),
    ]
    for i, (name, fill, stroke) in enumerate(entries):
        yield svg.circle(78 + 72 * i, HEIGHT - 22, 5, fill=fill, stroke=stroke, width=2)
        yield svg.text(name, 88 + 72 * i, HEIGHT - 17.5, colour=FAINT)


def _key(background: Map, axes: Axes) -> Iterable[str]:
    """The heights between the colours, beside the map; every second one where they are many."""
    colours = depths(len(background.levels) + 1)
    height = (axes.bottom - axes.top) / len(colours)
    left = axes.right + 14
    for i, colour in enumerate(colours):
        yield svg.rectangle(left, axes.bottom - (i + 1) * height, 14, height, fill=colour)
    yield svg.rectangle(left, axes.top, 14, axes.bottom - axes.top, fill="none", stroke=FAINT)
    for i, level in enumerate(background.levels, 1):
        yield svg.text(f"{float(f'{level:.4g}'):g}", left + 20, axes.bottom - i * height + 4.5, colour=INK, size=12)
    yield svg.text("f(x)", left, axes.top - 8, colour=INK, style="italic")
