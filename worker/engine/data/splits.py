"""Splitting samples so that every part has each class in the same proportion."""

import torch
from torch import Tensor


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
    sizes = torch.bincount(labels)
    quotas = _quotas(sizes, count)
    # Shuffle, bring the classes together, and number each class's samples: those below its quota are drawn.
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[torch.argsort(labels[shuffled], stable=True)]
    rank = torch.arange(len(labels)) - (torch.cumsum(sizes, 0) - sizes)[labels[by_class]]
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    drawn[by_class] = rank < quotas[labels[by_class]]
    return torch.nonzero(~drawn).flatten(), torch.nonzero(drawn).flatten()


def _quotas(sizes: Tensor, count: int) -> Tensor:
    """How many to draw of each class: proportional, rounded down, the rest to the largest remainders."""
    total = int(sizes.sum())
    scaled = sizes * count
    quotas = scaled // max(total, 1)
    remainders = scaled - quotas * total
    largest = torch.argsort(remainders, descending=True, stable=True)[: count - int(quotas.sum())]
    quotas[largest] += 1
    return quotas
