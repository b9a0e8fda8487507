"""The pictures of a run: whole files, of bounded size, that show it also where a function is difficult to show."""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from lowland.spec.expressions import Expression
from lowland.spec.functions import NAMED, Named, read_function
from worker.engine.functions import animation, function_of, picture
from worker.engine.functions.landscape import Curve, Map
from worker.engine.functions.scene import Scene, evenly, scene_of
from worker.engine.functions.trail import Place, Trail

_SVG = "{http://www.w3.org/2000/svg}"


def _scene(text: str, points: Sequence[Sequence[float]]) -> Scene:
    """Of a run that went to these points."""
    known = read_function(text)
    function = function_of(known)
    trail = Trail(variables=len(points[0]), steps=len(points) - 1)
    for step, x in enumerate(points):
        value = function(torch.tensor(x, dtype=torch.float64)).item()
        trail.add(Place(step=step, x=x, value=value, gradient_norm=1.0, learning_rate=0.1))
    minima = known.minima(len(points[0])) if isinstance(known, Named) else []
    return scene_of(known, function, minima=minima, trail=trail, variant="sam")


def _spiral(steps: int, *, size: float = 1.0, variables: int = 2) -> list[list[float]]:
    turns = [t / 10 for t in range(steps + 1)]
    return [[size * 0.98**t * math.cos(t + variable) for variable in range(variables)] for t in turns]


_SCENES = {
    **{name: (name, _spiral(30, variables=known.fewest if known.most else 2)) for name, known in NAMED.items()},
    "one variable": ("x**6 + x**5 + 5*x**3 - 30*x**2 + 3*x", _spiral(30, variables=1)),
    "a named function of one variable": ("rastrigin", [[2.8], [2.6]]),
    "four variables": ("sphere", _spiral(30, variables=4)),
    "values of both signs": ("x0 + x1 * x2", _spiral(30, variables=3)),
    "no step beyond the start's own place": ("x**2", [[0.0], [0.0]]),
    "a level function": ("0*x0 + 0*x1", [[1.0, 1.0], [1.0, 1.0]]),
    "a level curve": ("0*x + 3", [[1.0], [1.0]]),
    "level values over steps": ("0*x0 + 0*x1 + 0*x2", [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]),
    "finite in a part only": ("log(x0) + sqrt(x1)", [[0.1, 0.1], [0.05, 0.05]]),
    "poles": ("1/x + tan(x)", [[0.5], [0.4], [-0.3]]),
    "finite at the path only": ("sqrt(x - 1) * sqrt(1 - x)", [[1.0], [1.0]]),
    "values down to the least there is": ("sphere", [[1.0, 0.0, 0.0], [1e-50, 0.0, 0.0], [1e-160, 0.0, 0.0]]),
    "no value that is not tiny": ("sphere", [[1e-60, 0.0, 0.0], [1e-160, 0.0, 0.0]]),
    "very far": ("-x0 + x1", [[0.0, 0.0], [1e200, -1e200], [1e300, 1e307]]),
    "very far on a curve": ("-x", [[-1e308], [1e308]]),
    "very steep": ("exp(x0**2 + x1**2)", [[26.0, 1.0], [0.0, 0.0]]),
    "very near": ("x**2", [[1.0], [1.0 + 1e-15]]),
    "far outside the usual window": ("booth", [[2000.0, -800.0], [0.0, 0.0]]),
    "along one axis": ("x0**2 + x1**2", [[3.0, 0.0], [1.0, 0.0]]),
    "a saddle": ("-(x0*x1) / (1 + x0**2) - 1", [[0.5, 0.5], [0.4, 0.6]]),
}
every_scene = pytest.mark.parametrize(("text", "points"), _SCENES.values(), ids=list(_SCENES))


@every_scene
def test_the_svg_is_well_formed_and_every_number_in_it_is_one(text: str, points: list[list[float]]) -> None:
    svg = picture.draw(_scene(text, points))

    root = ElementTree.fromstring(svg)
    assert root.tag == f"{_SVG}svg"
    assert (root.get("width"), root.get("height")) == ("760", "560")
    assert not re.search(r"\b(nan|inf)\b", "".join(" ".join(element.attrib.values()) for element in root.iter()))
    assert len(svg) < 400_000


@every_scene
def test_the_svg_names_the_function_and_the_axes_and_has_ticks(text: str, points: list[list[float]]) -> None:
    root = ElementTree.fromstring(picture.draw(_scene(text, points)))

    words = [element.text for element in root.iter(f"{_SVG}text")]
    names = {1: {"x", "f(x)"}, 2: {"x0", "x1"}}.get(len(points[0]), {"step", "f(x)"})
    assert words[0] == text
    assert names <= set(words)
    assert {"start", "end"} <= set(words)
    assert len(words) >= 10


