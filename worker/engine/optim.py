"""The optimizer of a run: a SAM variant around a base optimizer, over all parameters of the model."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import sam
from lowland.spec.job import JobSpec
from sam import SamOptimizer
from worker.engine.muon import muon_for

#: A model -> what builds the base optimizer from parameters and the fields of its spec.
BaseFor = Callable[[nn.Module], Callable[..., Optimizer]]


def _any_model(optimizer: type[Optimizer]) -> BaseFor:
    return lambda model: optimizer


OPTIMIZERS: Final[Mapping[str, BaseFor]] = {
    "sgd": _any_model(torch.optim.SGD),
    "adam": _any_model(torch.optim.Adam),
    "adamw": _any_model(torch.optim.AdamW),
    "rmsprop": _any_model(torch.optim.RMSprop),
    "muon": muon_for,
}


def build_optimizer(spec: JobSpec, model: nn.Module) -> SamOptimizer:
    """The variant around its base optimizer; weight decay is on all parameters.

    Raises:
        OptimizerUnsuited: the base optimizer has nothing to do in this model.
    """
    options: dict[str, Any] = spec.optimizer.model_dump(exclude={"name"})
    optimizer = sam.build(
        spec.sam.variant,
        model.parameters(),
        # with its options: the variant may have one of the same name
        partial(OPTIMIZERS[spec.optimizer.name](model), **options),
        model=model,
        **spec.sam.model_dump(exclude={"variant", "sync_perturbation"}),
    )
    if spec.clip_norm is not None:
        _clip_before_each_step(optimizer, spec.clip_norm)
    return optimizer


def _clip_before_each_step(optimizer: SamOptimizer, clip_norm: float) -> None:
    """Clip what the base optimizer is about to step with: the final gradient, not the one that perturbs."""
    parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]

    def clip(*_: object) -> None:
        nn.utils.clip_grad_norm_(parameters, clip_norm)

    optimizer.base_optimizer.register_step_pre_hook(clip)
