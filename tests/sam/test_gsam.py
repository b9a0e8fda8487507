"""GSAM: the perturbed gradient, less part of what the clean one has across it."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import sam
from tests.sam import reference
from tests.sam.problems import same_bits
from tests.sam.reference.lockstep import (
    Drive,
    Minibatch,
    Problem,
    assert_same_weights,
    base,
    each_grouping,
    either_way,
    fifty_steps_agree,
    step_with,
    trained,
    zeros,
)

vectors = st.lists(st.floats(-100, 100).filter(lambda x: x == 0 or abs(x) > 1e-3), min_size=4, max_size=4)


def final_gradient(g: list[Tensor], g_p: list[Tensor], **options: object) -> list[Tensor]:
    """What the base optimizer is given: with lr 1 and from 0, where the weights go, turned round."""
    params = zeros(*(len(x) for x in g))
    step_with(sam.build("gsam", params, torch.optim.SGD, **{"lr": 1.0, "rho": 0.1, **options}), [g, g_p])
    return [-p.detach() for p in params]


def two(numbers: list[float]) -> list[Tensor]:
    """As two tensors of one and three numbers: what is across is so of both together."""
    return [torch.tensor(numbers[:1]).double(), torch.tensor(numbers[1:]).double()]


@either_way
@pytest.mark.parametrize("alpha", [0.4, 1.0])
@each_grouping
def test_fifty_steps_are_those_of_the_paper(rho: list[float], alpha: float, drive: Drive) -> None:
    problem = Problem()
    optimizer = problem.optimizer("gsam", rho, alpha=alpha)

    fifty_steps_agree(optimizer, problem, reference.Gsam(rho, alpha), drive=drive)


def test_by_default_rho_follows_the_learning_rate() -> None:
    problem = Problem()
    optimizer = sam.build("gsam", problem.params, torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    slow, slow_base, w = reference.Gsam([], 0.4), base(), problem.start

    for step in range(50):
        minibatch: Minibatch = problem.minibatch(step)
        slow_base.lr = float(scheduler.get_last_lr()[0])
        slow.rho = [0.05 * slow_base.lr / 0.05] * 4
        optimizer.step_on(minibatch)
        scheduler.step()
        w = slow_base.step(w, slow.final_gradient(w, minibatch.data()))
        assert_same_weights(problem.params, w)


@given(clean=vectors, perturbed=vectors, alpha=st.floats(0.01, 2))
@settings(max_examples=60, deadline=None)
def test_only_what_the_clean_gradient_has_across_the_perturbed_one_is_taken_off(
    clean: list[float], perturbed: list[float], alpha: float
) -> None:
    assume(any(clean))
    assume(any(perturbed))
    g, g_p = two(clean), two(perturbed)

    taken = reference.plus(g_p, final_gradient(g, g_p, alpha=alpha), -1)

    size = reference.norm(g) * alpha
    assert reference.dot(taken, g_p) == pytest.approx(0, abs=1e-12 * (size + reference.norm(g_p)) * reference.norm(g_p))
    rest = reference.plus(g, taken, -1 / alpha)
    share = reference.dot(rest, g_p) / reference.dot(g_p, g_p)
    apart = reference.norm(reference.plus(rest, g_p, -share))
    assert apart <= 1e-12 * (reference.norm(g) + reference.norm(g_p) / alpha)


def test_a_perturbed_gradient_of_zero_has_nothing_across_it() -> None:
    """There is no direction to be across of: a finite step, and the weights are where they were."""
    [final] = final_gradient([torch.ones(3).double()], [torch.zeros(3).double()])

    assert torch.isfinite(final).all()


def test_a_gradient_of_zero_is_a_plain_step() -> None:
    [final] = final_gradient([torch.zeros(3).double()], [torch.zeros(3).double()])

    assert torch.equal(final, torch.zeros_like(final))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gradients_are_multiplied_in_float32(dtype: torch.dtype) -> None:
    """600 squared is beyond float16. The two are orthogonal, so that half of the whole clean one is taken off."""
    params = zeros(4, dtype=dtype)
    optimizer = sam.build("gsam", params, torch.optim.SGD, lr=1.0, rho=0.1, alpha=0.5)
    g = torch.tensor([600, 600, 600, -600], dtype=dtype)
    g_p = torch.tensor([600, 600, -600, 600], dtype=dtype)

    step_with(optimizer, [[g], [g_p]])

    assert params[0].tolist() == [-300, -300, 900, -900]


def test_alpha_0_is_sam_bit_for_bit() -> None:
    assert same_bits(trained("gsam", rho=0.3, alpha=0.0), trained("sam", rho=0.3))


@pytest.mark.parametrize(
    ("alpha", "message"),
    [(-0.1, r"^alpha must be >= 0, got -0.1$"), (float("nan"), r"^alpha must be a finite number, got nan$")],
)
def test_an_impossible_option_is_refused_at_once(alpha: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sam.build("gsam", zeros(2), torch.optim.SGD, lr=0.1, alpha=alpha)
