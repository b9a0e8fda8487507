"""The trail of a run: every step where there is room, and never without bound."""

import math

import pytest

from worker.engine.functions import trail
from worker.engine.functions.trail import Place, Trail


def _place(step: int, value: float = 1.0) -> Place:
    return Place(step=step, x=[float(step), 0.5], value=value, gradient_norm=0.25, learning_rate=0.1)


def test_every_step_is_recorded_as_it_was() -> None:
    places = [_place(step) for step in range(4)]
    recorded = Trail(variables=2, steps=3)

    for place in places:
        recorded.add(place)

    assert recorded.places() == places
    assert recorded.points.tolist() == [place.x for place in places]
    assert recorded.values.tolist() == [1.0] * 4
    assert (recorded.every, recorded.step) == (1, 3)


def test_the_best_is_the_first_of_the_least_values() -> None:
    recorded = Trail(variables=2, steps=3)

    for step, value in enumerate([3.0, 1.0, 1.0, 2.0]):
        recorded.add(_place(step, value))

    assert (recorded.best_step, recorded.best_value) == (1, 1.0)


def test_a_run_of_too_many_numbers_leaves_steps_out_but_not_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "MAX_NUMBERS", 30)
    recorded = Trail(variables=2, steps=20)
    seen: list[list[int]] = []

    for step in range(21):
        recorded.add(_place(step, value=-float(step)))
        seen.append([place.step for place in recorded.places()])

    assert recorded.every == 5
    assert seen[0] == [0]
    assert seen[7] == [0, 5, 7]
    assert seen[10] == [0, 5, 10]
    assert seen[20] == [0, 5, 10, 15, 20]
    assert (recorded.best_step, recorded.best_value) == (20, -20.0)


@pytest.mark.parametrize(("variables", "steps"), [(1, 1_000_000), (1000, 1_000_000), (1000, 1)])
def test_the_largest_runs_have_bounded_trails(variables: int, steps: int) -> None:
    every = Trail(variables=variables, steps=steps).every

    assert (steps // every + 2) * (variables + 4) <= trail.MAX_NUMBERS + 2 * (variables + 4)
    assert every == 1 or (steps + 1) * (variables + 4) > trail.MAX_NUMBERS


@pytest.mark.parametrize("stopped_after", range(8))
def test_a_trail_goes_on_from_its_state(monkeypatch: pytest.MonkeyPatch, stopped_after: int) -> None:
    monkeypatch.setattr(trail, "MAX_NUMBERS", 20)
    whole, first, second = (Trail(variables=2, steps=8) for _ in range(3))
    for step in range(9):
        whole.add(_place(step, math.cos(step)))
    for step in range(stopped_after + 1):
        first.add(_place(step, math.cos(step)))

    second.load_state_dict(first.state_dict())
    for step in range(stopped_after + 1, 9):
        second.add(_place(step, math.cos(step)))

    assert second.places() == whole.places()
    assert (second.step, second.best_step, second.best_value) == (8, whole.best_step, whole.best_value)


def test_a_place_is_finite_if_all_of_it_is() -> None:
    good = _place(1)

    assert good.is_finite
    assert not _place(1, math.nan).is_finite
    assert not Place(step=1, x=[math.inf], value=0, gradient_norm=0, learning_rate=0.1).is_finite
