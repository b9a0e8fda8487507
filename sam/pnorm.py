"""SAM: step with the gradient at the worst point of a ball around w, measured in any p-norm.

    T   = |w| + η  where adaptive (ASAM), else 1             elementwise
    h   = T g                                                g = ∇L(w), the clean gradient
    u   = sign(h) |h|^(q-1) / ‖h‖_q^(q-1)                    1/p + 1/q = 1, so that ‖u‖_p = 1
    ε   = ρ T u                                              Hölder with equality: ε·g = ρ ‖T g‖_q
    w'  = base(w, ∇L(w + ε))

    p = 2    ε = ρ T² g / ‖T g‖₂
    p = ∞    ε = ρ T sign(g)
    p = 1    all of ρ T on the one coordinate with the largest |T g|

Norms run over every parameter with a gradient, whatever group it is in; a group with ρ = 0 is counted and stays
put. On a GPU the 2-norm is a float32 sum of squares: beyond 1e19 it counts as not finite, below 1e-22 as zero.

Source: Foret et al., "Sharpness-Aware Minimization", ICLR 2021, eq. 2 (https://arxiv.org/abs/2010.01412); T:
Kwon et al., "ASAM", ICML 2021, eq. 8 (https://arxiv.org/abs/2102.11600).
Differs: h is divided by max|h| before the power, which changes nothing but overflow (then ‖u‖_p is the
divisor); a zero gradient gives ε = 0; ε and norms of half-precision parameters are float32; weight decay is
the base optimizer's alone.
Cost: 2 forwards, 2 backwards; one of each where every ρ is 0. Memory beside the base optimizer: one copy of w
(exact restore). In passing, for p other than 2 or where adaptive: up to three more while ε is computed.
With shards every shard costs both passes on its samples, and one more copy of w holds the sum of their gradients. The
second-order term costs one backward through the gradient's graph, which is kept meanwhile (`sam._second_order`).
"""

from collections.abc import Mapping
from functools import partial
from numbers import Real
from typing import final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sam import _foreach
from sam._around import BaseOptimizer
from sam._foreach import Scalar
from sam._passes import FINAL, Pass, Passes, losses_of
from sam._plan import ALWAYS, Active, Rho, read_bool, read_count, read_number
from sam._pnorm import perturbation
from sam._second_order import add_second_order_
from sam._weights import Block, Shift
from sam.base import SamOptimizer


