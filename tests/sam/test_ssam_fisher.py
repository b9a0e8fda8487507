"""SSAM-F: which coordinates are perturbed, and what finding them out leaves alone."""

import copy
import itertools
import re

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam import reference
from tests.sam.problems import same_bits
from tests.sam.reference.lockstep import (
    Drive,
    Losses,
    Minibatch,
    Problem,
    by_closure,
    cross_entropy,
    each_grouping,
    either_way,
    fifty_steps_agree,
    on_batch,
    random_gradient,
    same,
    squared_error,
    step_with,
    trained,
    zeros,
)

SPARSITIES = [0.0, 0.1, 0.3, 0.5, 0.9, 0.99]


def mask_of(optimizer: sam.SamOptimizer, gradient: list[Tensor]) -> list[Tensor]:
    """The mask of one step that finds this gradient."""
    clean, perturbed = step_with(optimizer, [gradient] * 2)
    return [(b != a).double() for a, b in zip(clean, perturbed, strict=True)]


def ones(mask: list[Tensor]) -> int:
    return int(sum(m.sum() for m in mask))


@pytest.mark.parametrize("update_every", [1, 2])
@pytest.mark.parametrize("function", [cross_entropy, squared_error])
@each_grouping
def test_fifty_steps_are_those_of_the_paper(rho: list[float], function: Losses, update_every: int) -> None:
    problem = Problem(function)
    optimizer = problem.optimizer("ssam-f", rho, sparsity=0.6, num_samples=9, update_every=update_every)
    optimizer.plan(steps=50, steps_per_epoch=7, samples=lambda n, step: problem.minibatch(500 + step, n))
    slow = reference.Sparse(rho)

    def look(step: int, minibatch: Minibatch, w: list[Tensor]) -> None:
        if step % (7 * update_every) == 0:
            information = reference.fisher(problem.minibatch(500 + step, 9).data(), w)
            slow.mask = reference.top(information, reference.live_count(51, 0.6))

    fifty_steps_agree(optimizer, problem, slow, look=look)


@each_grouping
def test_fifty_steps_of_closures_take_the_squared_gradient_for_the_information(rho: list[float]) -> None:
    problem = Problem()
    optimizer = problem.optimizer("ssam-f", rho, sparsity=0.6)
    optimizer.plan(steps=50, steps_per_epoch=7)
    slow = reference.Sparse(rho)

    def look(step: int, minibatch: Minibatch, w: list[Tensor]) -> None:
        if step % 7 == 0:
            g = reference.mean_gradient(minibatch.data(), w)
            slow.mask = reference.top([gi**2 for gi in g], reference.live_count(51, 0.6))

    fifty_steps_agree(optimizer, problem, slow, drive=by_closure, look=look)


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("function", [cross_entropy, squared_error])
def test_the_information_is_of_single_samples_and_not_of_their_mean(function: Losses, sparsity: float) -> None:
    """The order of the coordinates is another for the squared mean gradient, and so is every mask but the full one."""
    problem = Problem(function)
    optimizer = problem.optimizer("ssam-f", [0.1] * 4, sparsity=sparsity, num_samples=12)
    samples = problem.minibatch(99, 12)
    optimizer.plan(samples=lambda n, step: samples)
    minibatch = problem.minibatch(0)

    optimizer.step_on(minibatch)

    information = reference.fisher(samples.data(), problem.start)
    assert same(minibatch.mask(), reference.top(information, reference.live_count(51, sparsity)))


def test_without_samples_the_information_is_of_the_batch_at_hand() -> None:
    problem = Problem()
    optimizer = problem.optimizer("ssam-f", [0.1] * 4, sparsity=0.7)
    minibatch = problem.minibatch(0)

    optimizer.step_on(minibatch)

    information = reference.fisher(minibatch.data(), problem.start)
    assert same(minibatch.mask(), reference.top(information, reference.live_count(51, 0.7)))


@pytest.mark.parametrize("found", [1, 5])
def test_fewer_samples_than_asked_for_are_enough(found: int) -> None:
    problem = Problem()
    optimizer = problem.optimizer("ssam-f", [0.1] * 4, sparsity=0.7, num_samples=100)
    optimizer.plan(samples=lambda n, step: problem.minibatch(99, found))
    minibatch = problem.minibatch(0)

    optimizer.step_on(minibatch)

    information = reference.fisher(problem.minibatch(99, found).data(), problem.start)
    assert same(minibatch.mask(), reference.top(information, reference.live_count(51, 0.7)))


