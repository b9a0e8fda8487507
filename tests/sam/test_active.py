"""`active`: which steps a variant acts in. All others are the base optimizer's, bit for bit and in one pass."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.problems import copies, net, same_bits
from tests.sam.reference import is_active
from tests.sam.reference.lockstep import SGD

#: Every variant, so that each active step perturbs.
OPTIONS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "sam": ("sam", {"rho": 0.1}),
    "sam, second order": ("sam", {"rho": 0.1, "second_order": True}),
    "sam, in shards": ("sam", {"rho": 0.1, "shard_size": 4}),
    "ssam-f": ("ssam-f", {"rho": 0.1, "num_samples": 4}),
    "ssam-d": ("ssam-d", {"rho": 0.1}),
    "friendly": ("friendly", {"rho": 0.1}),
    "imbsam": ("imbsam", {"rho": 0.1}),
    "gsam": ("gsam", {"rho": 0.1}),
    "looksam": ("looksam", {"rho": 0.1, "k": 1}),
    "msam": ("msam", {"rho": 0.5}),
    "esam": ("esam", {"rho": 0.1}),
}
STEPS = 8
PLAN: Mapping[str, Any] = {"steps": STEPS, "steps_per_epoch": 2, "class_counts": [50, 40, 3]}
WINDOWS = [
    {"from": 0.5},
    {"until": 0.5},
    {"from": 0.2, "until": 0.7},
    {"every": 2},
    {"from": 0.25, "every": 3},
]

every_variant = pytest.mark.parametrize("entry", list(OPTIONS))
every_window = pytest.mark.parametrize("window", WINDOWS, ids=lambda w: ", ".join(f"{k} {v}" for k, v in w.items()))


def make(entry: str, model: nn.Module, **options: object) -> sam.SamOptimizer:
    name, own = OPTIONS[entry]
    return sam.build(name, model.parameters(), torch.optim.SGD, **{"model": model, **SGD, **own, **options})


def planned(entry: str, model: nn.Module, **options: object) -> sam.SamOptimizer:
    optimizer = make(entry, model, **options)
    optimizer.plan(**PLAN)
    return optimizer


def minibatch(model: nn.Module, step: int) -> sam.Minibatch:
    """Eleven samples of every class."""
    x = torch.randn(11, 4, generator=torch.Generator().manual_seed(step))
    y = torch.arange(11) % 3
    return sam.Minibatch(model, x, y, lambda outputs, y: nn.functional.cross_entropy(outputs, y, reduction="none"))


def watch(model: nn.Module, optimizer: sam.SamOptimizer) -> list[bool]:
    """For each forward pass, whether it was at perturbed weights."""
    passes: list[bool] = []
    model.register_forward_pre_hook(lambda *_: passes.append(optimizer.is_perturbed))
    return passes


def same_run(entry: str, model: nn.Module, *, steps: range, optimizer: sam.SamOptimizer) -> dict[str, Tensor]:
    for step in steps:
        torch.manual_seed(step)
        optimizer.step_on(minibatch(model, step))
    return copies(model)


def test_every_variant_is_tried_here() -> None:
    assert {name for name, _ in OPTIONS.values()} == set(sam.VARIANTS) - {"none"}


@every_window
@every_variant
def test_inside_the_window_a_variant_perturbs_and_outside_it_is_its_base(entry: str, window: dict[str, float]) -> None:
    """With BatchNorm and dropout. What is outside is compared from where the step began, momentum included."""
    model = net()
    optimizer = planned(entry, model, active=window)
    passes = watch(model, optimizer)

    for step in range(STEPS):
        passes.clear()
        twin = net()
        twin.load_state_dict(model.state_dict())
        plain = torch.optim.SGD(twin.parameters(), **SGD)
        plain.load_state_dict(copy.deepcopy(optimizer.base_optimizer.state_dict()))
        has_momentum = len(optimizer.state) > 0

        torch.manual_seed(step)
        loss = optimizer.step_on(minibatch(model, step))
        drawn = torch.get_rng_state()

        if is_active(step, STEPS, window):
            assert any(passes) == (entry != "msam" or has_momentum)
            continue
        torch.manual_seed(step)
        plain_loss = minibatch(twin, step).losses().mean()
        plain_loss.backward()
        plain.step()
        assert passes == [False]
        assert same_bits(copies(model), copies(twin))
        assert torch.equal(drawn, torch.get_rng_state())
        assert torch.equal(loss, plain_loss)


@every_variant
def test_a_window_over_the_whole_run_changes_nothing(entry: str) -> None:
    always, windowed = net(), net()

    expected = same_run(entry, always, steps=range(STEPS), optimizer=planned(entry, always))
    window = {"from": 0.0, "until": 1.0, "every": 1}
    found = same_run(entry, windowed, steps=range(STEPS), optimizer=planned(entry, windowed, active=window))

    assert same_bits(expected, found)


@pytest.mark.parametrize("stop", [2, 4, 5])
@every_variant
def test_a_resumed_run_goes_on_where_it_was(entry: str, stop: int) -> None:
    window = {"from": 0.25, "until": 0.8, "every": 2}
    whole, stopped, resumed = net(), net(), net(seed=9)
    expected = same_run(entry, whole, steps=range(STEPS), optimizer=planned(entry, whole, active=window))

    first = planned(entry, stopped, active=window)
    same_run(entry, stopped, steps=range(stop), optimizer=first)
    second = planned(entry, resumed, active=window)
    resumed.load_state_dict(stopped.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    found = same_run(entry, resumed, steps=range(stop, STEPS), optimizer=second)

    assert second.steps_taken == STEPS
    assert same_bits(expected, found)


@every_variant
def test_a_step_outside_the_window_takes_a_closure(entry: str) -> None:
    """Those that need single losses need none there."""
    model = net()
    optimizer = planned(entry, model, active={"from": 0.5})
    passes = watch(model, optimizer)

    def closure() -> Tensor:
        loss = minibatch(model, 0).losses().mean()
        loss.backward()
        return loss

    optimizer.step(closure)

    assert passes == [False]


@pytest.mark.parametrize("part", [{"from": 0.5}, {"until": 0.5}])
@every_variant
def test_a_window_wants_to_know_how_long_the_run_is(entry: str, part: dict[str, float]) -> None:
    model = net()
    optimizer = make(entry, model, active=part)
    optimizer.plan(class_counts=[50, 40, 3])
    before = copies(model)

    with pytest.raises(RuntimeError, match=r"active.*steps"):
        optimizer.step_on(minibatch(model, 0))

    assert same_bits(before, copies(model))


def test_every_second_step_can_be_told_without_a_plan() -> None:
    model = net()
    optimizer = make("sam", model, active={"every": 2})
    passes = watch(model, optimizer)

    for step in range(3):
        optimizer.step_on(minibatch(model, step))

    assert passes == [False, True, False, False, True]


@pytest.mark.parametrize(
    ("steps", "window", "active"),
    [
        (8, {"from": 0.25, "until": 0.75}, [2, 3, 4, 5]),
        (10, {"from": 0.3, "until": 0.7}, [3, 4, 5, 6]),
        (10, {"from": 0.35, "until": 0.65}, [4, 5, 6]),
        (10, {"from": 0.1, "until": 0.9, "every": 3}, [3, 6]),
        (3, {"from": 0.9}, []),
        (3, {"until": 0.1}, [0]),
    ],
)
def test_the_window_has_its_first_step_and_not_its_last(
    steps: int, window: dict[str, float], active: list[int]
) -> None:
    """from <= t/T < until, in fractions that floats hold exactly and in some that they do not."""
    model = nn.Linear(4, 3)
    optimizer = make("sam", model, active=window)
    optimizer.plan(steps=steps)
    passes = watch(model, optimizer)
    found = []

    for step in range(steps):
        passes.clear()
        optimizer.step_on(minibatch(model, step))
        if any(passes):
            found.append(step)

    assert found == active


def test_steps_beyond_the_plan_are_active_where_the_window_has_no_end() -> None:
    model = net()
    optimizer = make("sam", model, active={"from": 0.5, "until": 1.0})
    optimizer.plan(steps=2)
    passes = watch(model, optimizer)

    for step in range(4):
        optimizer.step_on(minibatch(model, step))

    assert passes == [False] + [False, True] * 3


@pytest.mark.parametrize(
    ("active", "message"),
    [
        ({"from": -0.1}, r"active\.from.*-0\.1"),
        ({"from": 1.5}, r"active\.from.*1\.5"),
        ({"from": float("nan")}, r"active\.from.*nan"),
        ({"from": "soon"}, r"active\.from.*soon"),
        ({"until": 0.0}, r"active\.until.*0"),
        ({"until": 1.1}, r"active\.until.*1\.1"),
        ({"until": None}, r"active\.until.*None"),
        ({"from": 0.6, "until": 0.4}, r"active\.(from|until).*0\.[46]"),
        ({"from": 0.5, "until": 0.5}, r"active\.(from|until).*0\.5"),
        ({"every": 0}, r"active\.every.*0"),
        ({"every": 1.5}, r"active\.every.*1\.5"),
        ({"every": -2}, r"active\.every.*-2"),
        ({"form": 0.5}, r"form"),
    ],
)
@every_variant
def test_an_impossible_window_is_refused_at_once(entry: str, active: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(entry, net(), active=active)
