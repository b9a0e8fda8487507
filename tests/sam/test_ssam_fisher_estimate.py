"""SSAM-F: what estimating the Fisher information leaves alone, and what it does with numbers that are not finite."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam import reference
from tests.sam.problems import same_bits
from tests.sam.reference.lockstep import (
    SGD,
    Minibatch,
    same,
)


def normed(momentum: float = 0.1) -> nn.Sequential:
    """BatchNorm with statistics of its own, and in part not in training mode."""
    torch.manual_seed(1)
    first, last = nn.BatchNorm1d(8, momentum=momentum), nn.BatchNorm1d(3)
    for norm in (first, last):
        norm.running_mean = torch.linspace(-1, 1, norm.num_features)
        norm.running_var = torch.linspace(0.5, 2, norm.num_features)
    model = nn.Sequential(
        nn.Linear(4, 8, bias=False), first, nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3), last
    ).double()
    last.eval()
    return model


def minibatch_of(model: nn.Module, seed: int) -> sam.Minibatch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(10, 4, dtype=torch.float64, generator=generator)
    y = torch.randint(3, (10,), generator=generator)
    return sam.Minibatch(model, x, y, lambda outputs, y: nn.functional.cross_entropy(outputs, y, reduction="none"))


def test_estimating_leaves_statistics_modes_and_random_numbers_as_they_were() -> None:
    ours, theirs = normed(), normed()
    dense = sam.build("sam", theirs.parameters(), torch.optim.SGD, model=theirs, **SGD)
    sparse = sam.build("ssam-f", ours.parameters(), torch.optim.SGD, model=ours, **SGD)
    sparse.plan(samples=lambda n, step: minibatch_of(ours, seed=4))

    drawn = []
    for model, optimizer in ((ours, sparse), (theirs, dense)):
        torch.manual_seed(3)
        optimizer.step_on(minibatch_of(model, seed=0))
        drawn.append(torch.get_rng_state())

    assert torch.equal(*drawn)
    assert same_bits(dict(ours.named_buffers()), dict(theirs.named_buffers()))
    assert [m.training for m in ours.modules()] == [m.training for m in theirs.modules()]


def test_the_samples_do_not_meet_in_batch_statistics() -> None:
    """With BatchNorm in training mode a sample's gradient would be of all the others too. The statistics that stand
    in for them are made to stay, so that it does not matter whether the first pass has moved them yet."""
    model = normed(momentum=0.0)
    model[3].eval()
    start = copy.deepcopy(model).eval()
    optimizer = sam.build("ssam-f", model.parameters(), torch.optim.SGD, lr=0.0, model=model, sparsity=0.8)
    optimizer.plan(samples=lambda n, step: minibatch_of(model, seed=4))
    seen: list[list[Tensor]] = []
    model.register_forward_pre_hook(lambda *_: seen.append([p.detach().clone() for p in model.parameters()]))

    optimizer.step_on(minibatch_of(model, seed=0))

    losses = minibatch_of(start, seed=4).losses()
    rows = [torch.autograd.grad(loss, [*start.parameters()], retain_graph=True) for loss in losses]
    information = [torch.stack(column).square().sum(0) for column in zip(*rows, strict=True)]
    k = reference.live_count(sum(t.numel() for t in information), 0.8)
    mask = [(b != a).double() for a, b in zip(seen[0], seen[-1], strict=True)]
    assert same(mask, reference.top(information, k))


def test_estimating_leaves_no_gradient_behind() -> None:
    used, unused = nn.Parameter(torch.ones(3).double()), nn.Parameter(torch.ones(3).double())
    optimizer = sam.build("ssam-f", [used, unused], torch.optim.SGD, lr=0.1, weight_decay=0.1)
    x, y = torch.arange(6.0).double().view(2, 3), torch.zeros(2).double()
    samples = Minibatch([used, unused], lambda w, x, y: (x @ w[0] + x @ w[1] - y) ** 2, x, y)
    optimizer.plan(samples=lambda n, step: samples)

    optimizer.step_on(Minibatch([used], lambda w, x, y: (x @ w[0] - y) ** 2, x, y))

    assert unused.grad is None
    assert torch.equal(unused, torch.ones(3).double())


@pytest.mark.parametrize("scaled", [False, True])
def test_a_gradient_that_is_not_finite_where_the_mask_is_due_is_told_or_skipped(scaled: bool) -> None:
    model = nn.Linear(4, 3)
    optimizer = sam.build("ssam-f", model.parameters(), torch.optim.SGD, lr=0.1, model=model)
    before = [p.detach().clone() for p in model.parameters()]
    x, y = torch.full((8, 4), math.nan), torch.zeros(8, dtype=torch.int64)
    minibatch = sam.Minibatch(model, x, y, partial(nn.functional.cross_entropy, reduction="none"))

    if scaled:
        optimizer.step_on(minibatch, scaler=torch.amp.GradScaler("cpu"))
    else:
        with pytest.raises(sam.NonFiniteGradient):
            optimizer.step_on(minibatch)

    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert optimizer.state_dict()["memory"] == {}
