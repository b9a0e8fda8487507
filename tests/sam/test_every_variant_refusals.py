"""What holds for each variant: what cannot be is refused by name, and nothing half done stays behind."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.loops import every_closure_variant, every_variant, on_batch, train
from tests.sam.problems import CLASS_COUNTS, Value, batch, build, copies, make, same_bits, smooth_net

perturbing = pytest.mark.parametrize("name", [name for name in sam.VARIANTS if name != "none"])


@pytest.fixture
def double_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@every_variant
def test_another_default_type_changes_nothing(name: str, double_by_default: None) -> None:
    w = nn.Parameter(torch.ones(3))
    optimizer = build(name, [w])

    for _ in range(2):
        optimizer.step_on(Value(lambda: w.square().sum()))

    assert w.dtype == torch.float64
    assert bool((w < 1).all())


@every_closure_variant
def test_a_step_inside_a_step_is_refused_with_the_weights_put_back(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model)
    before = copies(model)

    def closure() -> Tensor:
        loss = batch(model).loss()
        loss.backward()
        optimizer.step(batch(model).closure(optimizer))
        return loss

    with pytest.raises(RuntimeError, match="a step is under way: a closure cannot begin another"):
        optimizer.step(closure)

    assert same_bits(before, copies(model))
    on_batch(optimizer, batch(model))


@pytest.mark.parametrize(
    "inside",
    [lambda it: it.plan(), lambda it: it.load_state_dict({}), lambda it: it.first_step()],
    ids=["plan", "load", "first_step"],
)
def test_nothing_else_begins_inside_a_step(inside: Callable[[sam.SamOptimizer], object]) -> None:
    model = smooth_net()
    optimizer = make("sam", model)

    with pytest.raises(RuntimeError, match="a step is under way"):
        optimizer.step(lambda: inside(optimizer))


@perturbing
def test_a_base_that_maximises_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="maximize must be False"):
        build(name, [nn.Parameter(torch.ones(2))], maximize=True)


@perturbing
def test_complex_parameters_are_refused_and_the_group_not_added(name: str) -> None:
    with pytest.raises(ValueError, match="params must be real"):
        build(name, [nn.Parameter(torch.ones(2, dtype=torch.complex64))])

    optimizer = build(name, [nn.Parameter(torch.ones(2))])
    with pytest.raises(ValueError, match="params must be real"):
        optimizer.add_param_group({"params": nn.Parameter(torch.ones(2, dtype=torch.complex64))})
    assert len(optimizer.param_groups) == len(optimizer.base_optimizer.param_groups) == 1


@every_variant
def test_another_variants_state_is_refused_and_nothing_loaded(name: str) -> None:
    model = smooth_net()
    optimizer = train(name, model, on_batch, steps=2)
    before = optimizer.state_dict()
    other = train("sam" if name != "sam" else "gsam", smooth_net(), on_batch, steps=1, lr=77.0)

    with pytest.raises(ValueError, match=f"state_dict must be of {type(optimizer).__name__} or of its base"):
        optimizer.load_state_dict(other.state_dict())

    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.state_dict()["steps_taken"] == before["steps_taken"]


@pytest.mark.parametrize("name", ["ssam-f", "ssam-d", "friendly"])
def test_a_memory_of_another_model_is_refused_and_nothing_loaded(name: str) -> None:
    optimizer = train(name, smooth_net(), on_batch, steps=1)
    state = optimizer.state_dict()
    (tensors,) = [value for value in state["memory"].values() if isinstance(value, dict)]
    tensors[0] = torch.ones(7)
    state["param_groups"][0]["lr"] = 77.0

    with pytest.raises(ValueError, match=r"of shape \[7\] for parameter 0; it has shape \[8, 4\]"):
        optimizer.load_state_dict(state)

    assert optimizer.param_groups[0]["lr"] == 0.1


@every_variant
def test_losses_that_are_not_one_for_each_sample_are_refused(name: str) -> None:
    model = smooth_net()
    x, y = torch.randn(8, 4), torch.full((8,), 2)
    optimizer = make(name, model)
    optimizer.plan(class_counts=CLASS_COUNTS)

    with pytest.raises(ValueError, match=r"losses must return one loss for each of 8 samples, shape \[8\], got \[\]"):
        optimizer.step_on(sam.Minibatch(model, x, y, nn.functional.cross_entropy))
    with pytest.raises(TypeError, match=r"batch must have losses\(part\).*got tuple"):
        optimizer.step_on((x, y))  # pyright: ignore[reportArgumentType]


@perturbing
def test_a_radius_written_into_a_group_is_checked_at_the_next_step(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model)
    before = copies(model)
    for rho in (-1, float("nan"), "x", None, {"schedule": "typo", "value": 1}):
        optimizer.param_groups[0]["rho"] = rho

        with pytest.raises(ValueError, match="rho"):
            on_batch(optimizer, batch(model))

    assert same_bits(before, copies(model))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sam", {"adaptive": "no"}, "adaptive must be True or False, got 'no'"),
        ("sam", {"second_order": "no"}, "second_order must be True or False, got 'no'"),
        ("sam", {"p": True}, "p must be >= 1, got True"),
        ("sam", {"p": "2"}, "p must be >= 1, got '2'"),
        ("sam", {"rho": "0.05"}, "rho must be a finite number, got '0.05'"),
        ("sam", {"rho": 10**400}, "rho must be a finite number, got 1000"),
        ("sam", {"active": None}, "active must be an object with from, until, every, got None"),
        ("sam", {"model": "x"}, "model must be a torch module, got 'x'"),
        ("imbsam", {"tail_below": "5"}, "tail_below must be a finite number, got '5'"),
        ("looksam", {"k": 2.5}, r"k must be an integer >= 1, got 2\.5"),
    ],
)
def test_an_option_of_a_wrong_type_is_refused_by_name(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sam.build(name, [nn.Parameter(torch.ones(1))], torch.optim.SGD, **options)


def test_a_base_optimizer_that_is_made_already_is_refused() -> None:
    params = [nn.Parameter(torch.ones(1))]

    with pytest.raises(ValueError, match="base_optimizer must be an optimizer class, got SGD"):
        sam.SAM(params, torch.optim.SGD(params))  # pyright: ignore[reportArgumentType]


def test_an_option_of_the_whole_optimizer_is_refused_in_a_group() -> None:
    with pytest.raises(ValueError, match="alpha is one for the whole optimizer"):
        sam.LookSAM([{"params": [nn.Parameter(torch.ones(1))], "alpha": 0.9}], torch.optim.SGD)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"steps": 1.5}, r"steps must be an integer >= 1, got 1\.5"),
        ({"steps_per_epoch": 20.0}, r"steps_per_epoch must be an integer >= 1, got 20\.0"),
        ({"steps": True}, "steps must be an integer >= 1, got True"),
        ({"seed": "x"}, "seed must be an integer >= 0, got 'x'"),
        ({"class_counts": Counter([0, 1, 1])}, "class_counts must be a sequence of integers, one for each class"),
        ({"class_counts": [3, -1]}, "class_counts must be an integer >= 0, got -1"),
        ({"class_counts": [1.5, 2]}, r"class_counts must be an integer >= 0, got 1\.5"),
        ({"samples": 5}, "samples must be a function"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_name(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sam.SAM([nn.Parameter(torch.ones(1))], torch.optim.SGD).plan(**told)


def test_numbers_of_numpy_become_plain_ones_that_a_checkpoint_can_hold() -> None:
    optimizer = sam.SAM([nn.Parameter(torch.ones(1))], torch.optim.SGD, rho=np.float64(0.1), eta=np.float32(0.5))  # pyright: ignore[reportArgumentType]
    optimizer.plan(steps=np.int64(5), steps_per_epoch=np.int64(5))  # pyright: ignore[reportArgumentType]

    group = optimizer.state_dict()["param_groups"][0]
    assert [type(group[name]) for name in ("rho", "eta")] == [float, float]


def test_second_order_with_a_parameter_of_no_elements() -> None:
    empty, w = nn.Parameter(torch.ones(0, 3)), nn.Parameter(torch.ones(2))
    optimizer = sam.SAM([empty, w], torch.optim.SGD, lr=0.1, second_order=True)

    optimizer.step_on(Value(lambda: w.square().sum() + empty.sum()))

    assert bool((w < 1).all())


def test_a_radius_that_follows_the_learning_rate_never_exceeds_its_value() -> None:
    """CyclicLR leaves its lowest learning rate where other schedulers leave the highest."""
    w = nn.Parameter(torch.ones(1))
    optimizer = sam.SAM([w], torch.optim.SGD, lr=0.1, momentum=0.9, rho={"schedule": "lr", "value": 0.05})
    scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, base_lr=1e-3, max_lr=0.1, step_size_up=4)
    seen: list[float] = []

    for _ in range(4):
        positions: list[float] = []
        optimizer.step(
            lambda positions=positions: (positions.append(w.item()), setattr(w, "grad", torch.ones(1)), 0.0)[2]
        )
        seen.append(positions[1] - positions[0])
        scheduler.step()

    assert seen == pytest.approx([0.05] * 4, rel=1e-4)


def test_labels_that_are_not_one_for_each_sample_are_refused() -> None:
    model = smooth_net()
    optimizer = make("imbsam", model)
    cross_entropy = partial(nn.functional.cross_entropy, reduction="none")
    x, y = torch.randn(8, 4), torch.full((8,), 2)

    with pytest.raises(ValueError, match=r"labels must be int64 \[8\] on the CPU, got torch.int64 \[4\] on cpu"):
        optimizer.step_on(sam.Minibatch(model, x, y, cross_entropy, labels=y[:4]))
