"""Small things to train, and ways to take a step, for tests that run over every variant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn

import sam

#: Keywords that make each variant take as many passes as it ever does; how many; and those that make it the
#: base optimizer.
ACTIVE: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType({"none": {}, "sam": {"rho": 0.1}})
PASSES: Final[Mapping[str, int]] = MappingProxyType({"none": 1, "sam": 2})
IDLE: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType({"none": {}, "sam": {"rho": 0.0}})


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

    def losses(self, part: Tensor | None = None) -> Tensor:
        x, y = (self.x, self.y) if part is None else (self.x[part], self.y[part])
        return nn.functional.cross_entropy(self.model(x), y, reduction="none")

    def loss(self) -> Tensor:
        return self.losses().mean()

    def closure(self, optimizer: torch.optim.Optimizer) -> Callable[[], Tensor]:
        def run() -> Tensor:
            optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            return loss

        return run


def batch(model: Callable[[Tensor], Tensor], seed: int = 0, n: int = 16) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    return Samples(model, x, torch.randint(3, (n,), generator=generator))


def make(name: str, model: nn.Module, **options: object) -> sam.SamOptimizer:
    """The variant over SGD with momentum and weight decay, active, and given the model for its statistics."""
    defaults = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "model": model}
    return sam.build(name, model.parameters(), torch.optim.SGD, **{**defaults, **ACTIVE[name], **options})


def copies(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers as they are now."""
    return {name: t.detach().clone() for name, t in model.state_dict().items()}


def same_bits(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
