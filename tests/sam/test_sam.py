"""SAM alone: its formulae against the papers', and what it refuses."""

import math
import re
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import sam
from tests.sam import reference
from tests.sam.problems import batch, net
from tests.sam.reference import Options

POWERS = [1, 1.5, 2, 3, 10, math.inf]

numbers = st.floats(-1e3, 1e3, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-3)
gradients = st.lists(st.lists(numbers, min_size=1, max_size=5), min_size=1, max_size=3).filter(
    lambda lists: any(x for numbers in lists for x in numbers)
)


def perturbation(w: list[Tensor], g: list[Tensor], **options: object) -> list[Tensor]:
    """The ε a step goes to, seen from inside it: w + ε is what the second pass finds, less w."""
    params = [nn.Parameter(t.clone()) for t in w]
    seen: list[list[Tensor]] = []

    def closure() -> float:
        seen.append([p.detach().clone() for p in params])
        for p, gradient in zip(params, g, strict=True):
            p.grad = gradient.clone()
        return 0.0

    sam.build("sam", params, torch.optim.SGD, lr=0.0, **options).step(closure)
    clean, perturbed = seen
    return [b - a for a, b in zip(clean, perturbed, strict=True)]


@pytest.mark.parametrize("p", POWERS)
@given(lists=gradients, rho=st.floats(1e-3, 10))
@settings(max_examples=40, deadline=None)
def test_the_perturbation_meets_the_holder_bound_with_equality(p: float, lists: list[list[float]], rho: float) -> None:
    g = [torch.tensor(numbers, dtype=torch.float64) for numbers in lists]

    eps = perturbation([torch.zeros_like(t) for t in g], g, rho=rho, p=p)

    assert reference.p_norm(eps, p) == pytest.approx(rho, rel=1e-10)
    dot = sum(float((a * b).sum()) for a, b in zip(eps, g, strict=True))
    assert dot == pytest.approx(rho * reference.p_norm(g, reference.dual(p)), rel=1e-10)


