"""Making the training labels harder to learn from: fewer samples of some classes, some labels wrong."""

from typing import Final

import torch
from torch import Tensor

from lowland.spec.datasets import Imbalance
from worker.engine.data.splits import drawn_by_class

#: Of a class that has any, so many samples are left at least.
_LEAST: Final = 1


def thinned(labels: Tensor, imbalance: Imbalance, *, classes: int, generator: torch.Generator) -> Tensor:
    """Which samples are left when classes are thinned out.

    With n the size of the largest class, f the factor and C classes, class c keeps at most

        exponential    n f^(-c / (C-1))
        step           n, of the first half of the classes (rounded up);  n / f, of the others

    Args:
        labels: int64 [N], on the CPU.
        imbalance: kind and factor.
        classes: C, at least 2.
        generator: decides which samples are kept; not how many.

    Returns:
        Their indices, in ascending order.
    """
    sizes = torch.bincount(labels, minlength=classes)
    number = torch.arange(classes, dtype=torch.float64)
    exponent = number / (classes - 1) if imbalance.kind == "exponential" else (number >= classes / 2).double()
    quotas = (sizes.max() * imbalance.factor**-exponent).round().long().clamp(min=_LEAST)
    return torch.nonzero(drawn_by_class(labels, quotas, generator)).flatten()


def mislabelled(labels: Tensor, fraction: float, *, classes: int, generator: torch.Generator) -> Tensor:
    """The labels with `round(fraction * N)` of them replaced, each by another class, all alike likely.

    Args:
        labels: int64 [N], on the CPU; not written to.
        fraction: 0 to 1.
        classes: how many there are, at least 2.
        generator: decides whose label is replaced, and by which.
    """
    wrong = torch.randperm(len(labels), generator=generator)[: round(fraction * len(labels))]
    step = torch.randint(1, classes, (len(wrong),), generator=generator)
    changed = labels.clone()
    changed[wrong] = (labels[wrong] + step) % classes
    return changed
