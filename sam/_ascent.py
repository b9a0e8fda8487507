"""Directions of ascent and their lengths: the arithmetic that the variants share.

Nothing here is written in place unless its name ends in an underscore, and nothing waits for a device other than the
CPU, where a number costs nothing to read.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sam import _foreach
from sam._weights import Block, Shift


def along_gradient(blocks: Sequence[Block]) -> tuple[list[Shift], Tensor]:
    """SAM's ε = ρ g/‖g‖₂, and ‖g‖₂."""
    return ascent(blocks, gradients(blocks))


def ascent(
    blocks: Sequence[Block], direction: Sequence[list[Tensor]], mask: Sequence[list[Tensor]] | None = None
) -> tuple[list[Shift], Tensor]:
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


def safe_quotient(number: float, divisor: Tensor, dtype: torch.dtype) -> float | Tensor:
    """number / divisor, and 0 where the divisor is 0, not finite, or too small for the type.

    A number too large for the type gives inf, which the perturbed gradient then shows: it is not passed over. A float
    where the divisor is on the CPU, else a scalar tensor.
    """
    if divisor.device.type != "cpu":
        usable = torch.isfinite((1 / divisor).to(dtype)) & torch.isfinite(divisor)
        return torch.where(usable, (number / divisor).to(dtype), 0.0)
    value, largest = divisor.item(), torch.finfo(dtype).max
    if value == 0 or not math.isfinite(value) or 1 / abs(value) > largest:
        return 0.0
    quotient = number / value
    return quotient if abs(quotient) <= largest else math.copysign(math.inf, quotient)
