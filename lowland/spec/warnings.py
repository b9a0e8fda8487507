"""What is allowed in a job and rarely meant: one check each, against what is usual for its dataset, variant, optimizer.

What is usual is the spec that the same dataset (or function), variant and optimizer get when nothing else is said, so
that the recipes and defaults are the only place where it is written.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from lowland.spec.estimate import training_samples
from lowland.spec.job import JobSpec
from lowland.spec.resource import Advice
from lowland.spec.sam import Plain, RhoSchedule, Sam, SparseDynamic, SparseFisher
from lowland.spec.schedules import OneCycle

#: So many times what is usual is told.
_MANY: Final = 10
#: A learning rate is told below this fraction of the usual one.
_LITTLE: Final = 1 / 100
#: The radius of ASAM over that of SAM, as its field tells.
_ADAPTIVE_RHO: Final = 10
#: From here on hardly anything is perturbed.
_HIGH_SPARSITY: Final = 0.99
#: Epochs that one should not have to train again.
_LONG_EPOCHS: Final = 30


def unusual(spec: JobSpec) -> list[Advice]:
    """What to look at before the job is submitted, in the order of `WARNINGS`."""
    usual = _usual(spec)
    return [advice for check in WARNINGS for advice in check(spec, usual)]


def _usual(spec: JobSpec) -> JobSpec:
    """The job as it would be, had only its task, variant and optimizer been named."""
    given: dict[str, Any] = {"sam": spec.sam.variant, "optimizer": spec.optimizer.name}
    if spec.dataset is None:
        given |= {"function": spec.function, "start": spec.start}
    else:
        given["dataset"] = spec.dataset.model_dump(mode="json")
    return JobSpec.stored(json.dumps(given))  # it need not fit together


def _where(spec: JobSpec) -> str:
    return "a function" if spec.dataset is None else spec.dataset.name


def _rho(spec: JobSpec, usual: JobSpec) -> Iterator[Advice]:
    if isinstance(spec.sam, Plain) or isinstance(usual.sam, Plain):
        return
    rho, normal = _largest(spec.sam.rho), _largest(usual.sam.rho)
    if isinstance(spec.sam, Sam) and spec.sam.adaptive:
        normal *= _ADAPTIVE_RHO
    value = spec.model_dump(mode="json")["sam"]["rho"]
    if rho == 0:
        yield Advice(field="sam.rho", value=value, detail="sam.rho is 0, which is the base optimizer alone")
    elif normal and rho >= _MANY * normal:
        times = f"{rho / normal:.3g} × the usual {normal:g} of {spec.sam.variant} on {_where(spec)}"
        yield Advice(field="sam.rho", value=value, detail=f"sam.rho is {rho:g}, {times}; training may not converge")


def _largest(rho: float | RhoSchedule) -> float:
    return rho if isinstance(rho, int | float) else max(rho.value, rho.end)


def _learning_rate(spec: JobSpec, usual: JobSpec) -> Iterator[Advice]:
    lr, normal = spec.optimizer.lr, usual.optimizer.lr
    follows = "may diverge" if lr > normal else "may hardly learn"
    if lr >= _MANY * normal or lr <= _LITTLE * normal:
        times = f"{lr / normal:.3g} × the usual {normal:g} of {spec.optimizer.name} on {_where(spec)}"
        yield Advice(field="optimizer.lr", value=lr, detail=f"optimizer.lr is {lr:g}, {times}; training {follows}")


def _sparsity(spec: JobSpec, usual: JobSpec) -> Iterator[Advice]:
    del usual
    if isinstance(spec.sam, SparseFisher | SparseDynamic) and spec.sam.sparsity >= _HIGH_SPARSITY:
        sparsity = spec.sam.sparsity
        left = f"only {100 * (1 - sparsity):.2g} % of the coordinates are perturbed"
        detail = f"sam.sparsity is {sparsity:g}: {left}, which is nearly the base optimizer"
        yield Advice(field="sam.sparsity", value=sparsity, detail=detail)


def _step_beyond_the_data(spec: JobSpec, usual: JobSpec) -> Iterator[Advice]:
    del usual
    samples = training_samples(spec.dataset) if spec.dataset else None
    a_step = spec.batch_size * spec.accumulate
    if samples is not None and a_step > samples:
        what = "batch_size" if spec.accumulate == 1 else "batch_size × accumulate"
        detail = f"{what} is {a_step}, and there are at most {samples} training samples: an epoch is one step"
        yield Advice(field="batch_size", value=spec.batch_size, detail=detail)


def _warm_up(spec: JobSpec, usual: JobSpec) -> Iterator[Advice]:
    del usual
    if isinstance(spec.schedule, OneCycle):
        return
    warm_up = spec.schedule.warmup_epochs
    if warm_up > spec.epochs / 2:
        detail = f"schedule.warmup_epochs is {warm_up:g} of {spec.epochs}: most of the run is spent warming up"
        yield Advice(field="schedule.warmup_epochs", value=warm_up, detail=detail)


def _one_attempt(spec: JobSpec, usual: JobSpec) -> Iterator[Advice]:
    del usual
    if spec.max_attempts == 1 and spec.epochs >= _LONG_EPOCHS:
        detail = f"max_attempts is 1 and epochs is {spec.epochs}: the death of a worker or engine fails the job"
        yield Advice(field="max_attempts", value=1, detail=detail)


def _no_checkpoint(spec: JobSpec, usual: JobSpec) -> Iterator[Advice]:
    del usual
    if spec.task != "function" and 1 < spec.epochs <= spec.checkpoint_every_epochs and spec.checkpoint_every_s is None:
        value = spec.checkpoint_every_epochs
        detail = f"checkpoint_every_epochs is {value} of {spec.epochs}: a job that is interrupted starts over"
        yield Advice(field="checkpoint_every_epochs", value=value, detail=detail)


Check = Callable[[JobSpec, JobSpec], Iterator[Advice]]

#: Each gets the job and what is usual.
WARNINGS: Final = cast(
    "tuple[Check, ...]",
    (_rho, _learning_rate, _sparsity, _step_beyond_the_data, _warm_up, _one_attempt, _no_checkpoint),
)
