"""What holds for each variant: whatever fails, the weights are as they were."""

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor

import sam
from tests.sam.loops import (
    Step,
    by_a_closure_that_does_not_zero,
    by_hand,
    every_closure_variant,
    every_loop_and_pass,
    every_variant,
    on_batch,
    train,
)
from tests.sam.problems import FORWARDS, PASSES, Value, batch, build, copies, make, net, same_bits, smooth_net


@pytest.mark.parametrize(
    ("name", "bad_forward"), [(name, n) for name in sam.VARIANTS for n in range(1, FORWARDS[name] + 1)]
)
def test_a_forward_that_raises_leaves_the_weights_as_they_were(name: str, bad_forward: int) -> None:
    model = net()
    optimizer = make(name, model)
    before = copies(model)
    forwards = 0

    def forward(x: Tensor) -> Tensor:
        nonlocal forwards
        forwards += 1
        if forwards == bad_forward:
            raise ZeroDivisionError
        return model(x)

    with pytest.raises(ZeroDivisionError) as caught:
        optimizer.step_on(batch(forward))

    assert caught.tb is not None  # held: a frame kept alive must not keep weights perturbed
    parameters = dict(model.named_parameters())
    assert same_bits({k: v for k, v in before.items() if k in parameters}, parameters)
    assert not optimizer.is_perturbed
    on_batch(optimizer, batch(model))


@every_closure_variant
def test_a_closure_that_raises_even_stop_iteration_leaves_the_weights_as_they_were(name: str) -> None:
    model = net()
    optimizer = make(name, model)
    before = copies(model)
    batches = iter([batch(model)])

    def closure() -> Tensor:
        loss = next(batches).loss()
        loss.backward()
        if PASSES[name] == 1:
            next(batches)
        return loss

    with pytest.raises(StopIteration):
        optimizer.step(closure)

    parameters = dict(model.named_parameters())
    assert same_bits({k: v for k, v in before.items() if k in parameters}, parameters)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@every_loop_and_pass
def test_a_gradient_that_is_not_finite_raises_and_changes_nothing(
    name: str, step: Step, bad_pass: int, value: float
) -> None:
    model = smooth_net()
    superfluous = step is by_a_closure_that_does_not_zero or (step is by_hand and name == "msam")
    passes = -int(superfluous)  # MSAM makes no use of the gradient at w that a hand-written loop begins with

    def poison(g: Tensor) -> Tensor:
        nonlocal passes
        passes += 1
        return torch.full_like(g, value) if passes == bad_pass else g

    optimizer = train(name, model, on_batch, steps=2)
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
    optimizer = train(name, net(), on_batch)

    assert optimizer.raise_if_nonfinite() is None


def test_the_error_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(sam.NonFiniteGradient("final", steps=3)))

    assert (error.which, error.steps) == ("final", 3)


@every_variant
def test_weights_that_were_given_another_shape_are_copied_anew(name: str) -> None:
    w = torch.nn.Parameter(torch.ones(5, 3))
    optimizer = build(name, [w])
    optimizer.step_on(Value(lambda: w.square().sum()))

    w.data, w.grad = torch.ones(1, 3), None
    optimizer.base_optimizer.state.clear()
    if name in {"ssam-f", "ssam-d", "friendly"}:  # what they remember has the old shape
        optimizer.load_state_dict(optimizer.base_optimizer.state_dict())
    optimizer.step_on(Value(lambda: w.square().sum()))

    assert not optimizer.is_perturbed
    assert bool((w < 1).all())


@every_closure_variant
def test_a_bad_clean_gradient_of_a_hand_written_loop_is_told_where_a_device_is_not_waited_for(name: str) -> None:
    """As on a GPU, whose flag is a tensor: it has to outlive `first_step`."""
    model = smooth_net()
    optimizer = make(name, model, weight_decay=0.0)
    samples = batch(model)
    before = copies(model)

    samples.loss().backward()
    optimizer.first_step()
    optimizer._gate._flags.append(torch.tensor(False))  # only another device leaves one
    optimizer.zero_grad()
    samples.loss().backward()
    optimizer.second_step()

    with pytest.raises(sam.NonFiniteGradient):
        optimizer.raise_if_nonfinite()
    assert same_bits(before, copies(model))
