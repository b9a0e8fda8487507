"""SAM with the second-order term: the gradient of w -> L(w + ε̂(w)), nothing left out."""

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam import reference
from tests.sam.problems import batch, net, same_bits
from tests.sam.reference.lockstep import (
    Losses,
    Problem,
    cross_entropy,
    each_grouping,
    fifty_steps_agree,
    squared_error,
    zeros,
)


def final_gradient(problem: Problem, rho: list[float]) -> list[Tensor]:
    """What the base optimizer is given in the first step."""
    optimizer = problem.optimizer("sam", rho, second_order=True)
    given: list[list[Tensor]] = []
    optimizer.base_optimizer.register_step_pre_hook(
        lambda *_: given.append([torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in problem.params])
    )
    optimizer.step_on(problem.minibatch(0))
    return given[0]


@pytest.mark.parametrize("function", [cross_entropy, squared_error])
@each_grouping
def test_fifty_steps_are_those_of_the_whole_hessian(rho: list[float], function: Losses) -> None:
    problem = Problem(function)
    optimizer = problem.optimizer("sam", rho, second_order=True)

    fifty_steps_agree(optimizer, problem, reference.SecondOrder(rho))


@each_grouping
def test_it_is_the_slope_of_the_loss_at_the_perturbed_weights(rho: list[float]) -> None:
    """By central differences of w -> L(w + ε̂(w)), one coordinate after the other; without the term it would not be."""
    problem = Problem()
    data = problem.minibatch(0).data()

    def value(w: list[Tensor]) -> float:
        eps = reference.along(reference.mean_gradient(data, w), rho)
        return float(data.losses(reference.plus(w, eps)).mean())

    slopes = [torch.zeros_like(w) for w in problem.start]
    h = 1e-5
    for slope, w in zip(slopes, problem.start, strict=True):
        for i in range(w.numel()):
            at = float(w.view(-1)[i])
            w.view(-1)[i] = at + h
            above = value(problem.start)
            w.view(-1)[i] = at - h
            slope.view(-1)[i] = (above - value(problem.start)) / (2 * h)
            w.view(-1)[i] = at

    eps = reference.along(reference.mean_gradient(data, problem.start), rho)
    first_order = reference.mean_gradient(data, reference.plus(problem.start, eps))
    final = final_gradient(problem, rho)
    size = reference.norm(slopes)
    assert reference.norm(reference.plus(final, slopes, -1)) < 1e-7 * size
    assert reference.norm(reference.plus(first_order, slopes, -1)) > 1e-3 * size


def test_a_quadratic_has_it_in_closed_form() -> None:
    """L = wᵀAw/2: g = Aw, and the term is A (g_p - u (u·g_p)) ρ/‖g‖."""
    [w] = zeros(3)
    w.data = torch.tensor([1.0, -2.0, 0.5]).double()
    a = torch.tensor([[2.0, 0.3, 0.0], [0.3, 1.0, -0.2], [0.0, -0.2, 4.0]]).double()

    class Quadratic:
        labels = None

        def __len__(self) -> int:
            return 1

        def losses(self, part: Tensor | None = None) -> Tensor:
            return (w @ a @ w / 2)[None]

    start = w.detach().clone()
    optimizer = sam.build("sam", [w], torch.optim.SGD, lr=1.0, rho=0.7, second_order=True)
    optimizer.step_on(Quadratic())

    g = a @ start
    u = g / g.norm()
    g_p = a @ (start + 0.7 * u)
    expected = g_p + 0.7 / g.norm() * a @ (g_p - u * (u @ g_p))
    torch.testing.assert_close(start - w.detach(), expected, rtol=1e-12, atol=1e-13)


def test_the_weights_are_restored_and_a_zero_gradient_moves_nothing() -> None:
    [w] = zeros(3)

    class Flat:
        labels = None

        def __len__(self) -> int:
            return 1

        def losses(self, part: Tensor | None = None) -> Tensor:
            return (w**2).sum()[None]

    optimizer = sam.build("sam", [w], torch.optim.SGD, lr=0.1, second_order=True)

    optimizer.step_on(Flat())

    assert torch.equal(w, torch.zeros_like(w))


def test_batch_norm_and_dropout_are_the_same_in_everything_that_is_differentiated() -> None:
    """Against w -> L(w + ε̂(w)) written out for autograd, with the random numbers of the first pass in both."""
    model, twin = net().double(), net().double()
    optimizer = sam.build("sam", model.parameters(), torch.optim.SGD, lr=1.0, rho=0.5, second_order=True, model=model)
    samples = batch(model).double()
    start = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}

    def loss_at(weights: dict[str, Tensor]) -> Tensor:
        torch.manual_seed(5)
        outputs = torch.func.functional_call(twin, weights, samples.x)
        return nn.functional.cross_entropy(outputs, samples.y)

    g = torch.autograd.grad(loss_at(start), [*start.values()], create_graph=True)
    length = torch.stack([(gi**2).sum() for gi in g]).sum().sqrt()
    perturbed = {name: w + 0.5 * gi / length for (name, w), gi in zip(start.items(), g, strict=True)}
    statistics = {name: b.clone() for name, b in twin.named_buffers()}
    final = torch.autograd.grad(loss_at(perturbed), [*start.values()])

    torch.manual_seed(5)
    optimizer.step_on(samples)

    for p, w, gi in zip(model.parameters(), start.values(), final, strict=True):
        torch.testing.assert_close(w.detach() - p.detach(), gi, rtol=1e-9, atol=1e-12)
    assert same_bits(dict(model.named_buffers()), statistics)


def test_the_loss_reported_is_the_clean_one() -> None:
    problem = Problem()
    minibatch = problem.minibatch(0)
    mean = float(minibatch.data().losses(problem.start).mean())

    loss = problem.optimizer("sam", [0.2] * 4, second_order=True).step_on(minibatch)

    assert not loss.requires_grad
    assert float(loss) == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("p", [1, 3, float("inf")])
def test_another_norm_is_refused_at_once(p: float) -> None:
    with pytest.raises(ValueError, match=r"\bp\b.*second_order|second_order.*\bp\b"):
        sam.build("sam", zeros(2), torch.optim.SGD, lr=0.1, second_order=True, p=p)


def test_an_adaptive_group_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"second_order.*adaptive|adaptive.*second_order"):
        sam.build("sam", zeros(2), torch.optim.SGD, lr=0.1, second_order=True, adaptive=True)


def test_an_adaptive_group_among_others_is_refused_at_once() -> None:
    a, b = zeros(2, 2)
    groups = [{"params": [a]}, {"params": [b], "adaptive": True}]

    with pytest.raises(ValueError, match=r"second_order.*adaptive|adaptive.*second_order"):
        sam.build("sam", groups, torch.optim.SGD, lr=0.1, second_order=True)
