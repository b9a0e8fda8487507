"""MSAM: one pass, at the weights less a step along the base optimizer's momentum."""

from collections.abc import Callable

import pytest
import torch

import sam
from tests.sam import reference
from tests.sam.problems import batch, net, same_bits
from tests.sam.reference.lockstep import (
    SGD,
    Drive,
    Problem,
    base,
    by_closure,
    each_grouping,
    either_way,
    fifty_steps_agree,
    step_with,
    zeros,
)


@either_way
@each_grouping
def test_fifty_steps_are_those_of_the_paper(rho: list[float], drive: Drive) -> None:
    problem, slow_base = Problem(), base()
    optimizer = problem.optimizer("msam", rho)

    fifty_steps_agree(optimizer, problem, reference.Msam(rho, slow_base), drive=drive, slow_base=slow_base)


@either_way
@each_grouping
def test_over_adam_the_momentum_is_its_first_moment(rho: list[float], drive: Drive) -> None:
    problem, slow_base = Problem(), reference.Adam(0.01, 0.02)
    groups = [{"params": [p], "rho": r} for p, r in zip(problem.params, rho, strict=True)]
    optimizer = sam.build("msam", groups, torch.optim.Adam, lr=0.01, weight_decay=0.02)

    fifty_steps_agree(optimizer, problem, reference.Msam(rho, slow_base), drive=drive, slow_base=slow_base)


@either_way
def test_every_step_takes_one_pass_and_the_weights_are_perturbed_against_the_momentum(drive: Drive) -> None:
    problem = Problem()
    optimizer = problem.optimizer("msam", [3.0] * 4)
    for step in range(6):
        before = [p.detach().clone() for p in problem.params]
        v = [optimizer.state[p].get("momentum_buffer") for p in problem.params]
        v = [None if t is None else t.clone() for t in v]
        minibatch = problem.minibatch(step)

        drive(optimizer, minibatch)

        assert (len(minibatch.calls), len(minibatch.backwards)) == (1, 1)
        eps = reference.plus(minibatch.calls[0].weights, before, -1)
        known = [t for t in v if t is not None]
        expected = reference.along([-t for t in known], [3.0] * 4) if known else [torch.zeros_like(e) for e in eps]
        for a, b in zip(eps, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)


def test_the_first_step_is_a_plain_one_bit_for_bit() -> None:
    ours, theirs = Problem(), Problem()
    plain = torch.optim.SGD(theirs.params, **SGD)

    by_closure(ours.optimizer("msam", [3.0] * 4), ours.minibatch(0))
    theirs.minibatch(0).closure()
    plain.step()

    assert all(torch.equal(a, b) for a, b in zip(ours.params, theirs.params, strict=True))


@pytest.mark.parametrize("given", [True, False], ids=["model given", "no model"])
def test_batch_statistics_move_once_a_step(given: bool) -> None:
    """They are those of the one pass, at w + ε: there is no other that could move them."""
    model = net()
    optimizer = sam.build("msam", model.parameters(), torch.optim.SGD, model=model if given else None, **SGD)
    twin = net()
    for step in range(4):
        seen: list[dict[str, torch.Tensor]] = []
        hook = model.register_forward_pre_hook(
            lambda *_, seen=seen: seen.append({k: t.detach().clone() for k, t in model.state_dict().items()})
        )
        optimizer.step_on(batch(model, seed=step))
        hook.remove()
        [at] = seen
        twin.load_state_dict(at)
        twin(batch(model, seed=step).x)
        assert same_bits(dict(model.named_buffers()), dict(twin.named_buffers()))

    assert model.get_buffer("1.num_batches_tracked").item() == 4


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        pytest.param(torch.optim.SGD, {"lr": 0.1}, id="SGD without momentum"),
        pytest.param(torch.optim.RMSprop, {"lr": 0.1}, id="RMSprop without momentum"),
        pytest.param(torch.optim.Adagrad, {"lr": 0.1}, id="Adagrad"),
    ],
)
def test_a_base_without_momentum_is_refused(
    optimizer: Callable[..., torch.optim.Optimizer], options: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match="momentum"):
        sam.build("msam", zeros(3), optimizer, rho=1.0, **options)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        pytest.param(torch.optim.SGD, {"momentum": 0.9}, id="SGD"),
        pytest.param(torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, id="SGD, Nesterov"),
        pytest.param(torch.optim.RMSprop, {"momentum": 0.9}, id="RMSprop"),
        pytest.param(torch.optim.Adam, {}, id="Adam"),
        pytest.param(torch.optim.AdamW, {}, id="AdamW"),
    ],
)
def test_a_base_with_momentum_is_perturbed_by_rho_from_the_second_step_on(
    optimizer: Callable[..., torch.optim.Optimizer], options: dict[str, object]
) -> None:
    problem = Problem()
    msam = sam.build("msam", problem.params, optimizer, rho=1.5, lr=0.01, **options)
    lengths = []
    for step in range(3):
        before = [p.detach().clone() for p in problem.params]
        minibatch = problem.minibatch(step)
        by_closure(msam, minibatch)
        lengths.append(reference.norm(reference.plus(minibatch.calls[0].weights, before, -1)))

    assert lengths == [0.0, pytest.approx(1.5, rel=1e-10), pytest.approx(1.5, rel=1e-10)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_momentum_has_its_norm_in_float32(dtype: torch.dtype) -> None:
    """600 squared is beyond float16; with a norm of inf nothing would move."""
    params = zeros(4, dtype=dtype)
    optimizer = sam.build("msam", params, torch.optim.SGD, lr=0.0, rho=1.0, momentum=0.9)
    gradient = [torch.tensor([600, 600, 600, -600], dtype=dtype)]

    step_with(optimizer, [gradient])
    [[perturbed]] = step_with(optimizer, [gradient])

    torch.testing.assert_close(perturbed, torch.tensor([-0.5, -0.5, -0.5, 0.5], dtype=dtype))


def test_rho_0_wants_no_momentum() -> None:
    ours, theirs = Problem(), Problem()
    plain = torch.optim.SGD(theirs.params, lr=0.1)
    optimizer = sam.build("msam", ours.params, torch.optim.SGD, rho=0.0, lr=0.1)

    for step in range(3):
        by_closure(optimizer, ours.minibatch(step))
        plain.zero_grad()
        theirs.minibatch(step).closure()
        plain.step()

    assert all(torch.equal(a, b) for a, b in zip(ours.params, theirs.params, strict=True))


def test_momentum_of_zero_is_no_perturbation_and_no_nan() -> None:
    [w] = zeros(3)
    optimizer = sam.build("msam", [w], torch.optim.SGD, lr=0.1, momentum=0.9)

    def flat() -> float:
        w.grad = torch.zeros_like(w)
        return 0.0

    optimizer.step(flat)
    optimizer.step(flat)

    assert torch.equal(w, torch.zeros_like(w))
