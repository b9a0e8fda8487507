"""SAM as the papers write it: float64, one tensor at a time, slow and obvious. What `sam` computes is held
equal to it.

Foret et al., ICLR 2021, eq. 2, for any p; Kwon et al., ICML 2021, for the adaptive T. The base is SGD with
momentum, as in torch: v = μ v + g + λ w, w = w - lr v.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

GradientAt = Callable[[list[Tensor]], list[Tensor]]


@dataclass(frozen=True, slots=True)
class Options:
    """What a parameter's group says; one entry per tensor, so that nothing has to be looked up."""

    rho: float
    adaptive: bool = False
    eta: float = 0.01


def p_norm(tensors: Sequence[Tensor], p: float) -> float:
    """The p-norm of all numbers of all tensors as one vector."""
    numbers = [abs(x) for t in tensors for x in t.flatten().tolist()]
    if math.isinf(p):
        return max(numbers, default=0.0)
    return sum(x**p for x in numbers) ** (1 / p)


def dual(p: float) -> float:
    """q with 1/p + 1/q = 1."""
    if p == 1:
        return math.inf
    return 1.0 if math.isinf(p) else p / (p - 1)


def perturbation(w: list[Tensor], g: list[Tensor], options: Sequence[Options], p: float) -> list[Tensor]:
    """ε = ρ T sign(g) |T g|^(q-1) / ‖T g‖_q^(q-1)."""
    t = [wi.abs() + o.eta if o.adaptive else torch.ones_like(wi) for wi, o in zip(w, options, strict=True)]
    tg = [ti * gi for ti, gi in zip(t, g, strict=True)]
    q = dual(p)
    if math.isinf(q):
        largest = max(float(h.abs().max()) for h in tg)
        power = [(h.abs() == largest).double() for h in tg]
    else:
        power = [h.abs() ** (q - 1) / p_norm(tg, q) ** (q - 1) for h in tg]
    return [o.rho * ti * gi.sign() * u for o, ti, gi, u in zip(options, t, g, power, strict=True)]


def sam_with_sgd(
    w: list[Tensor],
    gradient_at: GradientAt,
    options: Sequence[Options],
    *,
    p: float,
    lr: float,
    momentum: float,
    weight_decay: float,
    steps: int,
) -> list[Tensor]:
    """The weights after so many steps."""
    v = [torch.zeros_like(wi) for wi in w]
    for _ in range(steps):
        eps = perturbation(w, gradient_at(w), options, p)
        g = gradient_at([wi + ei for wi, ei in zip(w, eps, strict=True)])
        v = [momentum * vi + gi + weight_decay * wi for vi, gi, wi in zip(v, g, w, strict=True)]
        w = [wi - lr * vi for wi, vi in zip(w, v, strict=True)]
    return w
