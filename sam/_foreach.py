"""Arithmetic on whole lists of tensors: every private torch function the package uses is called here.

torch's `_foreach_*` run a list in a few kernels where its tensors share a device and a dtype, so lists come
here already split that way (`by_type`); sums over several lists go through `total_norm`. Nothing but `is_finite`
waits for a device other than the CPU.
"""
# pyright: reportPrivateImportUsage=false
# (torch exports no _foreach_ name; this file is where the package uses them)

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor

#: A number that was computed on a device and stays there, so that nothing waits for it; on the CPU a float.
Scalar: TypeAlias = float | Tensor
#: Floating-point types too narrow to sum squares in: norms and perturbations of these are computed in
#: float32.
_NARROW = (torch.float16, torch.bfloat16)
#: Integer of the same width, by size in bytes, to multiply a bit pattern by 0 or 1.
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@contextmanager
def versions_kept(tensors: list[Tensor]) -> Iterator[None]:
    """Inside, writing to these does not count as a change for autograd. They have to be put back to the bit."""
    with torch.autograd._unsafe_preserve_version_counter(tuple(tensors)):
        yield


def by_type(first: list[Tensor], *others: list[Tensor]) -> list[list[list[Tensor]]]:
    """Split parallel lists so that each part has one device and dtype, those of the tensors in the first."""
    if not first:
        return []
    nested: list[list[Tensor | None]] = [[*ts] for ts in (first, *others)]
    parts = torch._C._group_tensors_by_device_and_dtype(nested, False)
    return [[[t for t in ts if t is not None] for ts in lists] for lists, _ in parts.values()]


def stored_values(t: Tensor) -> Tensor:
    """The tensor, or of a sparse one the values it stores, sharing their memory."""
    return t._values() if t.is_sparse else t


def computing_type(t: Tensor) -> torch.dtype:
    """The type a tensor's values are computed in."""
    return torch.float32 if t.dtype in _NARROW else t.dtype


def widened(tensors: list[Tensor]) -> list[Tensor]:
    """The same list, or float32 copies where the type is too narrow to compute in."""
    if tensors[0].dtype not in _NARROW:
        return tensors
    wide = [torch.empty_like(t, dtype=torch.float32) for t in tensors]
    torch._foreach_copy_(wide, tensors)
    return wide


def total_norm(lists: Sequence[list[Tensor]], order: float) -> Scalar:
    """The `order`-norm of all lists taken as one vector; nan and inf pass through.

    Computed in float32, or float64 for float64. An order-2 norm on the CPU that leaves float32's range is
    taken again in float64.
    """
    norms = [n for ts in lists for n in torch._foreach_norm(ts, order, dtype=_norm_dtype(ts))]
    if not norms:
        return 0.0
    if order == 2 and all(ts[0].is_cpu for ts in lists):
        value = math.hypot(*[n.item() for n in norms])
        if not _SAFE_LOW < value < _SAFE_HIGH:
            value = math.hypot(*[n.item() for ts in lists for n in torch._foreach_norm(ts, 2, dtype=torch.float64)])
        return value
    device = norms[0].device
    stacked = torch.stack([n if n.device == device else n.to(device, non_blocking=True) for n in norms])
    return number(torch.linalg.vector_norm(stacked, order))


#: Between these a float32 norm lost no square to underflow or overflow that matters (float32 squares: 1e-38
#: to 3e38).
_SAFE_LOW, _SAFE_HIGH = 1e-15, 1e18


def _norm_dtype(tensors: list[Tensor]) -> torch.dtype | None:
    return torch.float32 if tensors[0].dtype in _NARROW else None


def finiteness(lists: Sequence[list[Tensor]]) -> Scalar:
    """A number that is finite exactly where all of these are. Nothing is written: gradients may be expanded views."""
    # The CPU's order-2 norm is twenty times as fast as its order-inf norm, which overflows nowhere.
    order = 2 if not lists or lists[0][0].is_cpu else math.inf
    return total_norm(lists, order)


def is_finite(scalar: Scalar) -> bool:
    """Whether a number is finite. Waits for its device."""
    return math.isfinite(scalar)


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


def lerp(a: list[Tensor], b: list[Tensor], weight: float) -> list[Tensor]:
    """a + weight · (b - a) elementwise, newly allocated."""
    return list(torch._foreach_lerp(a, b, weight))


def scaled(tensors: list[Tensor], scale: float) -> list[Tensor]:
    """scale · t elementwise, newly allocated."""
    return list(torch._foreach_mul(tensors, scale))


