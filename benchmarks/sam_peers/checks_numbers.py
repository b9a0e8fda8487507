"""Experiments on the numbers of a step: ε and the final gradient beside the papers' formulae, half precision, scaling.

The formulae are written down once more here, on one vector of all parameters, in float64.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from sam_peers.checks_frame import BEFORE
from sam_peers.contestants import Contestant, Options, Task
from sam_peers.trials import (
    CLASSES,
    FAILURES,
    SAMPLES,
    Outcome,
    build_net,
    build_task,
    compared,
    flat,
    gradient,
    mean_loss,
    start,
    step_on,
    train,
)

RHO: Final = 0.3
#: Relative; the peers take some norms in float32.
TOLERANCE: Final = 1e-5
SCALE: Final = 1024.0
#: ‖ε‖₂ in units of ρ, where every number of the gradient is the same.
LENGTHS: Final[Mapping[str, float]] = {"ssam-f": math.sqrt(0.5), "ssam-d": math.sqrt(0.5), "esam": 1 / math.sqrt(0.6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Two steps as they were: for each, w before it, w + ε, and the final gradient."""

    model: nn.Module
    w: tuple[Tensor, Tensor]
    perturbed: tuple[Tensor, Tensor]
    final: tuple[Tensor, Tensor]

    def eps(self, step: int) -> Tensor:
        return self.perturbed[step] - self.w[step]

    def g(self, step: int) -> Tensor:
        """The clean gradient."""
        return gradient(self.model, mean_loss(step), self.w[step])

    def g_p(self, step: int) -> Tensor:
        """The perturbed gradient."""
        return gradient(self.model, mean_loss(step), self.perturbed[step])


def see(contestant: Contestant, options: Options) -> Seen:
    """Take two steps and look on."""
    model = build_net(dtype=torch.float64)
    stepper = start(contestant, model, options=options)
    w: list[Tensor] = []
    perturbed: list[Tensor] = []
    final: list[Tensor] = []
    for number in range(2):
        task = build_task(model, number)
        places: dict[int, Tensor] = {}
        task.watch = lambda number, places=places: places.update({number: flat(model)})
        w.append(flat(model))
        step_on(contestant, stepper, task)
        perturbed.append(places.get(contestant.entry.perturbed, w[-1]))
        final.append(final_gradient_of(model))
    return Seen(model=model, w=(w[0], w[1]), perturbed=(perturbed[0], perturbed[1]), final=(final[0], final[1]))


def tail_loss(number: int, model: nn.Module) -> Tensor:
    """τ L_tail of a batch, τ = 2; classes 2 and 3 are the rare ones `start` tells of."""
    task = build_task(model, number)
    return 2 * task.losses()[task.labels >= 2].sum() / len(task)


def head_loss(number: int, model: nn.Module) -> Tensor:
    task = build_task(model, number)
    return task.losses()[task.labels < 2].sum() / len(task)


# ε.


def one_norm_over_all(contestant: Contestant) -> Outcome:
    """ε has the paper's direction, and ‖ε‖₂ = ρ over all tensors as one vector, not in each."""
    seen = see(contestant, {"rho": RHO})
    step = 1 if contestant.entry.variant in ("friendly", "msam") else 0
    g = seen.g(step)
    ascent = {
        "friendly": lambda: g - seen.g(0),  # m_0 = g_0, and d_1 = g_1 - m_1 is parallel to g_1 - m_0
        "msam": lambda: -seen.final[0],  # after one step the momentum is its gradient
        "imbsam": lambda: gradient(seen.model, lambda model: tail_loss(0, model), seen.w[0]),
    }.get(contestant.entry.variant, lambda: g)()
    wanted = RHO * ascent / ascent.norm()
    eps = seen.eps(step)
    if contestant.entry.variant in ("ssam-f", "ssam-d", "esam"):
        moved = eps.abs() > 1e-12
        wanted = wanted * moved / (0.6 if contestant.entry.variant == "esam" else 1.0)
        if contestant.entry.variant != "esam" and int(moved.sum()) != math.floor(0.5 * len(eps) + 0.5):
            return Outcome("fail", f"{int(moved.sum())} of {len(eps)} coordinates move, half are due")
    return compared(eps, wanted, tolerance=TOLERANCE, meaning="ε")


