"""`rho` as a schedule: how long the perturbation is in each step, seen where the weights stood."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR, StepLR

import sam
from tests.sam import reference
from tests.sam.problems import batch, net
from tests.sam.reference.lockstep import SGD, Minibatch, Problem, zeros

STEPS = 10
LR = SGD["lr"]
ALL = ["sam", "ssam-f", "ssam-d", "friendly", "imbsam", "gsam", "looksam", "msam", "esam"]


def radii(minibatch: Minibatch) -> list[float]:
    """ρ of each tensor in a step of SAM: ε over g/‖g‖."""
    clean, perturbed = (call.weights for call in minibatch.calls)
    g = reference.mean_gradient(minibatch.data(), clean)
    lengths = [float((b - a).norm()) for a, b in zip(clean, perturbed, strict=True)]
    return [length * reference.norm(g) / float(gi.norm()) for length, gi in zip(lengths, g, strict=True)]


def course(rho: Mapping[str, object], *, plan: bool = True, scheduler: Callable | None = None) -> list[float]:
    """ρ in each step of a run of SAM."""
    problem = Problem()
    optimizer = sam.build("sam", problem.params, torch.optim.SGD, **{**SGD, "rho": rho})
    if plan:
        optimizer.plan(steps=STEPS)
    schedule: LRScheduler | None = scheduler and scheduler(optimizer)
    found = []
    for step in range(STEPS):
        minibatch = problem.minibatch(step)
        optimizer.step_on(minibatch)
        found.append(radii(minibatch)[0])
        if schedule is not None:
            schedule.step()
    return found


def learning_rates(scheduler: Callable) -> list[float]:
    """Of the same schedule on SGD alone."""
    params = zeros(1)
    optimizer = torch.optim.SGD(params, **SGD)
    schedule = scheduler(optimizer)
    found = []
    for _ in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("end", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_rho_goes_from_its_value_to_its_end_over_the_run(schedule: str, end: float) -> None:
    """The first step has the value; the middle one what is between; the end is reached when the last step is done."""
    found = course({"schedule": schedule, "value": 0.2, "end": end})

    assert found == [
        pytest.approx(reference.rho_at(schedule, 0.2, end, progress=step / STEPS), rel=1e-9) for step in range(STEPS)
    ]
    assert found[0] == pytest.approx(0.2, rel=1e-9)
    assert found[STEPS // 2] == pytest.approx((0.2 + end) / 2, rel=1e-9)


def test_the_end_is_0_where_none_is_given() -> None:
    found = course({"schedule": "linear", "value": 0.2})

    assert found[-1] == pytest.approx(0.2 / STEPS, rel=1e-9)


def test_a_constant_schedule_is_the_number_and_wants_no_plan() -> None:
    assert course({"schedule": "constant", "value": 0.2}, plan=False) == [pytest.approx(0.2, rel=1e-9)] * STEPS


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_rho_stays_at_its_end_beyond_the_plan(schedule: str) -> None:
    problem = Problem()
    optimizer = problem.optimizer("sam", {"schedule": schedule, "value": 0.3, "end": 0.1})
    optimizer.plan(steps=2)
    found = []
    for step in range(5):
        minibatch = problem.minibatch(step)
        optimizer.step_on(minibatch)
        found.append(radii(minibatch)[0])

    assert found == [pytest.approx(x, rel=1e-9) for x in (0.3, 0.2, 0.1, 0.1, 0.1)]


@pytest.mark.parametrize(
    ("scheduler", "peak"),
    [
        pytest.param(lambda o: CosineAnnealingLR(o, STEPS), LR, id="cosine annealing"),
        pytest.param(lambda o: LinearLR(o, start_factor=0.1, total_iters=4), LR, id="warm-up"),
        pytest.param(lambda o: OneCycleLR(o, max_lr=0.4, total_steps=STEPS + 1), 0.4, id="one cycle"),
        pytest.param(
            lambda o: SequentialLR(o, [LinearLR(o, 0.01, total_iters=3), CosineAnnealingLR(o, STEPS)], milestones=[3]),
            LR,
            id="warm-up, then cosine annealing",
        ),
    ],
)
@pytest.mark.parametrize("end", [0.0, 0.03])
def test_rho_follows_the_learning_rate_from_its_peak(scheduler: Callable, peak: float, end: float) -> None:
    found = course({"schedule": "lr", "value": 0.2, "end": end}, plan=False, scheduler=scheduler)

    rates = learning_rates(scheduler)
    assert len(set(rates)) > 3
    assert found == [pytest.approx(reference.rho_at("lr", 0.2, end, lr=rate, peak=peak), rel=1e-7) for rate in rates]


def test_rho_follows_a_learning_rate_written_by_hand() -> None:
    problem = Problem()
    optimizer = problem.optimizer("sam", {"schedule": "lr", "value": 0.2, "end": 0.1})
    found = []
    for step, factor in enumerate((1.0, 0.5, 0.25, 1.0)):
        optimizer.param_groups[0]["lr"] = factor * LR
        minibatch = problem.minibatch(step)
        optimizer.step_on(minibatch)
        found.append(radii(minibatch)[0])

    assert found == [pytest.approx(x, rel=1e-9) for x in (0.2, 0.15, 0.125, 0.2)]


def test_a_learning_rate_of_0_makes_rho_its_end_and_the_step_the_base_optimizers() -> None:
    problem = Problem()
    optimizer = problem.optimizer("sam", {"schedule": "lr", "value": 0.2})
    optimizer.param_groups[0]["lr"] = 0.0
    minibatch = problem.minibatch(0)

    optimizer.step_on(minibatch)

    assert len(minibatch.calls) == 1


def test_a_group_made_with_a_learning_rate_of_0_divides_nothing_by_it() -> None:
    problem = Problem()
    optimizer = problem.optimizer("sam", {"schedule": "lr", "value": 0.2, "end": 0.1}, lr=0.0)

    optimizer.step_on(problem.minibatch(0))

    assert all(torch.equal(a, b) for a, b in zip(problem.params, problem.start, strict=True))


def test_a_scheduler_made_later_starts_at_the_learning_rate_there_is_then() -> None:
    """As on the base optimizer alone: what `rho` needs to know of the peak must not get in its way."""
    [w] = zeros(2)
    optimizer = sam.build("sam", [w], torch.optim.SGD, lr=0.1, rho={"schedule": "lr", "value": 0.2})
    optimizer.param_groups[0]["lr"] = 0.02

    scheduler = StepLR(optimizer, 5)

    assert scheduler.base_lrs == [0.02]


def test_each_group_has_a_schedule_of_its_own() -> None:
    problem = Problem()
    schedules: list[object] = [
        {"schedule": "linear", "value": 0.2, "end": 0.4},
        0.3,
        {"schedule": "lr", "value": 0.5},
        {"schedule": "cosine", "value": 0.1},
    ]
    groups = [{"params": [p], "rho": rho} for p, rho in zip(problem.params, schedules, strict=True)]
    optimizer = sam.build("sam", groups, torch.optim.SGD, **SGD)
    optimizer.plan(steps=4)
    optimizer.param_groups[2]["lr"] = LR / 5
    found = []
    for step in range(3):
        minibatch = problem.minibatch(step)
        optimizer.step_on(minibatch)
        found.append(radii(minibatch))

    expected = [[0.2 + 0.2 * t, 0.3, 0.1, reference.rho_at("cosine", 0.1, 0.0, progress=t)] for t in (0.0, 0.25, 0.5)]
    assert found == [pytest.approx(radius, rel=1e-8) for radius in expected]


def test_a_number_written_to_a_group_takes_the_place_of_its_schedule() -> None:
    problem = Problem()
    optimizer = problem.optimizer("sam", {"schedule": "linear", "value": 0.2, "end": 0.1})
    optimizer.plan(steps=10)
    optimizer.step_on(problem.minibatch(0))

    optimizer.param_groups[0]["rho"] = 0.7
    minibatch = problem.minibatch(1)
    optimizer.step_on(minibatch)

    assert radii(minibatch) == [pytest.approx(0.7, rel=1e-9)] * 4


@pytest.mark.parametrize("schedule", ["linear", "cosine", "lr"])
@pytest.mark.parametrize("name", ALL)
def test_a_schedule_is_what_writing_its_numbers_by_hand_would_be(name: str, schedule: str) -> None:
    scheduled, written = Problem(), Problem()
    plan: dict[str, Any] = {"steps": 6, "steps_per_epoch": 2, "class_counts": [50, 40, 3]}
    start = {"schedule": schedule, "value": 0.4, "end": 0.1}
    ours = scheduled.optimizer(name, start)
    theirs = written.optimizer(name, [0.4] * 4)
    for optimizer in (ours, theirs):
        optimizer.plan(**plan)

    for step in range(6):
        lr = LR / (1 + step)
        for optimizer in (ours, theirs):
            optimizer.param_groups[0]["lr"] = lr
        theirs.param_groups[0]["rho"] = reference.rho_at(schedule, 0.4, 0.1, progress=step / 6, lr=lr, peak=LR)
        ours.step_on(scheduled.minibatch(step))
        theirs.step_on(written.minibatch(step))

    for a, b in zip(scheduled.params, written.params, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "lr"])
def test_a_schedule_goes_on_where_a_run_is_resumed(schedule: str) -> None:
    """The learning rate's peak is part of the state as well: the second optimizer is made with another."""
    whole, stopped, resumed = Problem(), Problem(), Problem(seed=5)
    rho = {"schedule": schedule, "value": 0.3, "end": 0.1}

    def run(problem: Problem, optimizer: sam.SamOptimizer, steps: range) -> None:
        for step in steps:
            optimizer.param_groups[0]["lr"] = LR / (1 + step)
            optimizer.step_on(problem.minibatch(step))

    first, second, third = (
        problem.optimizer("sam", rho, lr=lr) for problem, lr in ((whole, LR), (stopped, LR), (resumed, 0.7))
    )
    for optimizer in (first, second, third):
        optimizer.plan(steps=8)
    run(whole, first, range(8))
    run(stopped, second, range(5))
    third.load_state_dict(copy.deepcopy(second.state_dict()))
    for p, q in zip(resumed.params, stopped.params, strict=True):
        p.data.copy_(q.data)
    run(resumed, third, range(5, 8))

    assert all(torch.equal(a, b) for a, b in zip(whole.params, resumed.params, strict=True))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("name", ALL)
