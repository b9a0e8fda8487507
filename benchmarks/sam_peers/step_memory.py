"""What a step holds: tensors beside the base optimizer's; on a GPU also the host, in calls that wait for the device."""

import inspect
import re
import sys

import torch
from torch import nn

import sam
from sam_peers import timing
from sam_peers.contestants import Stepper, Task
from sam_peers.step_sides import Making, Row, Setting, making, plain


def memory(setting: Setting) -> list[Row]:
    """Copies of the parameters held beside the base optimizer's: inside the worst pass, and between steps."""
    rows: list[Row] = []
    of_base: dict[str, tuple[int, int]] = {}
    for contestant in setting.contestants:
        entry = contestant.entry
        if entry.label not in setting.labels:
            continue
        if entry.base not in of_base:
            of_base[entry.base] = held(setting, plain(entry.base))
        model = timing.build_model("mlp", torch.device("cpu"))
        unit = sum(p.numel() * p.element_size() for p in model.parameters())
        inside, between = (
            (mine - base) / unit
            for mine, base in zip(held(setting, making(setting, contestant)), of_base[entry.base], strict=True)
        )
        rows.append(
            Row(
                what="memory",
                model="mlp",
                variant=entry.label,
                library=contestant.library,
                cost=timing.exactly(inside),
                more={"between": between},
            )
        )
    return rows


def held(setting: Setting, make: Making) -> tuple[int, int]:
    """Bytes in tensors beside the model and batch: the most at the start of any pass, and between steps."""
    model = timing.build_model("mlp", setting.device)
    most = 0

    def watch(number: int) -> None:
        nonlocal most
        del number
        most = max(most, timing.held_bytes(setting.device))

    stepper, task = make(model)
    task.closure()  # what libraries set aside for good at the first pass is nobody's
    drop_gradients(model)
    before = timing.held_bytes(setting.device)
    for number in range(7):  # past LookSAM's period
        task.watch = watch if number > 0 else task.watch  # the first step may make masks, from passes of its own
        task.begin()
        stepper.step(task)
    drop_gradients(model)
    return most - before, timing.held_bytes(setting.device) - before


def drop_gradients(model: nn.Module) -> None:
    for p in model.parameters():
        p.grad = None


def stated_memory(variant: str) -> str:
    """What the variant's module says, up to the end of the sentence."""
    text = " ".join(inspect.cleandoc(inspect.getmodule(sam.VARIANTS[variant]).__doc__ or "").split())
    said = re.search(r"Memory beside the base optimizer: (.+?)(?:\. |\.$|$)", text)
    return said.group(1) if said else "says nothing"


def sync(setting: Setting) -> list[Row]:
    """Steps, passes and all, in which torch raises at every call that waits for the device: 0 of ours may."""
    if setting.device.type != "cuda":
        return []
    rows: list[Row] = []
    for contestant in setting.contestants:
        if contestant.entry.label not in setting.labels:
            continue
        model = timing.build_model("convnet", setting.device)
        stepper, task = making(setting, contestant)(model)
        for _ in range(6):  # masks are made, allocations done, LookSAM is past its first cycle
            task.begin()
            stepper.step(task)
        waits = float(any(waits_for_device(stepper, task) for _ in range(contestant.entry.period)))
        target = 0.0 if contestant.is_ours else None
        rows.append(
            Row(
                what="sync",
                model="convnet",
                variant=contestant.entry.label,
                library=contestant.library,
                cost=timing.exactly(waits),
                target=target,
            )
        )
    return rows


def waits_for_device(stepper: Stepper, task: Task) -> bool:
    """Whether one step makes the host wait. The optimizer may be unusable afterwards."""
    task.begin()
    torch.cuda.set_sync_debug_mode("error")
    try:
        stepper.step(task)
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        print(f"{type(stepper.optimizer).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False
