"""Splitting samples so that every part has each class in the same proportion."""

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from worker.engine.data.dataset import Samples
from worker.engine.randomness import generator_for

#: How much of a set without a test part of its own is one, the same in every job.
TEST_FRACTION: Final = 0.2
_TEST_SEED: Final = 0


def with_test_part(name: str, samples: Samples) -> tuple[Samples, Samples]:
    """Split the fixed test part off a set of at least two samples that has none of its own.

    Args:
        name: the dataset's; with it alone the choice is made.
        samples: all there are.

    Returns:
        The training set and the test part.
    """
    count = max(1, round(TEST_FRACTION * len(samples)))
    return split_off(samples, count, generator_for(_TEST_SEED, f"{name}: test part"))


def split_off(samples: Samples, count: int, generator: torch.Generator) -> tuple[Samples, Samples]:
    """The samples without `count` of them, and these: each class in proportion, or of values any."""
    targets = samples.targets
    strata = torch.zeros(len(targets), dtype=torch.int64) if targets.is_floating_point() else targets
    rest, drawn = stratified(strata, count, generator)
    return chosen(samples, rest), chosen(samples, drawn)


def chosen(samples: Samples, index: Tensor) -> Samples:
    """Some of the samples, by their numbers, int64 on the CPU; their inputs stay where they are."""
    rows = index if samples.rows is None else samples.rows[index]
    return replace(samples, targets=samples.targets[index], rows=rows)


def stratified(labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw `count` samples, each class in proportion to its size, to within one sample.

    Args:
        labels: int64 [N], on the CPU.
        count: how many to draw, 0 to N; exactly so many are drawn.
        generator: decides which of a class's samples are drawn; not how many.

    Returns:
        The indices of the samples that were not drawn and of those that were, each in ascending order.
    """
    if not 0 <= count <= len(labels):
        raise ValueError(f"count is {count}; give 0 to {len(labels)}, the number of samples")
    drawn = drawn_by_class(labels, _quotas(torch.bincount(labels), count), generator)
    return torch.nonzero(~drawn).flatten(), torch.nonzero(drawn).flatten()


def drawn_by_class(labels: Tensor, quotas: Tensor, generator: torch.Generator) -> Tensor:
    """Draw so many samples of each class, or all it has: bool [N], true where drawn.

    Args:
        labels: int64 [N], on the CPU.
        quotas: int64 [classes].
        generator: decides which.
    """
    sizes = torch.bincount(labels, minlength=len(quotas))
    # Shuffle, bring the classes together, and number each class's samples: those below its quota are drawn.
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[torch.argsort(labels[shuffled], stable=True)]
    rank = torch.arange(len(labels)) - (torch.cumsum(sizes, 0) - sizes)[labels[by_class]]
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    drawn[by_class] = rank < quotas[labels[by_class]]
    return drawn


def _quotas(sizes: Tensor, count: int) -> Tensor:
    """How many to draw of each class: proportional, rounded down, the rest to the largest remainders."""
    total = int(sizes.sum())
    scaled = sizes * count
    quotas = scaled // max(total, 1)
    remainders = scaled - quotas * total
    largest = torch.argsort(remainders, descending=True, stable=True)[: count - int(quotas.sum())]
    quotas[largest] += 1
    return quotas