def test_a_schedule_over_the_run_wants_to_know_how_long_it_is(name: str, schedule: str) -> None:
    model = net()
    rho = {"schedule": schedule, "value": 0.3}
    optimizer = sam.build(name, model.parameters(), torch.optim.SGD, **{**SGD, "rho": rho})
    optimizer.plan(class_counts=[50, 40, 3])
    before: list[Tensor] = [p.detach().clone() for p in model.parameters()]

    with pytest.raises(RuntimeError, match=r"rho.*steps"):
        optimizer.step_on(batch(model))

    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("rho", "message"),
    [
        pytest.param({"schedule": "linaer", "value": 0.1}, r"rho\.schedule.*linear.*linaer", id="misspelt"),
        pytest.param({"schedule": "linear", "value": 0.1, "ned": 0.0}, r"rho.*ned", id="unknown key"),
        pytest.param({"schedule": "linear"}, r"rho.*value", id="no value"),
        pytest.param({"value": 0.1}, r"rho.*schedule", id="no schedule"),
        pytest.param({"schedule": "linear", "value": -0.1}, r"rho\.value must be >= 0, got -0\.1", id="negative"),
        pytest.param({"schedule": "lr", "value": 0.1, "end": -1}, r"rho\.end must be >= 0, got -1", id="negative end"),
        pytest.param(
            {"schedule": "cosine", "value": float("nan")}, r"rho\.value must be a finite number, got nan", id="nan"
        ),
        pytest.param({"schedule": "constant", "value": 0.1, "end": 0.2}, r"rho.*end", id="an end of a constant"),
        pytest.param({}, r"rho", id="empty"),
        pytest.param("linear", r"rho.*linear", id="a word"),
    ],
)
@pytest.mark.parametrize("name", ALL)
def test_an_impossible_schedule_is_refused_by_name(name: str, rho: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sam.build(name, zeros(2), torch.optim.SGD, **{**SGD, "rho": rho})


def test_an_impossible_schedule_of_a_group_is_refused_and_the_group_not_added() -> None:
    a, b = zeros(2, 2)
    optimizer = sam.build("sam", [a], torch.optim.SGD, lr=0.1)

    with pytest.raises(ValueError, match=r"rho.*linaer"):
        optimizer.add_param_group({"params": [b], "rho": {"schedule": "linaer", "value": 0.1}})

    assert len(optimizer.param_groups) == 1