@final
class SAM(SamOptimizer):
    """Sharpness-Aware Minimization with a general p-norm; `adaptive=True` is ASAM.

    Args:
        params: parameters or parameter groups; a group may have its own `rho`, `adaptive` and `eta`.
        base_optimizer: a torch optimizer class, such as `torch.optim.SGD`.
        rho: radius of the neighbourhood, >= 0, or a schedule. 0 is the base optimizer, bit for bit and in one pass.
            Typical: 0.05 to 0.2; with `adaptive` on every parameter 0.5 to 2.
        p: the norm the radius is measured in, from 1 to `math.inf`. 2 is the paper's SAM.
        adaptive: scale the neighbourhood by T = |w| + eta elementwise, so that it does not depend on how
            layers are scaled.
        eta: added to |w| where adaptive, >= 0.
        second_order: keep the term of the gradient of w -> L(w + ε(w)) that holds ε's own derivative. For p = 2 and
            not adaptive, through `step_on` alone; not with a compiled model, a GradScaler or data parallelism.
        shard_size: samples that share one ε (m-sharpness); None is the whole batch. Through `step_on` alone; with the
            same restrictions.
        active: the part of the run to act in; elsewhere a step is the base optimizer's.
        model: the module whose buffers (BatchNorm's running statistics) should move in the first pass only.
            Without it they move in both.
        **base_kwargs: options of the base optimizer (`lr`, `momentum`, ...).

    bfloat16 parameters: ε moves a part of the weights only (at rho 0.05 and on larger networks a small part), since 8
    bits cannot hold w + ε. Keep float32 parameters and use autocast.

    Raises:
        ValueError: an option that cannot be, or not together with another.

    References:
        Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021.
        Kwon et al., ASAM: Adaptive Sharpness-Aware Minimization, ICML 2021.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        rho: Rho = 0.05,
        p: float = 2.0,
        adaptive: bool = False,
        eta: float = 0.01,
        second_order: bool = False,
        shard_size: int | None = None,
        active: Active = ALWAYS,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        if not isinstance(p, Real) or isinstance(p, bool) or not p >= 1:
            raise ValueError(f"p must be >= 1, got {p!r}")
        second_order = read_bool("second_order", second_order)
        if second_order and p != 2:
            raise ValueError(f"p must be 2 with second_order, got {p}")
        if shard_size is not None:
            shard_size = read_count("shard_size", shard_size)
            if second_order:
                raise ValueError(f"shard_size must be None with second_order, got {shard_size}")
        self.p = float(p)
        self.second_order = second_order
        self.shard_size = shard_size
        super().__init__(
            params,
            base_optimizer,
            settings={"p": self.p, "second_order": second_order, "shard_size": shard_size},
            options={"rho": rho, "adaptive": adaptive, "eta": eta},
            active=active,
            base_kwargs=base_kwargs,
            model=model,
        )
        if second_order or shard_size is not None:
            self._refuse_wrapped_model("second_order" if second_order else "shard_size")

    def _read_options(self, options: Mapping[str, object]) -> Mapping[str, object]:
        adaptive = read_bool("adaptive", options["adaptive"])
        if self.second_order and adaptive:
            raise ValueError(f"adaptive must be False with second_order, got {adaptive}")
        return {"adaptive": adaptive, "eta": read_number("eta", options["eta"])}

    def _passes(self) -> Passes:
        if self.shard_size is not None:
            return self._by_shards(self.shard_size)
        return self._with_second_order() if self.second_order else self._two_passes(self._perturbation)

    def _perturbation(self, blocks: list[Block]) -> tuple[list[Shift], Scalar]:
        return perturbation(blocks, self.p)

    def _by_shards(self, size: int) -> Passes:
        """Each part of the batch has its own ε; what is taken there is averaged over the samples."""
        batch = self._batch_at_hand()
        self._refuse_scaler_and_ranks("shard_size")
        device = next(self._parameters()).device
        total: dict[Tensor, Tensor] = {}
        reported: list[Tensor] = []

        def clean(part: Tensor) -> Tensor:
            losses = losses_of(batch, part)
            losses.mean().backward()
            share = losses.detach().sum() / len(batch)
            # The first pass reports one tensor, to which the others add their share of the batch's loss.
            reported.append(share if not reported else reported[0].add_(share))
            return reported[0]

        def perturbed(part: Tensor) -> Tensor:
            loss = losses_of(batch, part).mean()
            loss.backward()
            return loss.detach()

        for part in torch.arange(len(batch), device=device).split(size):
            start = self._random_state()
            yield Pass(may_stay_local=True, run=partial(clean, part))
            with self._perturbed(self._shifts(self._perturbation), start):
                yield Pass(may_stay_local=False, run=partial(perturbed, part))
            for block in self._blocks():
                sums = [total.setdefault(p, torch.zeros_like(g)) for p, g in zip(block.w, block.g, strict=True)]
                _foreach.add_scaled_(sums, block.g, len(part) / len(batch))
        for p, g in total.items():
            p.grad = g

    def _with_second_order(self) -> Passes:
        batch = self._batch_at_hand()
        self._refuse_scaler_and_ranks("second_order")
        start = self._random_state()
        params = [p for p in self._parameters() if p.requires_grad]
        graph: list[Tensor | None] = []

        def clean() -> Tensor:
            loss = losses_of(batch).mean()
            graph.extend(torch.autograd.grad(loss, params, create_graph=True, allow_unused=True))
            for p, g in zip(params, graph, strict=True):
                p.grad = None if g is None else g.detach().clone()  # what is found may be one number expanded
            return loss.detach()

        yield Pass(may_stay_local=False, run=clean)
        blocks = self._blocks()
        # The graph has saved w, which is moved and put back bit for bit: its backward may go on as if nothing was.
        with (
            _foreach.versions_kept([*params, *self._buffers.now()]),
            self._perturbed(self._shifts(self._perturbation), start),
        ):
            yield FINAL
        add_second_order_(blocks, dict(zip(params, graph, strict=True)))
