"""What `second_order` and `shard_size` have in common: they need a batch, and passes that no scaler can unscale."""

from typing import Any

import pytest
import torch
from torch.amp.grad_scaler import GradScaler

from tests.sam.reference.lockstep import SGD, Problem

either_option = pytest.mark.parametrize(
    "options", [{"second_order": True}, {"shard_size": 5}], ids=lambda it: next(iter(it))
)


@either_option
def test_rho_0_is_the_base_optimizer_in_one_pass(options: dict[str, Any]) -> None:
    ours, theirs = Problem(), Problem()
    plain = torch.optim.SGD(theirs.params, **SGD)
    minibatch = ours.minibatch(0)

    ours.optimizer("sam", [0.0] * 4, **options).step_on(minibatch)
    theirs.minibatch(0).closure()
    plain.step()

    assert (len(minibatch.calls), minibatch.backwards) == (1, [16])
    assert all(torch.equal(a, b) for a, b in zip(ours.params, theirs.params, strict=True))


@either_option
def test_a_scaler_is_refused_with_the_weights_untouched(options: dict[str, Any]) -> None:
    problem = Problem()
    optimizer = problem.optimizer("sam", [0.2] * 4, **options)

    with pytest.raises(RuntimeError, match=f"{next(iter(options))} makes more passes than a GradScaler can unscale"):
        optimizer.step_on(problem.minibatch(0), scaler=GradScaler("cpu", init_scale=8.0))

    assert all(torch.equal(a, b) for a, b in zip(problem.params, problem.start, strict=True))


@either_option
def test_closures_are_refused_with_the_way_to_go(options: dict[str, Any]) -> None:
    problem = Problem()

    with pytest.raises(TypeError, match="step_on"):
        problem.optimizer("sam", [0.2] * 4, **options).step(problem.minibatch(0).closure)
