"""What holds for each variant in `sam.VARIANTS`: exactness, resuming, errors, other people's loops."""

import copy
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.problems import ACTIVE, IDLE, PASSES, Samples, batch, copies, make, net, same_bits, smooth_net

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


# 1. The base optimizer, statistics and random numbers.


@pytest.mark.parametrize("base", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad])
@every_variant
def test_an_idle_variant_is_the_base_optimizer_bit_for_bit(
    name: str, base: Callable[..., torch.optim.Optimizer]
) -> None:
    ours, theirs = net(), net()
    optimizer = sam.build(name, ours.parameters(), base, lr=0.01, model=ours, **IDLE[name])
    plain = base(theirs.parameters(), lr=0.01)

    torch.manual_seed(5)
    for i in range(5):
        optimizer.step(batch(ours, seed=i).closure(optimizer))
    after_ours = torch.get_rng_state()
    torch.manual_seed(5)
    for i in range(5):
        plain_step(plain, batch(theirs, seed=i))

    assert same_bits(copies(ours), copies(theirs))
    assert torch.equal(after_ours, torch.get_rng_state())


@every_variant
def test_an_idle_variant_makes_one_pass(name: str) -> None:
    model = net()
    optimizer = make(name, model, **IDLE[name])
    values: list[float] = []

    optimizer.step(lambda: values.append(1.0))

    assert values == [1.0]


@every_variant
def test_an_idle_variant_is_the_base_optimizer_in_a_hand_written_loop_too(name: str) -> None:
    """The loop runs a second pass that is not needed: neither its gradients nor its statistics may count."""
    ours, theirs = net(), net()
    optimizer = make(name, ours, **IDLE[name])
    plain = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)

    for i in range(3):
        torch.manual_seed(i)
        by_hand(optimizer, batch(ours, seed=i))
        torch.manual_seed(i)
        plain_step(plain, batch(theirs, seed=i))

    assert same_bits(copies(ours), copies(theirs))


@every_loop
@every_variant
def test_batch_statistics_move_in_the_first_pass_only(name: str, step: Step) -> None:
    model, once = net(), net()
    samples = batch(model)
    extra = int(step is by_a_closure_that_does_not_zero)  # its own backward, before the step

    step(make(name, model), samples)
    for _ in range(1 + extra):
        once(samples.x)

    assert same_bits(dict(model.named_buffers()), dict(once.named_buffers()))


@every_variant
def test_batch_norm_keeps_its_momentum(name: str) -> None:
    model = net()

    train(name, model, by_closure, steps=3)

    assert [m.momentum for m in model if isinstance(m, nn.BatchNorm1d)] == [0.1]


@every_variant
def test_all_passes_draw_the_same_dropout_masks(name: str) -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    w = nn.Parameter(torch.ones(3))
    optimizer = sam.build(name, [w], torch.optim.SGD, **{"lr": 0.1, **ACTIVE[name]})
    masks: list[Tensor] = []

    def closure() -> Tensor:
        masks.append(model(torch.ones(64)))
        loss = (w * w).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.step(closure)

    first, second = masks[: len(masks) // 2], masks[len(masks) // 2 :]
    assert all(torch.equal(first[0], mask) for mask in first)
    assert all(torch.equal(second[0], mask) for mask in second)
    assert not torch.equal(first[0], second[0])


# 2. State.


@every_variant
def test_a_resumed_run_is_bit_identical_to_one_never_stopped(name: str) -> None:
    whole, stopped, resumed = net(), net(), net(seed=9)
    torch.manual_seed(3)
    train(name, whole, by_closure, steps=6)

    torch.manual_seed(3)
    first = train(name, stopped, by_closure, steps=3)
    checkpoint = pickle.loads(pickle.dumps((stopped.state_dict(), first.state_dict())))
    second = make(name, resumed, lr=0.7)
    resumed.load_state_dict(checkpoint[0])
    second.load_state_dict(checkpoint[1])
    for i in range(3, 6):
        by_closure(second, batch(resumed, seed=i))

    assert same_bits(copies(whole), copies(resumed))


@every_variant
def test_a_loaded_optimizer_still_shares_its_groups_and_state_with_its_base(name: str) -> None:
    optimizer = train(name, net(), by_closure)

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
    by_closure(optimizer, batch(model))

    assert optimizer.param_groups[0]["lr"] == 0.3


@pytest.mark.parametrize("way", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["copy", "pickle"])
@every_variant
def test_a_copy_of_model_and_optimizer_trains_on_like_the_original(
    name: str, way: Callable[[tuple[nn.Module, sam.SamOptimizer]], tuple[nn.Module, sam.SamOptimizer]]
) -> None:
    model = net()
    optimizer = train(name, model, by_closure)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)  # it replaces the optimizer's step

    twin, twin_optimizer = way((model, optimizer))
    for it, steps in ((model, optimizer), (twin, twin_optimizer)):
        torch.manual_seed(8)
        by_closure(steps, batch(it, seed=8))

    assert same_bits(copies(model), copies(twin))