def plus_scaled(a: list[Tensor], b: list[Tensor], scale: Scalar) -> list[Tensor]:
    """a + scale · b elementwise, newly allocated."""
    if not isinstance(scale, Tensor):
        return list(torch._foreach_add(a, b, alpha=scale))
    total = list(torch._foreach_mul(b, scale.to(b[0].device)))
    torch._foreach_add_(total, a)
    return total


def add_squares_(total: list[Tensor], a: list[Tensor]) -> None:
    """total += a² elementwise, in place."""
    torch._foreach_addcmul_(total, a, a)


def scale_(tensors: list[Tensor], scale: Scalar) -> None:
    """Multiply by a number or a scalar tensor, in place."""
    torch._foreach_mul_(tensors, scale.to(tensors[0].device) if isinstance(scale, Tensor) else scale)


def power_(tensors: list[Tensor], exponent: float) -> None:
    """Raise to a power, in place."""
    torch._foreach_pow_(tensors, exponent)


def add_(tensors: list[Tensor], number: float) -> None:
    """Add one number to every element, in place."""
    torch._foreach_add_(tensors, number)


def number(scalar: Tensor) -> Scalar:
    """A scalar tensor as a float where it is on the CPU, where reading it costs nothing; else itself."""
    return scalar.item() if scalar.device.type == "cpu" else scalar


def total_max(lists: Sequence[list[Tensor]]) -> Scalar:
    """The largest element of all lists; nan passes through."""
    maxima = [m for ts in lists for m in torch._foreach_max(ts)]
    return number(torch.stack([m.to(maxima[0].device) for m in maxima]).max())


def add_scaled_(w: list[Tensor], direction: list[Tensor], scale: Scalar, mask: list[Tensor] | None = None) -> None:
    """w += scale · direction (· mask), in place; `scale` is a number or a scalar tensor."""
    if isinstance(scale, Tensor) or w[0].dtype != direction[0].dtype:
        factor = scale.to(w[0].device) if isinstance(scale, Tensor) else scale
        step = list(torch._foreach_mul(direction, factor))
        if mask is not None:
            torch._foreach_mul_(step, mask)
        torch._foreach_add_(w, step)
    elif mask is None:
        torch._foreach_add_(w, direction, alpha=scale)  # one pass and no temporary
    else:
        torch._foreach_addcmul_(w, direction, mask, value=scale)


def dot(a: Sequence[list[Tensor]], b: Sequence[list[Tensor]]) -> Scalar:
    """The scalar product of parallel lists, each taken as one vector."""
    parts: list[Tensor] = []
    for a_i, b_i in zip(a, b, strict=True):
        if a_i[0].device.type == "cpu":
            parts += [torch.dot(*_flat(x, y)) for x, y in zip(a_i, b_i, strict=True)]  # no temporary
        else:
            # Σx = 2 Σ max(x, 0) - Σ|x|, in a few kernels for the whole list; torch has no sum of a list.
            products = list(torch._foreach_mul(a_i, b_i))
            everything = torch.stack(list(torch._foreach_norm(products, 1))).sum()
            torch._foreach_clamp_min_(products, 0)
            parts.append(2 * torch.stack(list(torch._foreach_norm(products, 1))).sum() - everything)
    if not parts:
        return 0.0
    return number(torch.stack([part.to(parts[0].device) for part in parts]).sum())


def _flat(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors of one shape as vectors in the same order: views where both are laid out alike without gaps."""
    if not (a.is_contiguous() and b.is_contiguous()):
        last = torch.channels_last
        if a.dim() == 4 and a.is_contiguous(memory_format=last) and b.is_contiguous(memory_format=last):
            a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)
    return a.reshape(-1), b.reshape(-1)


def copy_(to: list[Tensor], of: list[Tensor]) -> None:
    """Copy bit for bit, in place."""
    if to:
        torch._foreach_copy_(to, of)


def zero_(tensors: list[Tensor]) -> None:
    """Set to zero in place, whatever was there."""
    torch._foreach_zero_(tensors)


def keep_if_(tensors: list[Tensor], keep: Tensor, instead: list[Tensor] | None = None) -> None:
    """Leave every bit alone where the boolean scalar `keep` is true, else write the other list's, or zeros; no host
    sync.

    nan times 0 is nan, so the bit patterns are multiplied, as integers.
    """
    integer = _BITS[tensors[0].element_size()]
    factor = keep.to(tensors[0].device, dtype=integer)
    bits = [t.view(integer) for t in tensors]
    others = None if instead is None else list(torch._foreach_mul([t.view(integer) for t in instead], 1 - factor))
    torch._foreach_mul_(bits, factor)
    if others is not None:
        torch._foreach_add_(bits, others)
