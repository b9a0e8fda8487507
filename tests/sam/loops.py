"""The ways to drive a step, and the marks that run a test over every variant."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.problems import PASSES, PER_SAMPLE, Samples, batch, make

every_variant = pytest.mark.parametrize("name", list(sam.VARIANTS))
every_closure_variant = pytest.mark.parametrize("name", [name for name in sam.VARIANTS if name not in PER_SAMPLE])
every_pass = pytest.mark.parametrize(
    ("name", "bad_pass"), [(name, number) for name in sam.VARIANTS for number in range(1, PASSES[name] + 1)]
)
Step = Callable[[sam.SamOptimizer, Samples], object]


def by_closure(optimizer: sam.SamOptimizer, samples: Samples) -> Tensor:
    return optimizer.step(samples.closure(optimizer))


def on_batch(optimizer: sam.SamOptimizer, samples: Samples) -> Tensor:
    return optimizer.step_on(samples)


def by_hand(optimizer: sam.SamOptimizer, samples: Samples) -> Tensor:
    optimizer.zero_grad()
    loss = samples.loss()
    loss.backward()
    optimizer.first_step(zero_grad=True)
    samples.loss().backward()
    optimizer.second_step(zero_grad=True)
    return loss


def by_a_closure_that_does_not_zero(optimizer: sam.SamOptimizer, samples: Samples) -> Tensor:
    """As the README of the common port has it, with a backward before the step."""

    def closure() -> Tensor:
        loss = samples.loss()
        loss.backward()
        return loss

    closure()
    return optimizer.step(closure)


LOOPS: list[Step] = [on_batch, by_closure, by_hand, by_a_closure_that_does_not_zero]


def loops_of(name: str) -> list[Step]:
    """The loops that can drive this variant."""
    return LOOPS[:1] if name in PER_SAMPLE else LOOPS


every_loop = pytest.mark.parametrize(
    ("name", "step"),
    [pytest.param(name, step, id=f"{name}-{step.__name__}") for name in sam.VARIANTS for step in loops_of(name)],
)
every_loop_and_pass = pytest.mark.parametrize(
    ("name", "step", "bad_pass"),
    [
        pytest.param(name, step, number, id=f"{name}-{step.__name__}-{number}")
        for name in sam.VARIANTS
        for step in loops_of(name)
        for number in range(1, PASSES[name] + 1)
    ],
)


def plain_step(optimizer: torch.optim.Optimizer, samples: Samples) -> None:
    samples.closure(optimizer)()
    optimizer.step()


def train(name: str, model: nn.Module, step: Step, steps: int = 5, **options: object) -> sam.SamOptimizer:
    """Some steps on batches of the model's own."""
    optimizer = make(name, model, **options)
    for i in range(steps):
        step(optimizer, batch(model, seed=i))
    return optimizer
