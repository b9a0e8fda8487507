"""Masks over all parameters at once: 1 where a coordinate is perturbed, else 0.

A mask is a list of tensors parallel to the parameters; what is chosen is chosen among all their N coordinates together.
Numbers of ones are exact, ties included. Random choices are functions of a seed and a step.
"""

import hashlib
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sam import _foreach
from sam._memory import Memory, PerParameter


def live_count(n: int, sparsity: float) -> int:
    """Ones in a mask of n coordinates: n (1 - sparsity), rounded half up, at least 1."""
    return max(1, math.floor(n * (1 - sparsity) + 0.5))


def is_due(last_epoch: int | None, epoch: int, every: int) -> bool:
    """Whether a mask last made in one epoch (None: never) is to be made anew in another: every so many epochs."""
    return last_epoch is None or epoch // every > last_epoch // every


def kept_or_renewed(
    memory: Memory,
    *,
    epoch: int,
    every: int,
    params: list[Tensor],
    renew: Callable[[PerParameter, list[Tensor]], Tensor],
) -> PerParameter:
    """The mask of a step, by parameter: the one in memory, or where it is due the next, which is put there.

    `renew` is given the last mask, empty at first, and the parameters; it returns a mask vector over them.
    """
    mask = memory.tensors("mask")
    if is_due(memory.number("mask_epoch"), epoch, every):
        mask = dict(zip(params, unflatten(renew(mask, params), params), strict=True))
        memory.write("mask", mask, regardless=True)
        memory.write("mask_epoch", epoch)
    return mask


def drop_fraction(drop_rate: float, fraction: float) -> float:
    """How much of a mask is exchanged after a fraction of the run: falls from the rate to 0 by a cosine."""
    return drop_rate / 2 * (1 + math.cos(math.pi * fraction))


def generator_of(seed: int, step: int, device: torch.device) -> torch.Generator:
    """Random numbers that depend on these two alone."""
    # Hashed: the CPU's generator looks at 32 bits of a seed only, and neighbours must not give related numbers.
    digest = hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest))


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """All coordinates as one vector, on the first tensor's device, at least float32."""
    device = tensors[0].device
    wide = torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32
    return torch.cat([t.detach().reshape(-1).to(device, wide) for t in tensors])


def unflatten(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """A vector cut up into tensors of the shapes, layouts and devices of others, of the types they compute in.

    Views of the vector where all of them can be: one that is not would keep the vector beside the copies.
    """
    parts = vector.split([t.numel() for t in like])
    views = [part.view(t.shape) for part, t in zip(parts, like, strict=True)]
    kinds = [_foreach.computing_type(t) for t in like]
    if all(
        (view.dtype, view.device, view.stride()) == (dtype, t.device, t.stride())
        for view, dtype, t in zip(views, kinds, like, strict=True)
    ):
        return views
    return [
        torch.empty_like(t, dtype=dtype, requires_grad=False).copy_(view)
        for view, dtype, t in zip(views, kinds, like, strict=True)
    ]


def top(scores: Tensor, count: int) -> Tensor:
    """A mask vector with ones at the `count` largest scores."""
    places = scores.topk(count, sorted=False).indices
    return torch.zeros_like(scores).index_fill_(0, places, 1.0)


def random(n: int, count: int, generator: torch.Generator) -> Tensor:
    """A mask vector of n with `count` ones anywhere."""
    scores = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
    return top(scores, count)


def exchanged(mask: Tensor, magnitude: Tensor, *, drop: int, grow: int, generator: torch.Generator) -> Tensor:
    """The mask with `drop` ones fewer, at the smallest magnitudes, and `grow` more at random places that were zero."""
    live = mask > 0
    dropped = torch.where(live, magnitude, math.inf).topk(drop, largest=False, sorted=False).indices
    chances = torch.rand(mask.shape, generator=generator, device=mask.device, dtype=torch.float64)
    grown = torch.where(live, -1.0, chances).topk(grow, sorted=False).indices
    return mask.index_fill(0, dropped, 0.0).index_fill_(0, grown, 1.0)
