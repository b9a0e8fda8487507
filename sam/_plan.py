"""What depends on how far a run has come: where a variant is active, and a ρ that changes.

    Plan      what the trainer told of the run (`SamOptimizer.plan`)
    Window    `active`: the steps a variant acts in
    radius    `rho`, a number or a schedule, at one step

A step's number t counts from 0; a run has T steps. Everything here is a function of t, so a resumed run needs only its
t to go on exactly.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Final, Literal, NoReturn, Required, Self, TypeAlias, TypedDict, TypeGuard

from sam.batch import Batch

#: `active`: fractions of the run, and a stride. Parts that are left out are as in `ALWAYS`.
Active = TypedDict("Active", {"from": float, "until": float, "every": int}, total=False)
#: Active throughout.
ALWAYS: Final[Active] = {"from": 0.0, "until": 1.0, "every": 1}


class RhoSchedule(TypedDict, total=False):
    """A ρ that changes as the run goes on.

    constant          value throughout; no end
    linear, cosine    from value at the first step to end at the end of the run
    lr                end + (value - end) · lr / peak lr: follows the learning rate

    The peak is the group's `max_lr` or `initial_lr`, as torch's schedulers leave them there; without a scheduler it is
    the lr the group was made with. (CyclicLR leaves its lowest lr there, so ρ rises above value with it.) The end is 0
    where it is not given.
    """

    schedule: Required[Literal["constant", "linear", "cosine", "lr"]]
    value: Required[float]
    end: float


#: A radius as options take it.
Rho: TypeAlias = float | RhoSchedule

_COURSES: Final[Mapping[str, Callable[[float], float]]] = {
    "linear": lambda t: 1 - t,
    "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
}
_SCHEDULES: Final = ("constant", *_COURSES, "lr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long a run is and what it trains on, as far as the trainer told."""

    steps: int | None = None
    steps_per_epoch: int | None = None
    seed: int = 0
    class_counts: tuple[int, ...] | None = None
    samples: Callable[[int, int], Batch] | None = None

    def for_a_copy(self) -> Self:
        """The plan of a copied optimizer. Samples that were given are of the original's model: they are refused."""
        return self if self.samples is None else replace(self, samples=_refuse_samples)

    def fraction(self, step: int, asking: str) -> float:
        """How much of the run lies before this step. RuntimeError, naming what asks, where the length is not known."""
        if self.steps is None:
            raise RuntimeError(f"{asking} depends on the length of the run: call plan(steps=...)")
        return min(step / self.steps, 1.0)

    def epoch(self, step: int) -> int:
        """The epoch of this step, from 0; without `steps_per_epoch` the whole run is one."""
        return 0 if self.steps_per_epoch is None else step // self.steps_per_epoch


@dataclass(frozen=True, slots=True)
class Window:
    """The steps with from <= t/T < until and t a multiple of `every`; until = 1 sets no bound."""

    start: float
    until: float
    every: int

    @classmethod
    def of(cls, active: Active) -> Self:
        """Read the option. ValueError names the part that cannot be."""
        unknown = sorted(set(active) - set(ALWAYS))
        if unknown:
            raise ValueError(f"active has no part {unknown[0]}; it has {', '.join(ALWAYS)}")
        start, until, every = (active.get(part, default) for part, default in ALWAYS.items())
        if not (_is_finite(start) and 0 <= start < 1):
            raise ValueError(f"active.from must be >= 0 and < 1, got {start}")
        if not (_is_finite(until) and start < until <= 1):
            raise ValueError(f"active.until must be > active.from ({start}) and <= 1, got {until}")
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(f"active.every must be an integer >= 1, got {every}")
        return cls(start, until, every)

    def holds(self, step: int, plan: Plan) -> bool:
        """Whether the step with this number is inside."""
        if step % self.every != 0:
            return False
        if self.start > 0 and plan.fraction(step, "active.from") < self.start:
            return False
        return self.until == 1 or plan.fraction(step, "active.until") < self.until

    def as_option(self) -> Active:
        """The option this was read from, whole."""
        return {"from": self.start, "until": self.until, "every": self.every}


def check_rho(rho: object) -> None:
    """Raise ValueError unless it is a finite number >= 0, or a schedule of such numbers."""
    if not isinstance(rho, Mapping):
        check_at_least_zero("rho", rho)
        return
    schedule: Mapping[str, object] = rho
    if schedule.get("schedule") not in _SCHEDULES:
        _refuse("rho.schedule", f"one of {', '.join(_SCHEDULES)}", schedule.get("schedule"))
    allowed = {"schedule", "value"} if schedule["schedule"] == "constant" else {"schedule", "value", "end"}
    unknown = sorted(set(schedule) - allowed)
    if unknown:
        raise ValueError(f"rho has no part {unknown[0]} where the schedule is {schedule['schedule']}")
    if "value" not in schedule:
        raise ValueError("rho.value is missing")
    check_at_least_zero("rho.value", schedule["value"])
    check_at_least_zero("rho.end", schedule.get("end", 0.0))


def radius(group: Mapping[str, Any], step: int, plan: Plan) -> float:
    """The ρ of a parameter group at a step."""
    rho = group["rho"]
    if not isinstance(rho, Mapping):
        return rho
    schedule, value, end = rho["schedule"], rho["value"], rho.get("end", 0.0)
    if schedule == "constant":
        return value
    if schedule == "lr":
        peak = next(group[name] for name in ("max_lr", "initial_lr", "peak_lr", "lr") if name in group)
        return end + (value - end) * float(group["lr"] / peak) if peak else value
    return end + (value - end) * _COURSES[schedule](plan.fraction(step, "rho.schedule"))


def check_at_least_zero(name: str, value: object) -> None:
    """Raise ValueError unless the value is a finite number >= 0."""
    if not _is_finite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")
    if value < 0:
        _refuse(name, ">= 0", value)


def check_fraction(name: str, value: object, *, zero: bool, one: bool) -> None:
    """Raise ValueError unless the value lies between 0 and 1; `zero` and `one` say whether they are allowed."""
    if _is_finite(value):
        above = value >= 0 if zero else value > 0
        below = value <= 1 if one else value < 1
        if above and below:
            return
    _refuse(name, f"{'>=' if zero else '>'} 0 and {'<=' if one else '<'} 1", value)


def check_count(name: str, value: object) -> None:
    """Raise ValueError unless the value is an integer >= 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        _refuse(name, "an integer >= 1", value)


def _refuse_samples(n: int, step: int) -> Batch:
    raise RuntimeError(
        f"{n} samples are wanted at step {step}, and plan(samples=...) was told to the optimizer that this is a copy "
        "of: call plan on the copy"
    )


def _is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _refuse(name: str, accepted: str, value: object) -> NoReturn:
    raise ValueError(f"{name} must be {accepted}, got {value}")
