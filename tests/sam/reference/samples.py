"""The variants that tell samples apart.

ImbSAM  Zhou et al., ICCV 2023    L_head = Σ_head ℓ_i / B,  L_tail = τ Σ_tail ℓ_i / B,  g_t = ∇L_tail(w);
                                  ∇L_head(w) + ∇L_tail(w + ρ g_t/‖g_t‖)
ESAM    Du et al., ICLR 2022      ε = ρ/β mask ⊙ g/‖g‖;  the mean over the γB samples whose loss rose most, at w + ε
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from tests.sam.reference.training import Data, Tensors, along, gradient, mean_gradient, plus


def tail_classes(counts: Sequence[int], tail_below: float) -> set[int]:
    """Classes with fewer samples than a count, or below 1, than that quantile of the counts."""
    if tail_below < 1:
        ordered = sorted(counts)
        place = tail_below * (len(ordered) - 1)
        low, high = math.floor(place), math.ceil(place)
        threshold = ordered[low] + (place - low) * (ordered[high] - ordered[low])
    else:
        threshold = tail_below
    return {label for label, count in enumerate(counts) if count < threshold}


@dataclass
class ImbSam:
    """Only the tail is made flat."""

    rho: Sequence[float]
    tail_weight: float
    tail: set[int]

    def final_gradient(self, w: Tensors, data: Data) -> Tensors:
        tail = torch.tensor([label in self.tail for label in data.labels])
        n = len(data.labels)

        def tail_gradient(at: Tensors) -> Tensors:
            return gradient(lambda v: self.tail_weight * data.losses(v)[tail].sum() / n, at)

        g_head = gradient(lambda v: data.losses(v)[~tail].sum() / n, w)
        if not tail.any():
            return g_head
        eps = along(tail_gradient(w), self.rho)
        return plus(g_head, tail_gradient(plus(w, eps)))


@dataclass
class Esam:
    """Perturb some coordinates, learn from some samples. `mask` is of the step at hand."""

    rho: Sequence[float]
    beta: float
    gamma: float
    mask: Tensors = field(default_factory=list)

    def final_gradient(self, w: Tensors, data: Data) -> Tensors:
        eps = along(mean_gradient(data, w), self.rho)
        at = plus(w, [m * e / self.beta for m, e in zip(self.mask, eps, strict=True)])
        chosen = most_risen(data.losses(w).tolist(), data.losses(at).tolist(), self.gamma)
        return gradient(lambda v: data.losses(v)[chosen].mean(), at)


def most_risen(before: Sequence[float], after: Sequence[float], gamma: float) -> list[int]:
    """The max(1, ⌊γ n + 0.5⌋) samples whose loss rose most."""
    rises = sorted(range(len(before)), key=lambda i: after[i] - before[i], reverse=True)
    return rises[: max(1, math.floor(gamma * len(before) + 0.5))]
