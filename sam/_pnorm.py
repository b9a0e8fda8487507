"""The perturbation of a given length, in any p-norm, along which the loss rises most.

    h = T g      u = sign(h) |h|^(q-1) / ‖h‖_q^(q-1)      ε = ρ T u          1/p + 1/q = 1

h is divided by max|h| before the power, which changes nothing but overflow; then ‖u‖_p is the divisor.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sam import _foreach
from sam._ascent import gradients, safe_quotient
from sam._foreach import Scalar
from sam._weights import Block, Shift


def perturbation(blocks: Sequence[Block], p: float) -> tuple[list[Shift], Scalar]:
    """ε for blocks that share one p-norm, and a number that is finite where every gradient is.

    No gradient is written in place. A zero gradient gives ε = 0. A gradient that is not finite gives an ε that is
    not either, at some coordinates, and a norm that says so.
    """
    if not blocks:
        return [], 0.0
    g = gradients(blocks)
    t = [adaptive_scale(b.w, b.group["eta"]) if b.group["adaptive"] else None for b in blocks]
    h = [g_i if t_i is None else _foreach.product(t_i, g_i) for t_i, g_i in zip(t, g, strict=True)]
    v, divisor = steepest(h, p)
    norm = divisor if p == 2 else _foreach.total_norm(h, 2)

    shifts: list[Shift] = []
    for block, t_i, v_i in zip(blocks, t, v, strict=True):
        if block.rho == 0:
            continue
        shifts.append(Shift(block.w, v_i, safe_quotient(block.rho, divisor, v_i[0].dtype), t_i))
    return shifts, norm


def adaptive_scale(w: list[Tensor], eta: float) -> list[Tensor]:
    """T = |w| + η, newly allocated, at least float32."""
    t = _foreach.absolute(_foreach.widened(w))
    _foreach.add_(t, eta)
    return t


def steepest(h: Sequence[list[Tensor]], p: float) -> tuple[Sequence[list[Tensor]], Scalar]:
    """The direction of steepest ascent in the p-norm, as v and a number n: u = v / n, ‖u‖_p = 1.

    For h = 0 both are 0, or v alone. v may be h itself; h is not written.
    """
    if p == 2:
        return h, _foreach.total_norm(h, 2)
    if p == math.inf:
        return [_foreach.sign(ts) for ts in h], 1.0
    if p == 1:
        return largest_coordinate(h), 1.0
    v = [_foreach.absolute(ts) for ts in h]
    per_max = safe_quotient(1.0, _foreach.total_max(v), h[0][0].dtype)
    for v_i, h_i in zip(v, h, strict=True):
        _foreach.scale_(v_i, per_max)
        _foreach.power_(v_i, 1 / (p - 1))  # q - 1
        _foreach.multiply_(v_i, _foreach.sign(h_i))
    return v, _foreach.total_norm(v, p)


def largest_coordinate(h: Sequence[list[Tensor]]) -> list[list[Tensor]]:
    """sign(h) at the coordinate with the largest |h| (the first of equals), 0 elsewhere; no host sync."""
    flats = [torch.cat([t.reshape(-1) for t in ts]) for ts in h]
    places = [flat.abs().argmax().view(1) for flat in flats]
    peaks = [flat.gather(0, place) for flat, place in zip(flats, places, strict=True)]
    winner = torch.cat([peak.abs().to(peaks[0].device) for peak in peaks]).argmax()
    v: list[list[Tensor]] = []
    for i, (ts, flat, place, peak) in enumerate(zip(h, flats, places, peaks, strict=True)):
        unit = torch.zeros_like(flat).scatter_(0, place, peak.sign() * (winner == i).to(peak.device))
        parts = unit.split([t.numel() for t in ts])
        v.append([part.view(t.shape) for part, t in zip(parts, ts, strict=True)])
    return v