@pytest.mark.parametrize("drive", [on_batch, by_closure])
def test_samples_are_asked_for_at_each_update_and_never_between(drive: Drive) -> None:
    problem = Problem()
    optimizer = problem.optimizer("ssam-f", [0.1] * 4, num_samples=11, update_every=2)
    asked: list[tuple[int, int]] = []

    def samples(n: int, step: int) -> Minibatch:
        asked.append((n, step))
        return problem.minibatch(step, n)

    optimizer.plan(steps=15, steps_per_epoch=3, samples=samples)
    for step in range(15):
        drive(optimizer, problem.minibatch(step))

    assert asked == [(11, 0), (11, 6), (11, 12)]


def test_updates_wait_for_the_steps_that_perturb() -> None:
    problem = Problem()
    optimizer = problem.optimizer("ssam-f", [0.1] * 4, num_samples=11, active={"from": 0.4, "every": 2})
    asked: list[int] = []

    def samples(n: int, step: int) -> Minibatch:
        asked.append(step)
        return problem.minibatch(step, n)

    optimizer.plan(steps=15, steps_per_epoch=3, samples=samples)
    for step in range(15):
        optimizer.step_on(problem.minibatch(step))

    assert asked == [6, 10, 12]


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("shapes", [(1,), (7,), (30, 1, 6), (1000, 250)])
def test_the_number_of_perturbed_coordinates_is_the_same_after_every_update(
    shapes: tuple[int, ...], sparsity: float
) -> None:
    params = zeros(*shapes)
    optimizer = sam.build("ssam-f", params, torch.optim.SGD, lr=0.0, sparsity=sparsity)
    optimizer.plan(steps=20, steps_per_epoch=1)

    counts = {ones(mask_of(optimizer, random_gradient(params, seed))) for seed in range(20)}

    assert counts == {reference.live_count(sum(shapes), sparsity)}


def test_equal_information_is_no_reason_to_perturb_more_or_fewer() -> None:
    params = zeros(8, 12)
    optimizer = sam.build("ssam-f", params, torch.optim.SGD, lr=0.0, sparsity=0.7)

    mask = mask_of(optimizer, [torch.ones_like(p) for p in params])

    assert ones(mask) == 6


def test_a_mask_stays_while_the_gradient_changes() -> None:
    params = zeros(20, 5)
    optimizer = sam.build("ssam-f", params, torch.optim.SGD, lr=0.0)
    optimizer.plan(steps=6, steps_per_epoch=3)

    masks = [mask_of(optimizer, random_gradient(params, seed)) for seed in range(6)]

    assert [same(a, b) for a, b in itertools.pairwise(masks)] == [True, True, False, True, True]


def test_a_parameter_unfrozen_in_mid_run_has_its_share_from_the_next_update_on() -> None:
    first, late = zeros(30, 10)
    late.requires_grad_(False)
    optimizer = sam.build("ssam-f", [first, late], torch.optim.SGD, lr=0.0, sparsity=0.5)
    optimizer.plan(steps=4, steps_per_epoch=2)
    seen: list[list[Tensor]] = []

    def closure() -> float:
        seen.append([first.detach().clone(), late.detach().clone()])
        first.grad, late.grad = random_gradient([first, late], optimizer.steps_taken)
        late.grad = late.grad if late.requires_grad else None
        return 0.0

    optimizer.step(closure)
    late.requires_grad_(True)
    optimizer.step(closure)
    optimizer.step(closure)

    gradient = random_gradient([first, late], 2)
    mask = [(b != a).double() for a, b in zip(seen[4], seen[5], strict=True)]
    assert same(mask, reference.top([g**2 for g in gradient], 20))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_information_of_half_precision_gradients_does_not_vanish(dtype: torch.dtype) -> None:
    """The square of 1e-5 is 0 in float16; all would be alike."""
    params = zeros(100, dtype=dtype)
    optimizer = sam.build("ssam-f", params, torch.optim.SGD, lr=0.0, rho=1.0, sparsity=0.9)
    gradient = [(torch.arange(100.0).roll(37) * 1e-5).to(dtype)]

    [mask] = mask_of(optimizer, gradient)

    largest = {i for i in range(100) if gradient[0][i] >= gradient[0].sort().values[-10]}
    assert set(mask.nonzero().flatten().tolist()) <= largest
    assert mask.sum() == 10