@every_scene
def test_the_gif_opens_and_goes_round_for_ever(text: str, points: list[list[float]]) -> None:
    gif = animation.draw(_scene(text, points))

    with Image.open(io.BytesIO(gif)) as image:
        assert (image.format, image.size, image.info["loop"]) == ("GIF", (480, 400), 0)
        frames = getattr(image, "n_frames")  # noqa: B009  only images that are files have it
        assert 2 <= frames <= animation.MAX_FRAMES
        image.seek(frames - 1)
        assert image.info["duration"] == animation.LAST_MS
    assert len(gif) < 300_000


def test_a_long_path_is_drawn_in_bounded_files() -> None:
    scene = _scene("rosenbrock", _spiral(5000))

    svg, gif = picture.draw(scene), animation.draw(scene)

    with Image.open(io.BytesIO(gif)) as image:
        assert getattr(image, "n_frames") == animation.MAX_FRAMES  # noqa: B009  only images that are files have it
    assert len(svg) < 200_000
    assert len(gif) < 300_000


def test_the_same_run_is_drawn_in_the_same_bytes() -> None:
    points = _spiral(30)

    assert picture.draw(_scene("ackley", points)) == picture.draw(_scene("ackley", points))
    assert animation.draw(_scene("ackley", points)) == animation.draw(_scene("ackley", points))


def test_text_is_escaped() -> None:
    scene = _scene("x**2", [[1.0], [0.5]])
    hostile = replace(scene, title="<script>\"&'</script>")

    root = ElementTree.fromstring(picture.draw(hostile))

    assert next(root.iter(f"{_SVG}text")).text == "<script>\"&'</script>"
    assert not list(root.iter(f"{_SVG}script"))


def test_the_usual_window_is_widened_to_hold_the_path() -> None:
    inside, outside = _scene("booth", [[1.0, 1.0], [2.0, 2.0]]), _scene("booth", [[30.0, 1.0], [2.0, 2.0]])

    assert ((inside.x.low, inside.x.high), (inside.y.low, inside.y.high)) == ((-10, 10), (-10, 10))
    assert (outside.x.low, outside.x.high) == (-10, pytest.approx(31.4))
    assert (outside.y.low, outside.y.high) == (-10, 10)


def test_a_window_around_a_path_holds_it_and_is_not_too_flat() -> None:
    scene = _scene("x0**2 + x1**2", [[3.0, 0.0], [-1.0, 0.0]])

    assert scene.x.low < -1
    assert scene.x.high > 3
    assert scene.y.high - scene.y.low == pytest.approx((scene.x.high - scene.x.low) / 4)


def test_a_map_has_levels_in_ascending_order_logarithmic_where_the_range_is_wide() -> None:
    bowl, valley = (_scene(text, _spiral(5)).background for text in ("ackley", "beale"))

    assert isinstance(bowl, Map)
    assert isinstance(valley, Map)
    assert np.ptp(np.diff(bowl.levels)) < 1e-9
    assert max(valley.levels) / min(valley.levels) > 1e3
    for background in (bowl, valley):
        assert list(background.levels) == sorted(set(background.levels))
        assert 5 <= len(background.levels) <= 20


def test_where_a_function_is_not_finite_nothing_is_drawn() -> None:
    curve, area = _scene("log(x)", [[0.2], [0.1]]).background, _scene("log(x0) + x1", [[0.2, 0], [0.1, 0]]).background

    assert isinstance(curve, Curve)
    assert isinstance(area, Map)
    assert np.isnan(curve.points[curve.points[:, 0] <= 0, 1]).all()
    assert np.isfinite(curve.points[curve.points[:, 0] > 0, 1]).all()
    assert (np.isnan(area.heights) == (area.x <= 0)).all()


def test_values_over_steps_are_on_a_logarithmic_scale_where_they_span_orders_of_magnitude() -> None:
    falling = _scene("sphere", [[10.0**-i] * 3 for i in range(5)])
    near = _scene("sphere", [[1.0] * 3, [0.9] * 3])

    assert (falling.y.logarithmic, near.y.logarithmic) == (True, False)


@pytest.mark.parametrize(("count", "most"), [(1, 60), (2, 60), (60, 60), (61, 60), (1000, 60), (5, 1)])
def test_points_are_chosen_evenly_each_once_with_both_ends(count: int, most: int) -> None:
    chosen = evenly(count, most)

    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert chosen[0] == 0
    assert chosen[-1] == (count - 1 if most > 1 else 0)
    assert chosen == sorted(chosen)


def test_an_expression_is_titled_by_its_text() -> None:
    known = read_function("  x + 1 ")

    assert isinstance(known, Expression)
    assert _scene("  x + 1 ", [[0.0], [1.0]]).title == "x + 1"