# 3. Schedules.


@every_loop
@every_variant
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


# 4. Closures and loops.


@every_variant
def test_step_returns_the_first_value_of_the_closure(name: str) -> None:
    model = smooth_net()
    samples = batch(model)
    clean = samples.loss().item()
    optimizer = make(name, model)

    assert by_closure(optimizer, samples).item() == clean


@every_variant
def test_step_on_returns_the_clean_mean_loss_detached(name: str) -> None:
    model = smooth_net()
    samples = batch(model)
    clean = samples.loss().item()

    loss = make(name, model).step_on(samples)

    assert (loss.item(), loss.requires_grad, loss.shape) == (clean, False, ())


@every_variant
def test_every_loop_makes_the_same_step(name: str) -> None:
    results: list[dict[str, Tensor]] = []

    for step in (by_closure, on_batch, by_hand, by_a_closure_that_does_not_zero):
        model = smooth_net()
        train(name, model, step)
        results.append(copies(model))

    assert all(same_bits(results[0], other) for other in results[1:])


@every_variant
def test_step_without_a_closure_works_exactly_where_one_pass_is_enough(name: str) -> None:
    model = smooth_net()
    idle, active = make(name, model, **IDLE[name]), make(name, model)
    batch(model).loss().backward()
    before = copies(model)

    if PASSES[name] > 1:
        with pytest.raises(RuntimeError, match="needs a second pass"):
            active.step()
    assert same_bits(before, copies(model))
    idle.step()
    assert not same_bits(before, copies(model))


@every_variant
def test_first_step_says_whether_a_second_pass_is_needed_and_restore_gives_the_step_up(name: str) -> None:
    model = smooth_net()
    optimizer, idle = make(name, model), make(name, model, **IDLE[name])
    batch(model).loss().backward()
    before = copies(model)

    needed = optimizer.first_step()
    optimizer.restore()

    assert needed == (PASSES[name] > 1)
    assert same_bits(before, copies(model))
    assert not idle.first_step()


@every_variant
def test_a_closure_is_called_once_per_pass(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model)
    calls: list[int] = []

    def closure() -> Tensor:
        calls.append(1)
        loss = batch(model).loss()
        loss.backward()
        return loss

    optimizer.step(closure)

    assert len(calls) == PASSES[name]


@every_variant
def test_second_step_without_first_step_is_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match="second_step comes after first_step"):
        make(name, net()).second_step()


@every_variant
def test_a_step_that_was_begun_by_hand_and_forgotten_is_refused_with_the_weights_put_back(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model)
    before = copies(model)
    batch(model).loss().backward()
    optimizer.first_step()

    with pytest.raises(RuntimeError, match="second_step did not follow first_step"):
        optimizer.first_step()

    assert same_bits(before, copies(model))
    by_closure(optimizer, batch(model))


@every_variant
def test_no_state_is_saved_in_the_middle_of_a_step(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model)
    batch(model).loss().backward()
    optimizer.first_step()

    with pytest.raises(RuntimeError, match="a step is under way"):
        optimizer.state_dict()
    with pytest.raises(RuntimeError, match="a step is under way"):
        copy.deepcopy(optimizer)


@every_variant
def test_first_step_leaves_the_gradients_unless_told_to_zero_them(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model)
    batch(model).loss().backward()
    g = [p.grad.clone() for p in model.parameters() if p.grad is not None]

    optimizer.first_step()

    left = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(g, left, strict=True))


# 5. Mixed precision, accumulation, clipping, odd parameters.


def quarter_batches(samples: Samples) -> list[Samples]:
    parts = torch.arange(len(samples.x)).chunk(4)
    return [Samples(samples.model, samples.x[part], samples.y[part]) for part in parts]


