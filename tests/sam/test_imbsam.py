"""ImbSAM: which classes are tail, and that only they are perturbed for."""

import re

import pytest
import torch
from torch import Tensor

import sam
from tests.sam import reference
from tests.sam.reference.lockstep import (
    SGD,
    Minibatch,
    Problem,
    each_grouping,
    fifty_steps_agree,
)

#: Class 2 is tail at the default: fewer than the median.
COUNTS = [50, 40, 3]


def imbalanced(problem: Problem, rho: list[float], **options: object) -> sam.SamOptimizer:
    optimizer = problem.optimizer("imbsam", rho, **options)
    optimizer.plan(class_counts=COUNTS)
    return optimizer


def with_labels(problem: Problem, labels: list[int], step: int = 0) -> Minibatch:
    minibatch = problem.minibatch(step, len(labels))
    minibatch.y = torch.tensor(labels)
    return minibatch


def forwards(minibatch: Minibatch) -> list[int]:
    """The samples of each forward pass."""
    return [len(call.samples) for call in minibatch.calls]


def plain_step(problem: Problem, minibatch: Minibatch) -> list[Tensor]:
    """Where SGD alone goes."""
    optimizer = torch.optim.SGD(problem.params, **SGD)
    optimizer.zero_grad()
    minibatch.closure()
    optimizer.step()
    return [p.detach().clone() for p in problem.params]


@pytest.mark.parametrize("tail_weight", [1.0, 2.0, 0.5])
@each_grouping
def test_fifty_steps_are_those_of_the_paper(rho: list[float], tail_weight: float) -> None:
    """Four samples a batch: some batches have no tail, some nothing else."""
    problem = Problem(samples=4)
    optimizer = imbalanced(problem, rho, tail_weight=tail_weight)

    fifty_steps_agree(optimizer, problem, reference.ImbSam(rho, tail_weight, {2}))


def test_tail_and_head_take_two_forwards_and_three_backwards() -> None:
    problem = Problem()
    minibatch = with_labels(problem, [0, 2, 1, 2, 0])

    imbalanced(problem, [0.2] * 4).step_on(minibatch)

    assert (len(minibatch.calls), len(minibatch.backwards)) == (2, 3)


def test_a_batch_without_tail_samples_is_a_plain_step_in_one_pass() -> None:
    ours, theirs = Problem(), Problem()
    minibatch = with_labels(ours, [0, 1, 0, 0, 1])

    imbalanced(ours, [0.2] * 4).step_on(minibatch)

    assert (forwards(minibatch), minibatch.backwards) == ([5], [5])
    expected = plain_step(theirs, with_labels(theirs, [0, 1, 0, 0, 1]))
    assert all(torch.equal(a, b) for a, b in zip(ours.params, expected, strict=True))


@pytest.mark.parametrize("tail_weight", [1.0, 2.0])
def test_a_batch_of_nothing_but_tail_is_sam_with_the_tail_weight(tail_weight: float) -> None:
    """The weight is in the loss and not in the length of ε."""
    ours, theirs = Problem(), Problem()
    imbalanced(ours, [0.2] * 4, tail_weight=tail_weight).step_on(with_labels(ours, [2] * 6))

    data = with_labels(theirs, [2] * 6).data()
    g = reference.mean_gradient(data, theirs.start)
    eps = reference.along(g, [0.2] * 4)
    final = [tail_weight * x for x in reference.mean_gradient(data, reference.plus(theirs.start, eps))]
    expected = [w - SGD["lr"] * (x + SGD["weight_decay"] * w) for w, x in zip(theirs.start, final, strict=True)]
    for p, w in zip(ours.params, expected, strict=True):
        torch.testing.assert_close(p.detach(), w, rtol=1e-10, atol=1e-14)


def test_weight_1_and_rho_0_is_the_base_optimizer_in_one_pass() -> None:
    ours, theirs = Problem(), Problem()
    minibatch = with_labels(ours, [0, 2, 1, 2, 0])

    imbalanced(ours, [0.0] * 4, tail_weight=1.0).step_on(minibatch)

    assert (forwards(minibatch), minibatch.backwards) == ([5], [5])
    expected = plain_step(theirs, with_labels(theirs, [0, 2, 1, 2, 0]))
    assert all(torch.equal(a, b) for a, b in zip(ours.params, expected, strict=True))


def test_rho_0_with_another_weight_still_weighs_the_tail() -> None:
    problem = Problem(samples=4)
    optimizer = imbalanced(problem, [0.0] * 4, tail_weight=3.0)

    fifty_steps_agree(optimizer, problem, reference.ImbSam([0.0] * 4, 3.0, {2}))


