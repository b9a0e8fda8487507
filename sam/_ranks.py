"""Data parallelism: what enters the update has to be the same on every rank.

A gradient that only makes ε may stay on its rank (m-sharpness). One that is added to the update, or decides which
weights are perturbed, is averaged here: the same numbers again where the backward pass has done it already.
"""

import math
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def count() -> int:
    """Processes in the default group; 1 without one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def average_(lists: Sequence[list[Tensor]]) -> None:
    """Average over all ranks, in place. Every rank has to call it with tensors of the same shapes in the same order."""
    ranks = count()
    if ranks == 1:
        return
    for tensors in lists:
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= ranks
        for t, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            t.copy_(part.view_as(t))


def chosen_by_all(scores: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """The given fraction of all ranks' samples, those with the highest scores, at least one of them.

    Args:
        scores: of this rank's samples, [n]. Where n differs from rank to rank a rank's losses and scores come
            multiplied by n over the mean of all n, so that the mean over the ranks of its means is that of all samples.

    Returns:
        Which of this rank's samples they are, int64 [m] with m >= 1, and what each of their losses counts, [m], so that
        the mean over the ranks of the sums of weighted losses is the mean loss of the chosen ones. A rank's last sample
        is always there, counting nothing where it is not chosen: of every batch the ranks share one pass.
    """
    ranks, mine = count(), len(scores)
    if ranks == 1:
        part = scores.topk(_share_of(mine, fraction)).indices
        return part, scores.new_full((len(part),), 1 / len(part))
    sizes = [torch.zeros((), dtype=torch.int64, device=scores.device) for _ in range(ranks)]
    dist.all_gather(sizes, torch.tensor(mine, device=scores.device))
    longest = int(max(sizes))
    samples = int(sum(sizes))
    came_times = mine * ranks / samples
    padded = scores.new_full((longest,), -torch.inf)
    padded[:mine] = scores / came_times
    everyones = [torch.empty_like(padded) for _ in range(ranks)]
    dist.all_gather(everyones, padded)
    total = _share_of(samples, fraction)
    best = torch.cat(everyones).topk(total).indices
    part = best[best // longest == dist.get_rank()] % longest
    weights = scores.new_full((len(part),), ranks / total / came_times)
    if mine - 1 not in part:
        part = torch.cat([part, part.new_full((1,), mine - 1)])
        weights = torch.cat([weights, weights.new_zeros(1)])
    return part, weights


def _share_of(samples: int, fraction: float) -> int:
    return max(1, math.floor(fraction * samples + 0.5))
