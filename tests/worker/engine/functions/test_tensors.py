"""Expressions over tensors: the values of plain floats, many at once, with gradients."""

import pytest
import torch

from lowland.spec.expressions import FLOATS, read_expression
from worker.engine.functions import function_of
from worker.engine.functions.tensors import FLOAT64

_EXPRESSIONS = [
    "x**6 + x**5 + 5*x**3 - 30*x**2 + 3*x",
    "-x / (x - 3)",
    "abs(x) + cos(x) - cosh(x)",
    "exp(-x**2) * sin(pi*x) + e",
    "log(x + 2) + sqrt(x + 1.5) + sinh(x)",
    "tan(x) * tanh(x) - 2**x",
    "x**0 + x**1 + 7",
]


def test_tensors_know_every_operation() -> None:
    assert set(FLOAT64.operations) == set(FLOATS.operations)


@pytest.mark.parametrize("text", _EXPRESSIONS)
def test_a_tensor_has_the_values_of_its_numbers(text: str) -> None:
    expression = read_expression(text)
    points = torch.linspace(-1.4, 1.4, 29, dtype=torch.float64)

    values = function_of(expression)(points[None])

    assert values.dtype == torch.float64
    assert values.tolist() == pytest.approx([expression.evaluate([x], FLOATS) for x in points.tolist()], rel=1e-12)


@pytest.mark.parametrize("text", _EXPRESSIONS)
def test_the_gradient_is_that_of_finite_differences(text: str) -> None:
    function = function_of(read_expression(text))
    x = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(function, (x,))


def test_a_power_has_a_gradient_at_0_and_on_the_negative_side() -> None:
    x = torch.tensor([0.0, -2.0], dtype=torch.float64, requires_grad=True)

    (gradient,) = torch.autograd.grad(function_of(read_expression("x0**3 + x0**1 + x1**2"))(x), x)

    assert gradient.tolist() == [1.0, -4.0]


def test_outside_the_domain_the_value_is_not_finite() -> None:
    values = function_of(read_expression("log(x) + 1/x"))(torch.tensor([[-1.0, 0.0, 1.0]], dtype=torch.float64))

    assert torch.isfinite(values).tolist() == [False, False, True]
