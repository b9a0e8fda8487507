"""FriendlySAM: perturb along what this batch's gradient has beyond its running average.

    m_t = λ m_{t-1} + (1-λ) g_t          g = ∇L(w), the clean gradient;  m_0 = g_0
    d_t = g_t - σ m_t                    first step: d_0 = g_0, which is plain SAM
    ε_t = ρ d_t / ‖d_t‖₂                 norm over every parameter that takes part
    w'  = base(w, ∇L(w + ε))

Source: Li et al., "Friendly Sharpness-Aware Minimization", CVPR 2024 (https://arxiv.org/abs/2403.12350).
Differs: the authors' code subtracts m_{t-1}; for σ = 1 the direction is the same.
Cost: 2 forwards, 2 backwards. Memory beside the base optimizer: one copy of w (exact restore), one of g (m); in the
perturbed pass one more of g, the average to come, which counts only if the step is taken.
"""

from typing import final

from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sam import _foreach
from sam._around import BaseOptimizer
from sam._ascent import ascent, gradients
from sam._foreach import Scalar
from sam._memory import PerParameter
from sam._passes import Passes
from sam._plan import ALWAYS, Active, Rho, read_fraction, read_number
from sam._weights import Block, Shift
from sam.base import SamOptimizer


@final
class FriendlySAM(SamOptimizer):
    """SAM along the part of the gradient that is particular to the batch.

    On a full batch, or on a plain function, the gradient hardly changes from step to step and what is left of it
    points downhill: σ = 1 does not suit those.

    Args:
        params: parameters or parameter groups; a group may have its own `rho`.
        base_optimizer: a torch optimizer class, such as `torch.optim.SGD`.
        rho: length of the perturbation, >= 0, or a schedule. 0 is the base optimizer. Typical: 0.1 to 0.2.
        sigma: how much of the average is taken out of the gradient, >= 0. 0 is SAM.
        lmbda: decay of the average per step, >= 0 and < 1.
        active: the part of the run to act in; elsewhere a step is the base optimizer's.
        model: the module whose buffers (BatchNorm's running statistics) should move in the first pass only.
        **base_kwargs: options of the base optimizer (`lr`, `momentum`, ...).

    Raises:
        ValueError: an option that cannot be.

    References:
        Li et al., Friendly Sharpness-Aware Minimization, CVPR 2024.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        rho: Rho = 0.1,
        sigma: float = 1.0,
        lmbda: float = 0.9,
        active: Active = ALWAYS,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        sigma = read_number("sigma", sigma)
        lmbda = read_fraction("lmbda", lmbda, zero=True, one=False)
        self.sigma = sigma
        self.lmbda = lmbda
        super().__init__(
            params,
            base_optimizer,
            settings={"sigma": sigma, "lmbda": lmbda},
            options={"rho": rho},
            active=active,
            base_kwargs=base_kwargs,
            model=model,
        )

    def _passes(self) -> Passes:
        return self._two_passes(self._perturbation)

    def _perturbation(self, blocks: list[Block]) -> tuple[list[Shift], Scalar]:
        known = self._memory.tensors("average")
        averages: PerParameter = {**known}  # a parameter without a gradient in this step keeps what it has
        directions: list[list[Tensor]] = []
        for block, g in zip(blocks, gradients(blocks), strict=True):
            # To its type: a model may have been converted since.
            before = [known[p].to(g_i.dtype) if p in known else g_i for p, g_i in zip(block.w, g, strict=True)]
            m = _foreach.lerp(before, g, 1 - self.lmbda)
            averages.update(zip(block.w, m, strict=True))
            d = _foreach.plus_scaled(g, m, -self.sigma) if known and self.sigma else g
            # A parameter's own first step has no history to take out.
            directions.append([d_i if p in known else g_i for p, d_i, g_i in zip(block.w, d, g, strict=True)])
        self._memory.write("average", averages)
        return ascent(blocks, directions)
