"""Whole steps, passes and all, in steps of SGD with momentum; and what a step costs more that renews SSAM's mask."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import torch

from sam_peers import timing
from sam_peers.contestants import FOREACH, OURS, Entry, Task
from sam_peers.step_sides import FAR, Row, Setting, making, plain, whole_turn

#: A whole step, in steps of SGD with momentum, at most. Those of TWO_PASSES hold where two bare passes cost 2.0.
STEP_TARGETS: Final[Mapping[str, float]] = MappingProxyType(
    {"sam": 2.02, "ssam-f": 2.02, "ssam-d": 2.02, "friendly": 2.02}
    | {"imbsam": 2.7, "looksam": 1.25, "msam": 1.03, "esam": 1.9}
)
TWO_PASSES: Final = frozenset({"sam", "ssam-f", "ssam-d", "friendly"})


def whole_step(setting: Setting) -> list[Row]:
    """Every contestant in steps of SGD with momentum; ours keep BatchNorm's statistics still, which is work too."""
    rows: list[Row] = []
    # a CPU takes seconds for one step of ResNet-18, and says nothing new
    for model_name in setting.models if setting.device.type == "cuda" else ("convnet",):
        yardstick = whole_turn(setting, model_name, plain("SGD"))
        bare = {kind: whole_turn(setting, model_name, plain("SGD", run)) for kind, run in BARE.items()}
        present = [c for label in setting.labels for c in setting.of(label) if c.entry.base == "SGD"]
        present = [c for c in present if c.library != FOREACH]
        own = {
            f"{c.library}|{c.entry.label}": whole_turn(setting, model_name, making(setting, c), steps=c.entry.period)
            for c in present
        }
        measured = timing.beside(yardstick, {**bare, **own}, setting.clock, rounds=setting.rounds(40))
        costs = {name: timing.spread(of) for name, of in measured.items()}
        floor = {kind: costs[kind].median for kind in BARE}
        rows.append(whole_row(model_name, "two bare passes", "torch", costs["two"], floor["two"]))
        for c in present:
            cost = costs[f"{c.library}|{c.entry.label}"]
            rows.append(whole_row(model_name, c.entry.label, c.library, cost, bare_cost(c.entry, floor), floor["two"]))
    return rows


def whole_row(model_name: str, label: str, library: str, cost: timing.Spread, bare: float, two: float = 2.0) -> Row:
    """A row of the whole step, with what its passes cost alone; targets are for ours."""
    target = STEP_TARGETS.get(label) if library == OURS else None
    if target is not None and label in TWO_PASSES:
        target *= two / 2
    return Row(
        what="whole step",
        model=model_name,
        variant=label,
        library=library,
        cost=cost,
        target=target,
        more={"bare": bare, "/ bare": cost.median / bare},
    )


def bare_cost(entry: Entry, floor: Mapping[str, float]) -> float:
    """What the passes that are due cost alone, a step of SGD included, in steps of SGD."""
    if entry.variant in floor:
        return floor[entry.variant]
    return 1 + (entry.due - 1) * (floor["two"] - 1)


def two_passes(task: Task) -> None:
    task.closure()
    task.closure()


def imbsam_passes(task: Task) -> None:
    """One forward with two backwards, one of each for the rare classes; as it would be written by hand."""
    is_tail = task.targets >= timing.CLASSES // 2
    for p in task.model.parameters():
        p.grad = None
    losses = task.losses()
    (losses * ~is_tail).sum().backward(retain_graph=True)
    (losses * is_tail).sum().backward()
    (task.losses() * is_tail).sum().backward()


def esam_passes(task: Task) -> None:
    """A pass, a forward to select by, and a pass on half of the samples."""
    task.closure()
    with torch.no_grad():
        task.losses()
    for p in task.model.parameters():
        p.grad = None
    task.losses(torch.arange(len(task) // 2, device=task.inputs.device)).mean().backward()


#: Passes without any optimizer's work between them.
BARE: Final[Mapping[str, Callable[[Task], None]]] = MappingProxyType(
    {"two": two_passes, "imbsam": imbsam_passes, "esam": esam_passes}
)


def mask_update(setting: Setting) -> list[Row]:
    """A step that renews the mask less one that does not, in steps of SGD."""
    rows: list[Row] = []
    for label in ("ssam-f", "ssam-d"):
        for contestant in setting.of(label) if label in setting.labels else ():
            yardstick = whole_turn(setting, "convnet", plain("SGD"))
            turns = {
                name: whole_turn(setting, "convnet", making(setting, contestant, steps_per_epoch=length))
                for name, length in {"renews": 1, "keeps": FAR}.items()
            }
            measured = timing.beside(yardstick, turns, setting.clock, rounds=setting.rounds(24))
            more = [a - b for a, b in zip(measured["renews"], measured["keeps"], strict=True)]
            cost = timing.spread(more)
            rows.append(
                Row(
                    what="mask update",
                    model="convnet",
                    variant=label,
                    library=contestant.library,
                    cost=cost,
                )
            )
    return rows
