"""What the contract says a variant's step costs is what its optimizer does."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sam
from lowland.spec import JobSpec
from tests.sam.problems import batch, build, smooth_net

#: Steps over which the average of every variant is exact with its defaults.
STEPS = 10
SAMPLES = 16


@pytest.mark.parametrize("name", list(sam.VARIANTS))
def test_a_step_takes_the_passes_that_are_stated(name: str) -> None:
    stated = JobSpec.parse({"dataset": "digits", "sam": name}).sam
    options = stated.model_dump(exclude={"variant", "active", "sync_perturbation"})
    model = smooth_net()
    optimizer = build(name, model.parameters(), **options, **({"momentum": 0.9} if name == "msam" else {}))
    counted = {"forwards": 0, "backwards": 0}
    count_samples(model, counted)

    for step in range(STEPS):
        optimizer.step_on(batch(model, seed=step, n=SAMPLES))

    assert {way: samples / (STEPS * SAMPLES) for way, samples in counted.items()} == pytest.approx(
        stated.passes._asdict()
    )


def count_samples(model: nn.Module, counted: dict[str, int]) -> None:
    """Count the samples that go through the model either way."""

    def forth(module: nn.Module, inputs: Any, output: Tensor) -> None:
        counted["forwards"] += len(output)
        if torch.is_grad_enabled():
            output.register_hook(back)

    def back(gradient: Tensor) -> None:
        counted["backwards"] += len(gradient)

    model.register_forward_hook(forth)
