"""ESAM: a cheaper SAM that perturbs some coordinates and looks again at some samples only.

    ε   = b ⊙ ρ g/(β ‖g‖₂)               g = ∇L(w), b ~ Bernoulli(β) for each coordinate
    S   = the γB samples of the batch whose loss at w + ε exceeds that at w most
    w'  = base(w, ∇L_S(w + ε))           L_S the mean over S

Source: Du et al., "Efficient Sharpness-aware Minimization for Improved Training of Neural Networks", ICLR 2022,
Algorithm 1 (https://arxiv.org/abs/2110.03141).
ρ, β and γ are by default the authors' for ResNet-18 on CIFAR (https://github.com/dydjw9/Efficient_SAM/blob/
1610d46efd4b8023bc64398866429eb706e5cf34/run.sh).
Differs: b is drawn for each coordinate as the paper says (the authors' code draws whole tensors), |S| is γB rounded
half up (theirs is one less), frozen parameters stay frozen. In data parallel S is chosen among all ranks' samples.
Cost: 2 + γ forwards, 1 + γ backwards; with γ = 1 two of each. Memory beside the base optimizer: one copy of w (exact
restore); while ε is made one more (b).
"""

from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sam import _ranks
from sam._around import BaseOptimizer
from sam._ascent import ascent, gradients
from sam._foreach import Scalar
from sam._masks import generator_of, unflatten
from sam._passes import Pass, Passes, losses_of
from sam._plan import ALWAYS, Active, Rho, read_fraction
from sam._weights import Block, Shift
from sam.base import SamOptimizer


@final
class ESAM(SamOptimizer):
    """SAM at less than two passes: a random ε, and the samples that it hurts most.

    Driven by `step_on(batch)` alone: it needs the losses of single samples. `plan(seed=...)` seeds the choice of
    coordinates. In data parallel S is chosen among the samples of all ranks.

    Args:
        params: parameters or parameter groups; a group may have its own `rho`.
        base_optimizer: a torch optimizer class, such as `torch.optim.SGD`.
        rho: length of the perturbation before coordinates are drawn and scaled, >= 0, or a schedule. 0 is the base
            optimizer.
        beta: probability that a coordinate is perturbed, > 0 and <= 1.
        gamma: fraction of the batch in the perturbed pass, > 0 and <= 1. With `beta` and `gamma` 1 it is SAM.
        active: the part of the run to act in; elsewhere a step is the base optimizer's.
        model: the module whose buffers (BatchNorm's running statistics) should move in the first pass only.
        **base_kwargs: options of the base optimizer (`lr`, `momentum`, ...).

    Raises:
        ValueError: an option that cannot be.

    References:
        Du et al., Efficient Sharpness-aware Minimization for Improved Training of Neural Networks, ICLR 2022.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        rho: Rho = 0.05,
        beta: float = 0.6,
        gamma: float = 0.5,
        active: Active = ALWAYS,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        beta = read_fraction("beta", beta, zero=False, one=True)
        gamma = read_fraction("gamma", gamma, zero=False, one=True)
        self.beta = beta
        self.gamma = gamma
        super().__init__(
            params,
            base_optimizer,
            settings={"beta": beta, "gamma": gamma},
            options={"rho": rho},
            active=active,
            base_kwargs=base_kwargs,
            model=model,
        )

    def _passes(self) -> Passes:
        batch = self._batch_at_hand()
        start = self._random_state()
        before: list[Tensor] = []

        def clean() -> Tensor:
            losses = losses_of(batch)
            self._backward(losses.mean())
            before.append(losses.detach())
            return losses.detach().mean()

        def perturbed() -> Tensor:
            if self.gamma < 1:
                with torch.no_grad():
                    rise = losses_of(batch) - before[0]
                part, weights = _ranks.chosen_by_all(rise, self.gamma)
                start.replay()
                loss = (losses_of(batch, part) * weights).sum()
            else:
                loss = losses_of(batch).mean()
            self._backward(loss)
            return loss.detach()

        yield Pass(may_stay_local=True, run=clean)
        with self._perturbed(self._shifts(self._perturbation), start):
            yield Pass(may_stay_local=False, run=perturbed)

    def _perturbation(self, blocks: list[Block]) -> tuple[list[Shift], Scalar]:
        if self.beta == 1 or not blocks:
            return ascent(blocks, gradients(blocks))
        params = [p for block in blocks for p in block.w]
        generator = generator_of(self._plan.seed, self.steps_taken, params[0].device)
        # Three times as quick as bernoulli_: one uniform number a coordinate, in float32 whatever the weights are.
        drawn = torch.rand(
            sum(p.numel() for p in params), device=generator.device, dtype=torch.float32, generator=generator
        )
        chosen = dict(zip(params, unflatten(drawn.lt_(self.beta), params), strict=True))
        blocks = [replace(block, rho=block.rho / self.beta) for block in blocks]
        return ascent(blocks, gradients(blocks), [[chosen[p] for p in block.w] for block in blocks])
