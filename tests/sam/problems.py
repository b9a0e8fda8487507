"""Small things to train, and ways to take a step, for tests that run over every variant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

import sam

#: Keywords that make each variant take as many passes as it ever does, and those that make it the base optimizer.
ACTIVE: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "none": {},
        "sam": {"rho": 0.1},
        "ssam-f": {"rho": 0.1},
        "ssam-d": {"rho": 0.1},
        "friendly": {"rho": 0.1},
        "imbsam": {"rho": 0.1},
        "gsam": {"rho": 0.1},
        "looksam": {"rho": 0.1, "k": 1},
        "msam": {"rho": 0.1, "momentum": 0.9},
        "esam": {"rho": 0.1},
    }
)
IDLE: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {name: {} if name == "none" else {"rho": 0.0, "k": 1} if name == "looksam" else {"rho": 0.0} for name in ACTIVE}
    | {"imbsam": {"rho": 0.0, "tail_weight": 1.0}}
)
#: Keywords that make a variant with a mask perturb every coordinate.
WHOLE: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {"ssam-f": {"sparsity": 0.0}, "ssam-d": {"sparsity": 0.0}, "esam": {"beta": 1.0}}
)
#: Backward passes that a step of an active variant makes, and forwards.
PASSES: Final[Mapping[str, int]] = MappingProxyType({name: 1 if name in {"none", "msam"} else 2 for name in ACTIVE})
FORWARDS: Final[Mapping[str, int]] = MappingProxyType({**PASSES, "esam": 3})
#: Variants that need the losses of single samples, so that a closure cannot drive them.
PER_SAMPLE: Final = frozenset({"imbsam", "esam"})
#: Training samples of the three classes: the last is tail.
CLASS_COUNTS: Final = (30, 20, 10)


def net(seed: int = 1) -> nn.Sequential:
    """BatchNorm and dropout, in training mode: what makes two passes differ from one."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def smooth_net(seed: int = 1) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


@dataclass(frozen=True, slots=True)
class Samples:
    """A batch as `step_on` takes it, and as closures do."""

    model: Callable[[Tensor], Tensor]
    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    @property
    def labels(self) -> Tensor:
        return self.y

    def losses(self, part: Tensor | None = None) -> Tensor:
        x, y = (self.x, self.y) if part is None else (self.x[part], self.y[part])
        return nn.functional.cross_entropy(self.model(x), y, reduction="none")

    def loss(self) -> Tensor:
        return self.losses().mean()

    def to(self, dtype: torch.dtype) -> "Samples":
        return Samples(self.model, self.x.to(dtype), self.y)

    def double(self) -> "Samples":
        return self.to(torch.float64)

    def closure(self, optimizer: torch.optim.Optimizer) -> Callable[[], Tensor]:
        def run() -> Tensor:
            optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            return loss

        return run


@dataclass(frozen=True, slots=True)
class Value:
    """A plain function as a batch: some samples, all of the tail class, that have its value for their loss."""

    value: Callable[[], Tensor]

    def __len__(self) -> int:
        return 4

    @property
    def labels(self) -> Tensor:
        return torch.full((4,), 2)

    def losses(self, part: Tensor | None = None) -> Tensor:
        losses = self.value().expand(4)
        return losses if part is None else losses[part.to(losses.device)]


def batch(model: Callable[[Tensor], Tensor], seed: int = 0, n: int = 16) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    return Samples(model, x, torch.randint(3, (n,), generator=generator))


def make(name: str, model: nn.Module, **options: object) -> sam.SamOptimizer:
    """The variant over SGD with momentum and weight decay, active, and given the model for its statistics."""
    defaults = {"momentum": 0.9, "weight_decay": 0.01, "model": model}
    optimizer = build(name, model.parameters(), **{**defaults, **options})
    samples = batch(model, seed=99).to(next(model.parameters()).dtype)
    optimizer.plan(class_counts=CLASS_COUNTS, samples=lambda n, step: samples)
    return optimizer


def build(name: str, params: ParamsT, **options: object) -> sam.SamOptimizer:
    """The variant over SGD, active, and told of the classes; all Fisher information is zero."""
    optimizer = sam.build(name, params, torch.optim.SGD, **{"lr": 0.1, **ACTIVE[name], **options})
    constant = torch.ones((), requires_grad=True)
    optimizer.plan(class_counts=CLASS_COUNTS, samples=lambda n, step: Value(lambda: constant * 1))
    return optimizer


def copies(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers as they are now."""
    return {name: t.detach().clone() for name, t in model.state_dict().items()}


def same_bits(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
