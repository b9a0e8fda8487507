"""Expressions over tensors: each variable, and so the value, may be many numbers at once."""

from typing import Final

import torch
from torch import Tensor

from lowland.spec.expressions import NEGATE, Arithmetic


def _constant(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


#: Outside a function's domain the value is nan, and inf where it is too large; nothing is raised.
FLOAT64: Final[Arithmetic[Tensor]] = Arithmetic(
    constant=_constant,
    operations={
        "+": torch.add,
        "-": torch.sub,
        "*": torch.mul,
        "/": torch.div,
        "**": torch.pow,
        NEGATE: torch.neg,
        "abs": torch.abs,
        "cos": torch.cos,
        "cosh": torch.cosh,
        "exp": torch.exp,
        "log": torch.log,
        "sin": torch.sin,
        "sinh": torch.sinh,
        "sqrt": torch.sqrt,
        "tan": torch.tan,
        "tanh": torch.tanh,
    },
)
