"""What `function` may say: a known name however it is spelled, or an expression."""

import pytest

from lowland.spec.base import Conflict
from lowland.spec.expressions import Expression
from lowland.spec.functions import ALIASES, NAMED, Named, check_function, read_function

_NAMES = '"ackley", "beale", "booth", "himmelblau", "rastrigin", "rosenbrock", "sphere" or "three-hump-camel"'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rosenbrock", "rosenbrock"),
        (" Rosenbrock ", "rosenbrock"),
        ("three-hump camel", "three-hump-camel"),
        ("Three_Hump_Camel", "three-hump-camel"),
        ("banana", "rosenbrock"),
    ],
)
def test_a_name_goes_by_its_spellings(text: str, name: str) -> None:
    function = read_function(text)

    assert isinstance(function, Named)
    assert function.name == name


def test_anything_else_is_an_expression() -> None:
    function = read_function("x0**2 + x1")

    assert isinstance(function, Expression)
    assert function.variables == 2


def test_an_alias_is_another_name_of_a_known_function() -> None:
    assert set(ALIASES.values()) <= set(NAMED)
    assert not set(ALIASES) & set(NAMED)


@pytest.mark.parametrize("function", NAMED.values(), ids=list(NAMED))
def test_what_is_known_of_a_named_function_fits_together(function: Named) -> None:
    variables = function.most or function.fewest + 2
    low, high = function.window

    points = [*function.minima(variables), function.start(variables)]

    assert {len(point) for point in points} == {variables}
    assert all(low < x < high for point in points for x in point)
    check_function(function.name, function.fewest)
    check_function(function.name, variables)


def test_points_are_repeated_for_as_many_variables_as_there_are() -> None:
    rosenbrock = NAMED["rosenbrock"]

    assert rosenbrock.start(5) == (-1.2, 1.0, -1.2, 1.0, -1.2)
    assert rosenbrock.minima(3) == [(1.0, 1.0, 1.0)]


@pytest.mark.parametrize(
    ("text", "variables", "field", "message"),
    [
        (
            "rosenbrok",
            2,
            "function",
            f'function is "rosenbrok", which is not known (did you mean "rosenbrock"?); give {_NAMES}, '
            "or an expression in x, or in x0, x1, ...",
        ),
        (
            "three-hump camle",
            2,
            "function",
            'function is "three-hump camle", which is not known (did you mean "three-hump-camel"?); give ',
        ),
        (
            "griewank",
            2,
            "function",
            f'function is "griewank", which is neither known nor an expression; give {_NAMES}, or an expression in x',
        ),
        (
            "x^2",
            1,
            "function",
            'function is "x^2", which is no expression: "^" has no meaning here; write ** for powers; give numbers',
        ),
        (
            "rosenbrock",
            1,
            "start",
            'start has 1 number and function is "rosenbrock", which is of 2 or more variables; give one number for ',
        ),
        (
            "booth",
            3,
            "start",
            'start has 3 numbers and function is "booth", which is of 2 variables; give one number for each',
        ),
        (
            "x**2",
            2,
            "start",
            'start has 2 numbers and function is "x**2", which is of 1 variable; give one number for each',
        ),
    ],
)
def test_a_mistake_names_the_field_to_change_and_what_would_be_accepted(
    text: str, variables: int, field: str, message: str
) -> None:
    with pytest.raises(Conflict) as refused:
        check_function(text, variables)

    assert refused.value.field == field
    assert str(refused.value).startswith(message)


def test_a_function_and_a_start_that_fit_are_accepted() -> None:
    for text, variables in (("sphere", 1), ("ackley", 1000), ("himmelblau", 2), ("x", 1), ("x0 * x1 * x2", 3)):
        check_function(text, variables)
