"""Directions of ascent and their lengths: the arithmetic that the variants share.

Nothing here is written in place unless its name ends in an underscore, and nothing waits for a device other than the
CPU, where a number costs nothing to read.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sam import _foreach
from sam._foreach import Scalar
from sam._weights import Block, Shift


def along_gradient(blocks: Sequence[Block]) -> tuple[list[Shift], Scalar]:
    """SAM's ε = ρ g/‖g‖₂, and ‖g‖₂."""
    return ascent(blocks, gradients(blocks))


def ascent(
    blocks: Sequence[Block], direction: Sequence[list[Tensor]], mask: Sequence[list[Tensor]] | None = None
) -> tuple[list[Shift], Scalar]:
    """ε = ρ d/‖d‖₂ (times the mask), and ‖d‖₂ over all blocks, which is finite where every d is.

    d = 0 gives ε = 0. A group with ρ = 0 is counted in the norm and stays put.
    """
    norm = _foreach.total_norm(direction, 2)
    masks = [None] * len(blocks) if mask is None else mask
    shifts = [
        Shift(block.w, d, safe_quotient(block.rho, norm, d[0].dtype), m)
        for block, d, m in zip(blocks, direction, masks, strict=True)
        if block.rho != 0
    ]
    return shifts, norm


def gradients(blocks: Sequence[Block]) -> list[list[Tensor]]:
    """The gradients themselves; of half-precision parameters float32 copies."""
    return [_foreach.widened(block.g) for block in blocks]


def safe_quotient(number: float, divisor: Scalar, dtype: torch.dtype) -> Scalar:
    """number / divisor, and 0 where the divisor is 0, not finite, or too small for the type.

    A number too large for the type gives inf, which the perturbed gradient then shows: it is not passed over.
    """
    if isinstance(divisor, Tensor):
        usable = torch.isfinite((1 / divisor).to(dtype)) & torch.isfinite(divisor)
        return torch.where(usable, (number / divisor).to(dtype), 0.0)
    largest = torch.finfo(dtype).max
    if divisor == 0 or not math.isfinite(divisor) or 1 / divisor > largest:
        return 0.0
    quotient = number / divisor
    return quotient if abs(quotient) <= largest else math.copysign(math.inf, quotient)