@pytest.mark.parametrize("p", POWERS)
@given(lists=gradients, rho=st.floats(1e-2, 10), eta=st.floats(0.01, 1), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_an_adaptive_perturbation_has_length_rho_in_units_of_t(
    p: float, lists: list[list[float]], rho: float, eta: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    g = [torch.tensor(numbers, dtype=torch.float64) for numbers in lists]
    w = [torch.randn(t.shape, dtype=torch.float64, generator=generator) for t in g]

    eps = perturbation(w, g, rho=rho, p=p, adaptive=True, eta=eta)

    t = [wi.abs() + eta for wi in w]
    assert reference.p_norm([e / ti for e, ti in zip(eps, t, strict=True)], p) == pytest.approx(rho, rel=1e-9)
    tg = [ti * gi for ti, gi in zip(t, g, strict=True)]
    dot = sum(float((a * b).sum()) for a, b in zip(eps, g, strict=True))
    assert dot == pytest.approx(rho * reference.p_norm(tg, reference.dual(p)), rel=1e-9)


def quartic(seed: int) -> tuple[list[Tensor], Callable[[list[Tensor]], Tensor]]:
    """A smooth function of three tensors that is nowhere flat, and where to start."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 2), (4,), (1,)]
    w = [torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]
    centre = [torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]
    slope = [torch.rand(s, dtype=torch.float64, generator=generator) + 0.5 for s in shapes]

    def value(at: list[Tensor]) -> Tensor:
        parts = [(k * (a - c) ** 2 + 0.1 * (a - c) ** 4).sum() for a, c, k in zip(at, centre, slope, strict=True)]
        return torch.stack(parts).sum() + 0.3 * at[0].sum() * at[1].sum()

    return w, value


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([Options(0.05)] * 3, id="one group"),
        pytest.param([Options(0.05), Options(0.2), Options(0.0)], id="a rho per group"),
        pytest.param([Options(0.5, adaptive=True)] * 3, id="adaptive"),
        pytest.param([Options(0.1, adaptive=True, eta=0.1), Options(0.1), Options(0.3, True)], id="some adaptive"),
    ],
)
@pytest.mark.parametrize("p", POWERS)
def test_fifty_steps_are_those_of_the_papers(p: float, options: list[Options]) -> None:
    start, value = quartic(seed=3)

    def gradient_at(at: list[Tensor]) -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in at]
        return list(torch.autograd.grad(value(leaves), leaves))

    params = [nn.Parameter(t.clone()) for t in start]
    groups = [
        {"params": [w], "rho": o.rho, "adaptive": o.adaptive, "eta": o.eta}
        for w, o in zip(params, options, strict=True)
    ]
    optimizer = sam.SAM(groups, torch.optim.SGD, p=p, lr=0.01, momentum=0.9, weight_decay=0.01)

    def closure() -> Tensor:
        loss = value([*params])
        loss.backward()
        return loss

    for _ in range(50):
        optimizer.step(closure)

    expected = reference.sam_with_sgd(
        start, gradient_at, options, p=p, lr=0.01, momentum=0.9, weight_decay=0.01, steps=50
    )
    for w, slow in zip(params, expected, strict=True):
        torch.testing.assert_close(w.detach(), slow, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("p", POWERS)
def test_a_zero_gradient_gives_a_zero_perturbation(p: float, adaptive: bool) -> None:
    w = [torch.ones(3), torch.ones(2, 2)]

    eps = perturbation(w, [torch.zeros(3), torch.zeros(2, 2)], p=p, adaptive=adaptive)

    assert all(torch.equal(e, torch.zeros_like(e)) for e in eps)


@pytest.mark.parametrize("size", [1e-37, 1e-25, 1e25, 1e37])
@pytest.mark.parametrize("p", [*POWERS, 1.001, 1000.0])
def test_no_size_of_gradient_over_or_underflows(p: float, size: float) -> None:
    """q is 1001 for p = 1.001: that power of 1e25 is far beyond float32, and of 1e-25 far below."""
    g = [torch.tensor([0.5, -1.0]) * size, torch.tensor([0.25]) * size]
    double = [t.double() for t in g]

    eps = perturbation([torch.zeros(2), torch.zeros(1)], g, rho=0.5, p=p)

    scaled = [t / size for t in double]
    expected = reference.perturbation([torch.zeros_like(t) for t in scaled], scaled, [Options(0.5)] * 2, p)
    for fast, slow in zip(eps, expected, strict=True):
        torch.testing.assert_close(fast, slow.float(), rtol=1e-4, atol=1e-7)


def test_p_1_moves_one_coordinate_even_where_several_are_largest() -> None:
    g = [torch.tensor([1.0, -2, 2]), torch.tensor([2.0, 2])]

    eps = perturbation([torch.zeros(3), torch.zeros(2)], g, p=1)

    assert [e.tolist() for e in eps] == [[0, pytest.approx(-0.05), 0], [0, 0]]


def test_a_group_with_rho_0_is_counted_in_the_norm_and_stays_put() -> None:
    still, moved = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    groups = [{"params": [still], "rho": 0.0}, {"params": [moved], "rho": 1.0}]
    optimizer = sam.SAM(groups, torch.optim.SGD, lr=0.0)
    still.grad, moved.grad = torch.tensor([3.0]), torch.tensor([4.0])

    optimizer.first_step()

    assert (still.item(), moved.item()) == (0.0, pytest.approx(0.8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_parameters_have_their_norm_in_float32(dtype: torch.dtype) -> None:
    """600 squared is beyond float16; with a norm of inf nothing would move."""
    g = [torch.full((4,), 600.0, dtype=dtype), torch.full((4,), -600.0, dtype=dtype)]

    eps = perturbation([torch.zeros(4, dtype=dtype)] * 2, g, rho=0.5)

    expected = 0.5 / math.sqrt(8)
    for e, direction in zip(eps, (1, -1), strict=True):
        torch.testing.assert_close(e, torch.full((4,), direction * expected, dtype=dtype))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rho": -1}, "rho must be >= 0, got -1"),
        ({"rho": math.nan}, "rho must be a finite number, got nan"),
        ({"eta": -0.5}, "eta must be >= 0, got -0.5"),
        ({"p": 0.5}, "p must be >= 1, got 0.5"),
        ({"p": math.nan}, "p must be >= 1, got nan"),
    ],
)
def test_an_impossible_option_is_refused_at_once(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sam.build("sam", [nn.Parameter(torch.ones(1))], torch.optim.SGD, **options)


def test_an_impossible_option_of_a_group_is_refused_and_the_group_not_added() -> None:
    optimizer = sam.SAM([nn.Parameter(torch.ones(1))], torch.optim.SGD)

    with pytest.raises(ValueError, match="rho must be >= 0, got -2"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "rho": -2})

    assert len(optimizer.param_groups) == len(optimizer.base_optimizer.param_groups) == 1


def test_a_base_optimizer_with_an_option_of_the_same_name_is_refused() -> None:
    with pytest.raises(ValueError, match="base_optimizer must have no option called rho, got Adadelta"):
        sam.SAM([nn.Parameter(torch.ones(1))], torch.optim.Adadelta)


def test_a_base_optimizer_that_evaluates_closures_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="must step on the gradients it finds, got LBFGS"):
        sam.SAM([nn.Parameter(torch.ones(1))], torch.optim.LBFGS)


def test_sparse_gradients_are_refused_with_the_weights_untouched() -> None:
    embedding = nn.Embedding(5, 2, sparse=True)
    before = embedding.weight.detach().clone()
    optimizer = sam.SAM(embedding.parameters(), torch.optim.SGD)

    def closure() -> Tensor:
        loss = embedding(torch.tensor([1, 2])).sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="sparse gradients cannot be perturbed"):
        optimizer.step(closure)

    assert torch.equal(embedding.weight, before)


def test_the_repr_names_the_base_and_every_option() -> None:
    text = repr(sam.SAM([nn.Parameter(torch.ones(1))], torch.optim.AdamW, rho=0.2, p=math.inf))

    assert text.startswith(
        "SAM(p=inf, second_order=False, shard_size=None, active={'from': 0.0, 'until': 1.0, 'every': 1})"
    )
    assert all(f"{option}: " in text for option in ("rho", "adaptive", "eta", "lr", "weight_decay"))


def test_memory_beside_the_base_optimizer_is_one_copy_of_the_weights() -> None:
    model = nn.Linear(10, 10)
    optimizer = sam.SAM(model.parameters(), torch.optim.SGD)
    model(torch.ones(1, 10)).sum().backward()

    optimizer.first_step()

    saved = optimizer._weights.copies  # the one place that keeps any
    assert sum(t.numel() for t in saved) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("rho", [3e38, 1e300])
def test_a_radius_beyond_float32_is_an_error_and_not_no_perturbation(rho: float) -> None:
    model = net()
    optimizer = sam.SAM(model.parameters(), torch.optim.SGD, rho=rho, lr=0.1)
    before = [p.detach().clone() for p in model.parameters()]

    with pytest.raises(sam.NonFiniteGradient):
        optimizer.step_on(batch(model, seed=0))

    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
