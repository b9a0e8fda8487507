"""SSAM-D: perturb some coordinates only, chosen at random and exchanged in part as training goes on.

    ε = m ⊙ ρ g/‖g‖₂                     g = ∇L(w); the norm is that of the whole gradient
    w' = base(w, ∇L(w + ε))

    at first: m = 1 on k coordinates at random, else 0      k = max(1, ⌊N (1-s) + 1/2⌋) of all N coordinates
    at each renewal, in epoch e of E:
        d = ½ drop_rate (1 + cos(π e/E))
        n = min(round(k d), N - k)       as many as can be exchanged
        the n ones with the smallest |g| become 0, n zeros at random become 1

Source: Mi et al., "Make Sharpness-Aware Minimization Stronger: A Sparsified Perturbation Approach", NeurIPS 2022,
Algorithm 3 (https://arxiv.org/abs/2210.05177).
Differs: n is bounded on both sides, so the number of ones never changes (the authors' mask loses ones where
s < d/(1+d)); a coordinate that was dropped does not come back in the same renewal.
Cost: 2 forwards, 2 backwards. Memory beside the base optimizer: one copy of w (exact restore), one more (m); at a
renewal some more in passing.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sam import _ranks
from sam._around import BaseOptimizer
from sam._ascent import along_gradient, ascent, gradients
from sam._foreach import Scalar
from sam._masks import drop_fraction, exchanged, flatten, generator_of, kept_or_renewed, live_count, random
from sam._memory import PerParameter, parallel_to
from sam._passes import Passes
from sam._plan import ALWAYS, Active, Plan, Rho, read_count, read_fraction
from sam._weights import Block, Shift
from sam.base import SamOptimizer


@final
class SSAMD(SamOptimizer):
    """SAM on a random part of the coordinates, which is exchanged little by little.

    `update_every` counts epochs, which `plan(steps=..., steps_per_epoch=...)` makes known; `plan(seed=...)` seeds the
    mask.

    Args:
        params: parameters or parameter groups; a group may have its own `rho`.
        base_optimizer: a torch optimizer class, such as `torch.optim.SGD`.
        rho: length of the unmasked perturbation, >= 0, or a schedule. 0 is the base optimizer.
        sparsity: fraction of the coordinates that is not perturbed, >= 0 and < 1. 0 is SAM.
        drop_rate: fraction of the perturbed coordinates that is exchanged at the start of the run, 0 to 1; falls to 0
            by a cosine.
        update_every: epochs between two renewals of the mask, >= 1.
        active: the part of the run to act in; elsewhere a step is the base optimizer's.
        model: the module whose buffers (BatchNorm's running statistics) should move in the first pass only.
        **base_kwargs: options of the base optimizer (`lr`, `momentum`, ...).

    Raises:
        ValueError: an option that cannot be.

    References:
        Mi et al., Make Sharpness-Aware Minimization Stronger: A Sparsified Perturbation Approach, NeurIPS 2022.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        rho: Rho = 0.05,
        sparsity: float = 0.5,
        drop_rate: float = 0.5,
        update_every: int = 1,
        active: Active = ALWAYS,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        sparsity = read_fraction("sparsity", sparsity, zero=True, one=False)
        drop_rate = read_fraction("drop_rate", drop_rate, zero=True, one=True)
        update_every = read_count("update_every", update_every)
        self.sparsity = sparsity
        self.drop_rate = drop_rate
        self.update_every = update_every
        super().__init__(
            params,
            base_optimizer,
            settings={"sparsity": sparsity, "drop_rate": drop_rate, "update_every": update_every},
            options={"rho": rho},
            active=active,
            base_kwargs=base_kwargs,
            model=model,
        )

    def _check_plan(self, plan: Plan) -> None:
        if plan.steps_per_epoch is not None and plan.steps is None:
            raise ValueError("steps must be given with steps_per_epoch: what is exchanged falls to 0 at the run's end")

    def _passes(self) -> Passes:
        return self._two_passes(self._perturbation if self.sparsity else along_gradient)

    def _perturbation(self, blocks: list[Block]) -> tuple[list[Shift], Scalar]:
        mask = kept_or_renewed(
            self._memory,
            epoch=self._plan.epoch(self.steps_taken),
            every=self.update_every,
            params=[p for p in self._parameters() if p.requires_grad],
            renew=self._renewed,
        )
        return ascent(blocks, gradients(blocks), [parallel_to(block.w, mask) for block in blocks])

    def _drawn(self, params: list[Tensor]) -> Tensor:
        n = sum(p.numel() for p in params)
        generator = generator_of(self._plan.seed, self.steps_taken, params[0].device)
        return random(n, live_count(n, self.sparsity), generator)

    def _renewed(self, mask: PerParameter, params: list[Tensor]) -> Tensor:
        return self._exchanged(mask, params) if mask else self._drawn(params)

    def _exchanged(self, mask: PerParameter, params: list[Tensor]) -> Tensor:
        vector = flatten(parallel_to(params, mask))
        magnitude = flatten([torch.zeros_like(p) if p.grad is None else p.grad for p in params])
        _ranks.average_([[magnitude]])
        n = len(vector)
        live = live_count(n, self.sparsity)
        ones = int(vector.sum())  # waits for the device, once a renewal; they are fewer where parameters came or went
        began = self._plan.epoch(self.steps_taken) * (self._plan.steps_per_epoch or 0)
        exchange = drop_fraction(self.drop_rate, self._plan.fraction(began, "drop_rate"))
        drop = max(min(round(ones * exchange), n - live), ones - live)
        generator = generator_of(self._plan.seed, self.steps_taken, vector.device)
        return exchanged(vector, magnitude.abs(), drop=drop, grow=live - ones + drop, generator=generator)
