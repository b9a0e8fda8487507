"""What the tables of sam_step.py share: the setting, a row, and how each side is put to work on a model of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import nn

from sam_peers import timing
from sam_peers.contestants import Contestant, Options, Passes, Recipe, Stepper, Task

#: The base optimizer's options, by name.
BASES: Final[Mapping[str, Options]] = MappingProxyType(
    {"SGD": {"lr": 1e-3, "momentum": 0.9}, "AdamW": {"lr": 1e-5}}  # small: thousands of steps, few gradients
)
#: Samples in a batch of the whole step: so many that two bare passes come near 2.0, as where the targets were set.
BATCH: Final = 256
#: A run so long that no mask is renewed in it after the first step.
FAR: Final = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is measured, where."""

    device: torch.device
    models: Sequence[str]
    labels: Sequence[str]
    contestants: Sequence[Contestant]
    quick: bool

    @property
    def clock(self) -> timing.Clock:
        return timing.clock_of(self.device)

    def rounds(self, full: int) -> int:
        return max(full // 8, 3) if self.quick else full

    def of(self, label: str) -> list[Contestant]:
        return [c for c in self.contestants if c.entry.label == label]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured number and what it should be at most; `what` names the table it is in."""

    what: str
    model: str
    variant: str
    library: str
    cost: timing.Spread
    target: float | None = None
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Undecided where the target is nearer to the median than the median's own uncertainty."""
        if self.target is None:
            return ""
        if abs(self.cost.median - self.target) < 2 * self.cost.error:
            return "undecided"
        return "met" if self.cost.median <= self.target else "missed"


def base_alone(model: nn.Module, base: str, recipe: Recipe, run: Callable[[Any], object]) -> Stepper:
    """Torch's own optimizer: passes, then a step."""
    optimizer = getattr(torch.optim, base)(model.parameters(), **recipe.base_kwargs)

    def step(task: Any) -> None:
        run(task)
        optimizer.step()

    return Stepper(optimizer=optimizer, step=step, save=optimizer.state_dict, load=optimizer.load_state_dict)


def one_pass(task: Passes) -> None:
    task.closure()


#: Makes a stepper and its task on a model.
Making = Callable[[nn.Module], tuple[Stepper, Task]]


def whole_turn(setting: Setting, model_name: str, make: Making, *, steps: int = 1) -> timing.Turn:
    """So many steps of one side, on a model of its own."""
    stepper, task = make(timing.build_model(model_name, setting.device))
    return timing.turn(stepper, task, steps=steps)


def plain(base: str, run: Callable[[Task], None] = one_pass) -> Making:
    """The base optimizer with these passes."""

    def make(model: nn.Module) -> tuple[Stepper, Task]:
        stepper = base_alone(model, base, Recipe(base_kwargs=BASES[base]), run)
        return stepper, timing.build_task(model, BATCH, next(model.parameters()).device)

    return make


def making(setting: Setting, contestant: Contestant, *, steps_per_epoch: int = FAR) -> Making:
    """A contestant with the run told, and samples for SSAM-F's Fisher information."""

    def make(model: nn.Module) -> tuple[Stepper, Task]:
        recipe = Recipe(
            base_kwargs=BASES[contestant.entry.base],
            keep_statistics=True,
            plan={
                "steps": FAR,
                "steps_per_epoch": steps_per_epoch,
                "class_counts": timing.CLASS_COUNTS,
                "samples": lambda n, step: timing.build_task(model, n, setting.device),
            },
        )
        return contestant.make(model, recipe), timing.build_task(model, BATCH, setting.device)

    return make
