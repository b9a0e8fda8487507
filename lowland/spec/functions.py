"""Functions a job can minimise: the named ones below, or any expression in x or x0, x1, ...

A function is added by an entry here and one in `worker.engine.functions`; an agreement test holds both together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

from lowland.spec.base import Conflict
from lowland.spec.expressions import Expression, ExpressionInvalid, read_expression
from lowland.spec.show import nearest, one_of, shown

#: One number for each variable.
Point = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A test function for optimizers. Its points are repeated as often as a job has variables."""

    name: str
    formula: str
    """For people; of two variables it reads as an expression."""
    fewest: int
    """Variables it takes at least."""
    most: int | None
    """Variables it takes at most; None is any number."""
    least: float
    """Its value at the minima."""
    at: tuple[Point, ...]
    """Where its value is least."""
    usual_start: Point
    """Where papers start from."""
    lr: float
    """A learning rate that takes plain gradient descent down from there, without throwing it out."""
    window: tuple[float, float]
    """What a picture shows of each variable."""

    def minima(self, variables: int) -> list[Point]:
        """Where its value is least, for so many variables."""
        return [_repeated(point, variables) for point in self.at]

    def start(self, variables: int) -> Point:
        """Where papers start from, for so many variables."""
        return _repeated(self.usual_start, variables)

    @property
    def takes(self) -> str:
        """How many variables, in words."""
        if self.most is None:
            return f"{self.fewest} or more"
        return str(self.fewest) if self.fewest == self.most else f"{self.fewest} to {self.most}"


_NAMED: Final[Sequence[Named]] = [
    Named(
        name="ackley",
        formula="20 + e - 20*exp(-sqrt(sum of x_i**2 / n) / 5) - exp(sum of cos(2*pi*x_i) / n)",
        fewest=1,
        most=None,
        least=0.0,
        at=((0.0,),),
        usual_start=(2.5, 1.5),
        lr=0.01,
        window=(-5.0, 5.0),
    ),
    Named(
        name="beale",
        formula="(1.5 - x0 + x0*x1)**2 + (2.25 - x0 + x0*x1**2)**2 + (2.625 - x0 + x0*x1**3)**2",
        fewest=2,
        most=2,
        least=0.0,
        at=((3.0, 0.5),),
        usual_start=(1.0, 1.0),
        lr=0.01,
        window=(-4.5, 4.5),
    ),
    Named(
        name="booth",
        formula="(x0 + 2*x1 - 7)**2 + (2*x0 + x1 - 5)**2",
        fewest=2,
        most=2,
        least=0.0,
        at=((1.0, 3.0),),
        usual_start=(-5.0, -5.0),
        lr=0.02,
        window=(-10.0, 10.0),
    ),
    Named(
        name="himmelblau",
        formula="(x0**2 + x1 - 11)**2 + (x0 + x1**2 - 7)**2",
        fewest=2,
        most=2,
        least=0.0,
        at=(
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.283185991286170),
            (3.584428340330492, -1.848126526964404),
        ),
        usual_start=(0.0, 0.0),
        lr=0.01,
        window=(-5.0, 5.0),
    ),
    Named(
        name="rastrigin",
        formula="10*n + sum of (x_i**2 - 10*cos(2*pi*x_i))",
        fewest=1,
        most=None,
        least=0.0,
        at=((0.0,),),
        usual_start=(2.8, -3.2),
        lr=0.002,
        window=(-5.12, 5.12),
    ),
    Named(
        name="rosenbrock",
        formula="sum of (100*(x_(i+1) - x_i**2)**2 + (1 - x_i)**2)",
        fewest=2,
        most=None,
        least=0.0,
        at=((1.0,),),
        usual_start=(-1.2, 1.0),
        lr=0.001,
        window=(-2.0, 2.0),
    ),
    Named(
        name="sphere",
        formula="sum of x_i**2",
        fewest=1,
        most=None,
        least=0.0,
        at=((0.0,),),
        usual_start=(1.5, -1.0),
        lr=0.05,
        window=(-2.0, 2.0),
    ),
    Named(
        name="three-hump-camel",
        formula="2*x0**2 - 1.05*x0**4 + x0**6/6 + x0*x1 + x1**2",
        fewest=2,
        most=2,
        least=0.0,
        at=((0.0, 0.0),),
        usual_start=(-1.5, 1.5),
        lr=0.02,
        window=(-2.5, 2.5),
    ),
]

NAMED: Final[Mapping[str, Named]] = {function.name: function for function in _NAMED}

#: Other spellings of the names. Case, `_` and blanks do not matter.
ALIASES: Final[Mapping[str, str]] = {
    "camel": "three-hump-camel",
    "three-hump": "three-hump-camel",
    "rosen": "rosenbrock",
    "banana": "rosenbrock",
}


def read_function(text: str) -> Named | Expression:
    """What `function` names or says; a name comes before an expression.

    Raises:
        Conflict: it is neither.
    """
    if named := find_named(text):
        return named
    try:
        return read_expression(text)
    except ExpressionInvalid as error:
        raise Conflict("function", _refusal(text, _plain(text), error)) from error


def find_named(text: str) -> Named | None:
    """The test function of that name, or of one that stands for it; None where there is none."""
    plain = _plain(text)
    return NAMED.get(ALIASES.get(plain, plain))


def _plain(text: str) -> str:
    return "-".join(text.lower().replace("_", " ").replace("-", " ").split())


def check_function(text: str, variables: int) -> None:
    """Make sure that `function` can be read and takes as many variables as `start` has numbers.

    Raises:
        Conflict: it does not; the message names the field to change.
    """
    match read_function(text):
        case Named() as named:
            fits = variables >= named.fewest and (named.most is None or variables <= named.most)
            takes = named.takes
        case Expression() as expression:
            fits = variables == expression.variables
            takes = str(expression.variables)
    if not fits:
        raise Conflict(
            "start",
            f"start has {variables} {'number' if variables == 1 else 'numbers'} and function is {shown(text)}, "
            f"which is of {takes} {'variable' if takes == '1' else 'variables'}; give one number for each",
        )


def _refusal(text: str, plain: str, error: ExpressionInvalid) -> str:
    if near := nearest(plain, [*NAMED, *ALIASES]):
        return f"function is {shown(text)}, which is not known (did you mean {shown(near)}?); {_EITHER}"
    if text.strip().isidentifier():
        return f"function is {shown(text)}, which is neither known nor an expression; {_EITHER}"
    return f"function is {shown(text)}, which is no expression: {error}; or give {one_of(NAMED)}"


_EITHER: Final = f"give {one_of(NAMED)}, or an expression in x, or in x0, x1, ..."


def _repeated(point: Point, variables: int) -> Point:
    return tuple(islice(cycle(point), variables))
