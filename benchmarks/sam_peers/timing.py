"""Measuring for sam_step.py: models and batches, clocks, turns taken in alternation, memory held, tables.

Two sides are never timed one after the other: their turns alternate, each round gives one ratio, and the median of the
ratios is told with its quartiles. What disturbs the machine then meets both.
"""

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torchvision.models import resnet18

from sam_peers.contestants import Stepper, Task

CLASSES: Final = 10
#: Training samples per class as ImbSAM is told them: five head classes, five tail classes.
CLASS_COUNTS: Final = (500,) * 5 + (50,) * 5


def build_resnet18() -> nn.Module:
    """ResNet-18 for small images: 62 parameters, 11.2 million numbers."""
    model = resnet18(num_classes=CLASSES)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.add_module("maxpool", nn.Identity())
    return model


def build_convnet() -> nn.Module:
    """Three strided convolutions with BatchNorm and a linear layer: 11 parameters, 95 thousand numbers.

    Without pooling, which on a CPU takes longer than the convolutions and so hides what the passes cost.
    """
    layers: list[nn.Module] = []
    for channels, out in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, CLASSES))


def build_mlp() -> nn.Module:
    """No buffers, and parameters that dwarf every scalar: for counting memory in copies of w."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 128), nn.ReLU(), nn.Linear(128, CLASSES))


#: Models by name, made on the CPU.
MODELS: Final[Mapping[str, Callable[[], nn.Module]]] = MappingProxyType(
    {"resnet18": build_resnet18, "convnet": build_convnet, "mlp": build_mlp}
)


def build_model(name: str, device: torch.device) -> nn.Module:
    """The model of that name, the same numbers each time."""
    torch.manual_seed(0)
    return MODELS[name]().to(device)


def build_task(model: nn.Module, samples: int, device: torch.device) -> Task:
    """A batch of random images of 32 × 32 under the model, with labels of all classes."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(samples, 3, 32, 32, generator=generator).to(device)
    return Task(model=model, inputs=images, labels=torch.arange(samples) % CLASSES)


@dataclass(slots=True)
class GivenGradients:
    """Passes that cost nothing: the closure puts prepared gradients in place, other ones for each pass of a step.

    Three sets take turns, since FriendlySAM has nothing left to perturb along where the gradient never changes. `begin`
    writes them anew, since some optimizers change the gradients they are given; it is not timed.
    """

    parameters: Sequence[Tensor]
    scaler: GradScaler | None = None
    _prepared: list[list[Tensor]] = field(init=False)
    _given: list[list[Tensor]] = field(init=False)
    _loss: Tensor = field(init=False)
    _step: int = 0
    _pass: int = 0

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(2)
        self._prepared = [
            [(1e-3 * torch.randn(p.shape, generator=generator)).to(p.device) for p in self.parameters] for _ in range(3)
        ]
        self._given = [[g.clone() for g in gs] for gs in self._prepared[:2]]
        self._loss = torch.zeros((), device=self.parameters[0].device)

    def begin(self) -> None:
        self._step, self._pass = self._step + 1, 0
        for number, given in enumerate(self._given):
            for to, of in zip(given, self._prepared[(self._step + number) % 3], strict=True):
                to.copy_(of)

    def closure(self) -> Tensor:
        for p, g in zip(self.parameters, self._given[min(self._pass, 1)], strict=True):
            p.grad = g
        self._pass += 1
        return self._loss


class Clock(Protocol):
    """Milliseconds that some work takes on a device."""

    def __call__(self, work: Callable[[], object]) -> float: ...


def wall_clock(work: Callable[[], object]) -> float:
    """By the host's clock: for a CPU with several threads."""
    began_at = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began_at)


def cpu_clock(work: Callable[[], object]) -> float:
    """By the time this process ran: for one thread, so that what else runs on the machine counts less."""
    began_at = time.process_time()
    work()
    return 1000 * (time.process_time() - began_at)


