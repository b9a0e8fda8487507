"""SAM: Foret et al., ICLR 2021, eq. 2, for any p; Kwon et al., ICML 2021, for the adaptive T."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.sam.reference.training import Data, Sgd, Tensors, dot, mean_gradient, norm, plus


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


def perturbation(w: Tensors, g: Tensors, options: Sequence[Options], p: float) -> Tensors:
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


@dataclass
class Sam:
    """The gradient at w + ε."""

    options: Sequence[Options]
    p: float = 2.0

    def final_gradient(self, w: Tensors, data: Data) -> Tensors:
        eps = perturbation(w, mean_gradient(data, w), self.options, self.p)
        return mean_gradient(data, plus(w, eps))


@dataclass
class Shards:
    """m-sharpness: each shard of the batch has its own ε; Σ_shards n_i/n g_i(w + ε_i)."""

    options: Sequence[Options]
    shard_size: int
    p: float = 2.0

    def final_gradient(self, w: Tensors, data: Data) -> Tensors:
        n = len(data.labels)
        final = [torch.zeros_like(t) for t in w]
        for begin in range(0, n, self.shard_size):
            shard = slice(begin, min(begin + self.shard_size, n))
            part = Data(lambda at, shard=shard: data.losses(at)[shard], data.labels[shard])
            g = Sam(self.options, self.p).final_gradient(w, part)
            final = plus(final, g, len(part.labels) / n)
        return final


@dataclass
class SecondOrder:
    """∇_w L(w + ε̂(w)), ε̂ = R u, u = g/‖g‖ and R the radius of each coordinate's group: the chain rule with the
    whole Hessian H of L at w gives g_p + H (R g_p - u (u·R g_p)) / ‖g‖."""

    rho: Sequence[float]

    def final_gradient(self, w: Tensors, data: Data) -> Tensors:
        g = mean_gradient(data, w)
        length = norm(g)
        u = [gi / length for gi in g]
        g_p = mean_gradient(data, [wi + r * ui for wi, r, ui in zip(w, self.rho, u, strict=True)])
        r_g_p = [r * gi for r, gi in zip(self.rho, g_p, strict=True)]
        v = plus(r_g_p, u, -dot(u, r_g_p))
        turned = hessian(lambda at: data.losses(at).mean(), w) @ torch.cat([vi.flatten() for vi in v]) / length
        return plus(g_p, split(turned, like=w))


def hessian(loss: Callable[[Tensors], Tensor], w: Tensors) -> Tensor:
    """∇² loss at w, over all tensors as one vector."""
    flat = torch.cat([t.flatten() for t in w])
    found = torch.autograd.functional.hessian(lambda at: loss(split(at, like=w)), flat, vectorize=True)
    assert isinstance(found, Tensor)
    return found


def split(flat: Tensor, like: Tensors) -> Tensors:
    """One vector as tensors of these shapes."""
    return [part.view_as(t) for part, t in zip(flat.split([t.numel() for t in like]), like, strict=True)]


def sam_with_sgd(
    w: Tensors,
    gradient_at: Callable[[Tensors], Tensors],
    options: Sequence[Options],
    *,
    p: float,
    lr: float,
    momentum: float,
    weight_decay: float,
    steps: int,
) -> Tensors:
    """The weights after so many steps on a plain function."""
    base = Sgd(lr, weight_decay, momentum)
    for _ in range(steps):
        eps = perturbation(w, gradient_at(w), options, p)
        w = base.step(w, gradient_at(plus(w, eps)))
    return w
