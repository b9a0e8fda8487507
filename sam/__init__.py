"""Sharpness-Aware Minimization for PyTorch: optimizers that look for flat minima.

    optimizer = sam.SAM(model.parameters(), torch.optim.SGD, rho=0.05, lr=0.1, momentum=0.9, model=model)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        return loss

    loss = optimizer.step(closure)

One class per variant, all with the calls of `SamOptimizer`; `VARIANTS` names them and `build` makes one by
name.
"""

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

from torch.optim.optimizer import ParamsT

from sam.base import BaseOptimizer, SamOptimizer
from sam.batch import Batch
from sam.errors import NonFiniteGradient
from sam.plain import Plain
from sam.pnorm import SAM

__all__ = ["SAM", "VARIANTS", "Batch", "NonFiniteGradient", "Plain", "SamOptimizer", "build"]

#: Every variant by its name on the wire.
VARIANTS: Final[Mapping[str, type[SamOptimizer]]] = MappingProxyType(
    {
        "none": Plain,
        "sam": SAM,
    }
)


def build(name: str, params: ParamsT, base_optimizer: BaseOptimizer, **options: object) -> SamOptimizer:
    """Make the variant of that name; `options` are its keywords and the base optimizer's, as its class takes
    them.

    Raises:
        ValueError: no variant has that name; the message gives the nearest that exist.
    """
    if name not in VARIANTS:
        near = difflib.get_close_matches(name, VARIANTS, cutoff=0.4) or list(VARIANTS)
        raise ValueError(f"variant must be one of {', '.join(map(repr, near))}, got {name!r}")
    variant = cast(Callable[..., SamOptimizer], VARIANTS[name])  # each class has keywords of its own
    return variant(params, base_optimizer, **options)