def test_a_group_added_in_mid_run_trains_and_has_its_share_from_the_next_update_on() -> None:
    first, late = zeros(30, 10)
    optimizer = sam.build("ssam-f", [first], torch.optim.SGD, lr=0.0, sparsity=0.5)
    optimizer.plan(steps=4, steps_per_epoch=2)
    mask_of(optimizer, random_gradient([first], 0))
    optimizer.add_param_group({"params": [late]})

    mask_of(optimizer, random_gradient([first, late], 1))
    gradient = random_gradient([first, late], 2)
    mask = mask_of(optimizer, gradient)

    assert same(mask, reference.top([g**2 for g in gradient], 20))


def test_the_norm_is_over_the_unmasked_gradient() -> None:
    params = zeros(2, 2)
    optimizer = sam.build("ssam-f", params, torch.optim.SGD, lr=0.0, rho=1.0)
    gradient = [torch.tensor([1.0, 5.0]).double(), torch.tensor([-7.0, 5.0]).double()]

    _, perturbed = step_with(optimizer, [gradient] * 2)

    assert sorted(x for w in perturbed for x in w.tolist() if x < 0) == [pytest.approx(-0.7, rel=1e-12)]
    assert sorted(x for w in perturbed for x in w.tolist() if x > 0) == [pytest.approx(0.5, rel=1e-12)]


def test_sparsity_0_is_sam_bit_for_bit() -> None:
    assert same_bits(trained("ssam-f", sparsity=0.0), trained("sam"))


@either_way
def test_a_mask_is_resumed_in_the_middle_of_its_epoch(drive: Drive) -> None:
    whole, stopped, resumed = Problem(), Problem(), Problem(seed=5)
    asked: list[int] = []
    optimizers: list[sam.SamOptimizer] = []
    for problem in (whole, stopped, resumed):
        optimizer = problem.optimizer("ssam-f", [0.3] * 4, num_samples=6)

        def samples(n: int, step: int, problem: Problem = problem) -> Minibatch:
            asked.append(step)
            return problem.minibatch(300 + step, n)

        optimizer.plan(steps=12, steps_per_epoch=4, samples=samples)
        optimizers.append(optimizer)
    for step in range(12):
        drive(optimizers[0], whole.minibatch(step))
    asked.clear()
    for step in range(6):
        drive(optimizers[1], stopped.minibatch(step))
    optimizers[2].load_state_dict(copy.deepcopy(optimizers[1].state_dict()))
    for p, q in zip(resumed.params, stopped.params, strict=True):
        p.data.copy_(q.data)
    for step in range(6, 12):
        drive(optimizers[2], resumed.minibatch(step))

    assert same([*whole.params], [*resumed.params])
    assert asked == [0, 4, 8]


def test_rho_0_asks_for_no_samples() -> None:
    problem = Problem()
    optimizer = problem.optimizer("ssam-f", [0.0] * 4)

    def samples(n: int, step: int) -> Minibatch:
        raise AssertionError(f"asked for {n}")

    optimizer.plan(samples=samples)

    optimizer.step_on(problem.minibatch(0))


@pytest.mark.parametrize(
    "options",
    [
        {"sparsity": 1.0},
        {"sparsity": -0.1},
        {"sparsity": float("nan")},
        {"num_samples": 0},
        {"num_samples": 2.5},
        {"update_every": 0},
        {"update_every": 0.5},
    ],
)
def test_an_impossible_option_is_refused_at_once(options: dict[str, float]) -> None:
    [(name, value)] = options.items()

    with pytest.raises(ValueError, match=rf"^{name} must .*, got {re.escape(str(value))}$"):
        sam.build("ssam-f", zeros(2), torch.optim.SGD, lr=0.1, **options)


def test_the_squared_gradient_of_double_weights_is_taken_in_double() -> None:
    for numbers in ([1.0, 1.0 + 1e-12], [1e-25, 2e-25]):
        gradient = torch.tensor(numbers, dtype=torch.float64)
        params = [nn.Parameter(torch.zeros(2).double())]
        optimizer = sam.build("ssam-f", params, torch.optim.SGD, lr=0.0, sparsity=0.5)

        assert mask_of(optimizer, [gradient])[0].tolist() == [0.0, 1.0]
