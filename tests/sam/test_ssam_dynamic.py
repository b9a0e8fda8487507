"""SSAM-D: which coordinates are dropped, which grow, and that there are never more or fewer."""

import copy
import itertools
import re
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

import sam
from tests.sam import reference
from tests.sam.problems import same_bits
from tests.sam.reference.lockstep import (
    Drive,
    Minibatch,
    Problem,
    each_grouping,
    either_way,
    fifty_steps_agree,
    random_gradient,
    step_with,
    trained,
    zeros,
)

SPARSITIES = [0.0, 0.1, 0.3, 0.5, 0.9, 0.99]
DROP_RATES = [0.0, 0.2, 0.5, 1.0]
#: Thirteen: no share of the live ones is then half a coordinate, which could be rounded either way.
EPOCHS = 13


def flat_mask(optimizer: sam.SamOptimizer, gradient: list[Tensor]) -> Tensor:
    """Of one step that finds this gradient, as one vector of bool."""
    clean, perturbed = step_with(optimizer, [gradient] * 2)
    return torch.cat([(b != a).flatten() for a, b in zip(clean, perturbed, strict=True)])


def dynamic(*shapes: int, plan: Mapping[str, Any] | None = None, **options: object) -> sam.SamOptimizer:
    """Over parameters that stay at 0, so that the mask can be seen."""
    optimizer = sam.build("ssam-d", zeros(*shapes), torch.optim.SGD, lr=0.0, **options)
    optimizer.plan(**{"steps": EPOCHS, "steps_per_epoch": 1, **(plan or {})})
    return optimizer