def adaptive(contestant: Contestant) -> Outcome:
    """ε = ρ T² g / ‖T g‖₂, T = |w| (+ η = 0.01 in ours), over all tensors as one vector."""
    if "adaptive" not in contestant.offers:
        return Outcome("not offered")
    seen = see(contestant, {"rho": RHO, "adaptive": True})
    step = 1 if contestant.entry.variant == "friendly" else 0
    g = seen.g(step) - (seen.g(0) if step else 0)
    t = seen.w[step].abs() + (0.01 if contestant.is_ours else 0.0)
    return compared(seen.eps(step), RHO * t**2 * g / (t * g).norm(), tolerance=TOLERANCE, meaning="ε")


def any_p(contestant: Contestant) -> Outcome:
    """‖ε‖_p = ρ and ε·g = ρ‖g‖_q for other p than 2."""
    if "p" not in contestant.offers:
        return Outcome("not offered", "p = 2 only")
    for p, q in ((1.0, math.inf), (3.0, 1.5), (math.inf, 1.0)):
        seen = see(contestant, {"rho": RHO, "p": p})
        eps, g = seen.eps(0), seen.g(0)
        for found, wanted in ((eps.norm(p), RHO), (eps @ g, RHO * g.norm(q))):
            told = compared(found, torch.as_tensor(wanted, dtype=found.dtype), tolerance=1e-9, meaning=f"p = {p:g}:")
            if told.verdict == "fail":
                return told
    return Outcome("pass", "p = 1, 3, ∞")


# The final gradient.


