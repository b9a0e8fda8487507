"""The learning rate of every step of a run: a pure function of the step, so a checkpoint needs nothing of it.

rises from 0 to the peak over the warm-up, then peak · course(t) with t from 0 to 1 over the steps that are left
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lowland.spec.schedules import Constant, Cosine, LinearDecay, OneCycle, ScheduleSpec, Step
from sam import SamOptimizer

#: A schedule's options and t in [0, 1] -> a fraction of the peak.
Course = Callable[[Any, float], float]


def _constant(schedule: Constant, t: float) -> float:
    return 1.0


def _cosine(schedule: Cosine, t: float) -> float:
    return _between(1.0, schedule.end, (1 - math.cos(math.pi * t)) / 2)


def _linear(schedule: LinearDecay, t: float) -> float:
    return _between(1.0, schedule.end, t)


def _one_cycle(schedule: OneCycle, t: float) -> float:
    if t < schedule.rise:
        return _between(schedule.start, 1.0, (1 - math.cos(math.pi * t / schedule.rise)) / 2)
    return _between(1.0, schedule.end, (1 - math.cos(math.pi * (t - schedule.rise) / (1 - schedule.rise))) / 2)


def _step(schedule: Step, t: float) -> float:
    return schedule.gamma ** bisect_right(schedule.milestones, t)


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


SCHEDULES: Final[Mapping[str, Course]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "one-cycle": _one_cycle,
    "step": _step,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRate:
    """The learning rate of every step of a run."""

    peak: float
    schedule: ScheduleSpec
    steps: int
    warmup_steps: float

    @classmethod
    def of(cls, schedule: ScheduleSpec, *, peak: float, epochs: int, steps_per_epoch: int) -> "LearningRate":
        """That of a job whose epochs have so many steps."""
        warmup_epochs = 0.0 if isinstance(schedule, OneCycle) else schedule.warmup_epochs
        return cls(
            peak=peak,
            schedule=schedule,
            steps=epochs * steps_per_epoch,
            warmup_steps=warmup_epochs * steps_per_epoch,
        )

    def __call__(self, step: int) -> float:
        """Of the step with this number, from 0. The first step already rises, the last is not yet down."""
        if step + 1 <= self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        after_warmup = max(step - self.warmup_steps, 0)
        t = after_warmup / (self.steps - self.warmup_steps)
        return self.peak * SCHEDULES[self.schedule.name](self.schedule, t)


def set_learning_rate(optimizer: SamOptimizer, lr: float) -> None:
    """For the next step, in every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
