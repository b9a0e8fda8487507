"""What the variants share: gradients, sums over all tensors, the base optimizers, schedules.

The bases are torch's:  SGD   v = μ v + g + λ w,  w = w - lr v
                        Adam  m = β₁ m + (1-β₁) g,  s = β₂ s + (1-β₂) g²,  w = w - lr m̂ / (√ŝ + 1e-8)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

Tensors: TypeAlias = list[Tensor]


@dataclass(frozen=True, slots=True)
class Data:
    """One minibatch: the loss of each sample at any weights, and the samples' classes."""

    losses: Callable[[Tensors], Tensor]
    labels: list[int]


class Variant(Protocol):
    """What one variant does with one minibatch; it keeps what it remembers itself."""

    def final_gradient(self, w: Tensors, data: Data) -> Tensors: ...


class Base(Protocol):
    """A base optimizer. `momentum` is its buffer, as the last step left it."""

    momentum: Tensors | None

    def step(self, w: Tensors, g: Tensors) -> Tensors: ...


def gradient(loss: Callable[[Tensors], Tensor], w: Tensors) -> Tensors:
    """∇ loss at w."""
    leaves = [t.detach().clone().requires_grad_() for t in w]
    return list(torch.autograd.grad(loss(leaves), leaves, materialize_grads=True))


def mean_gradient(data: Data, w: Tensors) -> Tensors:
    """∇ of the minibatch's mean loss at w."""
    return gradient(lambda at: data.losses(at).mean(), w)


def dot(a: Tensors, b: Tensors) -> float:
    """Σ a b over all numbers of all tensors."""
    return sum(float((x * y).sum()) for x, y in zip(a, b, strict=True))


def norm(a: Tensors) -> float:
    """‖a‖₂ over all tensors."""
    return math.sqrt(dot(a, a))


def plus(a: Tensors, b: Tensors, factor: float = 1.0) -> Tensors:
    """a + factor b."""
    return [x + factor * y for x, y in zip(a, b, strict=True)]


def along(d: Tensors, rho: Sequence[float]) -> Tensors:
    """ρ d/‖d‖₂, with a ρ for each tensor; 0 where d is 0."""
    length = norm(d)
    return [r * x / length if length > 0 else torch.zeros_like(x) for r, x in zip(rho, d, strict=True)]


@dataclass
class Sgd:
    """SGD with momentum and weight decay."""

    lr: float
    weight_decay: float
    mu: float
    momentum: Tensors | None = None

    def step(self, w: Tensors, g: Tensors) -> Tensors:
        decayed = plus(g, w, self.weight_decay)
        self.momentum = decayed if self.momentum is None else plus(decayed, self.momentum, self.mu)
        return plus(w, self.momentum, -self.lr)


@dataclass
class Adam:
    """Adam with weight decay in the gradient."""

    lr: float
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: Tensors | None = None
    squares: Tensors = field(default_factory=list)
    steps: int = 0

    def step(self, w: Tensors, g: Tensors) -> Tensors:
        first, second = self.betas
        zeros = [torch.zeros_like(t) for t in w]
        g = plus(g, w, self.weight_decay)
        self.steps += 1
        self.momentum = [first * m + (1 - first) * x for m, x in zip(self.momentum or zeros, g, strict=True)]
        self.squares = [second * s + (1 - second) * x**2 for s, x in zip(self.squares or zeros, g, strict=True)]
        m_hat = [m / (1 - first**self.steps) for m in self.momentum]
        s_hat = [s / (1 - second**self.steps) for s in self.squares]
        return [t - self.lr * m / (s.sqrt() + 1e-8) for t, m, s in zip(w, m_hat, s_hat, strict=True)]


def is_active(step: int, steps: int, window: Mapping[str, float]) -> bool:
    """Whether step number `step` of `steps` is one that may perturb."""
    begun = step / steps >= window.get("from", 0.0)
    until = window.get("until", 1.0)
    over = until < 1 and step / steps >= until
    return begun and not over and step % window.get("every", 1) == 0


def rho_at(
    schedule: str, value: float, end: float, *, progress: float = 0.0, lr: float = 1.0, peak: float = 1.0
) -> float:
    """ρ after this fraction of the run, at this learning rate."""
    if schedule == "linear":
        return value + (end - value) * progress
    if schedule == "cosine":
        return end + (value - end) * (1 + math.cos(math.pi * progress)) / 2
    if schedule == "lr":
        return end + (value - end) * lr / peak
    return value
