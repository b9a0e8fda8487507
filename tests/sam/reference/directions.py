"""The variants that set one gradient beside another.

FriendlySAM  Li et al., CVPR 2024        m_t = λ m_{t-1} + (1-λ) g_t,  d_t = g_t - σ m_t;  m_0 = d_0 = g_0
GSAM         Zhuang et al., ICLR 2022    g_p - α g_⊥,  g_⊥ = g - (g·g_p/‖g_p‖²) g_p
LookSAM      Liu et al., CVPR 2022       every k-th step SAM's, g_v = g_p - (g·g_p/‖g‖²) g;  else g + α ‖g‖ g_v/‖g_v‖
MSAM         momentum SAM                ε = -ρ v/‖v‖, v the momentum as the last step left it
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.sam.reference.training import Base, Data, Tensors, along, dot, mean_gradient, norm, plus


@dataclass
class Friendly:
    """Perturb along what a gradient has beyond the running average of all."""

    rho: Sequence[float]
    sigma: float
    lmbda: float
    m: Tensors = field(default_factory=list)

    def final_gradient(self, w: Tensors, data: Data) -> Tensors:
        g = mean_gradient(data, w)
        if not self.m:
            self.m = g
            d = g
        else:
            self.m = [self.lmbda * mi + (1 - self.lmbda) * gi for mi, gi in zip(self.m, g, strict=True)]
            d = plus(g, self.m, -self.sigma)
        return mean_gradient(data, plus(w, along(d, self.rho)))


@dataclass
class Gsam:
    """Step along the perturbed gradient, less α times what the clean one has across it."""

    rho: Sequence[float]
    alpha: float

    def final_gradient(self, w: Tensors, data: Data) -> Tensors:
        g = mean_gradient(data, w)
        g_p = mean_gradient(data, plus(w, along(g, self.rho)))
        across = plus(g, g_p, -dot(g, g_p) / dot(g_p, g_p))
        return plus(g_p, across, -self.alpha)


@dataclass
class LookSam:
    """Every k-th step is SAM's; between them, what it had across the clean gradient is used again."""

    rho: Sequence[float]
    alpha: float
    k: int
    step: int = 0
    g_v: Tensors = field(default_factory=list)

    def final_gradient(self, w: Tensors, data: Data) -> Tensors:
        g = mean_gradient(data, w)
        self.step += 1
        if (self.step - 1) % self.k:
            return plus(g, self.g_v, self.alpha * norm(g) / norm(self.g_v))
        g_p = mean_gradient(data, plus(w, along(g, self.rho)))
        self.g_v = plus(g_p, g, -dot(g, g_p) / dot(g, g))
        return g_p


@dataclass
class Msam:
    """Perturb against the base optimizer's momentum: the one pass is at w + ε."""

    rho: Sequence[float]
    base: Base

    def final_gradient(self, w: Tensors, data: Data) -> Tensors:
        v = self.base.momentum
        return mean_gradient(data, w if v is None else plus(w, along(v, self.rho), -1))