@every_variant
def test_accumulated_gradients_make_the_step_of_the_whole_batch(name: str) -> None:
    whole, parts = smooth_net().double(), smooth_net().double()

    def double(samples: Samples) -> Samples:
        return Samples(samples.model, samples.x.double(), samples.y)

    by_closure(make(name, whole), double(batch(whole)))
    optimizer = make(name, parts)

    def closure() -> float:
        total = 0.0
        for quarter in quarter_batches(double(batch(parts))):
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
    optimizer = make(name, model, momentum=0.0, weight_decay=0.0, lr=1.0)
    before = [p.detach().clone() for p in model.parameters()]

    def clip(*_: object) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)

    optimizer.base_optimizer.register_step_pre_hook(clip)
    by_closure(optimizer, batch(model))

    moved = torch.cat([(a - b).flatten() for a, b in zip(before, model.parameters(), strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-2)


@every_variant
def test_frozen_and_unused_parameters_stay_as_they_are(name: str) -> None:
    model = smooth_net()
    frozen, unused = nn.Parameter(torch.ones(2), requires_grad=False), nn.Parameter(torch.ones(2))
    optimizer = make(name, model)
    optimizer.add_param_group({"params": [frozen, unused]})

    by_closure(optimizer, batch(model))

    assert torch.equal(frozen, torch.ones(2))
    assert torch.equal(unused, torch.ones(2))


@every_variant
def test_nothing_at_all_to_train_is_a_step_that_does_nothing(name: str) -> None:
    unused = nn.Parameter(torch.ones(2))
    optimizer = sam.build(name, [unused], torch.optim.SGD, **{"lr": 0.1, **ACTIVE[name]})

    assert optimizer.step(lambda: 0.5) == 0.5
    assert torch.equal(unused, torch.ones(2))


@every_variant
def test_a_parameter_with_a_gradient_in_pass_one_only_is_put_back(name: str) -> None:
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = sam.build(name, [a, b], torch.optim.SGD, **{"lr": 0.1, **ACTIVE[name]})
    passes = 0

    def closure() -> Tensor:
        nonlocal passes
        passes += 1
        loss = (a * a).sum() + ((b * b).sum() if passes == 1 else 0)
        loss.backward()
        return loss

    optimizer.step(closure)

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

    by_closure(make(name, tied), batch(tied))
    by_closure(make(name, single), batch(twice))

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
        by_closure(optimizer, samples)

    assert samples.loss().item() < before
    assert {p.dtype for p in model.parameters()} == {dtype}


@every_variant
def test_parameters_of_several_types_train_together(name: str) -> None:
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = sam.build(name, [a, b], torch.optim.SGD, **{"lr": 0.1, **ACTIVE[name]})

    def closure() -> Tensor:
        loss = (a * a).sum() + (b * b).sum()
        loss.backward()
        return loss

    optimizer.step(closure)

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


every_scaled_loop = pytest.mark.parametrize(
    "step", [scaled_by_closure, scaled_on_batch, scaled_by_hand, scaled_and_unscaled_by_hand]
)
ScaledStep = Callable[[sam.SamOptimizer, torch.amp.GradScaler, Samples], None]


@every_scaled_loop
@every_variant
def test_a_scaled_step_is_the_unscaled_step(name: str, step: ScaledStep) -> None:
    """The scale is a power of two, so scaling and unscaling lose nothing."""
    scaled, unscaled = smooth_net(), smooth_net()
    optimizer, scaler = make(name, scaled), torch.amp.GradScaler("cpu", init_scale=1024.0)

    for i in range(3):
        step(optimizer, scaler, batch(scaled, seed=i))
        scaler.update()
    train(name, unscaled, by_closure, steps=3)

    assert same_bits(copies(scaled), copies(unscaled))


@pytest.mark.parametrize("step", [scaled_by_closure, scaled_on_batch, scaled_by_hand])
@every_pass
def test_a_step_that_overflows_in_any_pass_is_skipped_and_the_scale_backs_off(
    name: str, step: ScaledStep, bad_pass: int
) -> None:
    model = smooth_net()
    passes = 0

    def forward(x: Tensor) -> Tensor:
        nonlocal passes
        passes += 1
        return model(x) * (math.inf if passes == bad_pass else 1.0)

    optimizer, scaler = make(name, model), torch.amp.GradScaler("cpu", init_scale=1024.0)
    before, state = copies(model), copy.deepcopy(optimizer.state_dict())

    step(optimizer, scaler, batch(forward))
    scaler.update()

    assert same_bits(before, copies(model))
    assert optimizer.state_dict() == state
    assert scaler.get_scale() == 512.0


@every_variant
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


@every_variant
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


# 6. Errors.


@every_pass
def test_a_closure_that_raises_leaves_the_weights_as_they_were(name: str, bad_pass: int) -> None:
    model = net()
    optimizer = make(name, model)
    before = copies(model)
    passes = 0

    def closure() -> Tensor:
        nonlocal passes
        passes += 1
        loss = batch(model).loss()
        loss.backward()
        if passes == bad_pass:
            raise ZeroDivisionError
        return loss

    with pytest.raises(ZeroDivisionError) as caught:
        optimizer.step(closure)

    assert caught.tb is not None  # held: a frame kept alive must not keep weights perturbed
    parameters = dict(model.named_parameters())
    assert same_bits({k: v for k, v in before.items() if k in parameters}, parameters)
    assert not optimizer.is_perturbed
    by_closure(optimizer, batch(model))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@every_loop
@every_pass
def test_a_gradient_that_is_not_finite_raises_and_changes_nothing(
    name: str, step: Step, bad_pass: int, value: float
) -> None:
    model = smooth_net()
    passes = -int(step is by_a_closure_that_does_not_zero)

    def poison(g: Tensor) -> Tensor:
        nonlocal passes
        passes += 1
        return torch.full_like(g, value) if passes == bad_pass else g

    optimizer = train(name, model, by_closure, steps=2)
    before, state = copies(model), copy.deepcopy(optimizer.state_dict())
    list(model.parameters())[-1].register_hook(poison)

    with pytest.raises(sam.NonFiniteGradient) as caught:
        step(optimizer, batch(model))

    assert caught.value.which == ("final" if bad_pass == PASSES[name] else "clean")
    assert same_bits(before, copies(model))
    after = optimizer.state_dict()
    assert after["param_groups"] == state["param_groups"]
    assert all(
        torch.equal(after["state"][i]["momentum_buffer"], s["momentum_buffer"]) for i, s in state["state"].items()
    )


@every_variant
def test_there_is_nothing_to_raise_later_on_the_cpu(name: str) -> None:
    optimizer = train(name, net(), by_closure)

    assert optimizer.raise_if_nonfinite() is None


def test_the_error_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(sam.NonFiniteGradient("final", steps=3)))

    assert (error.which, error.steps) == ("final", 3)


# Groups, and what a variant promises about the weights during a step.


@every_variant
def test_groups_keep_their_own_options_of_the_base(name: str) -> None:
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [a], "lr": 0.0}, {"params": [b]}]
    optimizer = sam.build(name, groups, torch.optim.SGD, **{"lr": 0.1, **ACTIVE[name]})

    def closure() -> Tensor:
        loss = (a * a).sum() + (b * b).sum()
        loss.backward()
        return loss

    optimizer.step(closure)

    assert torch.equal(a, torch.ones(2))
    assert not torch.equal(b, torch.ones(2))


