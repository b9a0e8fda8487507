"""The learning rate is a pure function of the step; the optimizer is what the spec says."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from tests.worker.engine.running import tiny
from worker.engine.optim import OPTIMIZERS, LearningRate, build_optimizer, set_learning_rate


def _course(*, schedule: dict[str, Any], epochs: int = 10, steps_per_epoch: int = 4) -> list[float]:
    spec = tiny(epochs=epochs, schedule=schedule, optimizer={"name": "sgd", "lr": 0.5})
    rate = LearningRate.of(spec.optimizer, spec.schedule, epochs=epochs, steps_per_epoch=steps_per_epoch)
    return [rate(step) for step in range(epochs * steps_per_epoch)]


def test_the_warm_up_rises_linearly_from_0_to_the_peak() -> None:
    course = _course(schedule={"name": "constant", "warmup_epochs": 2.0})

    assert course[:8] == pytest.approx([0.5 * step / 8 for step in range(1, 9)])


def test_a_constant_learning_rate_is_the_peak_after_the_warm_up() -> None:
    assert _course(schedule={"name": "constant", "warmup_epochs": 2.0})[8:] == [0.5] * 32


def test_a_cosine_falls_from_the_peak_to_almost_0_after_the_warm_up() -> None:
    course = _course(schedule={"name": "cosine", "warmup_epochs": 2.0})

    assert course[8:] == pytest.approx([0.25 * (1 + math.cos(math.pi * step / 32)) for step in range(32)])
    assert 0 < course[-1] < 0.01


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_without_a_warm_up_the_first_step_has_the_peak(name: str) -> None:
    assert _course(schedule={"name": name, "warmup_epochs": 0.0})[0] == 0.5


def test_part_of_an_epoch_can_be_the_warm_up() -> None:
    course = _course(schedule={"name": "cosine", "warmup_epochs": 0.375}, steps_per_epoch=4)

    assert course[0] == pytest.approx(0.5 / 1.5)
    assert course[1] == 0.5
    assert all(earlier > later for earlier, later in pairwise(course[1:]))


def test_the_whole_run_can_be_the_warm_up() -> None:
    course = _course(schedule={"name": "cosine", "warmup_epochs": 2.0}, epochs=2)

    assert course == pytest.approx([0.5 * step / 8 for step in range(1, 9)])


def test_every_group_gets_the_learning_rate_and_so_does_the_base_optimizer() -> None:
    optimizer = build_optimizer(tiny(sam="sam"), nn.Linear(2, 2))

    set_learning_rate(optimizer, 0.125)

    assert [group["lr"] for group in optimizer.base_optimizer.param_groups] == [0.125]


@pytest.mark.parametrize(
    "given",
    [
        {"name": "sgd", "lr": 0.3, "momentum": 0.8, "weight_decay": 0.01, "nesterov": False},
        {"name": "adamw", "lr": 0.3, "betas": [0.8, 0.9], "eps": 1e-5, "weight_decay": 0.02},
    ],
    ids=lambda given: given["name"],
)
def test_the_base_optimizer_takes_every_field_of_the_spec(given: dict[str, Any]) -> None:
    spec = tiny(optimizer=given)

    optimizer = build_optimizer(spec, nn.Linear(2, 2))

    assert type(optimizer.base_optimizer) is OPTIMIZERS[given["name"]]
    (group,) = optimizer.base_optimizer.param_groups
    fields = spec.optimizer.model_dump(exclude={"name"})
    assert {name: group[name] for name in fields} == fields


def test_the_perturbation_takes_every_field_of_the_spec() -> None:
    spec = tiny(sam={"variant": "sam", "rho": 0.3, "adaptive": True, "eta": 0.2})

    (group,) = build_optimizer(spec, nn.Linear(2, 2)).param_groups

    assert (group["rho"], group["adaptive"], group["eta"]) == (0.3, True, 0.2)


def test_the_perturbation_takes_a_schedule_of_the_spec() -> None:
    schedule = {"schedule": "cosine", "value": 0.3, "end": 0.1}
    spec = tiny(sam={"variant": "friendly", "rho": schedule, "active": {"from": 0.5, "every": 2}})

    optimizer = build_optimizer(spec, nn.Linear(2, 2))

    assert [group["rho"] for group in optimizer.param_groups] == [schedule]
    assert str({"from": 0.5, "until": 1.0, "every": 2}) in repr(optimizer)


class _Steep:
    """One sample whose loss has a gradient of norm 1000."""

    def __init__(self, weights: torch.Tensor) -> None:
        self._weights = weights
        self.labels = torch.tensor([0])

    def __len__(self) -> int:
        return 1

    def losses(self, part: torch.Tensor | None = None) -> torch.Tensor:
        return 1000.0 * self._weights.sum().reshape(1)


@pytest.mark.parametrize("variant", ["none", "sam"])
def test_the_final_gradient_is_clipped_to_the_norm_given(variant: str) -> None:
    model = nn.Linear(1, 1, bias=False)
    plain_sgd = {"name": "sgd", "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False}
    spec = tiny(sam=variant, clip_norm=0.25, optimizer=plain_sgd)
    before = model.weight.item()

    build_optimizer(spec, model).step_on(_Steep(model.weight))

    assert before - model.weight.item() == pytest.approx(0.25, rel=1e-4)
