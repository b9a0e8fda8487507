"""GSAM: step along the perturbed gradient, and up along the part of the clean one that is orthogonal to it.

    g_p = ∇L(w + ε)                      ε = ρ g/‖g‖₂,  g = ∇L(w)
    g_⊥ = g - (g·g_p / ‖g_p‖²) g_p
    w'  = base(w, g_p - α g_⊥)           descends the perturbed loss and shrinks its gap to the loss at w

Norm and products run over every parameter that takes part. ρ follows the learning rate, falling to 0 with it.

Source: Zhuang et al., "Surrogate Gap Minimization Improves Sharpness-Aware Training", ICLR 2022, Algorithm 1
(https://arxiv.org/abs/2203.08065).
Differs: the paper's ρ falls to a ρ_min with the lowest learning rate; ours to `end` at a learning rate of 0.
Cost: 2 forwards, 2 backwards. Memory beside the base optimizer: one copy of w (exact restore); in the perturbed pass
one of g.
"""

from types import MappingProxyType
from typing import Final, cast, final

from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sam import _foreach, _ranks
from sam._around import BaseOptimizer
from sam._ascent import along_gradient, safe_quotient
from sam._foreach import Scalar
from sam._memory import PerParameter, parallel_to
from sam._passes import Passes
from sam._plan import ALWAYS, Active, Rho, RhoSchedule, read_number
from sam._weights import Block, Shift
from sam.base import SamOptimizer

#: The course is the paper's, the radius at the peak SAM's own default. The authors' radii belong to other networks: 0.6
#: falling to 0.1 to a ViT (https://github.com/google-research/big_vision/blob/136deda7827aa52143905afc0482b79b7438c8f8/
#: big_vision/configs/proj/gsam/vit_i1k_gsam_no_aug.py).
FOLLOWS_LR: Final = cast(RhoSchedule, MappingProxyType({"schedule": "lr", "value": 0.05, "end": 0.0}))


@final
class GSAM(SamOptimizer):
    """SAM that also closes the gap between the perturbed loss and the loss.

    Args:
        params: parameters or parameter groups; a group may have its own `rho`.
        base_optimizer: a torch optimizer class, such as `torch.optim.SGD`.
        rho: length of the perturbation, >= 0, or a schedule. 0 is the base optimizer.
        alpha: how much of the orthogonal part is climbed, >= 0. 0 is SAM.
        active: the part of the run to act in; elsewhere a step is the base optimizer's.
        model: the module whose buffers (BatchNorm's running statistics) should move in the first pass only.
        **base_kwargs: options of the base optimizer (`lr`, `momentum`, ...).

    Raises:
        ValueError: an option that cannot be.

    References:
        Zhuang et al., Surrogate Gap Minimization Improves Sharpness-Aware Training, ICLR 2022.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        rho: Rho = FOLLOWS_LR,
        alpha: float = 0.4,
        active: Active = ALWAYS,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        alpha = read_number("alpha", alpha)
        self.alpha = alpha
        super().__init__(
            params,
            base_optimizer,
            settings={"alpha": alpha},
            options={"rho": rho},
            active=active,
            base_kwargs=base_kwargs,
            model=model,
        )

    def _passes(self) -> Passes:
        if self.alpha == 0:
            yield from self._two_passes(along_gradient)
            return
        clean: PerParameter = {}

        def perturbation(blocks: list[Block]) -> tuple[list[Shift], Scalar]:
            clean.update(self._clean_gradients())
            return along_gradient(blocks)

        yield from self._two_passes(perturbation)
        blocks = self._final_blocks()
        g = [parallel_to(block.w, clean) for block in blocks]
        _ranks.average_(g)
        subtract_orthogonal_(self.alpha, g, of=[block.g for block in blocks])


def subtract_orthogonal_(alpha: float, g: list[list[Tensor]], *, of: list[list[Tensor]]) -> None:
    """g_p -= α g_⊥ in place, g_⊥ the part of g that is orthogonal to g_p (`of`). For g_p = 0 that is all of g."""
    wide, g_p = [_foreach.widened(ts) for ts in g], [_foreach.widened(ts) for ts in of]
    norm = _foreach.total_norm(g_p, 2)
    along = _foreach.dot(wide, g_p)
    for out, wide_i, g_p_i in zip(of, wide, g_p, strict=True):
        per_norm = safe_quotient(1.0, norm, g_p_i[0].dtype)
        _foreach.scale_(out, 1 + alpha * (along * per_norm * per_norm))
        _foreach.add_scaled_(out, wide_i, -alpha)
