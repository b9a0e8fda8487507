"""LookSAM: a SAM step every k steps, whose sharpness direction the cheap steps between go on using.

    every k-th step, the first one included:
        g_p = ∇L(w + ε)                  ε = ρ g/‖g‖₂,  g = ∇L(w)
        g_v = g_p - (g_p·g / ‖g‖²) g     kept
        w'  = base(w, g_p)
    the others:
        w'  = base(w, g + α ‖g‖ g_v/‖g_v‖)

Norms and products run over every parameter that takes part.

Source: Liu et al., "Towards Efficient and Scalable Sharpness-Aware Minimization", CVPR 2022, Algorithm 1
(https://arxiv.org/abs/2203.02714).
ρ is by default SAM's own.
Differs: g_v counts as zero where it is but rounding noise beside g_p. α is 0.3 by default; the paper's 0.7 belongs to
its ViT at ρ = 1.
Cost: (k+1)/k forwards and backwards. Memory beside the base optimizer: one copy of w (exact restore), one of g (g_v);
in a SAM step one more of g.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sam import _foreach, _ranks
from sam._around import BaseOptimizer
from sam._ascent import along_gradient, gradients, safe_quotient
from sam._foreach import Scalar
from sam._memory import PerParameter, parallel_to
from sam._passes import FINAL, Passes
from sam._plan import ALWAYS, Active, Rho, read_count, read_number
from sam._weights import Block, Shift
from sam.base import SamOptimizer

#: ‖g_v‖ up to so many rounding errors of ‖g_p‖ is noise, and its direction means nothing.
_NOISE = 10


@final
class LookSAM(SamOptimizer):
    """SAM on one step in k; the steps between reuse the direction that it found.

    Args:
        params: parameters or parameter groups; a group may have its own `rho`.
        base_optimizer: a torch optimizer class, such as `torch.optim.SGD`.
        rho: length of the perturbation, >= 0, or a schedule. 0 is the base optimizer.
        alpha: weight of the kept direction in the cheap steps, in units of the gradient's norm, >= 0.
        k: steps from one SAM step to the next, >= 1. 1 is SAM.
        active: the part of the run to act in; elsewhere a step is the base optimizer's.
        model: the module whose buffers (BatchNorm's running statistics) should move in the first pass only.
        **base_kwargs: options of the base optimizer (`lr`, `momentum`, ...).

    Raises:
        ValueError: an option that cannot be.

    References:
        Liu et al., Towards Efficient and Scalable Sharpness-Aware Minimization, CVPR 2022.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        rho: Rho = 0.05,
        alpha: float = 0.3,
        k: int = 5,
        active: Active = ALWAYS,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        alpha = read_number("alpha", alpha)
        k = read_count("k", k)
        self.alpha = alpha
        self.k = k
        super().__init__(
            params,
            base_optimizer,
            settings={"alpha": alpha, "k": k},
            options={"rho": rho},
            active=active,
            base_kwargs=base_kwargs,
            model=model,
        )

    def _passes(self) -> Passes:
        age = self._memory.number("age")
        if age is None or age + 1 >= self.k:
            self._memory.write("age", 0)
            return self._sam_step()
        self._memory.write("age", age + 1)
        return self._cheap_step()

    def _sam_step(self) -> Passes:
        clean: PerParameter = {}

        def perturbation(blocks: list[Block]) -> tuple[list[Shift], Scalar]:
            if self.k > 1:
                clean.update(self._clean_gradients())
            return along_gradient(blocks)

        yield from self._two_passes(perturbation)
        if self.k > 1:
            self._memory.write("direction", self._direction(clean))

    def _direction(self, clean: PerParameter) -> PerParameter:
        """g_v/‖g_v‖ by parameter."""
        blocks = self._blocks()
        g = [parallel_to(block.w, clean) for block in blocks]
        _ranks.average_(g)
        v = orthogonal_unit([_foreach.widened(ts) for ts in g], gradients(blocks))
        return {
            p: v_p for block, of_block in zip(blocks, v, strict=True) for p, v_p in zip(block.w, of_block, strict=True)
        }

    def _cheap_step(self) -> Passes:
        yield FINAL
        blocks = self._final_blocks()
        norm = _foreach.total_norm(gradients(blocks), 2)
        direction = self._memory.tensors("direction")
        for block in blocks:
            pairs = [(g, direction[p]) for p, g in zip(block.w, block.g, strict=True) if p in direction]
            if pairs:
                _foreach.add_scaled_([g for g, _ in pairs], [v for _, v in pairs], self.alpha * norm)


def orthogonal_unit(g: list[list[Tensor]], g_p: list[list[Tensor]]) -> list[list[Tensor]]:
    """g_v/‖g_v‖, g_v the part of g_p that is orthogonal to g; zeros where g_v is zero or rounding noise."""
    per_norm = [safe_quotient(1.0, _foreach.total_norm(g, 2), ts[0].dtype) for ts in g]
    along = _foreach.dot(g_p, g)
    v = [
        _foreach.plus_scaled(g_p_i, g_i, -along * inverse * inverse)
        for g_i, g_p_i, inverse in zip(g, g_p, per_norm, strict=True)
    ]
    length, whole = _foreach.total_norm(v, 2), _foreach.total_norm(g_p, 2)
    for v_i in v:
        noise = _NOISE * torch.finfo(v_i[0].dtype).eps * whole
        beyond = torch.where(length > noise, length, 0.0) if isinstance(length, Tensor) else length * (length > noise)
        _foreach.scale_(v_i, safe_quotient(1.0, beyond, v_i[0].dtype))
    return v
