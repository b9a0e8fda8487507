"""FriendlySAM: the direction is what a gradient has beyond the running average of all."""

import copy

import pytest
import torch
from torch import Tensor

import sam
from tests.sam import reference
from tests.sam.problems import same_bits
from tests.sam.reference.lockstep import (
    SGD,
    Drive,
    Problem,
    by_closure,
    each_grouping,
    either_way,
    fifty_steps_agree,
    random_gradient,
    step_with,
    trained,
    zeros,
)


def still(*shapes: int, **options: object) -> sam.SamOptimizer:
    """Over parameters that stay at 0, where w + ε is ε."""
    return sam.build("friendly", zeros(*shapes), torch.optim.SGD, lr=0.0, **options)


def eps_of(optimizer: sam.SamOptimizer, gradient: list[Tensor]) -> list[Tensor]:
    """The perturbation of one step that finds this gradient; another one after it must not matter."""
    _, perturbed = step_with(optimizer, [gradient, [1e3 * torch.ones_like(g) for g in gradient]])
    return perturbed


@pytest.mark.parametrize(("sigma", "lmbda"), [(1.0, 0.9), (0.5, 0.6)])
@either_way
@each_grouping
def test_fifty_steps_are_those_of_the_paper(rho: list[float], drive: Drive, sigma: float, lmbda: float) -> None:
    problem = Problem()
    optimizer = problem.optimizer("friendly", rho, sigma=sigma, lmbda=lmbda)

    fifty_steps_agree(optimizer, problem, reference.Friendly(rho, sigma, lmbda), drive=drive)


def test_the_first_step_is_sams() -> None:
    ours, theirs = Problem(), Problem()

    by_closure(ours.optimizer("friendly", [0.3] * 4), ours.minibatch(0))
    by_closure(theirs.optimizer("sam", [0.3] * 4), theirs.minibatch(0))

    assert all(torch.equal(a, b) for a, b in zip(ours.params, theirs.params, strict=True))


def test_the_average_is_fed_by_gradients_and_not_by_what_they_leave_over() -> None:
    """By hand, σ = 1 and λ = 1/2: m is 4, then 3, then 4. Fed by the residual it would be 4, 2 - 2/2 = 1, ..."""
    optimizer = still(1, 1, sigma=1.0, lmbda=0.5, rho=1.0)
    found = []
    for a, b in ((4.0, 0.0), (2.0, 1.0), (5.0, 1.0)):
        found.append([float(e) for e in eps_of(optimizer, [torch.tensor([a]).double(), torch.tensor([b]).double()])])

    d = [(4.0, 0.0), (2.0 - 3.0, 1.0 - 0.5), (5.0 - 4.0, 1.0 - 0.75)]
    assert found == [pytest.approx([a / (a * a + b * b) ** 0.5, b / (a * a + b * b) ** 0.5], rel=1e-12) for a, b in d]


def test_the_same_gradient_twice_is_no_perturbation_and_no_nan() -> None:
    optimizer = still(3, 2, sigma=1.0, lmbda=0.5)
    gradient = [torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([0.25, 4.0]).double()]

    eps_of(optimizer, gradient)
    eps = eps_of(optimizer, gradient)

    assert all(torch.equal(e, torch.zeros_like(e)) for e in eps)


def test_lambda_0_has_nothing_left_after_the_first_step() -> None:
    optimizer = still(3, lmbda=0.0)

    eps_of(optimizer, random_gradient(zeros(3), 0))
    [eps] = eps_of(optimizer, random_gradient(zeros(3), 1))

    assert torch.equal(eps, torch.zeros_like(eps))


def test_zero_gradients_are_no_perturbation_and_no_nan() -> None:
    optimizer = still(3)

    for _ in range(2):
        [eps] = eps_of(optimizer, [torch.zeros(3).double()])
        assert torch.equal(eps, torch.zeros_like(eps))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gradients_have_their_norm_in_float32(dtype: torch.dtype) -> None:
    """600 squared is beyond float16. What is left of the second by the average is in its last two numbers."""
    params = zeros(4, dtype=dtype)
    optimizer = sam.build("friendly", params, torch.optim.SGD, lr=0.0, rho=1.0)

    eps_of(optimizer, [torch.tensor([600, 600, 600, -600], dtype=dtype)])
    [eps] = eps_of(optimizer, [torch.tensor([600, 600, -600, 600], dtype=dtype)])

    torch.testing.assert_close(eps, torch.tensor([0, 0, -(2**-0.5), 2**-0.5], dtype=dtype))


def test_sigma_0_is_sam_bit_for_bit() -> None:
    assert same_bits(trained("friendly", rho=0.3, sigma=0.0), trained("sam", rho=0.3))


def test_the_average_is_part_of_the_state() -> None:
    whole, stopped, resumed = Problem(), Problem(), Problem(seed=5)
    optimizer = whole.optimizer("friendly", [0.3] * 4)
    for step in range(8):
        by_closure(optimizer, whole.minibatch(step))

    first = stopped.optimizer("friendly", [0.3] * 4)
    for step in range(5):
        by_closure(first, stopped.minibatch(step))
    second = resumed.optimizer("friendly", [0.3] * 4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for p, q in zip(resumed.params, stopped.params, strict=True):
        p.data.copy_(q.data)
    for step in range(5, 8):
        by_closure(second, resumed.minibatch(step))

    assert all(torch.equal(a, b) for a, b in zip(whole.params, resumed.params, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": -1.0}, r"^sigma must be >= 0, got -1.0$"),
        ({"sigma": float("inf")}, r"^sigma must be a finite number, got inf$"),
        ({"lmbda": 1.0}, r"^lmbda must .*, got 1.0$"),
        ({"lmbda": -0.1}, r"^lmbda must .*, got -0.1$"),
        ({"lmbda": float("nan")}, r"^lmbda must .*, got nan$"),
    ],
)
def test_an_impossible_option_is_refused_at_once(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sam.build("friendly", zeros(2), torch.optim.SGD, **{**SGD, **options})


def test_a_parameter_without_a_gradient_in_one_step_keeps_its_average() -> None:
    a, b = zeros(1), zeros(1)
    params = [*a, *b]
    optimizer = sam.build("friendly", params, torch.optim.SGD, lr=0.0)
    for used in (2, 1):
        g = [torch.ones(1).double() for _ in range(used)]
        optimizer.step(lambda g=g: [setattr(p, "grad", t.clone()) for p, t in zip(params, g, strict=False)] and 0.0)

    assert set(optimizer.state_dict()["memory"]["average"]) == {0, 1}
