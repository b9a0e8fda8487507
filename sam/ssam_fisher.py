"""SSAM-F: perturb the coordinates with the largest Fisher information only.

    F = Σ_i (∇ℓ_i(w))²                   elementwise, one gradient per sample, over num_samples training samples
    m = 1 on the k largest of F, else 0  k = max(1, ⌊N (1-s) + 1/2⌋) of all N coordinates
    ε = m ⊙ ρ g/‖g‖₂                     g = ∇L(w); the norm is that of the whole gradient
    w' = base(w, ∇L(w + ε))

F is the empirical Fisher information (the data's own labels), for any loss of single samples. For a plain function,
that is, where a closure drives the steps and no samples were given, it is g².

Source: Mi et al., "Make Sharpness-Aware Minimization Stronger: A Sparsified Perturbation Approach", NeurIPS 2022,
Algorithm 2 (https://arxiv.org/abs/2210.05177).
Differs: the mask is there from the first step on (the authors' first mask is all zero); the model is in evaluation
mode for F, so BatchNorm's statistics stay (theirs move once per sample).
Cost: 2 forwards, 2 backwards; at each renewal of the mask one of each per sample on a batch of one. Memory beside the
base optimizer: one copy of w (exact restore), one more (m); at a renewal three more in passing, and with `model` the
gradients of up to 32 samples at once (256 MiB at most).
"""

from typing import final

from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sam import _foreach, _ranks
from sam._around import BaseOptimizer
from sam._ascent import along_gradient, ascent, gradients
from sam._fisher import squared_gradients
from sam._foreach import Scalar, computing_type
from sam._masks import flatten, kept_or_renewed, live_count, top
from sam._memory import PerParameter, parallel_to
from sam._passes import Passes
from sam._plan import ALWAYS, Active, Rho, read_count, read_fraction
from sam._weights import Block, Shift
from sam.base import SamOptimizer


@final
class SSAMF(SamOptimizer):
    """SAM on the most sensitive coordinates: those with the largest Fisher information.

    The samples come from `plan(samples=...)`; without it from the batch at hand, of which the first `num_samples` are
    taken. `update_every` counts epochs, which `plan(steps_per_epoch=...)` makes known.

    Args:
        params: parameters or parameter groups; a group may have its own `rho`.
        base_optimizer: a torch optimizer class, such as `torch.optim.SGD`.
        rho: length of the unmasked perturbation, >= 0, or a schedule. 0 is the base optimizer.
        sparsity: fraction of the coordinates that is not perturbed, >= 0 and < 1. 0 is SAM.
        num_samples: training samples that F is estimated from, >= 1. The authors use 16 to 1024.
        update_every: epochs between two renewals of the mask, >= 1.
        active: the part of the run to act in; elsewhere a step is the base optimizer's.
        model: the module whose buffers (BatchNorm's running statistics) should move in the first pass only, and that is
            in evaluation mode while F is estimated. Without it BatchNorm meets single samples in training mode: its
            statistics move with each, and BatchNorm1d refuses them.
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
        num_samples: int = 128,
        update_every: int = 1,
        active: Active = ALWAYS,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        sparsity = read_fraction("sparsity", sparsity, zero=True, one=False)
        num_samples = read_count("num_samples", num_samples)
        update_every = read_count("update_every", update_every)
        self.sparsity = sparsity
        self.num_samples = num_samples
        self.update_every = update_every
        super().__init__(
            params,
            base_optimizer,
            settings={"sparsity": sparsity, "num_samples": num_samples, "update_every": update_every},
            options={"rho": rho},
            active=active,
            base_kwargs=base_kwargs,
            model=model,
        )

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

    def _renewed(self, mask: PerParameter, params: list[Tensor]) -> Tensor:
        del mask  # the next owes nothing to the last
        fisher = flatten(self._fisher(params))
        self._gate.watch(_foreach.finiteness([[fisher]]), "clean")
        _ranks.average_([[fisher]])
        return top(fisher, live_count(len(fisher), self.sparsity))

    def _fisher(self, params: list[Tensor]) -> list[Tensor]:
        batch = self._batch
        if self._plan.samples is not None:
            batch = self._plan.samples(self.num_samples, self.steps_taken)
        if batch is None:
            return [p.new_zeros(p.shape) if p.grad is None else p.grad.to(computing_type(p)).square() for p in params]
        return squared_gradients(batch, self.num_samples, params, self._model)
