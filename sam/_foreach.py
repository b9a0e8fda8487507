"""Arithmetic on whole lists of tensors: every private torch function the package uses is called here.

torch's `_foreach_*` run a list in a few kernels where its tensors share a device and a dtype, so lists come
here already split that way (`split`); sums over several lists go through `total_norm`. Nothing here waits for
a device.
"""
# pyright: reportPrivateImportUsage=false
# (torch exports no _foreach_ name; this file is where the package uses them)

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype

#: Floating-point types too narrow to sum squares in: norms and perturbations of these are computed in
#: float32.
_NARROW = (torch.float16, torch.bfloat16)
#: Integer of the same width, by size in bytes, to multiply a bit pattern by 0 or 1.
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def by_type(first: list[Tensor], *others: list[Tensor]) -> list[list[list[Tensor]]]:
    """Split parallel lists so that each part has one device and dtype, those of the tensors in the first."""
    if not first:
        return []
    parts = _group_tensors_by_device_and_dtype([list(ts) for ts in (first, *others)])
    return [[[t for t in ts if t is not None] for ts in lists] for lists, _ in parts.values()]


def stored_values(t: Tensor) -> Tensor:
    """The tensor, or of a sparse one the values it stores, sharing their memory."""
    return t._values() if t.is_sparse else t


def widened(tensors: list[Tensor]) -> list[Tensor]:
    """The same list, or float32 copies where the type is too narrow to compute in."""
    if tensors[0].dtype not in _NARROW:
        return tensors
    wide = [torch.empty_like(t, dtype=torch.float32) for t in tensors]
    torch._foreach_copy_(wide, tensors)
    return wide


def total_norm(lists: Sequence[list[Tensor]], order: float) -> Tensor:
    """The `order`-norm of all lists taken as one vector, a scalar on the first list's device; nan and inf
    pass through.

    Computed in float32, or float64 for float64. An order-2 norm on the CPU that leaves float32's range is
    taken again in float64.
    """
    norms = [n for ts in lists for n in torch._foreach_norm(ts, order, dtype=_norm_dtype(ts))]
    if not norms:
        return torch.zeros(())
    device = norms[0].device
    stacked = torch.stack([n if n.device == device else n.to(device, non_blocking=True) for n in norms])
    total = torch.linalg.vector_norm(stacked, order)
    if order == 2 and device.type == "cpu" and total.dtype == torch.float32:
        value = total.item()
        if not _SAFE_LOW < value < _SAFE_HIGH:
            norms = [n for ts in lists for n in torch._foreach_norm(ts, 2, dtype=torch.float64)]
            total = torch.linalg.vector_norm(torch.stack([n.to(device) for n in norms]), 2)
    return total


#: Between these a float32 norm lost no square to underflow or overflow that matters (float32 squares: 1e-38
#: to 3e38).
_SAFE_LOW, _SAFE_HIGH = 1e-15, 1e18


def _norm_dtype(tensors: list[Tensor]) -> torch.dtype | None:
    return torch.float32 if tensors[0].dtype in _NARROW else None


def all_finite(lists: Sequence[list[Tensor]]) -> Tensor:
    """Whether every number is finite: a boolean scalar on the first list's device."""
    if not lists:
        return torch.ones((), dtype=torch.bool)
    # The CPU's order-2 norm is twenty times as fast as its order-inf norm, which overflows nowhere.
    order = 2 if lists[0][0].device.type == "cpu" else math.inf
    return torch.isfinite(total_norm(lists, order))


def absolute(tensors: list[Tensor]) -> list[Tensor]:
    """|t|, newly allocated."""
    return list(torch._foreach_abs(tensors))


def sign(tensors: list[Tensor]) -> list[Tensor]:
    """-1, 0 or 1, newly allocated."""
    return list(torch._foreach_sign(tensors))


def product(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
    """a times b elementwise, newly allocated."""
    return list(torch._foreach_mul(a, b))


def multiply_(a: list[Tensor], b: list[Tensor]) -> None:
    """a times b elementwise, written into a."""
    torch._foreach_mul_(a, b)


def scale_(tensors: list[Tensor], scale: Tensor) -> None:
    """Multiply by a scalar tensor, in place."""
    torch._foreach_mul_(tensors, scale.to(tensors[0].device))


def power_(tensors: list[Tensor], exponent: float) -> None:
    """Raise to a power, in place."""
    torch._foreach_pow_(tensors, exponent)


def add_(tensors: list[Tensor], number: float) -> None:
    """Add one number to every element, in place."""
    torch._foreach_add_(tensors, number)


def total_max(lists: Sequence[list[Tensor]]) -> Tensor:
    """The largest element of all lists, a scalar on the first list's device; nan passes through."""
    maxima = [m for ts in lists for m in torch._foreach_max(ts)]
    return torch.stack([m.to(maxima[0].device) for m in maxima]).max()


def add_scaled_(w: list[Tensor], direction: list[Tensor], scale: Tensor) -> None:
    """w += scale · direction, in place; `scale` is a scalar tensor. The direction is left alone."""
    if w[0].device.type == "cpu" and w[0].dtype == direction[0].dtype:
        # One pass and no temporary; on other devices a scalar operand would mean one kernel per tensor.
        torch._foreach_addcmul_(w, direction, [scale.to(w[0].dtype)] * len(w))
    else:
        torch._foreach_add_(w, list(torch._foreach_mul(direction, scale.to(w[0].device))))


def copy_(to: list[Tensor], of: list[Tensor]) -> None:
    """Copy bit for bit, in place."""
    if to:
        torch._foreach_copy_(to, of)


def zero_(tensors: list[Tensor]) -> None:
    """Set to zero in place, whatever was there."""
    torch._foreach_zero_(tensors)


def keep_if_(tensors: list[Tensor], keep: Tensor) -> None:
    """Leave every bit alone where the boolean scalar `keep` is true, else set all to zero, nan included; no
    host sync.

    nan times 0 is nan, so the bit patterns are multiplied, as integers.
    """
    integer = _BITS[tensors[0].element_size()]
    torch._foreach_mul_([t.view(integer) for t in tensors], keep.to(tensors[0].device, dtype=integer))