@pytest.mark.parametrize("tail_weight", [0.5, 3.0])
def test_the_loss_reported_is_the_clean_mean(tail_weight: float) -> None:
    problem = Problem()
    minibatch = with_labels(problem, [0, 2, 1, 2, 0])
    mean = float(minibatch.data().losses(problem.start).mean())

    loss = imbalanced(problem, [0.2] * 4, tail_weight=tail_weight).step_on(minibatch)

    assert float(loss) == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize(
    ("counts", "tail_below", "tail"),
    [
        pytest.param([20, 21, 19], 20, {2}, id="fewer than a count, and not as many"),
        pytest.param([5, 1, 30], 20, {0, 1}, id="a count may make most of them tail"),
        pytest.param([1, 2, 3], 2, {0}, id="a count of two"),
        pytest.param([10, 30, 20], 0.5, {0}, id="fewer than the median, and not the median"),
        pytest.param([30, 10, 10], 0.5, set(), id="the median is the smallest"),
        pytest.param([10, 30, 20], 0.01, {0}, id="a low quantile"),
        pytest.param([10, 30, 20], 0.99, {0, 2}, id="a high quantile"),
        pytest.param([10, 20, 30, 40], 0.5, {0, 1}, id="a median between two counts"),
        pytest.param([10, 20, 30, 40, 50], 0.25, {0}, id="the first quartile"),
        pytest.param([7, 7, 7], 0.5, set(), id="balanced"),
        pytest.param([7, 7, 7], 7, set(), id="balanced, at the count"),
        pytest.param([7, 7, 7], 8, {0, 1, 2}, id="all below the count"),
    ],
)
def test_tail_classes_have_fewer_samples_than_the_threshold(
    counts: list[int], tail_below: float, tail: set[int]
) -> None:
    assert reference.tail_classes(counts, tail_below) == tail
    problem = Problem()
    optimizer = problem.optimizer("imbsam", [0.2] * 4, tail_below=tail_below)
    if not tail:
        with pytest.raises(ValueError, match="tail"):
            optimizer.plan(class_counts=counts)
        return
    optimizer.plan(class_counts=counts)

    found = set()
    for label in range(3):
        minibatch = with_labels(problem, [label] * 3)
        optimizer.step_on(minibatch)
        if len(minibatch.calls) == 2:
            found.add(label)

    assert found == {label for label in tail if label < 3}


@pytest.mark.parametrize("counts", [[10, 0, 10], []], ids=["a tail class without samples", "no class"])
def test_class_counts_that_leave_nothing_to_flatten_are_refused_by_name(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="class_counts must have"):
        Problem().optimizer("imbsam", [0.2] * 4).plan(class_counts=counts)


def test_a_sample_of_an_unknown_class_is_refused_with_the_weights_untouched() -> None:
    problem = Problem()

    with pytest.raises(ValueError, match="class_counts has 3 classes, got a sample of class 3"):
        imbalanced(problem, [0.2] * 4).step_on(with_labels(problem, [3, 0]))

    assert all(torch.equal(a, b) for a, b in zip(problem.params, problem.start, strict=True))


def test_the_class_counts_are_asked_for_by_name() -> None:
    problem = Problem()
    optimizer = problem.optimizer("imbsam", [0.2] * 4)

    with pytest.raises(RuntimeError, match="class_counts"):
        optimizer.step_on(problem.minibatch(0))


def test_a_batch_without_classes_is_refused() -> None:
    problem = Problem()
    minibatch = problem.minibatch(0)
    minibatch.y = torch.zeros(len(minibatch))

    with pytest.raises(TypeError, match="the batch has no labels"):
        imbalanced(problem, [0.2] * 4).step_on(minibatch)


def test_closures_are_refused_with_the_way_to_go() -> None:
    problem = Problem()
    before = [p.detach().clone() for p in problem.params]

    with pytest.raises(TypeError, match=r"step_on"):
        imbalanced(problem, [0.2] * 4).step(problem.minibatch(0).closure)

    assert all(torch.equal(a, b) for a, b in zip(before, problem.params, strict=True))


def test_closures_do_where_the_step_is_the_base_optimizers() -> None:
    ours, theirs = Problem(), Problem()

    imbalanced(ours, [0.0] * 4, tail_weight=1.0).step(ours.minibatch(0).closure)

    expected = plain_step(theirs, theirs.minibatch(0))
    assert all(torch.equal(a, b) for a, b in zip(ours.params, expected, strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"tail_below": 0.0},
        {"tail_below": -3},
        {"tail_below": float("nan")},
        {"tail_weight": -1.0},
        {"tail_weight": float("inf")},
    ],
)
def test_an_impossible_option_is_refused_at_once(options: dict[str, float]) -> None:
    [(name, value)] = options.items()

    with pytest.raises(ValueError, match=rf"^{name} must .*, got {re.escape(str(value))}$"):
        Problem().optimizer("imbsam", [0.2] * 4, **options)
