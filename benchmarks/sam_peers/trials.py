"""What the experiments of sam_correctness.py are made of: small models, ways to train them, and what was found.

An experiment knows no library. It takes a `Contestant`, drives it as that library's pages say, and returns an
`Outcome`.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor, nn

from sam_peers.contestants import Contestant, Options, Recipe, Stepper, Task

Verdict: TypeAlias = Literal["pass", "fail", "not offered", "not applicable"]

#: What an optimizer may raise from a step that cannot be; anything else ends the program.
FAILURES: Final = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
CLASSES: Final = 4
SAMPLES: Final = 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an experiment found, and in a few words why."""

    verdict: Verdict
    reason: str = ""


# Things to train.


def build_net(*layers: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Two linear layers with these between them; the same numbers each time."""
    torch.manual_seed(3)
    first, last = nn.Linear(6, 16), nn.Linear(16, CLASSES)
    return nn.Sequential(first, *layers, nn.Tanh(), last).to(dtype)


def build_task(model: nn.Module, number: int = 0, samples: int = SAMPLES) -> Task:
    """The batch of that number under the model, with samples of every class."""
    generator = torch.Generator().manual_seed(100 + number)
    dtype = next(model.parameters()).dtype
    inputs = torch.randn(samples, 6, generator=generator).to(dtype)
    return Task(model=model, inputs=inputs, labels=torch.arange(samples) % CLASSES)


def start(
    contestant: Contestant,
    model: nn.Module,
    *,
    lr: float = 0.1,
    options: Options | None = None,
    samples: Callable[[int], Task] | None = None,
) -> Stepper:
    """The contestant on the model, told what a trainer tells. `samples` makes so many of the training samples."""
    make_samples = samples or (lambda n: build_task(model, 1000, n))
    recipe = Recipe(
        base_kwargs=base_kwargs(contestant, lr),
        options=options or {},
        keep_statistics=True,
        plan={
            "steps": 1000,
            "steps_per_epoch": 1000,
            "class_counts": (50, 50, 10, 10),
            "samples": lambda n, step: make_samples(n),
        },
    )
    return contestant.make(model, recipe)


def base_kwargs(contestant: Contestant, lr: float) -> Options:
    return {"lr": lr, "momentum": 0.9} if contestant.entry.base == "SGD" else {"lr": lr}


def train(contestant: Contestant, stepper: Stepper, model: nn.Module, numbers: Sequence[int]) -> None:
    """A step on each batch, with the library's own helper for BatchNorm where it exports one."""
    for number in numbers:
        step_on(contestant, stepper, build_task(model, number))


def step_on(contestant: Contestant, stepper: Stepper, task: Task) -> None:
    watch, helper = task.watch, contestant.helper
    if helper is not None:

        def watch_and_help(number: int) -> None:
            helper(number, task.model)
            watch(number)

        task.watch = watch_and_help
    stepper.step(task)


def train_base(contestant: Contestant, model: nn.Module, numbers: Sequence[int], *, lr: float = 0.1) -> None:
    """The same with the library's base optimizer alone."""
    optimizer = getattr(contestant.bases, contestant.entry.base)(model.parameters(), **base_kwargs(contestant, lr))
    for number in numbers:
        build_task(model, number).closure()
        optimizer.step()


def flat(model: nn.Module) -> Tensor:
    """All parameters as one vector, copied."""
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def gradient(model: nn.Module, loss: Callable[[nn.Module], Tensor], at: Tensor) -> Tensor:
    """∇loss of a copy of the model that stands at these weights, as one vector."""
    twin = copy.deepcopy(model)
    nn.utils.vector_to_parameters(at, twin.parameters())
    found = torch.autograd.grad(loss(twin), list(twin.parameters()))
    return torch.cat([g.reshape(-1) for g in found])


def mean_loss(number: int) -> Callable[[nn.Module], Tensor]:
    return lambda model: build_task(model, number).losses().mean()


def compared(found: Tensor, wanted: Tensor, *, tolerance: float, meaning: str) -> Outcome:
    """Pass where the relative distance is within the tolerance; 0 asks for the same bits."""
    if not torch.isfinite(found).all():
        return Outcome("fail", f"{meaning}: not finite")
    if torch.equal(found, wanted):
        return Outcome("pass")
    distance = float((found - wanted).norm() / wanted.norm().clamp_min(1e-30))
    return Outcome("pass" if distance <= tolerance else "fail", f"{meaning} off by {distance:.0e}")
