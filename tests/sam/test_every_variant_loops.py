"""What holds for each variant: closures, batches and other people's loops."""

import copy

import pytest
import torch
from torch import Tensor

from tests.sam.loops import (
    by_closure,
    every_closure_variant,
    every_variant,
    loops_of,
    train,
)
from tests.sam.problems import IDLE, PASSES, batch, copies, make, net, same_bits, smooth_net


@every_closure_variant
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

    for step in loops_of(name):
        model = smooth_net()
        train(name, model, step)
        results.append(copies(model))

    assert all(same_bits(results[0], other) for other in results[1:])


@every_closure_variant
def test_step_without_a_closure_works_exactly_where_one_pass_is_enough(name: str) -> None:
    model = smooth_net()
    idle, active = make(name, model, **IDLE[name]), make(name, model)
    batch(model).loss().backward()
    before = copies(model)

    if PASSES[name] > 1:
        with pytest.raises(RuntimeError, match="needs another pass"):
            active.step()
    assert same_bits(before, copies(model))
    idle.step()
    assert not same_bits(before, copies(model))


@every_closure_variant
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


@every_closure_variant
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


@every_closure_variant
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


@every_closure_variant
def test_no_state_is_saved_in_the_middle_of_a_step(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model)
    batch(model).loss().backward()
    optimizer.first_step()

    with pytest.raises(RuntimeError, match="a step is under way"):
        optimizer.state_dict()
    with pytest.raises(RuntimeError, match="a step is under way"):
        copy.deepcopy(optimizer)


@every_closure_variant
def test_first_step_leaves_the_gradients_unless_told_to_zero_them(name: str) -> None:
    model = smooth_net()
    optimizer = make(name, model)
    batch(model).loss().backward()
    g = [p.grad.clone() for p in model.parameters() if p.grad is not None]

    optimizer.first_step()

    left = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(g, left, strict=True))