def final_gradient(contestant: Contestant) -> Outcome:
    """What the base optimizer is given, beside the paper's formula on one vector of all parameters."""
    seen = see(contestant, {"rho": RHO})
    if contestant.entry.variant == "looksam":
        return cheap_step(contestant, seen)
    g, g_p, options = seen.g(0), seen.g_p(0), contestant.entry.options
    wanted = g_p
    if contestant.entry.variant == "gsam":
        wanted = g_p - options["alpha"] * (g - (g @ g_p) / (g_p @ g_p) * g_p)
    elif contestant.entry.variant == "imbsam":
        wanted = gradient(seen.model, lambda model: head_loss(0, model), seen.w[0]) + gradient(
            seen.model, lambda model: tail_loss(0, model), seen.perturbed[0]
        )
    elif contestant.entry.variant == "esam":
        rise = losses_at(seen, seen.perturbed[0]) - losses_at(seen, seen.w[0])
        worst = rise.topk(SAMPLES // 2).indices
        wanted = gradient(seen.model, lambda model: build_task(model).losses(worst).mean(), seen.perturbed[0])
    return compared(seen.final[0], wanted, tolerance=1e-4, meaning="final gradient")


def cheap_step(contestant: Contestant, seen: Seen) -> Outcome:
    """LookSAM's second step, made of its own gradient and what the first step left."""
    alpha = contestant.entry.options["alpha"]

    def wanted(g_0: Tensor, g_p_0: Tensor, g: Tensor) -> Tensor:
        g_v = g_p_0 - (g_0 @ g_p_0) / (g_0 @ g_0) * g_0
        return g + alpha * g.norm() * g_v / g_v.norm()

    vectors = seen.g(0), seen.g_p(0), seen.g(1)
    told = compared(seen.final[1], wanted(*vectors), tolerance=1e-4, meaning="final gradient")
    sizes = [p.numel() for p in seen.model.parameters()]
    each = torch.cat([wanted(*parts) for parts in zip(*(v.split(sizes) for v in vectors), strict=True)])
    if told.verdict == "fail" and torch.allclose(seen.final[1], each, rtol=1e-4):
        return Outcome("fail", f"{told.reason}: taken tensor by tensor")
    return told


def losses_at(seen: Seen, at: Tensor) -> Tensor:
    nn.utils.vector_to_parameters(at, seen.model.parameters())
    return build_task(seen.model).losses().detach()


# Half precision.


class Steep(nn.Module):
    """100,000 numbers in float16 whose gradient is 300 each: its norm, 94,868, is more than float16 holds."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(100_000, dtype=torch.float16))

    def forward(self, x: Tensor) -> Tensor:
        return (300 * self.w.float()).sum().expand(len(x))


def half_precision(contestant: Contestant) -> Outcome:
    model = Steep()
    stepper = start(contestant, model, lr=1e-7, options={"rho": 1.0}, samples=lambda n: steep_task(model, n))
    if contestant.entry.variant == "msam":  # it needs a momentum
        stepper.step(steep_task(model, CLASSES))
    before = flat(model).float()
    places: dict[int, Tensor] = {}
    task = steep_task(model, CLASSES)
    task.watch = lambda number: places.update({number: flat(model).float()})
    stepper.step(task)
    length = float((places[contestant.entry.perturbed] - before).norm())
    due = LENGTHS.get(contestant.entry.variant, 1.0)
    good = abs(length / due - 1) < 0.03
    return Outcome("pass" if good else "fail", "" if good else f"‖ε‖ is {length:.2g} ρ")


def steep_task(model: Steep, samples: int) -> Task:
    return Task(
        model=model,
        inputs=torch.zeros(samples, 1),
        labels=torch.arange(samples) % CLASSES,
        loss=lambda outputs, labels: outputs,
    )


# Loss scaling.


def scaled_steps(contestant: Contestant) -> Outcome:
    """With a GradScaler the base optimizer is given the gradient it gets without, or nothing happens at all."""
    plain, scaled = build_net(), build_net()
    start(contestant, plain).step(build_task(plain))
    before = flat(scaled)
    stepper, task = start(contestant, scaled), build_task(scaled)
    task.scaler = GradScaler("cpu", init_scale=SCALE)
    try:
        stepper.step(task)
    except FAILURES as error:
        moved = "" if torch.equal(flat(scaled), before) else ", weights moved"
        return Outcome("fail" if moved else "not offered", f"scaler.step raises {type(error).__name__}{moved}")
    # gradients, not updates: Adam's do not show a wrong scale
    found, wanted = final_gradient_of(scaled), final_gradient_of(plain)
    if float((found - wanted).norm()) > 1e-3 * float(wanted.norm()):
        return Outcome("fail", f"final gradient {float(found.norm() / wanted.norm()):.0f} times as large")
    return refuses_closures_of_the_scaler(contestant) if contestant.is_ours else Outcome("pass")


def final_gradient_of(model: nn.Module) -> Tensor:
    """As the last step left it."""
    return torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])


def refuses_closures_of_the_scaler(contestant: Contestant) -> Outcome:
    """Ours is driven by `step(closure, scaler=scaler)`; the call the peers' users try must not go wrong silently."""
    model = build_net()
    stepper, task, scaler = start(contestant, model), build_task(model), GradScaler("cpu", init_scale=SCALE)
    task.scaler = scaler
    before = flat(model)
    task.closure()
    try:
        scaler.step(stepper.optimizer, task.closure)
    except RuntimeError:
        return compared(flat(model), before, tolerance=0, meaning="w after a refusal")
    return Outcome("fail", "scaler.step(optimizer, closure) is let through")


def overflow_skips(contestant: Contestant) -> Outcome:
    """An overflow in either pass leaves the weights alone and halves the scale."""
    for spoilt in range(1, contestant.entry.perturbed + 1):
        model = build_net()
        stepper = start(contestant, model)
        train(contestant, stepper, model, range(BEFORE))
        scaler, before = GradScaler("cpu", init_scale=SCALE), flat(model)
        task = build_task(model, BEFORE)
        task.scaler = scaler
        passes = {1} if spoilt == 1 else {2, 3}  # at w + ε ESAM first selects, without a gradient
        task.spoil = lambda number, losses, passes=passes: losses * math.inf if number in passes else losses
        try:
            step_on(contestant, stepper, task)
        except FAILURES as error:
            return Outcome("not offered", f"scaler.step raises {type(error).__name__}")
        scaler.update()
        if not torch.equal(flat(model), before):
            kind = "not finite" if not torch.isfinite(flat(model)).all() else "moved"
            return Outcome("fail", f"overflow in pass {spoilt}: weights {kind}")
        if scaler.get_scale() != SCALE / 2:
            return Outcome("fail", f"overflow in pass {spoilt}: the scale stays")
    return Outcome("pass")
