"""The functions the engine can minimise, one line each; the names are the contract's (`lowland.spec.functions`)."""

from collections.abc import Callable, Mapping
from typing import Final

from torch import Tensor

from lowland.spec.expressions import Expression
from lowland.spec.functions import Named
from worker.engine.functions import named, tensors

__all__ = ["FUNCTIONS", "Function", "function_of"]

#: Takes points, float64 [n, ...] with one row a variable, and gives their values, [...].
Function = Callable[[Tensor], Tensor]

FUNCTIONS: Final[Mapping[str, Function]] = {
    "ackley": named.ackley,
    "beale": named.beale,
    "booth": named.booth,
    "himmelblau": named.himmelblau,
    "rastrigin": named.rastrigin,
    "rosenbrock": named.rosenbrock,
    "sphere": named.sphere,
    "three-hump-camel": named.three_hump_camel,
}


def function_of(known: Named | Expression) -> Function:
    """What computes it."""
    match known:
        case Named():
            return FUNCTIONS[known.name]
        case Expression():
            return lambda points: known.evaluate(points.unbind(0), tensors.FLOAT64)
