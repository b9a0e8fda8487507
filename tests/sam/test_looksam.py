"""LookSAM: every k-th step is SAM's; those between take one pass and use again what it found."""

import copy
import re

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam import reference
from tests.sam.problems import same_bits
from tests.sam.reference.lockstep import (
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


def final_gradients(k: int, gradients: list[list[list[Tensor]]], **options: object) -> list[list[Tensor]]:
    """What the base optimizer is given in each step, of which the passes find these gradients."""
    params = zeros(*(len(x) for x in gradients[0][0]))
    optimizer = sam.build("looksam", params, torch.optim.SGD, **{"lr": 1.0, "rho": 0.1, "k": k, **options})
    found = []
    for passes in gradients:
        before = [p.detach().clone() for p in params]
        assert len(step_with(optimizer, passes)) == len(passes)
        found.append([b - p.detach() for b, p in zip(before, params, strict=True)])
    return found


def tensors(*lists: list[float]) -> list[Tensor]:
    return [torch.tensor(numbers, dtype=torch.float64) for numbers in lists]


@either_way
@pytest.mark.parametrize(("alpha", "k"), [(0.3, 5), (0.7, 2)])
@each_grouping
def test_fifty_steps_are_those_of_the_paper(rho: list[float], alpha: float, k: int, drive: Drive) -> None:
    problem = Problem()
    optimizer = problem.optimizer("looksam", rho, alpha=alpha, k=k)

    fifty_steps_agree(optimizer, problem, reference.LookSam(rho, alpha, k), drive=drive)


@pytest.mark.parametrize("k", [1, 2, 5])
@either_way
def test_a_step_between_takes_one_pass(drive: Drive, k: int) -> None:
    problem = Problem()
    optimizer = problem.optimizer("looksam", [0.2] * 4, k=k)
    passes = []

    for step in range(11):
        minibatch = problem.minibatch(step)
        drive(optimizer, minibatch)
        passes.append((len(minibatch.calls), len(minibatch.backwards)))

    assert passes == [(1, 1) if step % k else (2, 2) for step in range(11)]


def test_the_reused_part_is_across_the_gradient_of_all_tensors_together() -> None:
    """In each tensor alone g_p has the direction of g, and nothing would be across."""
    g, g_p = tensors([1.0, 0.0], [1.0]), tensors([3.0, 0.0], [1.0])
    later = tensors([0.0, 2.0], [0.0])

    _, final = final_gradients(2, [[g, g_p], [later]], alpha=0.5)

    across = 2**-0.5
    assert [t.tolist() for t in final] == [pytest.approx([across, 2.0]), pytest.approx([-across])]


def test_what_is_across_in_each_tensor_alone_is_not_taken_for_it() -> None:
    """Both together g_p is along g but for the second; alone, each tensor has something across."""
    g = tensors([1.0, 1.0], [1.0, -1.0])
    g_p = tensors([2.0, 1.0], [2.0, -1.0])
    later = tensors([1.0, 0.0], [0.0, 0.0])

    _, final = final_gradients(2, [[g, g_p], [later]], alpha=1.0)

    g_v = reference.plus(g_p, g, -reference.dot(g, g_p) / reference.dot(g, g))
    expected = reference.plus(later, g_v, 1 / reference.norm(g_v))
    for a, b in zip(final, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_rounding_is_not_taken_for_a_direction() -> None:
    """On a linear function g_p is g: what is across is rounding, and must not be blown up to α ‖g‖."""
    g = random_gradient(zeros(40, 7), 1)
    scaled = [1.1 * x for x in g]
    later = random_gradient(zeros(40, 7), 2)

    for found in (g, scaled):
        _, final = final_gradients(2, [[g, found], [later]])
        for a, b in zip(final, later, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_rounding_in_float32_is_not_taken_for_a_direction_either() -> None:
    params = [nn.Parameter(torch.zeros(1000))]
    [g] = random_gradient(params, 1)
    optimizer = sam.build("looksam", params, torch.optim.SGD, lr=1.0, rho=0.1, k=2)
    [later] = random_gradient(params, 2)

    step_with(optimizer, [[g], [3 * g]])
    before = params[0].detach().clone()
    step_with(optimizer, [[later]])

    torch.testing.assert_close(before - params[0].detach(), later, rtol=1e-5, atol=1e-5)


def test_one_weight_has_nothing_across_it() -> None:
    """Each step between is the base optimizer's."""
    w = zeros(1)
    optimizer = sam.build("looksam", w, torch.optim.SGD, lr=0.1, k=3)
    for step in range(7):
        before, slope = w[0].item(), 1.0 + step
        step_with(optimizer, [tensors([slope])] if step % 3 else [tensors([slope]), tensors([slope + 0.7])])
        assert w[0].item() == pytest.approx(before - 0.1 * (slope if step % 3 else slope + 0.7), rel=1e-12)


def test_a_zero_gradient_stays_finite() -> None:
    zero, g = tensors([0.0, 0.0]), tensors([1.0, 2.0])

    found = final_gradients(2, [[zero, zero], [g], [g, g], [zero]])

    assert [f[0].tolist() for f in found] == [[0.0, 0.0], [1.0, 2.0], [1.0, 2.0], [0.0, 0.0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gradients_are_multiplied_in_float32(dtype: torch.dtype) -> None:
    """600 squared is beyond float16. The two are orthogonal: g_v is all of g_p."""
    params = zeros(4, dtype=dtype)
    optimizer = sam.build("looksam", params, torch.optim.SGD, lr=1.0, rho=0.1, k=2, alpha=0.5)
    g = torch.tensor([600, 600, 600, -600], dtype=dtype)
    g_p = torch.tensor([600, 600, -600, 600], dtype=dtype)

    step_with(optimizer, [[g], [g_p]])
    params[0].data.zero_()
    step_with(optimizer, [[g]])

    torch.testing.assert_close(params[0].detach(), torch.tensor([-900, -900, -300, 300], dtype=dtype))


def test_k_1_is_sam_bit_for_bit() -> None:
    assert same_bits(trained("looksam", rho=0.3, k=1), trained("sam", rho=0.3))


def test_the_first_step_that_perturbs_looks_even_where_it_is_not_a_kth() -> None:
    """There is nothing yet that it could use again."""
    problem = Problem()
    optimizer = problem.optimizer("looksam", [0.2] * 4, k=5, active={"from": 0.3})
    optimizer.plan(steps=10)
    passes = []

    for step in range(4):
        minibatch = problem.minibatch(step)
        optimizer.step_on(minibatch)
        passes.append(len(minibatch.calls))

    assert passes == [1, 1, 1, 2]


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_run_is_resumed_in_the_middle_of_a_cycle(stop: int) -> None:
    whole, stopped, resumed = Problem(), Problem(), Problem(seed=5)
    optimizer = whole.optimizer("looksam", [0.3] * 4, k=4)
    for step in range(9):
        by_closure(optimizer, whole.minibatch(step))

    first = stopped.optimizer("looksam", [0.3] * 4, k=4)
    for step in range(stop):
        by_closure(first, stopped.minibatch(step))
    second = resumed.optimizer("looksam", [0.3] * 4, k=4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for p, q in zip(resumed.params, stopped.params, strict=True):
        p.data.copy_(q.data)
    passes = []
    for step in range(stop, 9):
        minibatch = resumed.minibatch(step)
        by_closure(second, minibatch)
        passes.append(len(minibatch.calls))

    assert all(torch.equal(a, b) for a, b in zip(whole.params, resumed.params, strict=True))
    assert passes == [1 if step % 4 else 2 for step in range(stop, 9)]


@pytest.mark.parametrize(
    "options",
    [{"k": 0}, {"k": 1.5}, {"alpha": -0.1}, {"alpha": float("nan")}],
)
def test_an_impossible_option_is_refused_at_once(options: dict[str, float]) -> None:
    [(name, value)] = options.items()

    with pytest.raises(ValueError, match=rf"^{name} must .*, got {re.escape(str(value))}$"):
        sam.build("looksam", zeros(2), torch.optim.SGD, lr=0.1, **options)