def params_of(optimizer: sam.SamOptimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def masks(optimizer: sam.SamOptimizer, steps: int = EPOCHS, first: int = 0) -> list[Tensor]:
    """Of so many steps; the gradient of step number n is that of seed n."""
    params = params_of(optimizer)
    return [flat_mask(optimizer, random_gradient(params, seed)) for seed in range(first, first + steps)]


@either_way
@each_grouping
def test_fifty_steps_are_those_of_the_paper(rho: list[float], drive: Drive) -> None:
    """The mask is drawn at random: seen in the first pass at w + ε, and handed to the reference."""
    problem = Problem()
    optimizer = problem.optimizer("ssam-d", rho, sparsity=0.6)
    optimizer.plan(steps=50, steps_per_epoch=7, seed=3)
    slow = reference.Sparse(rho)

    def look(step: int, minibatch: Minibatch, w: list[Tensor]) -> None:
        slow.mask = minibatch.mask()

    fifty_steps_agree(optimizer, problem, slow, drive=drive, look=look)


@pytest.mark.parametrize("drop_rate", DROP_RATES)
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_each_update_is_that_of_the_algorithm(sparsity: float, drop_rate: float) -> None:
    """The n live coordinates with the smallest |g| go, n masked ones come, none of those that went."""
    optimizer = dynamic(150, 40, 10, sparsity=sparsity, drop_rate=drop_rate)
    live = reference.live_count(200, sparsity)

    before, *others = masks(optimizer)

    assert before.sum() == live
    for epoch, after in enumerate(others, start=1):
        g = torch.cat(random_gradient(params_of(optimizer), epoch)).abs()
        wanted = round(live * reference.drop_fraction(drop_rate, epoch, EPOCHS))
        n = min(wanted, 200 - live)
        order = g.masked_fill(~before, torch.inf).argsort()
        dropped, kept = order[:n], order[n:live]
        assert not after[dropped].any()
        assert after[kept].all()
        assert (after & ~before).sum() == n
        before = after


@pytest.mark.parametrize("drop_rate", DROP_RATES)
@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("shapes", [(1,), (2,), (3, 4), (1000, 7)])
def test_the_number_of_perturbed_coordinates_never_drifts(
    shapes: tuple[int, ...], sparsity: float, drop_rate: float
) -> None:
    optimizer = dynamic(*shapes, sparsity=sparsity, drop_rate=drop_rate)

    counts = {int(mask.sum()) for mask in masks(optimizer)}

    assert counts == {reference.live_count(sum(shapes), sparsity)}


def test_gradients_of_one_size_are_no_reason_to_drop_more() -> None:
    optimizer = dynamic(30, 30, drop_rate=0.6)
    gradient = [torch.ones_like(p) for p in params_of(optimizer)]

    found = [flat_mask(optimizer, gradient) for _ in range(EPOCHS)]

    exchanged = [int((b & ~a).sum()) for a, b in itertools.pairwise(found)]
    wanted = [round(30 * reference.drop_fraction(0.6, epoch, EPOCHS)) for epoch in range(1, EPOCHS)]
    assert exchanged == wanted


def test_masks_change_at_the_start_of_an_epoch_that_is_due_and_never_else() -> None:
    optimizer = dynamic(60, update_every=2, plan={"steps": 24, "steps_per_epoch": 3})

    found = masks(optimizer, 24)

    changed = [step for step in range(1, 24) if not torch.equal(found[step - 1], found[step])]
    assert changed == [6, 12, 18]


def test_the_whole_run_is_one_epoch_where_none_are_told() -> None:
    optimizer = sam.build("ssam-d", zeros(60), torch.optim.SGD, lr=0.0)

    found = masks(optimizer, 10)

    assert all(torch.equal(found[0], mask) for mask in found)


def test_every_masked_coordinate_can_grow() -> None:
    """Drawn without favour: over many seeds each of forty comes about as often as another."""
    grown = torch.zeros(50)
    for seed in range(200):
        optimizer = dynamic(50, sparsity=0.8, drop_rate=1.0, plan={"seed": seed})
        before, after = masks(optimizer, 2)
        grown += after & ~before

    expected = 200 * 10 * reference.drop_fraction(1.0, 1, EPOCHS) / 50
    assert grown.min() > 0.5 * expected
    assert grown.max() < 1.5 * expected


def test_the_first_mask_is_drawn_without_favour() -> None:
    drawn = torch.zeros(50)
    for seed in range(200):
        drawn += masks(dynamic(30, 20, sparsity=0.8, plan={"seed": seed}), 1)[0]

    assert drawn.min() > 15
    assert drawn.max() < 70


def test_one_seed_draws_the_same_masks_and_another_others() -> None:
    """Whatever else was drawn in between: the global random state has no part in it."""
    torch.manual_seed(1)
    first = masks(dynamic(80, plan={"seed": 5}))
    torch.manual_seed(2)
    again = masks(dynamic(80, plan={"seed": 5}))
    other = masks(dynamic(80, plan={"seed": 6}))

    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_drawing_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()

    masks(dynamic(80))

    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("stop", [2, 3, 4, 5])
def test_masks_are_resumed_exactly(stop: int) -> None:
    """At an update (2, 4) and between two."""
    plan = {"steps": 12, "steps_per_epoch": 2, "seed": 9}
    whole = masks(dynamic(70, 30, plan=plan), 12)
    stopped, resumed = dynamic(70, 30, plan=plan), dynamic(70, 30, plan=plan)

    masks(stopped, stop)
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
    rest = masks(resumed, 12 - stop, first=stop)

    assert all(torch.equal(a, b) for a, b in zip(whole[stop:], rest, strict=True))


def test_a_group_added_in_mid_run_trains() -> None:
    optimizer = dynamic(30, plan={"steps": 4, "steps_per_epoch": 2})
    masks(optimizer, 1)
    [late] = zeros(10)
    optimizer.add_param_group({"params": [late], "lr": 0.1})

    masks(optimizer, 3, first=1)

    assert bool((late != 0).all())


def test_a_parameter_unfrozen_in_mid_run_trains() -> None:
    problem = Problem()
    problem.params[1].requires_grad_(False)
    optimizer = problem.optimizer("ssam-d", [0.2] * 4)
    optimizer.plan(steps=4, steps_per_epoch=2)
    for step in range(4):
        problem.params[1].requires_grad_(step > 0)
        optimizer.step_on(problem.minibatch(step))

    assert bool((problem.params[1] != problem.start[1]).all())


def test_the_norm_is_over_the_unmasked_gradient() -> None:
    optimizer = dynamic(50, 50, rho=2.0, sparsity=0.9)
    gradient = random_gradient(params_of(optimizer), 1)

    _, perturbed = step_with(optimizer, [gradient] * 2)

    whole = reference.along(gradient, [2.0, 2.0])
    assert sum(int((w != 0).sum()) for w in perturbed) == 10
    for w, e in zip(perturbed, whole, strict=True):
        torch.testing.assert_close(w[w != 0], e[w != 0], rtol=1e-12, atol=0)


def test_sparsity_0_is_sam_bit_for_bit() -> None:
    plan = {"steps": 6, "steps_per_epoch": 2}

    assert same_bits(trained("ssam-d", sparsity=0.0, plan=plan), trained("sam"))


@pytest.mark.parametrize(
    "options",
    [
        {"sparsity": 1.0},
        {"sparsity": -0.1},
        {"drop_rate": -0.1},
        {"drop_rate": 1.1},
        {"drop_rate": float("nan")},
        {"update_every": 0},
    ],
)
def test_an_impossible_option_is_refused_at_once(options: dict[str, float]) -> None:
    [(name, value)] = options.items()

    with pytest.raises(ValueError, match=rf"^{name} must .*, got {re.escape(str(value))}$"):
        sam.build("ssam-d", zeros(2), torch.optim.SGD, lr=0.1, **options)
