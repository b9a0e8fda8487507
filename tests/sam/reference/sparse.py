"""SSAM-F and SSAM-D: Mi et al., NeurIPS 2022. N numbers, of which k = max(1, ⌊N(1-s) + 0.5⌋) are perturbed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from tests.sam.reference.training import Data, Tensors, along, gradient, mean_gradient, plus


@dataclass
class Sparse:
    """ε = m ⊙ ρ g/‖g‖₂, the norm over the unmasked gradient. `mask` is of the step at hand."""

    rho: Sequence[float]
    mask: Tensors = field(default_factory=list)

    def final_gradient(self, w: Tensors, data: Data) -> Tensors:
        eps = along(mean_gradient(data, w), self.rho)
        return mean_gradient(data, plus(w, [m * e for m, e in zip(self.mask, eps, strict=True)]))


def live_count(total: int, sparsity: float) -> int:
    """How many of so many numbers are perturbed."""
    return max(1, math.floor(total * (1 - sparsity) + 0.5))


def fisher(data: Data, w: Tensors) -> Tensors:
    """Σ_i (∇ℓ_i(w))², one gradient per sample."""
    total = [torch.zeros_like(t) for t in w]
    for i in range(len(data.labels)):
        g = gradient(lambda at, i=i: data.losses(at)[i], w)
        total = plus(total, [gi**2 for gi in g])
    return total


def top(values: Tensors, k: int) -> Tensors:
    """1 where a number is among the k largest of all tensors, 0 elsewhere."""
    numbers = sorted(
        ((x, t, i) for t, v in enumerate(values) for i, x in enumerate(v.flatten().tolist())), reverse=True
    )
    mask = [torch.zeros_like(v).flatten() for v in values]
    for _, t, i in numbers[:k]:
        mask[t][i] = 1.0
    return [m.view_as(v) for m, v in zip(mask, values, strict=True)]


def drop_fraction(drop_rate: float, epoch: int, epochs: float) -> float:
    """d, the fraction of the live coordinates exchanged at the start of this epoch."""
    return drop_rate / 2 * (1 + math.cos(math.pi * epoch / epochs))