def cuda_clock(work: Callable[[], object]) -> float:
    """By events on the device's stream, from an idle device on: launches that the host is late with count too."""
    began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    began.record()
    work()
    ended.record()
    ended.synchronize()
    return began.elapsed_time(ended)


def clock_of(device: torch.device) -> Clock:
    """The clock for work on this device, with the threads torch has now."""
    if device.type == "cuda":
        return cuda_clock
    return cpu_clock if torch.get_num_threads() == 1 else wall_clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Some steps of one side; each is prepared by `begin`, then timed."""

    begin: Callable[[], None]
    step: Callable[[], object]
    steps: int = 1

    def take(self, clock: Clock) -> float:
        """Milliseconds per step."""
        total = 0.0
        for _ in range(self.steps):
            self.begin()
            total += clock(self.step)
        return total / self.steps


def turn(stepper: Stepper, task: Task | GivenGradients, *, steps: int) -> Turn:
    """A contestant's steps on one task."""
    return Turn(begin=task.begin, step=lambda: stepper.step(task), steps=steps)


def alternate(turns: Mapping[str, Turn], clock: Clock, *, rounds: int, warmup: int = 2) -> dict[str, list[float]]:
    """Milliseconds per step of each side in each round. The order is drawn anew in each round."""
    order = list(turns)
    shuffled = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in turns}
    gc.collect()
    gc.disable()  # a collection would be charged to whoever happens to run
    try:
        for number in range(-warmup, rounds):
            shuffled.shuffle(order)
            for name in order:
                spent_ms = turns[name].take(clock)
                if number >= 0:
                    times[name].append(spent_ms)
    finally:
        gc.enable()
    return times


def beside(yardstick: Turn, turns: Mapping[str, Turn], clock: Clock, *, rounds: int) -> dict[str, list[float]]:
    """Ratios of each side to the yardstick, which is timed before and after each single turn."""
    ratios: dict[str, list[float]] = {name: [] for name in turns}
    for one in (yardstick, *turns.values()):
        one.take(clock)  # warm: first steps allocate, and make SSAM's masks
    gc.collect()
    gc.disable()
    try:
        before_ms = yardstick.take(clock)
        for _ in range(rounds):
            for name, one in turns.items():
                spent_ms = one.take(clock)
                after_ms = yardstick.take(clock)
                ratios[name].append(2 * spent_ms / (before_ms + after_ms))
                before_ms = after_ms
    finally:
        gc.enable()
    return ratios


@dataclass(frozen=True, slots=True)
class Spread:
    """A median of some values, and the quartiles around it."""

    median: float
    low: float
    high: float
    values: int

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f} {self.high:.3f}]" if self.values > 1 else f"{self.median:.3f}"

    @property
    def error(self) -> float:
        """The median's standard error, as of values that are spread normally: 1.253 σ / √n, σ = quartiles / 1.349."""
        return 1.253 * (self.high - self.low) / 1.349 / math.sqrt(self.values)


def exactly(value: float) -> Spread:
    """One value that was counted, not timed."""
    return Spread(value, value, value, 1)


def spread(values: Sequence[float]) -> Spread:
    """Of at least two values."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high, len(values))


def ratios(of: Sequence[float], to: Sequence[float]) -> Spread:
    """Round by round."""
    return spread([a / b for a, b in zip(of, to, strict=True)])


def held_bytes(device: torch.device) -> int:
    """Memory in tensors: of a GPU as its allocator counts, of a CPU all storages that some Python object holds."""
    gc.collect()  # what an earlier side left in cycles is held by nobody
    if device.type == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated(device)
    tensors = [o for o in gc.get_objects() if issubclass(type(o), Tensor)]
    return sum({s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors)}.values())


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their heads: the first two and the last to the left, the others to the right."""
    lines = [heads, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    to_left = {0, 1, len(heads) - 1}

    def laid_out(cells: Sequence[str]) -> str:
        padded = [
            c.ljust(w) if i in to_left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return "\n".join([laid_out(heads), "  ".join("-" * w for w in widths), *(laid_out(row) for row in rows)])
