"""The learning rate is a pure function of the step."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from tests.worker.engine.running import tiny
from worker.engine.optim import build_optimizer
from worker.engine.schedules import LearningRate, set_learning_rate

PEAK = 0.5


def _course(schedule: dict[str, Any], *, epochs: int = 10, steps_per_epoch: int = 4) -> list[float]:
    spec = tiny(epochs=epochs, schedule=schedule)
    rate = LearningRate.of(spec.schedule, peak=PEAK, epochs=epochs, steps_per_epoch=steps_per_epoch)
    return [rate(step) for step in range(epochs * steps_per_epoch)]


@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "step"])
def test_the_warm_up_rises_linearly_from_0_to_the_peak(name: str) -> None:
    course = _course({"name": name, "warmup_epochs": 2.0})

    assert course[:8] == pytest.approx([PEAK * step / 8 for step in range(1, 9)])


def test_a_constant_learning_rate_is_the_peak_after_the_warm_up() -> None:
    assert _course({"name": "constant", "warmup_epochs": 2.0})[8:] == [PEAK] * 32


@pytest.mark.parametrize("end", [0.0, 0.2])
def test_a_cosine_falls_from_the_peak_almost_to_its_end_after_the_warm_up(end: float) -> None:
    course = _course({"name": "cosine", "warmup_epochs": 2.0, "end": end})

    falling = [(1 + math.cos(math.pi * step / 32)) / 2 for step in range(32)]
    assert course[8:] == pytest.approx([PEAK * (end + (1 - end) * share) for share in falling])
    assert PEAK * end < course[-1] < PEAK * end + 0.01


@pytest.mark.parametrize("end", [0.0, 0.2])
def test_a_line_falls_from_the_peak_almost_to_its_end_after_the_warm_up(end: float) -> None:
    course = _course({"name": "linear", "warmup_epochs": 2.0, "end": end})

    assert course[8:] == pytest.approx([PEAK * (1 - (1 - end) * step / 32) for step in range(32)])


@pytest.mark.parametrize(("rise", "start", "end"), [(0.3, 0.04, 4e-6), (0.5, 0.1, 0.0)])
def test_one_cycle_is_torchs_but_for_the_place_of_its_last_step(rise: float, start: float, end: float) -> None:
    """torch's reaches its end in the last step, ours one step later, like every other course here."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=PEAK,
        total_steps=41,
        pct_start=(40 * rise + 1) / 41,
        div_factor=1 / start,
        final_div_factor=start / max(end, 1e-300),
        cycle_momentum=False,
    )
    theirs: list[float] = []
    for _ in range(40):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()

    assert _course({"name": "one-cycle", "rise": rise, "start": start, "end": end}) == pytest.approx(theirs)


def test_steps_lower_the_learning_rate_at_each_milestone_of_the_run() -> None:
    course = _course({"name": "step", "milestones": [0.25, 0.5], "gamma": 0.1})

    assert course == pytest.approx([PEAK] * 10 + [PEAK / 10] * 10 + [PEAK / 100] * 20)


@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "step"])
def test_without_a_warm_up_the_first_step_has_the_peak(name: str) -> None:
    assert _course({"name": name, "warmup_epochs": 0.0})[0] == PEAK


def test_part_of_an_epoch_can_be_the_warm_up() -> None:
    course = _course({"name": "cosine", "warmup_epochs": 0.375}, steps_per_epoch=4)

    assert course[0] == pytest.approx(PEAK / 1.5)
    assert course[1] == PEAK
    assert all(earlier > later for earlier, later in pairwise(course[1:]))


def test_the_whole_run_can_be_the_warm_up() -> None:
    course = _course({"name": "cosine", "warmup_epochs": 2.0}, epochs=2)

    assert course == pytest.approx([PEAK * step / 8 for step in range(1, 9)])


@pytest.mark.parametrize("name", ["cosine", "linear"])
@pytest.mark.parametrize(("epochs", "warm_up"), [(1, 0.1), (5, 0.5), (10, 1.0), (40, 1.0)])
def test_a_short_run_warms_up_for_a_tenth_of_it_and_a_long_one_for_an_epoch(
    name: str, epochs: int, warm_up: float
) -> None:
    schedule = tiny(epochs=epochs, schedule=name).schedule

    assert schedule.model_dump()["warmup_epochs"] == pytest.approx(warm_up)


def test_every_group_gets_the_learning_rate_and_so_does_the_base_optimizer() -> None:
    optimizer = build_optimizer(tiny(sam="sam"), nn.Linear(2, 2))

    set_learning_rate(optimizer, 0.125)

    assert [group["lr"] for group in optimizer.base_optimizer.param_groups] == [0.125]
