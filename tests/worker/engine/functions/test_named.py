"""The named functions: what the contract says of them is what the engine computes."""

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
import torch

from lowland.spec.expressions import FLOATS, read_expression
from lowland.spec.functions import NAMED, Named
from worker.engine.functions import FUNCTIONS

every_function = pytest.mark.parametrize("known", NAMED.values(), ids=list(NAMED))


def _sizes(known: Named) -> range:
    return range(known.fewest, (known.most or known.fewest + 3) + 1)


def _random_points(known: Named, variables: int, count: int = 200) -> torch.Tensor:
    low, high = known.window
    generator = torch.Generator().manual_seed(0)
    return low + (high - low) * torch.rand(variables, count, dtype=torch.float64, generator=generator)


def test_the_engine_has_exactly_the_functions_of_the_contract() -> None:
    assert set(FUNCTIONS) == set(NAMED)


@every_function
def test_a_known_minimum_has_the_known_value_and_no_slope(known: Named) -> None:
    for variables in _sizes(known):
        for minimum in known.minima(variables):
            x = torch.tensor(minimum, dtype=torch.float64, requires_grad=True)

            value = FUNCTIONS[known.name](x)
            (gradient,) = torch.autograd.grad(value, x)

            assert value.item() == pytest.approx(known.least, abs=1e-12)
            assert gradient.norm().item() == pytest.approx(0, abs=1e-6)


@every_function
def test_nothing_in_the_window_lies_lower_than_the_minima(known: Named) -> None:
    for variables in _sizes(known):
        values = FUNCTIONS[known.name](_random_points(known, variables, 5000))

        assert bool((values > known.least).all())


@every_function
def test_many_points_at_once_have_the_values_they_have_alone(known: Named) -> None:
    points = _random_points(known, known.most or 3, 20)

    together = FUNCTIONS[known.name](points)

    assert together.shape == (20,)
    assert together.tolist() == pytest.approx([FUNCTIONS[known.name](point).item() for point in points.T], rel=1e-14)


@pytest.mark.parametrize("known", [known for known in NAMED.values() if known.most == 2], ids=lambda known: known.name)
def test_the_formula_of_two_variables_is_the_function(known: Named) -> None:
    formula = read_expression(known.formula)
    points = _random_points(known, 2)

    values = [formula.evaluate(point, FLOATS) for point in points.T.tolist()]

    assert FUNCTIONS[known.name](points).tolist() == pytest.approx(values, rel=1e-12)


def _ackley(x: Sequence[float]) -> float:
    n = len(x)
    squares, cosines = sum(v**2 for v in x), sum(math.cos(2 * math.pi * v) for v in x)
    return 20 + math.e - 20 * math.exp(-math.sqrt(squares / n) / 5) - math.exp(cosines / n)


def _rastrigin(x: Sequence[float]) -> float:
    return 10 * len(x) + sum(v**2 - 10 * math.cos(2 * math.pi * v) for v in x)


def _rosenbrock(x: Sequence[float]) -> float:
    return sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in itertools.pairwise(x))


def _sphere(x: Sequence[float]) -> float:
    return sum(v**2 for v in x)


_BY_HAND = {"ackley": _ackley, "rastrigin": _rastrigin, "rosenbrock": _rosenbrock, "sphere": _sphere}


def test_every_function_of_any_number_of_variables_is_written_out_here() -> None:
    assert set(_BY_HAND) == {known.name for known in NAMED.values() if known.most is None}


@pytest.mark.parametrize(("name", "by_hand"), _BY_HAND.items(), ids=list(_BY_HAND))
def test_the_function_of_any_number_of_variables_is_its_formula(
    name: str, by_hand: Callable[[Sequence[float]], float]
) -> None:
    for variables in _sizes(NAMED[name]):
        points = _random_points(NAMED[name], variables)

        values = [by_hand(point) for point in points.T.tolist()]

        assert FUNCTIONS[name](points).tolist() == pytest.approx(values, rel=1e-12)
