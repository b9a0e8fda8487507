"""MSAM: perturb against the momentum, which costs no pass of its own.

    ε  = -ρ v / ‖v‖₂                     v: the base optimizer's momentum as the last step left it
    w' = base(w, ∇L(w + ε))              which moves v on

v sums gradients, so -v points where the weights are going to: what is found there is what the next steps would meet.
The norm runs over every parameter that has a momentum; before the first step none has, and ε = 0.

Source: Becker et al., "Momentum-SAM: Sharpness Aware Minimization without Computational Overhead", 2024, Algorithm 1
(https://arxiv.org/abs/2401.12033).
Differs: the authors leave the weights perturbed between steps; here they are w between any two calls, so evaluation
and checkpoints need no care.
Cost: 1 forward, 1 backward. Memory beside the base optimizer: one copy of w (exact restore).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sam._around import BaseOptimizer
from sam._ascent import along_gradient
from sam._passes import FINAL, Passes
from sam._plan import ALWAYS, Active, Rho
from sam.base import SamOptimizer

#: Where torch's optimizers keep a running sum or mean of gradients.
_MOMENTA = ("momentum_buffer", "exp_avg")


@final
class MSAM(SamOptimizer):
    """One-pass SAM: the base optimizer's momentum stands in for the gradient.

    The closure is called once, at w + ε, and its loss is what `step` returns. A hand-written loop with `first_step`
    and `second_step` works and pays for a pass at w that is not needed.

    Args:
        params: parameters or parameter groups; a group may have its own `rho`.
        base_optimizer: a torch optimizer class with momentum: SGD or RMSprop with `momentum`, Adam and its kin.
        rho: length of the perturbation, >= 0, or a schedule. 0 is the base optimizer. Typical: 3 with SGD on CIFAR.
        active: the part of the run to act in; elsewhere a step is the base optimizer's.
        model: the module whose buffers belong to the run; one pass has nothing to keep still.
        **base_kwargs: options of the base optimizer (`lr`, `momentum`, ...).

    Raises:
        ValueError: an option that cannot be, or a base optimizer without momentum.

    References:
        Becker et al., Momentum-SAM: Sharpness Aware Minimization without Computational Overhead, 2024.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        rho: Rho = 3.0,
        active: Active = ALWAYS,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        super().__init__(
            params,
            base_optimizer,
            settings={},
            options={"rho": rho},
            active=active,
            base_kwargs=base_kwargs,
            model=model,
        )

    def _check_group(self, group: Mapping[str, Any]) -> None:
        if group["rho"] != 0 and not (group.get("momentum") or "betas" in group):
            name = type(self.base_optimizer).__name__
            raise ValueError(f"base_optimizer must have momentum where rho is not 0, got {name} without")

    def _passes(self) -> Passes:
        against = [replace(block, rho=-block.rho) for block in self._blocks(self._momentum)]
        if not against:
            yield FINAL
            return
        with self._weights.perturbed(along_gradient(against)[0]):
            yield FINAL

    def _momentum(self, p: Tensor) -> Tensor | None:
        state = self.state.get(p, {}) if p.requires_grad else {}
        return next((state[name] for name in _MOMENTA if state.get(name) is not None), None)
