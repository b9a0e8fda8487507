"""The ways to drive a step, and the marks that run a test over every variant."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.problems import PASSES, Samples, batch, make

every_variant = pytest.mark.parametrize("name", list(sam.VARIANTS))
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


every_loop = pytest.mark.parametrize("step", [by_closure, on_batch, by_hand, by_a_closure_that_does_not_zero])


def plain_step(optimizer: torch.optim.Optimizer, samples: Samples) -> None:
    samples.closure(optimizer)()
    optimizer.step()


def train(name: str, model: nn.Module, step: Step, steps: int = 5, **options: object) -> sam.SamOptimizer:
    optimizer = make(name, model, **options)
    for i in range(steps):
        step(optimizer, batch(model, seed=i))
    return optimizer
