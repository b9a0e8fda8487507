"""Data parallelism: what enters the update has to be the same on every rank.

A gradient that only makes ε may stay on its rank (m-sharpness). One that is added to the update, or decides which
weights are perturbed, is averaged here: the same numbers again where the backward pass has done it already.
"""

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
