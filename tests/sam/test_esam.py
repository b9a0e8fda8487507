"""ESAM: some coordinates are perturbed, some samples learnt from; both chosen right, and counted."""

import copy
import math
import re

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam import reference
from tests.sam.problems import same_bits
from tests.sam.reference.lockstep import (
    SGD,
    Minibatch,
    Problem,
    each_grouping,
    fifty_steps_agree,
    trained,
)


@pytest.mark.parametrize(("beta", "gamma"), [(0.6, 0.5), (1.0, 0.3), (0.5, 1.0), (0.8, 0.01)])
@each_grouping
def test_fifty_steps_are_those_of_the_paper(rho: list[float], beta: float, gamma: float) -> None:
    """The mask is drawn at random: seen where the weights stand, and handed to the reference."""
    problem = Problem()
    optimizer = problem.optimizer("esam", rho, beta=beta, gamma=gamma)
    optimizer.plan(seed=4)
    slow = reference.Esam(rho, beta, gamma)

    def look(step: int, minibatch: Minibatch, w: list[Tensor]) -> None:
        slow.mask = minibatch.mask()

    fifty_steps_agree(optimizer, problem, slow, look=look)


@pytest.mark.parametrize("samples", [1, 2, 7, 16])
@pytest.mark.parametrize("gamma", [0.01, 0.25, 0.5, 0.9])
def test_the_cost_is_two_and_gamma_forwards_and_one_and_gamma_backwards(samples: int, gamma: float) -> None:
    problem = Problem(samples=samples)
    minibatch = problem.minibatch(0)

    problem.optimizer("esam", [0.2] * 4, gamma=gamma).step_on(minibatch)

    chosen = max(1, math.floor(gamma * samples + 0.5))
    forwards = [(len(call.samples), call.with_graph) for call in minibatch.calls]
    if chosen < samples:
        assert forwards == [(samples, True), (samples, False), (chosen, True)]
    assert minibatch.backwards == [samples, chosen]


def test_gamma_1_selects_nothing_and_takes_two_passes() -> None:
    problem = Problem()
    minibatch = problem.minibatch(0)

    problem.optimizer("esam", [0.2] * 4, gamma=1.0).step_on(minibatch)

    assert [(len(call.samples), call.with_graph) for call in minibatch.calls] == [(16, True), (16, True)]
    assert minibatch.backwards == [16, 16]


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
def test_those_samples_are_chosen_whose_loss_rose_most(gamma: float) -> None:
    problem = Problem()
    optimizer = problem.optimizer("esam", [0.5] * 4, gamma=gamma)
    for step in range(5):
        minibatch = problem.minibatch(step)
        w = [p.detach().clone() for p in problem.params]

        optimizer.step_on(minibatch)

        losses = minibatch.data().losses
        rise = (losses(minibatch.calls[-1].weights) - losses(w)).tolist()
        chosen = minibatch.calls[-1].samples
        left = set(range(16)) - set(chosen)
        assert len(set(chosen)) == len(chosen) == max(1, math.floor(gamma * 16 + 0.5))
        assert min(rise[i] for i in chosen) >= max(rise[i] for i in left)


def test_the_samples_chosen_are_seen_where_all_were() -> None:
    problem = Problem()
    minibatch = problem.minibatch(0)

    problem.optimizer("esam", [0.2] * 4).step_on(minibatch)

    _, all_of_them, chosen = minibatch.calls
    assert all(torch.equal(a, b) for a, b in zip(all_of_them.weights, chosen.weights, strict=True))


def test_beta_1_and_gamma_1_is_sam_bit_for_bit() -> None:
    assert same_bits(trained("esam", rho=0.3, beta=1.0, gamma=1.0), trained("sam", rho=0.3))


def test_the_loss_reported_is_the_clean_mean_of_all_samples() -> None:
    problem = Problem()
    minibatch = problem.minibatch(0)
    mean = float(minibatch.data().losses(problem.start).mean())

    loss = problem.optimizer("esam", [0.2] * 4).step_on(minibatch)

    assert float(loss) == pytest.approx(mean, rel=1e-12)


