"""Experiments on the frame of a step: what ρ = 0 is, what two passes share, that weights come back, that a run resumes.

Where weights must not have moved, the base optimizer's learning rate is 0: then every step, whatever its gradient, has
to leave them as they were.
"""

import contextlib
import copy
import io
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from sam_peers.contestants import Contestant, Options, Stepper
from sam_peers.trials import Outcome, build_net, build_task, compared, flat, start, step_on, train, train_base

#: Steps before the one that is looked at: LookSAM's period, so that the next is a full step of it.
BEFORE: Final = 5


class Interrupted(Exception):
    """A closure gave up, as at a full disk."""


# ρ = 0.


def idle_options(contestant: Contestant) -> Options:
    return {"rho": 0.0, **(contestant.entry.idle if contestant.is_ours else {})}


def idle_run(contestant: Contestant, *layers: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Five steps with ρ = 0, and the same five of the base optimizer."""
    model = build_net(*layers)
    twin = copy.deepcopy(model)
    torch.manual_seed(7)
    train(contestant, start(contestant, model, options=idle_options(contestant)), model, range(5))
    torch.manual_seed(7)
    train_base(contestant, twin, range(5))
    return model, twin


def idle_parameters(contestant: Contestant) -> Outcome:
    model, twin = idle_run(contestant)
    return compared(flat(model), flat(twin), tolerance=0, meaning="parameters")


def idle_buffers(contestant: Contestant) -> Outcome:
    return buffers_compared(*idle_run(contestant, nn.BatchNorm1d(16)))


def buffers_compared(model: nn.Module, twin: nn.Module) -> Outcome:
    """BatchNorm's running statistics and its count of batches, bit for bit."""
    counts = [m.num_batches_tracked for net in (model, twin) for m in net.modules() if isinstance(m, nn.BatchNorm1d)]
    statistics = [[b for b in net.buffers() if b.is_floating_point()] for net in (model, twin)]
    told = compared(*(torch.cat(bs) for bs in statistics), tolerance=0, meaning="statistics")
    reasons = [told.reason] if told.verdict == "fail" else []
    if counts[0] != counts[1]:
        reasons.append(f"num_batches_tracked is {counts[0]} for {counts[1]}")
    return Outcome("fail" if reasons else "pass", ", ".join(reasons))


def idle_dropout(contestant: Contestant) -> Outcome:
    model, twin = idle_run(contestant, nn.Dropout(0.5))
    return compared(flat(model), flat(twin), tolerance=0, meaning="parameters")


def idle_passes(contestant: Contestant) -> Outcome:
    return passes_counted(contestant, idle_options(contestant), due=1.0)


def passes_due(contestant: Contestant) -> Outcome:
    return passes_counted(contestant, {}, due=contestant.entry.due)


def passes_counted(contestant: Contestant, options: Options, *, due: float) -> Outcome:
    """Batches sent forward per step, over two periods of LookSAM."""
    model = build_net()
    stepper = start(contestant, model, options=options)
    task = build_task(model)
    for _ in range(10):
        stepper.step(task)
    found = task.samples / len(task) / 10
    return Outcome("pass" if found <= due + 1e-9 else "fail", f"{found:g} forward passes per step, {due:g} due")


# Two passes that are one step.


def statistics_move_once(contestant: Contestant) -> Outcome:
    model = build_net(nn.BatchNorm1d(16))
    twin = copy.deepcopy(model)
    if contestant.entry.perturbed == 1:
        return Outcome("not applicable", "one pass")
    train(contestant, start(contestant, model), model, [0])
    twin(build_task(twin, 0).inputs)
    return buffers_compared(model, twin)


def same_dropout(contestant: Contestant) -> Outcome:
    if contestant.entry.perturbed == 1:
        return Outcome("not applicable", "one pass")
    dropout = nn.Dropout(0.5)
    model = build_net(dropout)
    stepper = start(contestant, model)
    masks: dict[int, Tensor] = {}
    task = build_task(model)

    def keep_mask(module: nn.Module, inputs: object, output: Tensor) -> None:
        masks.setdefault(task.passes, output.eq(0))  # the first of a pass: SSAM-F looks at other samples after it

    dropout.register_forward_hook(keep_mask)
    stepper.step(task)
    same = torch.equal(masks[1], masks[contestant.entry.perturbed])
    return Outcome("pass" if same else "fail", "" if same else "each pass draws its own masks")


# Weights come back.


def restored_after_steps(contestant: Contestant) -> Outcome:
    model = build_net(nn.BatchNorm1d(16))
    before = flat(model)
    train(contestant, start(contestant, model, lr=0.0), model, range(20))
    return compared(flat(model), before, tolerance=0, meaning="w after 20 steps at learning rate 0")


def unmoved(contestant: Contestant, model: nn.Module, spoil: Callable[[int, Tensor], Tensor]) -> Outcome:
    """Five good steps at learning rate 0, then one whose losses are spoilt: the weights must be as at the start."""
    before = flat(model)
    stepper = start(contestant, model, lr=0.0)
    train(contestant, stepper, model, range(BEFORE))
    moved = compared(flat(model), before, tolerance=1e-5, meaning="w before the step")
    if moved.verdict == "fail":
        return moved
    before = flat(model)
    task = build_task(model, BEFORE)
    task.spoil = spoil
    with contextlib.suppress(ArithmeticError, Interrupted):  # to raise is fair; what counts is where the weights are
        step_on(contestant, stepper, task)
    after = flat(model)
    if not torch.isfinite(after).all():
        return Outcome("fail", "weights are NaN")
    distance = float((after - before).norm())
    # what ε leaves when it is added and taken off again is the business of `restored_after_steps`
    return Outcome("pass") if distance < 1e-5 else Outcome("fail", f"weights stay {distance:.2g} away from w")


def nan_in_pass_one(contestant: Contestant) -> Outcome:
    return unmoved(contestant, build_net(), lambda number, losses: losses * math.nan if number == 1 else losses)


def raises_between(contestant: Contestant) -> Outcome:
    def give_up(number: int, losses: Tensor) -> Tensor:
        if number == contestant.entry.perturbed:
            raise Interrupted
        return losses

    return unmoved(contestant, build_net(), give_up)


class WithExtra(nn.Module):
    """A net beside a parameter that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.net = build_net()
        self.extra = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def gradient_in_pass_one_only(contestant: Contestant) -> Outcome:
    if contestant.entry.perturbed == 1:
        return Outcome("not applicable", "one pass")
    model = WithExtra()

    def use_extra(number: int, losses: Tensor) -> Tensor:
        return losses + model.extra.square().sum() if number == 1 else losses

    return unmoved(contestant, model, use_extra)


# Resuming.


def resumes(contestant: Contestant) -> Outcome:
    """Seven steps, saved to a file and loaded, and seven more: beside fourteen in one go."""
    whole, _ = trained_for(contestant, range(14))
    part, stepper = trained_for(contestant, range(7))

    def load(made: Stepper, state: Any) -> None:
        made.load(state)

    told = resumed(contestant, part, stepper.save(), whole, load)
    if told.verdict == "pass":
        return told

    def load_both(made: Stepper, state: Any) -> None:
        made.optimizer.base_optimizer.load_state_dict(state["base"])
        made.load(state["own"])

    both = {"base": stepper.optimizer.base_optimizer.state_dict(), "own": stepper.save()}
    told_both = resumed(contestant, part, both, whole, load_both)
    advice = (
        "exact if base_optimizer's state is saved too" if told_both.verdict == "pass" else "its base's state is lost"
    )
    return Outcome("fail", f"{told.reason}; {advice}")


def trained_for(contestant: Contestant, numbers: Sequence[int]) -> tuple[nn.Module, Stepper]:
    model = build_net(nn.BatchNorm1d(16), nn.Dropout(0.5))
    stepper = start(contestant, model)
    train_seeded(contestant, stepper, model, numbers)
    return model, stepper


def train_seeded(contestant: Contestant, stepper: Stepper, model: nn.Module, numbers: Sequence[int]) -> None:
    """The generator is set before each step, so that only the optimizer's own state is in question."""
    for number in numbers:
        torch.manual_seed(number)
        train(contestant, stepper, model, [number])


def resumed(
    contestant: Contestant, part: nn.Module, state: object, whole: nn.Module, load: Callable[[Stepper, Any], None]
) -> Outcome:
    """A new model and optimizer take over what a file kept of the part, and must end where the whole did."""
    file = io.BytesIO()
    torch.save({"model": part.state_dict(), "optimizer": state}, file)
    file.seek(0)
    found = torch.load(file)
    model = build_net(nn.BatchNorm1d(16), nn.Dropout(0.5))
    model.load_state_dict(found["model"])
    stepper = start(contestant, model)
    load(stepper, found["optimizer"])
    train_seeded(contestant, stepper, model, range(7, 14))
    return compared(flat(model), flat(whole), tolerance=0, meaning="parameters")
