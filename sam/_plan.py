"""What depends on how far a run has come: where a variant is active, and a ρ that changes.

    Plan      what the trainer told of the run (`SamOptimizer.plan`)
    Window    `active`: the steps a variant acts in
    radius    `rho`, a number or a schedule, at one step

A step's number t counts from 0; a run has T steps. Everything here is a function of t, so a resumed run needs only its
t to go on exactly.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Final, Literal, NoReturn, Required, Self, TypeAlias, TypedDict, TypeGuard, cast

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
    the lr the group was made with. ρ never exceeds value, also where a scheduler goes above that lr (CyclicLR, which
    leaves its lowest there). The end is 0 where it is not given.
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

    @classmethod
    def of(
        cls,
        *,
        steps: int | None,
        steps_per_epoch: int | None,
        seed: int,
        class_counts: Sequence[int] | None,
        samples: Callable[[int, int], Batch] | None,
    ) -> Self:
        """Read what was told. ValueError names the part that cannot be."""
        if class_counts is not None:
            if isinstance(class_counts, Mapping | str) or not isinstance(class_counts, Iterable):
                _refuse("class_counts", "a sequence of integers, one for each class", class_counts)
            class_counts = tuple(read_count("class_counts", count, least=0) for count in class_counts)
        if samples is not None and not callable(samples):
            _refuse("samples", "a function of a number of samples and a step", samples)
        return cls(
            steps=None if steps is None else read_count("steps", steps),
            steps_per_epoch=None if steps_per_epoch is None else read_count("steps_per_epoch", steps_per_epoch),
            seed=read_count("seed", seed, least=0),
            class_counts=class_counts,
            samples=samples,
        )

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
        if not isinstance(active, Mapping):
            _refuse("active", f"an object with {', '.join(ALWAYS)}", active)
        unknown = sorted(set(active) - set(ALWAYS))
        if unknown:
            raise ValueError(f"active has no part {unknown[0]}; it has {', '.join(ALWAYS)}")
        parts = {**ALWAYS, **active}
        start = read_fraction("active.from", parts["from"], zero=True, one=False)
        until = read_fraction("active.until", parts["until"], zero=False, one=True)
        if until <= start:
            _refuse("active.until", f"> active.from ({start:g}) and <= 1", until)
        return cls(start, until, read_count("active.every", parts["every"]))

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


def read_rho(rho: object) -> Rho:
    """The option as plain numbers. ValueError unless it is a finite number >= 0, or a schedule of such numbers."""
    if not isinstance(rho, Mapping):
        return read_number("rho", rho)
    schedule: Mapping[str, object] = rho
    course = schedule.get("schedule")
    if course not in _SCHEDULES:
        _refuse("rho.schedule", f"one of {', '.join(_SCHEDULES)}", course)
    unknown = sorted(set(schedule) - {"schedule", "value"} - ({"end"} if course != "constant" else set()))
    if unknown:
        raise ValueError(f"rho has no part {unknown[0]} where the schedule is {course}")
    if "value" not in schedule:
        raise ValueError("rho.value is missing")
    numbers = {part: read_number(f"rho.{part}", v) for part, v in schedule.items() if part != "schedule"}
    return cast(RhoSchedule, {"schedule": course, **numbers})


def radius(group: Mapping[str, Any], step: int, plan: Plan) -> float:
    """The ρ of a parameter group at a step. ValueError for one that cannot be: it may be written at any time."""
    rho = read_rho(group["rho"])
    if not isinstance(rho, Mapping):
        return rho
    course, value, end = rho["schedule"], rho["value"], rho.get("end", 0.0)
    if course == "constant":
        return value
    if course == "lr":
        peak = next(group[name] for name in ("max_lr", "initial_lr", "peak_lr", "lr") if name in group)
        # Beyond 1 where a scheduler goes above what it found: CyclicLR, LambdaLR.
        return end + (value - end) * min(float(group["lr"] / peak), 1.0) if peak else value
    return end + (value - end) * _COURSES[course](plan.fraction(step, "rho.schedule"))


def read_number(name: str, value: object) -> float:
    """As a float. ValueError unless it is a finite number >= 0."""
    if not _is_finite(value):
        _refuse(name, "a finite number", value)
    if value < 0:
        _refuse(name, ">= 0", value)
    return float(value)


def read_fraction(name: str, value: object, *, zero: bool, one: bool) -> float:
    """As a float. ValueError unless it lies between 0 and 1; `zero` and `one` say whether they are allowed."""
    inside = _is_finite(value) and (value >= 0 if zero else value > 0) and (value <= 1 if one else value < 1)
    if not inside:
        _refuse(name, f"{'>=' if zero else '>'} 0 and {'<=' if one else '<'} 1", value)
    return float(cast(float, value))


def read_count(name: str, value: object, *, least: int = 1) -> int:
    """As an int. ValueError unless it is an integer, and at least so large."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        _refuse(name, f"an integer >= {least}", value)
    return int(value)


def read_bool(name: str, value: object) -> bool:
    """ValueError unless it is True or False."""
    if not isinstance(value, bool):
        _refuse(name, "True or False", value)
    return value


def _refuse_samples(n: int, step: int) -> Batch:
    raise RuntimeError(
        f"{n} samples are wanted at step {step}, and plan(samples=...) was told to the optimizer that this is a copy "
        "of: call plan on the copy"
    )


def _is_finite(value: object) -> TypeGuard[float]:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def _refuse(name: str, accepted: str, value: object) -> NoReturn:
    raise ValueError(f"{name} must be {accepted}, got {value!r}")