def linear(*sizes: int) -> tuple[list[nn.Parameter], Minibatch]:
    """Parameters at 0 and a batch of two whose gradient is 1 everywhere: ε tells the mask."""
    params = [nn.Parameter(torch.zeros(s, dtype=torch.float64)) for s in sizes]

    def losses(w: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        return x[:, 0] * torch.stack([t.sum() for t in w]).sum()

    x = torch.ones(2, 1, dtype=torch.float64)
    return params, Minibatch(params, losses, x, torch.zeros(2, dtype=torch.int64))


def masks_of(seed: int, steps: int = 3, sizes: tuple[int, ...] = (300, 40)) -> list[Tensor]:
    params, minibatch = linear(*sizes)
    optimizer = sam.build("esam", params, torch.optim.SGD, lr=0.0)
    optimizer.plan(seed=seed)
    found = []
    for _ in range(steps):
        optimizer.step_on(minibatch)
        found.append(torch.cat(minibatch.mask()))
    return found


@pytest.mark.parametrize("beta", [0.1, 0.6, 0.9])
def test_coordinates_are_drawn_one_by_one_and_scaled_by_what_is_left_out(beta: float) -> None:
    """Not tensor by tensor: each has its share, to four standard deviations."""
    sizes = (20_000, 30_000, 500, 500)
    params, minibatch = linear(*sizes)
    optimizer = sam.build("esam", params, torch.optim.SGD, lr=0.0, rho=2.0, beta=beta, gamma=1.0)

    optimizer.step_on(minibatch)

    eps = minibatch.eps()
    full = 2.0 / beta / math.sqrt(sum(sizes))
    for e, n in zip(eps, sizes, strict=True):
        moved = e[e != 0]
        torch.testing.assert_close(moved, torch.full_like(moved, full), rtol=1e-12, atol=0)
        assert len(moved) / n == pytest.approx(beta, abs=4 * math.sqrt(beta * (1 - beta) / n))


def test_each_step_draws_anew_and_neighbours_are_independent() -> None:
    first, second, third = masks_of(0)

    for a, b in ((first, second), (second, third), (first[1:], first[:-1])):
        assert float((a == b).double().mean()) == pytest.approx(0.6**2 + 0.4**2, abs=0.11)


def test_masks_come_from_seed_and_step_alone() -> None:
    torch.manual_seed(1)
    first = masks_of(5)
    torch.manual_seed(2)
    again, other = masks_of(5), masks_of(6)

    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_drawing_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()

    masks_of(0)

    assert torch.equal(before, torch.get_rng_state())


def test_masks_go_on_where_a_run_is_resumed() -> None:
    whole, stopped, resumed = Problem(), Problem(), Problem(seed=5)
    optimizers = [problem.optimizer("esam", [0.3] * 4) for problem in (whole, stopped, resumed)]
    for optimizer in optimizers:
        optimizer.plan(seed=8)
    for step in range(6):
        optimizers[0].step_on(whole.minibatch(step))

    for step in range(3):
        optimizers[1].step_on(stopped.minibatch(step))
    optimizers[2].load_state_dict(copy.deepcopy(optimizers[1].state_dict()))
    for p, q in zip(resumed.params, stopped.params, strict=True):
        p.data.copy_(q.data)
    for step in range(3, 6):
        optimizers[2].step_on(resumed.minibatch(step))

    assert all(torch.equal(a, b) for a, b in zip(whole.params, resumed.params, strict=True))


def test_frozen_parameters_stay_frozen_and_where_they_are() -> None:
    problem = Problem()
    problem.params[1].requires_grad_(False)
    optimizer = problem.optimizer("esam", [0.3] * 4)
    for step in range(4):
        minibatch = problem.minibatch(step)
        optimizer.step_on(minibatch)
        assert all(torch.equal(call.weights[1], problem.start[1]) for call in minibatch.calls)

    assert [p.requires_grad for p in problem.params] == [True, False, True, True]
    assert torch.equal(problem.params[1], problem.start[1])
    assert not torch.equal(problem.params[0], problem.start[0])


def test_closures_are_refused_with_the_way_to_go() -> None:
    problem = Problem()

    with pytest.raises(TypeError, match="step_on"):
        problem.optimizer("esam", [0.3] * 4).step(problem.minibatch(0).closure)

    assert all(torch.equal(a, b) for a, b in zip(problem.params, problem.start, strict=True))


def test_closures_do_at_rho_0() -> None:
    ours, theirs = Problem(), Problem()
    plain = torch.optim.SGD(theirs.params, **SGD)

    ours.optimizer("esam", [0.0] * 4).step(ours.minibatch(0).closure)
    theirs.minibatch(0).closure()
    plain.step()

    assert all(torch.equal(a, b) for a, b in zip(ours.params, theirs.params, strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"beta": 0.0},
        {"beta": 1.5},
        {"beta": float("nan")},
        {"gamma": 0.0},
        {"gamma": 1.1},
    ],
)
def test_an_impossible_option_is_refused_at_once(options: dict[str, float]) -> None:
    [(name, value)] = options.items()

    with pytest.raises(ValueError, match=rf"^{name} must .*, got {re.escape(str(value))}$"):
        Problem().optimizer("esam", [0.2] * 4, **options)
