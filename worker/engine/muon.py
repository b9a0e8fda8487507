"""Muon where it belongs, AdamW elsewhere, as one optimizer with one learning rate.

    hidden weight matrices      torch.optim.Muon, updates scaled to the root mean square of AdamW's
    everything else             torch.optim.AdamW: the head, biases, norms, embeddings, convolutions

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the scaling: Liu et al., "Muon
is Scalable for LLM Training", 2025 (https://arxiv.org/abs/2502.16982), section 2.2.
"""

from collections.abc import Callable, Iterable
from typing import Any, cast, overload

from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from lowland.networks import hidden_matrices
from worker.engine.errors import OptimizerUnsuited


def muon_for(model: nn.Module) -> Callable[..., Optimizer]:
    """What builds the optimizer for the parameters of this model.

    Raises:
        OptimizerUnsuited: the model has no hidden weight matrix.
    """
    hidden = hidden_matrices(model)
    if not hidden:
        raise OptimizerUnsuited("muon", "the model has no hidden weight matrix for it; give another optimizer")

    def build(params: Iterable[Tensor], **options: Any) -> Optimizer:
        return MuonWithAdamW(params, hidden=hidden, **options)

    return build


class MuonWithAdamW(Optimizer):
    """Two torch optimizers over one set of parameters; `param_groups` and `state` are shared with both.

    Args:
        params: all parameters.
        hidden: those of them that Muon takes, each with two dimensions.
        lr, weight_decay: of both.
        momentum, nesterov, ns_steps: Muon's.
        betas, eps: AdamW's.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        hidden: Iterable[Tensor],
        lr: float,
        weight_decay: float,
        momentum: float,
        nesterov: bool,
        ns_steps: int,
        betas: tuple[float, float],
        eps: float,
    ) -> None:
        chosen = set(hidden)
        everything = list(params)
        self._muon = Muon(
            [p for p in everything if p in chosen],
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_steps=ns_steps,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = AdamW(
            [p for p in everything if p not in chosen], lr=lr, weight_decay=weight_decay, betas=betas, eps=eps
        )
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {"lr": lr})
        self._share()

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Let both step on the gradients there are."""
        loss = None if closure is None else closure()
        self._muon.step()
        self._adamw.step()
        return loss

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """After groups or state have been replaced: the two work on ours. The first group is Muon's."""
        muon, adamw = self.param_groups
        for optimizer, group in ((self._muon, muon), (self._adamw, adamw)):
            optimizer.param_groups = [group]
            optimizer.state = cast("Any", self.state)
