"""What holds for each variant: mixed precision, accumulation, clipping, odd parameters."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.loops import (
    by_closure,
    every_closure_variant,
    every_variant,
    on_batch,
    train,
)
from tests.sam.problems import (
    FORWARDS,
    IDLE,
    PASSES,
    PER_SAMPLE,
    WHOLE,
    Samples,
    Value,
    batch,
    build,
    copies,
    make,
    same_bits,
    smooth_net,
)


def quarter_batches(samples: Samples) -> list[Samples]:
    parts = torch.arange(len(samples.x)).chunk(4)
    return [Samples(samples.model, samples.x[part], samples.y[part]) for part in parts]


@every_closure_variant
def test_accumulated_gradients_make_the_step_of_the_whole_batch(name: str) -> None:
    whole, parts = smooth_net().double(), smooth_net().double()

    by_closure(make(name, whole), batch(whole).double())
    optimizer = make(name, parts)

    def closure() -> float:
        total = 0.0
        for quarter in quarter_batches(batch(parts).double()):
            loss = quarter.loss() / 4
            loss.backward()
            total += loss.item()
        return total

    optimizer.step(closure)

    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@every_variant
def test_a_pre_hook_on_the_base_clips_the_final_gradient(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model, momentum=0.5, weight_decay=0.0, lr=1.0)
    before = [p.detach().clone() for p in model.parameters()]

    def clip(*_: object) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)

    optimizer.base_optimizer.register_step_pre_hook(clip)
    on_batch(optimizer, batch(model))

    moved = torch.cat([(a - b).flatten() for a, b in zip(before, model.parameters(), strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-2)


@every_variant
def test_frozen_and_unused_parameters_stay_as_they_are(name: str) -> None:
    model = smooth_net()
    frozen, unused = nn.Parameter(torch.ones(2), requires_grad=False), nn.Parameter(torch.ones(2))
    optimizer = make(name, model)
    optimizer.add_param_group({"params": [frozen, unused]})

    on_batch(optimizer, batch(model))

    assert torch.equal(frozen, torch.ones(2))
    assert torch.equal(unused, torch.ones(2))


@every_variant
def test_nothing_at_all_to_train_is_a_step_that_does_nothing(name: str) -> None:
    unused = nn.Parameter(torch.ones(2))
    optimizer = build(name, [unused])
    elsewhere = torch.tensor(0.5, requires_grad=True)

    assert optimizer.step_on(Value(lambda: elsewhere * 1.0)).item() == 0.5
    assert torch.equal(unused, torch.ones(2))


@every_variant
def test_a_parameter_with_a_gradient_in_pass_one_only_is_put_back(name: str) -> None:
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = build(name, [a, b])
    forwards = 0

    def value() -> Tensor:
        nonlocal forwards
        forwards += 1
        return (a * a).sum() + ((b * b).sum() if forwards == 1 else 0)

    optimizer.step_on(Value(value))

    assert not torch.equal(a, torch.ones(3))
    assert torch.equal(b, torch.ones(3)) == (PASSES[name] > 1)  # the base takes it where pass one is the last


@every_variant
def test_tied_weights_are_one_parameter(name: str) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.second(torch.tanh(self.first(x)))

    tied, single = Tied(), nn.Linear(4, 4, bias=False)
    single.weight.data.copy_(tied.first.weight.data)

    def twice(x: Tensor) -> Tensor:
        return single(torch.tanh(single(x)))

    on_batch(build(name, tied.parameters()), batch(tied))
    on_batch(build(name, single.parameters()), batch(twice))

    assert torch.equal(tied.first.weight, single.weight)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_variant
def test_half_precision_parameters_train_and_stay_half(name: str, dtype: torch.dtype) -> None:
    model = smooth_net().to(dtype)
    samples = batch(model)
    samples = Samples(model, samples.x.to(dtype), samples.y)
    before = samples.loss().item()

    optimizer = make(name, model)
    for _ in range(10):
        on_batch(optimizer, samples)

    assert samples.loss().item() < before
    assert {p.dtype for p in model.parameters()} == {dtype}


@every_variant
def test_parameters_of_several_types_train_together(name: str) -> None:
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = build(name, [a, b], **WHOLE.get(name, {}))

    optimizer.step_on(Value(lambda: (a * a).sum() + (b * b).sum()))

    torch.testing.assert_close(a.double(), b)
    assert not torch.equal(a, torch.ones(3))


@every_variant
def test_bfloat16_autocast_trains(name: str) -> None:
    model = smooth_net()

    def forward(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model(x)

    samples = batch(forward)
    before = samples.loss().item()

    optimizer = make(name, model)
    for _ in range(10):
        on_batch(optimizer, samples)

    assert samples.loss().item() < before


def scaled_closure(scaler: torch.amp.GradScaler, samples: Samples) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        loss = samples.loss()
        scaler.scale(loss).backward()
        return loss

    return closure


def scaled_by_closure(optimizer: sam.SamOptimizer, scaler: torch.amp.GradScaler, samples: Samples) -> None:
    optimizer.step(scaled_closure(scaler, samples), scaler=scaler)


def scaled_on_batch(optimizer: sam.SamOptimizer, scaler: torch.amp.GradScaler, samples: Samples) -> None:
    optimizer.step_on(samples, scaler=scaler)


def scaled_by_hand(optimizer: sam.SamOptimizer, scaler: torch.amp.GradScaler, samples: Samples) -> None:
    scaled_closure(scaler, samples)()
    optimizer.first_step(zero_grad=True, scaler=scaler)
    scaled_closure(scaler, samples)()
    optimizer.second_step(zero_grad=True)


def scaled_and_unscaled_by_hand(optimizer: sam.SamOptimizer, scaler: torch.amp.GradScaler, samples: Samples) -> None:
    scaled_closure(scaler, samples)()
    scaler.unscale_(optimizer)
    optimizer.first_step(zero_grad=True)
    scaled_closure(scaler, samples)()
    scaler.unscale_(optimizer.base_optimizer)
    optimizer.second_step(zero_grad=True)


SCALED_LOOPS = [scaled_on_batch, scaled_by_closure, scaled_by_hand, scaled_and_unscaled_by_hand]


def scaled_loops_of(name: str) -> list["ScaledStep"]:
    return SCALED_LOOPS[:1] if name in PER_SAMPLE else SCALED_LOOPS


every_scaled_loop = pytest.mark.parametrize(
    ("name", "step"), [(name, step) for name in sam.VARIANTS for step in scaled_loops_of(name)]
)
ScaledStep = Callable[[sam.SamOptimizer, torch.amp.GradScaler, Samples], None]


@every_scaled_loop
def test_a_scaled_step_is_the_unscaled_step(name: str, step: ScaledStep) -> None:
    """The scale is a power of two, so scaling and unscaling lose nothing."""
    scaled, unscaled = smooth_net(), smooth_net()
    optimizer, scaler = make(name, scaled), torch.amp.GradScaler("cpu", init_scale=1024.0)

    for i in range(3):
        step(optimizer, scaler, batch(scaled, seed=i))
        scaler.update()
    train(name, unscaled, on_batch, steps=3)

    assert same_bits(copies(scaled), copies(unscaled))


@pytest.mark.parametrize(
    ("name", "step", "bad_pass"),
    [
        (name, step, number)
        for name in sam.VARIANTS
        for step in scaled_loops_of(name)[:3]
        for number in range(1, PASSES[name] + 1)
    ],
)
def test_a_step_that_overflows_in_any_pass_is_skipped_and_the_scale_backs_off(
    name: str, step: ScaledStep, bad_pass: int
) -> None:
    model = smooth_net()
    forwards = 0
    bad_forward = bad_pass if bad_pass == 1 else FORWARDS[name]

    def forward(x: Tensor) -> Tensor:
        nonlocal forwards
        forwards += 1
        return model(x) * (math.inf if forwards == bad_forward else 1.0)

    optimizer, scaler = make(name, model), torch.amp.GradScaler("cpu", init_scale=1024.0)
    before, state = copies(model), copy.deepcopy(optimizer.state_dict())

    step(optimizer, scaler, batch(forward))
    scaler.update()

    assert same_bits(before, copies(model))
    assert optimizer.state_dict() == {**state, "steps_taken": 1}
    assert scaler.get_scale() == 512.0


@every_closure_variant
def test_a_closure_through_the_scaler_is_refused(name: str) -> None:
    """It would let the gradients in as scaled. The backward before it is what the scaler asks for."""
    model = smooth_net()
    optimizer, scaler = make(name, model), torch.amp.GradScaler("cpu", init_scale=1024.0)
    closure = scaled_closure(scaler, batch(model))
    before = copies(model)
    closure()

    with pytest.raises(RuntimeError, match=r"use optimizer.step\(closure, scaler=scaler\)"):
        scaler.step(optimizer, closure)

    assert same_bits(before, copies(model))
    scaler.update()
    optimizer.step(closure, scaler=scaler)


@every_closure_variant
def test_a_hand_written_loop_that_ends_in_the_scaler_is_refused_with_the_weights_put_back(name: str) -> None:
    model = smooth_net()
    optimizer, scaler = make(name, model), torch.amp.GradScaler("cpu", init_scale=1024.0)
    before = copies(model)
    scaled_closure(scaler, batch(model))()
    scaler.unscale_(optimizer)
    optimizer.first_step(zero_grad=True)
    scaled_closure(scaler, batch(model))()

    with pytest.raises(RuntimeError, match=r"scaler.step cannot unscale"):
        scaler.step(optimizer)

    assert same_bits(before, copies(model))


@every_variant
def test_scaler_step_without_a_closure_is_the_base_optimizers_where_one_pass_is_enough(name: str) -> None:
    ours, theirs = smooth_net(), smooth_net()
    optimizer = make(name, ours, **IDLE[name])
    plain = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)

    for it, steps in ((ours, optimizer), (theirs, plain)):
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        scaled_closure(scaler, batch(it))()
        scaler.step(steps)
        scaler.update()

    assert same_bits(copies(ours), copies(theirs))


@every_closure_variant
def test_a_gradient_that_is_one_number_expanded_is_taken(name: str) -> None:
    w = nn.Parameter(torch.ones(3))
    optimizer = build(name, [w])

    def closure() -> Tensor:
        loss = w.sum()
        (w.grad,) = torch.autograd.grad(loss, w)
        return loss.detach()

    optimizer.step(closure)

    torch.testing.assert_close(w.detach(), torch.full((3,), 0.9))


@every_closure_variant
def test_gradients_may_lie_in_memory_that_every_pass_uses_again(name: str) -> None:
    """As data parallelism's buckets do."""
    ours, theirs = smooth_net(), smooth_net()
    optimizer = make(name, ours, k=2) if name == "looksam" else make(name, ours)
    buckets = {p: torch.empty_like(p) for p in ours.parameters()}

    for i in range(4):
        samples = batch(ours, seed=i)

        def closure(samples: Samples = samples) -> Tensor:
            loss = samples.loss()
            for p, g in zip(buckets, torch.autograd.grad(loss, list(buckets)), strict=True):
                p.grad = buckets[p].copy_(g)
            return loss

        optimizer.step(closure)
    train(name, theirs, by_closure, steps=4, **({"k": 2} if name == "looksam" else {}))

    assert same_bits(copies(ours), copies(theirs))


@every_variant
def test_an_autocast_around_the_step_serves_no_weights_of_before(name: str) -> None:
    """Autocast keeps what it has converted until it ends; the weights move meanwhile."""
    outside, inside = smooth_net(), smooth_net()

    def forward(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return outside(x)

    rho = {} if name == "none" else {"rho": 2.0}
    steps, optimizer = make(name, outside, **rho), make(name, inside, **rho)
    for i in range(3):
        on_batch(steps, batch(forward, seed=i))
        with torch.autocast("cpu", torch.bfloat16):
            on_batch(optimizer, batch(inside, seed=i))

    for a, b in zip(outside.parameters(), inside.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=3e-3)
