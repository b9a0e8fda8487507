"""SAM in shards, m-sharpness: each part of a batch has a perturbation of its own."""

import re

import pytest
import torch
from torch import nn

import sam
from tests.sam import reference
from tests.sam.problems import batch, net, same_bits
from tests.sam.reference import Options
from tests.sam.reference.lockstep import SGD, Problem, each_grouping, fifty_steps_agree, zeros


@pytest.mark.parametrize("shard_size", [1, 3, 4])
@each_grouping
def test_fifty_steps_are_those_of_the_papers(rho: list[float], shard_size: int) -> None:
    """Seven samples: in shards of four the last has three, of three one."""
    problem = Problem(samples=7)
    optimizer = problem.optimizer("sam", rho, shard_size=shard_size)

    fifty_steps_agree(optimizer, problem, reference.Shards([Options(r) for r in rho], shard_size))


@pytest.mark.parametrize("p", [1.0, 3.0, float("inf")])
def test_each_shard_has_its_perturbation_in_any_norm(p: float) -> None:
    problem = Problem(samples=5)
    options = [Options(0.05, adaptive=True, eta=0.1)] * 4
    optimizer = problem.optimizer("sam", [0.05] * 4, shard_size=3, p=p, adaptive=True, eta=0.1)

    fifty_steps_agree(optimizer, problem, reference.Shards(options, 3, p))


@pytest.mark.parametrize("shard_size", [16, 17])
def test_one_shard_for_all_is_sam(shard_size: int) -> None:
    """To rounding: the mean is taken shard by shard."""
    ours, theirs = Problem(), Problem()
    sharded = ours.optimizer("sam", [0.2] * 4, shard_size=shard_size)
    whole = theirs.optimizer("sam", [0.2] * 4)

    for step in range(10):
        sharded.step_on(ours.minibatch(step))
        whole.step_on(theirs.minibatch(step))

    for a, b in zip(ours.params, theirs.params, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("shard_size", [1, 5, 16])
def test_every_sample_goes_forward_and_backward_twice_in_the_order_of_the_batch(shard_size: int) -> None:
    problem = Problem()
    minibatch = problem.minibatch(0)

    problem.optimizer("sam", [0.2] * 4, shard_size=shard_size).step_on(minibatch)

    parts = [list(range(16))[i : i + shard_size] for i in range(0, 16, shard_size)]
    assert sorted(call.samples for call in minibatch.calls) == sorted(parts * 2)
    assert sum(minibatch.backwards) == 32


def test_batch_statistics_move_once_for_each_shard_and_dropout_is_the_same_in_its_two_passes() -> None:
    model, once = net(), net()
    optimizer = sam.build("sam", model.parameters(), torch.optim.SGD, rho=0.3, shard_size=6, model=model, **SGD)
    samples = batch(model)
    masks: list[torch.Tensor] = []
    model[3].register_forward_hook(lambda module, x, y: masks.append(torch.ne(y, 0)))
    model[2] = nn.Softplus()  # whatever is 0 after dropout was dropped

    optimizer.step_on(samples)
    for shard in samples.x.split(6):
        once(shard)

    assert same_bits(dict(model.named_buffers()), dict(once.named_buffers()))
    assert [len(mask) for mask in masks] == [6, 6, 6, 6, 4, 4]
    first, second = masks[::2], masks[1::2]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])


def test_the_loss_reported_is_the_clean_mean() -> None:
    problem = Problem()
    minibatch = problem.minibatch(0)
    mean = float(minibatch.data().losses(problem.start).mean())

    loss = problem.optimizer("sam", [0.2] * 4, shard_size=5).step_on(minibatch)

    assert float(loss) == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("shard_size", [0, -1, 2.5])
def test_an_impossible_size_is_refused_at_once(shard_size: float) -> None:
    with pytest.raises(ValueError, match=rf"^shard_size must .*, got {re.escape(str(shard_size))}$"):
        sam.build("sam", zeros(2), torch.optim.SGD, lr=0.1, shard_size=shard_size)
