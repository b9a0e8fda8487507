"""What holds for each variant: state, resuming, copies, schedules."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.loops import (
    Step,
    every_loop,
    every_variant,
    on_batch,
    plain_step,
    train,
)
from tests.sam.problems import Value, batch, build, copies, make, net, same_bits, smooth_net


def through_a_file(state: object) -> Any:
    """What `torch.load(weights_only=True)` makes of it: tensors and plain values only."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@every_variant
def test_a_resumed_run_is_bit_identical_to_one_never_stopped(name: str) -> None:
    whole, stopped, resumed = net(), net(), net(seed=9)
    torch.manual_seed(3)
    train(name, whole, on_batch, steps=6)

    torch.manual_seed(3)
    first = train(name, stopped, on_batch, steps=3)
    checkpoint = through_a_file((stopped.state_dict(), first.state_dict()))
    second = make(name, resumed, lr=0.7)
    resumed.load_state_dict(checkpoint[0])
    second.load_state_dict(checkpoint[1])
    for i in range(3, 6):
        on_batch(second, batch(resumed, seed=i))

    assert same_bits(copies(whole), copies(resumed))


@every_variant
def test_a_loaded_optimizer_still_shares_its_groups_and_state_with_its_base(name: str) -> None:
    optimizer = train(name, net(), on_batch)

    optimizer.load_state_dict(optimizer.state_dict())

    base = optimizer.base_optimizer
    assert optimizer.state is base.state
    assert [id(group) for group in optimizer.param_groups] == [id(group) for group in base.param_groups]


@every_variant
def test_a_checkpoint_of_the_base_optimizer_can_be_loaded(name: str) -> None:
    model = net()
    plain = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    plain_step(plain, batch(model))
    optimizer = make(name, model)

    optimizer.load_state_dict(plain.state_dict())
    on_batch(optimizer, batch(model))

    assert optimizer.param_groups[0]["lr"] == 0.3


@pytest.mark.parametrize("way", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["copy", "pickle"])
@every_variant
def test_a_copy_of_model_and_optimizer_trains_on_like_the_original(
    name: str, way: Callable[[tuple[nn.Module, sam.SamOptimizer]], tuple[nn.Module, sam.SamOptimizer]]
) -> None:
    model = net()
    optimizer = train(name, model, on_batch)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)  # it replaces the optimizer's step

    twin, twin_optimizer = way((model, optimizer))
    for it, steps in ((model, optimizer), (twin, twin_optimizer)):
        torch.manual_seed(8)
        on_batch(steps, batch(it, seed=8))

    assert same_bits(copies(model), copies(twin))


@every_loop
def test_a_scheduler_on_the_optimizer_drives_the_base(name: str, step: Step) -> None:
    model = net()
    optimizer = make(name, model)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.0)

    step(optimizer, batch(model))
    scheduler.step()
    before = copies(model)
    step(optimizer, batch(model))

    assert optimizer.base_optimizer.param_groups[0]["lr"] == 0.0
    parameters = dict(model.named_parameters())
    assert same_bits({k: v for k, v in before.items() if k in parameters}, parameters)


@every_variant
def test_a_one_cycle_schedule_finds_the_momentum_of_the_base(name: str) -> None:
    optimizer = make(name, net())

    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)

    assert optimizer.base_optimizer.param_groups[0]["momentum"] == 0.95


@every_variant
def test_groups_keep_their_own_options_of_the_base(name: str) -> None:
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [a], "lr": 0.0}, {"params": [b]}]
    optimizer = build(name, groups)

    optimizer.step_on(Value(lambda: (a * a).sum() + (b * b).sum()))

    assert torch.equal(a, torch.ones(2))
    assert not torch.equal(b, torch.ones(2))


@every_variant
def test_an_added_group_trains(name: str) -> None:
    model, late = smooth_net(), nn.Parameter(torch.zeros(3))
    optimizer = make(name, model)
    optimizer.add_param_group({"params": [late], "lr": 0.5})

    on_batch(optimizer, batch(lambda x: model(x) + late))

    assert not torch.equal(late, torch.zeros(3))
    assert optimizer.param_groups[1]["lr"] == 0.5
    assert len(optimizer.param_groups) == len(optimizer.base_optimizer.param_groups) == 2


@every_variant
def test_named_parameters_are_taken(name: str) -> None:
    model = smooth_net()

    optimizer = build(name, model.named_parameters())

    assert optimizer.param_groups[0]["param_names"] == [n for n, _ in model.named_parameters()]


@every_variant
def test_the_weights_are_perturbed_exactly_while_is_perturbed_says_so(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model)
    clean = copies(model)
    seen: list[bool] = []

    def forward(x: Tensor) -> Tensor:
        seen.append(optimizer.is_perturbed == (not same_bits(clean, copies(model))))
        return model(x)

    optimizer.step_on(batch(forward))

    assert all(seen)
    assert not optimizer.is_perturbed


@every_variant
def test_the_base_sees_weights_that_are_exactly_restored(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model, lr=0.0, weight_decay=0.0)
    before = copies(model)

    for i in range(5):
        on_batch(optimizer, batch(model, seed=i))

    assert same_bits(before, copies(model))


@pytest.mark.parametrize("name", [name for name in sam.VARIANTS if name != "none"])
def test_a_checkpoint_of_the_base_optimizer_leaves_every_groups_own_options(name: str) -> None:
    model = smooth_net()
    groups = [{"params": [p], "rho": rho} for p, rho in zip(model.parameters(), (0.3, 0.0, 0.1, 0.2), strict=True)]
    groups[0]["rho"] = {"schedule": "lr", "value": 0.3}
    plain = torch.optim.SGD([{"params": [p]} for p in model.parameters()], lr=0.1, momentum=0.9)
    optimizer = build(name, groups, momentum=0.9)

    optimizer.load_state_dict(plain.state_dict())
    optimizer.step_on(batch(model))

    assert [group["rho"] for group in optimizer.param_groups] == [{"schedule": "lr", "value": 0.3}, 0.0, 0.1, 0.2]


def test_groups_do_not_share_one_schedule() -> None:
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    schedule = {"schedule": "lr", "value": 0.1}
    optimizer = sam.build("sam", [{"params": [a]}, {"params": [b]}], torch.optim.SGD, lr=0.1, rho=schedule)

    optimizer.param_groups[0]["rho"]["value"] = 9.0

    assert optimizer.param_groups[1]["rho"] == optimizer.defaults["rho"] == {"schedule": "lr", "value": 0.1}
