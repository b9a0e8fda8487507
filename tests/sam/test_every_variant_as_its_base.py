"""What holds for each variant: at rho 0 it is its base optimizer, and statistics and random numbers move once."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.loops import (
    Step,
    by_a_closure_that_does_not_zero,
    by_hand,
    every_loop,
    every_variant,
    on_batch,
    plain_step,
    train,
)
from tests.sam.problems import CLASS_COUNTS, IDLE, Value, batch, build, copies, make, net, same_bits


@pytest.mark.parametrize("base", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad])
@every_variant
def test_an_idle_variant_is_the_base_optimizer_bit_for_bit(
    name: str, base: Callable[..., torch.optim.Optimizer]
) -> None:
    ours, theirs = net(), net()
    optimizer = sam.build(name, ours.parameters(), base, lr=0.01, model=ours, **IDLE[name])
    optimizer.plan(class_counts=CLASS_COUNTS)
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

    train(name, model, on_batch, steps=3)

    assert [m.momentum for m in model if isinstance(m, nn.BatchNorm1d)] == [0.1]


@every_variant
def test_all_passes_draw_the_same_dropout_masks(name: str) -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    w = nn.Parameter(torch.ones(3))
    optimizer = build(name, [w])
    masks: list[Tensor] = []

    def value() -> Tensor:
        masks.append(model(torch.ones(64)))
        return (w * w).sum()

    optimizer.step_on(Value(value))
    optimizer.step_on(Value(value))

    first, second = masks[: len(masks) // 2], masks[len(masks) // 2 :]
    assert all(torch.equal(first[0], mask) for mask in first)
    assert all(torch.equal(second[0], mask) for mask in second)
    assert not torch.equal(first[0], second[0])
