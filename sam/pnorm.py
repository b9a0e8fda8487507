"""SAM: step with the gradient at the worst point of a ball around w, measured in any p-norm.

    T   = |w| + η  where adaptive (ASAM), else 1             elementwise
    h   = T g                                                g = ∇L(w), the clean gradient
    u   = sign(h) |h|^(q-1) / ‖h‖_q^(q-1)                    1/p + 1/q = 1, so that ‖u‖_p = 1
    ε   = ρ T u                                              Hölder with equality: ε·g = ρ ‖T g‖_q
    w'  = base(w, ∇L(w + ε))

    p = 2    ε = ρ T² g / ‖T g‖₂
    p = ∞    ε = ρ T sign(g)
    p = 1    all of ρ T on the one coordinate with the largest |T g|

Norms run over every parameter with a gradient, whatever group it is in; a group with ρ = 0 is counted and stays
put. On a GPU the 2-norm is a float32 sum of squares: beyond 1e19 it counts as not finite, below 1e-22 as zero.

Source: Foret et al., "Sharpness-Aware Minimization", ICLR 2021, eq. 2 (https://arxiv.org/abs/2010.01412); T:
Kwon et al., "ASAM", ICML 2021, eq. 8 (https://arxiv.org/abs/2102.11600).
Differs: h is divided by max|h| before the power, which changes nothing but overflow (then ‖u‖_p is the
divisor); a zero gradient gives ε = 0; ε and norms of half-precision parameters are float32; weight decay is
the base optimizer's alone.
Cost: 2 forwards, 2 backwards; one of each where every ρ is 0. Memory beside the base optimizer: one copy of w
(exact restore). In passing, for p other than 2 or where adaptive: up to three more while ε is computed.
"""

import math
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sam import _foreach
from sam._weights import Block, Shift
from sam.base import BaseOptimizer, Passes, SamOptimizer, check_at_least_zero


@final
class SAM(SamOptimizer):
    """Sharpness-Aware Minimization with a general p-norm; `adaptive=True` is ASAM.

    Args:
        params: parameters or parameter groups; a group may have its own `rho`, `adaptive` and `eta`.
        base_optimizer: a torch optimizer class, such as `torch.optim.SGD`.
        rho: radius of the neighbourhood, >= 0. 0 is the base optimizer, bit for bit and in one pass. Typical:
            0.05 to 0.2; with `adaptive` on every parameter 0.5 to 2.
        p: the norm the radius is measured in, from 1 to `math.inf`. 2 is the paper's SAM.
        adaptive: scale the neighbourhood by T = |w| + eta elementwise, so that it does not depend on how
            layers are scaled.
        eta: added to |w| where adaptive, >= 0.
        model: the module whose buffers (BatchNorm's running statistics) should move in the first pass only.
            Without it they move in both.
        **base_kwargs: options of the base optimizer (`lr`, `momentum`, ...).

    bfloat16 parameters: at rho 0.05 only some 58 % of the weights are moved by ε at all, since 8 bits cannot
    hold w + ε. Keep float32 parameters and use autocast.

    References:
        Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021.
        Kwon et al., ASAM: Adaptive Sharpness-Aware Minimization, ICML 2021.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: BaseOptimizer,
        *,
        rho: float = 0.05,
        p: float = 2.0,
        adaptive: bool = False,
        eta: float = 0.01,
        model: nn.Module | None = None,
        **base_kwargs: object,
    ) -> None:
        if not p >= 1:
            raise ValueError(f"p must be >= 1, got {p}")
        self.p = float(p)
        options = {"rho": rho, "adaptive": adaptive, "eta": eta}
        super().__init__(
            params,
            base_optimizer,
            settings={"p": self.p},
            options=options,
            base_kwargs=base_kwargs,
            model=model,
        )

    def _check_options(self, options: Mapping[str, object]) -> None:
        check_at_least_zero("rho", options["rho"])
        check_at_least_zero("eta", options["eta"])

    def _passes(self) -> Passes:
        start = self._random_state()
        yield None
        if all(group["rho"] == 0 for group in self.param_groups):
            return
        blocks = self._blocks()
        if not blocks:
            return
        shifts, norm = perturbation(blocks, self.p)
        self._gate.watch(torch.isfinite(norm), "clean")
        with self._perturbed(shifts, start):
            yield None


def perturbation(blocks: Sequence[Block], p: float) -> tuple[list[Shift], Tensor]:
    """ε for blocks that share one p-norm, and a scalar that is finite where every gradient is.

    Nothing is written in place. A zero gradient gives ε = 0. A gradient that is not finite gives an ε that is
    not either, at some coordinates, and a norm that says so.
    """
    g = [_foreach.widened(b.g) for b in blocks]
    t = [adaptive_scale(b.w, b.group["eta"]) if b.group["adaptive"] else None for b in blocks]
    h = [g_i if t_i is None else _foreach.product(t_i, g_i) for t_i, g_i in zip(t, g, strict=True)]
    v, divisor = steepest(h, p)
    norm = divisor if p == 2 else _foreach.total_norm(h, 2)

    shifts: list[Shift] = []
    for block, t_i, v_i in zip(blocks, t, v, strict=True):
        if block.group["rho"] == 0:
            continue
        direction = v_i if t_i is None else _foreach.product(t_i, v_i)
        shifts.append(Shift(block.w, direction, safe_quotient(block.group["rho"], divisor, v_i[0].dtype)))
    return shifts, norm


def adaptive_scale(w: list[Tensor], eta: float) -> list[Tensor]:
    """T = |w| + η, newly allocated, at least float32."""
    t = _foreach.absolute(_foreach.widened(w))
    _foreach.add_(t, eta)
    return t


def steepest(h: Sequence[list[Tensor]], p: float) -> tuple[Sequence[list[Tensor]], Tensor]:
    """The direction of steepest ascent in the p-norm, as v and a scalar n: u = v / n, ‖u‖_p = 1.

    For h = 0 both are 0, or v alone. v may be h itself; h is not written.
    """
    one = torch.ones((), dtype=h[0][0].dtype, device=h[0][0].device)
    if p == 2:
        return h, _foreach.total_norm(h, 2)
    if p == math.inf:
        return [_foreach.sign(ts) for ts in h], one
    if p == 1:
        return largest_coordinate(h), one
    v = [_foreach.absolute(ts) for ts in h]
    per_max = safe_quotient(1.0, _foreach.total_max(v), one.dtype)
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


def safe_quotient(number: float, divisor: Tensor, dtype: torch.dtype) -> Tensor:
    """number / divisor as a scalar, and 0 where the divisor is 0, not finite, or too small for the type.

    A number too large for the type gives inf, which the perturbed gradient then shows: it is not passed over.
    """
    usable = torch.isfinite((1 / divisor).to(dtype)) & torch.isfinite(divisor)
    return torch.where(usable, (number / divisor).to(dtype), 0.0)