@every_variant
def test_an_added_group_trains(name: str) -> None:
    model, late = smooth_net(), nn.Parameter(torch.zeros(3))
    optimizer = make(name, model)
    optimizer.add_param_group({"params": [late], "lr": 0.5})

    by_closure(optimizer, batch(lambda x: model(x) + late))

    assert not torch.equal(late, torch.zeros(3))
    assert optimizer.param_groups[1]["lr"] == 0.5
    assert len(optimizer.param_groups) == len(optimizer.base_optimizer.param_groups) == 2


@every_variant
def test_named_parameters_are_taken(name: str) -> None:
    model = smooth_net()

    optimizer = sam.build(name, model.named_parameters(), torch.optim.SGD, lr=0.1)

    assert optimizer.param_groups[0]["param_names"] == [n for n, _ in model.named_parameters()]


@every_variant
def test_the_weights_are_perturbed_exactly_while_is_perturbed_says_so(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model)
    clean = copies(model)
    seen: list[bool] = []

    def closure() -> Tensor:
        seen.append(optimizer.is_perturbed == (not same_bits(clean, copies(model))))
        loss = batch(model).loss()
        loss.backward()
        return loss

    optimizer.step(closure)

    assert all(seen)
    assert not optimizer.is_perturbed


@every_variant
def test_the_base_sees_weights_that_are_exactly_restored(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model, lr=0.0, weight_decay=0.0)
    before = copies(model)

    for i in range(5):
        by_closure(optimizer, batch(model, seed=i))

    assert same_bits(before, copies(model))
