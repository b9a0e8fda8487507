"""ImbSAM: make the minimum flat for the rare classes only.

    L_head = Σ_{head} ℓ_i / B            L_tail = τ Σ_{tail} ℓ_i / B         over a batch of B samples
    g_h = ∇L_head(w)                     g_t = ∇L_tail(w)
    ε   = ρ g_t/‖g_t‖₂
    w'  = base(w, g_h + ∇L_tail(w + ε))

Tail classes have fewer training samples than a threshold, all others are head classes.

Source: Zhou et al., "ImbSAM: A Closer Look at Sharpness-Aware Minimization in Class-Imbalanced Recognition", ICCV 2023
(https://arxiv.org/abs/2308.07815).
Differs: the paper has no τ, which is τ = 1.
Cost: 2 forwards, 3 backwards (a compiled model 3 of each); a batch without tail samples one of each. Memory beside
the base optimizer: one copy of w (exact restore), one of g (g_h).
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sam import _ranks
from sam._around import BaseOptimizer
from sam._ascent import along_gradient
from sam._memory import PerParameter
from sam._passes import FINAL, Pass, Passes, losses_of
from sam._plan import ALWAYS, Active, Plan, Rho, read_number
from sam.base import SamOptimizer


@final
class ImbSAM(SamOptimizer):
    """SAM for the tail classes, the base optimizer's gradient for the head.

    Driven by `step_on(batch)` alone: it needs the losses of single samples and their `labels`. Wants
    `plan(class_counts=...)`, which tells tail from head. In data parallel every step takes both passes, for another
    rank may have tail samples, and all gradients are averaged over the ranks.

    Args:
        params: parameters or parameter groups; a group may have its own `rho`.
        base_optimizer: a torch optimizer class, such as `torch.optim.SGD`.
        rho: length of the perturbation, >= 0, or a schedule. 0 with `tail_weight` 1 is the base optimizer.
        tail_below: a class with fewer training samples is tail. >= 1 is that number; > 0 and < 1 a quantile of the
            class counts.
        tail_weight: τ, >= 0. 1 is the paper's form.
        active: the part of the run to act in; elsewhere a step is the base optimizer's.
        model: the module whose buffers (BatchNorm's running statistics) should move in the first pass only.
        **base_kwargs: options of the base optimizer (`lr`, `momentum`, ...).

    Raises:
        ValueError: an option that cannot be; from `plan`: class counts without a tail class.

    References:
        Zhou et al., ImbSAM: A Closer Look at Sharpness-Aware Minimization in Class-Imbalanced Recognition, ICCV 2023.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        rho: Rho = 0.05,
        tail_below: float = 0.5,
        tail_weight: float = 2.0,
        active: Active = ALWAYS,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        if not read_number("tail_below", tail_below):
            raise ValueError(f"tail_below must be > 0, got {tail_below!r}")
        tail_weight = read_number("tail_weight", tail_weight)
        self.tail_below = tail_below
        self.tail_weight = tail_weight
        self._is_tail: Tensor | None = None
        super().__init__(
            params,
            base_optimizer,
            settings={"tail_below": tail_below, "tail_weight": tail_weight},
            options={"rho": rho},
            active=active,
            base_kwargs=base_kwargs,
            model=model,
            rho_0_is_base=tail_weight == 1,
        )

    def _check_plan(self, plan: Plan) -> None:
        if plan.class_counts is not None:
            self._is_tail = tail_classes(plan.class_counts, self.tail_below)

    def _passes(self) -> Passes:
        batch = self._batch_at_hand()
        labels = batch.labels
        if self._is_tail is None:
            raise RuntimeError("ImbSAM needs the classes' sizes: call plan(class_counts=...) before the first step")
        if labels is None:
            raise TypeError("ImbSAM needs the class of each sample: the batch has no labels")
        if labels.shape != (len(batch),) or labels.dtype != torch.int64 or not labels.is_cpu:
            raise ValueError(
                f"labels must be int64 [{len(batch)}] on the CPU, got {labels.dtype} {list(labels.shape)} "
                f"on {labels.device}"
            )
        for label in (labels.min(), labels.max()) if len(labels) else ():
            if not 0 <= label < len(self._is_tail):
                raise ValueError(f"class_counts has {len(self._is_tail)} classes, got a sample of class {int(label)}")
        is_tail = self._is_tail[labels]
        if not is_tail.any() and _ranks.count() == 1:
            yield FINAL
            return
        device = next(self._parameters()).device
        head, tail = (of.nonzero()[:, 0].to(device, non_blocking=True) for of in (~is_tail, is_tail))

        def tail_loss(losses: Tensor) -> Tensor:
            return self.tail_weight * losses[tail].sum() / len(losses)

        def weighted() -> Tensor:
            losses = losses_of(batch)
            self._backward(losses[head].sum() / len(losses) + tail_loss(losses))
            return losses.detach().mean()

        if all(self._radius(group) == 0 for group in self.param_groups):
            yield Pass(may_stay_local=False, run=weighted)
            return
        params = [p for p in self._parameters() if p.requires_grad]
        g_head: PerParameter = {}

        def clean() -> Tensor:
            losses = losses_of(batch)
            # The graph of a compiled model can be sent backward a single time: then the forward is made again.
            buffers = self._buffers.copy() if self._model_is_compiled else None
            g_t = self._gradient_of(tail_loss(losses), params, retain_graph=buffers is None)
            if buffers is not None:
                start.replay()
                losses = losses_of(batch)
            g_head.update(self._gradient_of(losses[head].sum() / len(losses), params))
            if buffers is not None:
                self._buffers.put_back(buffers)
            for p, g in g_t.items():
                p.grad = g
            return losses.detach().mean()

        def perturbed() -> Tensor:
            loss = tail_loss(losses_of(batch))
            self._backward(loss)
            for p, g in g_head.items():
                p.grad = g if p.grad is None else p.grad.add_(g)
            return loss.detach()

        start = self._random_state()
        yield Pass(may_stay_local=False, run=clean)
        with self._perturbed(self._shifts(along_gradient), start):
            yield Pass(may_stay_local=False, run=perturbed)

    def _gradient_of(self, loss: Tensor, params: list[Tensor], *, retain_graph: bool = False) -> PerParameter:
        """The gradient by parameter, scaled where there is a scaler, averaged over the ranks; `.grad` is left alone.

        Not by a backward into `.grad`: data parallelism allows one of those per forward.
        """
        scaled = loss if self._scaler is None else self._scaler.scale(loss)
        found = torch.autograd.grad(scaled, params, retain_graph=retain_graph, allow_unused=True)
        # Unlike `.grad`, what is found may be one number expanded, which cannot be written to.
        dense = [None if g is None else g.clone() if 0 in g.stride() else g for g in found]
        gradient = {p: g for p, g in zip(params, dense, strict=True) if g is not None}
        _ranks.average_([[g] for g in gradient.values()])
        return gradient


def tail_classes(class_counts: tuple[int, ...], tail_below: float) -> Tensor:
    """Which classes are tail, bool [classes]. ValueError where none of them has a sample."""
    if not class_counts:
        raise ValueError("class_counts must have an entry for each class, got none")
    counts = torch.tensor(class_counts, dtype=torch.float64, device="cpu")
    threshold = counts.quantile(tail_below) if tail_below < 1 else tail_below
    is_tail = counts < threshold
    if not (is_tail & (counts > 0)).any():
        raise ValueError(
            f"class_counts must have a class with fewer than {float(threshold):g} samples (tail_below={tail_below:g}) "
            f"and at least one, got {list(class_counts)}: without a tail class ImbSAM would be the base optimizer"
        )
    return is_tail
