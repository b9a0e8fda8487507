"""The optimizer of a run, and the learning rate at each of its steps.

The learning rate is a pure function of the step, so it needs no state of its own in a checkpoint:

    rises from 0 to the peak over the warm-up, then peak · course(t) with t from 0 to 1 over the steps that are left
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

import sam
from lowland.spec.job import JobSpec
from lowland.spec.optimizers import OptimizerSpec, ScheduleSpec
from sam import SamOptimizer

OPTIMIZERS: Final[Mapping[str, type[torch.optim.Optimizer]]] = {
    "sgd": torch.optim.SGD,
    "adamw": torch.optim.AdamW,
}

SCHEDULES: Final[Mapping[str, Callable[[float], float]]] = {
    "constant": lambda t: 1.0,
    "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRate:
    """The learning rate of every step of a run."""

    peak: float
    course: Callable[[float], float]
    steps: int
    warmup_steps: float

    @classmethod
    def of(
        cls, optimizer: OptimizerSpec, schedule: ScheduleSpec, *, epochs: int, steps_per_epoch: int
    ) -> "LearningRate":
        """That of a job whose epochs have so many steps."""
        return cls(
            peak=optimizer.lr,
            course=SCHEDULES[schedule.name],
            steps=epochs * steps_per_epoch,
            warmup_steps=schedule.warmup_epochs * steps_per_epoch,
        )

    def __call__(self, step: int) -> float:
        """Of the step with this number, from 0. Never 0: the first step already rises, the last is not yet down."""
        if step + 1 <= self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        after_warmup = max(step - self.warmup_steps, 0)
        return self.peak * self.course(after_warmup / (self.steps - self.warmup_steps))


def build_optimizer(spec: JobSpec, model: nn.Module) -> SamOptimizer:
    """The variant around its base optimizer, over all parameters of the model; weight decay is on all of them."""
    optimizer = sam.build(
        spec.sam.variant,
        model.parameters(),
        OPTIMIZERS[spec.optimizer.name],
        model=model,
        **spec.sam.model_dump(exclude={"variant"}),
        **spec.optimizer.model_dump(exclude={"name"}),
    )
    if spec.clip_norm is not None:
        _clip_before_each_step(optimizer, spec.clip_norm)
    return optimizer


def set_learning_rate(optimizer: SamOptimizer, lr: float) -> None:
    """For the next step, in every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def _clip_before_each_step(optimizer: SamOptimizer, clip_norm: float) -> None:
    """Clip what the base optimizer is about to step with: the final gradient, not the one that perturbs."""
    parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]

    def clip(*_: object) -> None:
        nn.utils.clip_grad_norm_(parameters, clip_norm)

    optimizer.base_optimizer.register_step_pre_hook(clip)
