"""`sam` beside a reference, step by step, on a small network in float64 whose minibatch is another in each step.

The perturbation is seen from outside: `Minibatch.calls` tells where the weights stood in each forward pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import torch
from torch import Tensor, nn

import sam
from tests.sam.problems import batch, copies, net
from tests.sam.reference.training import Base, Data, Sgd, Tensors, Variant, norm, plus

#: A hidden layer of six: weights and biases in four tensors of 24, 6, 18 and 3 numbers.
SHAPES = [(6, 4), (6,), (3, 6), (3,)]
#: The base optimizer of every comparison, as torch's keywords and as the reference.
SGD: Final[Mapping[str, Any]] = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}
SAMPLES = 16
CLASSES = 3

each_grouping = pytest.mark.parametrize(
    "rho",
    [pytest.param([0.2] * 4, id="one group"), pytest.param([0.2, 0.5, 0.0, 0.1], id="four groups, one with rho 0")],
)

Losses = Callable[[Tensors, Tensor, Tensor], Tensor]
Drive = Callable[[sam.SamOptimizer, "Minibatch"], Tensor]


@dataclass(frozen=True, slots=True)
class Call:
    """One forward pass: where the weights stood, the samples it was for, and whether it can be sent backward."""

    weights: Tensors
    samples: list[int]
    with_graph: bool


@dataclass
class Minibatch:
    """A batch as `step_on` takes it. `backwards` has the number of samples of each backward pass."""

    params: list[nn.Parameter]
    function: Losses
    x: Tensor
    y: Tensor
    calls: list[Call] = field(default_factory=list)
    backwards: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def labels(self) -> Tensor | None:
        return None if self.y.is_floating_point() else self.y

    def losses(self, part: Tensor | None = None) -> Tensor:
        chosen = torch.arange(len(self)) if part is None else part
        losses = self.function([*self.params], self.x[chosen], self.y[chosen])
        if losses.requires_grad:
            losses.register_hook(lambda _: self.backwards.append(len(chosen)))
        at = [p.detach().clone() for p in self.params]
        self.calls.append(Call(at, chosen.tolist(), losses.requires_grad))
        return losses

    def closure(self) -> Tensor:
        loss = self.losses().mean()
        loss.backward()
        return loss

    def data(self) -> Data:
        """The same samples for the reference."""
        return Data(
            lambda w: self.function(w, self.x, self.y), [0] * len(self) if self.labels is None else self.y.tolist()
        )

    def eps(self) -> Tensors:
        """Where the last pass stood, from where the first did."""
        return plus(self.calls[-1].weights, self.calls[0].weights, -1)

    def mask(self) -> Tensors:
        """1 where the weights were moved."""
        return [(e != 0).double() for e in self.eps()]


def by_closure(optimizer: sam.SamOptimizer, minibatch: Minibatch) -> Tensor:
    return optimizer.step(minibatch.closure)


def on_batch(optimizer: sam.SamOptimizer, minibatch: Minibatch) -> Tensor:
    return optimizer.step_on(minibatch)


either_way = pytest.mark.parametrize("drive", [by_closure, on_batch])


def outputs(w: Tensors, x: Tensor) -> Tensor:
    return torch.tanh(x @ w[0].T + w[1]) @ w[2].T + w[3]


def cross_entropy(w: Tensors, x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs(w, x), y, reduction="none")


def squared_error(w: Tensors, x: Tensor, y: Tensor) -> Tensor:
    return ((outputs(w, x) - y[:, None]) ** 2).sum(1)


class Problem:
    """A network, its parameters for `sam`, and the minibatch of each step."""

    def __init__(self, function: Losses = cross_entropy, *, seed: int = 0, samples: int = SAMPLES) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.start = [torch.randn(s, dtype=torch.float64, generator=generator) for s in SHAPES]
        self.params = [nn.Parameter(t.clone()) for t in self.start]
        self.samples = samples
        self._function = function

    def minibatch(self, step: int, samples: int | None = None) -> Minibatch:
        generator = torch.Generator().manual_seed(1000 + step)
        n = samples or self.samples
        x = torch.randn(n, SHAPES[0][1], dtype=torch.float64, generator=generator)
        if self._function is squared_error:
            y = torch.randn(n, dtype=torch.float64, generator=generator)
        else:
            y = torch.randint(CLASSES, (n,), generator=generator)
        return Minibatch(self.params, self._function, x, y)

    def optimizer(self, name: str, rho: Sequence[float] | Mapping[str, object], **options: object) -> sam.SamOptimizer:
        """The variant over SGD: one group where all radii are one or a schedule is given, else a group for each
        tensor."""
        if isinstance(rho, Mapping) or len(set(rho)) == 1:
            one = rho if isinstance(rho, Mapping) else rho[0]
            return sam.build(name, self.params, torch.optim.SGD, **{"rho": one, **SGD, **options})
        groups = [{"params": [p], "rho": r} for p, r in zip(self.params, rho, strict=True)]
        return sam.build(name, groups, torch.optim.SGD, **{**SGD, **options})


def base() -> Sgd:
    """What `SGD` is to the reference."""
    return Sgd(SGD["lr"], SGD["weight_decay"], SGD["momentum"])


def assert_same_weights(params: Sequence[Tensor], w: Tensors) -> None:
    """Equal to a relative error of 1e-10, over all weights as one vector."""
    apart = norm(plus([p.detach() for p in params], w, -1))
    assert apart <= 1e-10 * norm(w)


def fifty_steps_agree(
    optimizer: sam.SamOptimizer,
    problem: Problem,
    slow: Variant,
    *,
    drive: Drive = on_batch,
    slow_base: Base | None = None,
    look: Callable[[int, Minibatch, Tensors], None] | None = None,
) -> None:
    """Both from the same start; after each step the weights agree.

    `look` is called between the fast and the slow step with its number, its minibatch and the weights it began at:
    what is drawn at random, a mask, is handed to the reference there.
    """
    w = problem.start
    slow_base = slow_base or base()
    for step in range(50):
        minibatch = problem.minibatch(step)
        drive(optimizer, minibatch)
        if look is not None:
            look(step, minibatch, w)
        w = slow_base.step(w, slow.final_gradient(w, minibatch.data()))
        assert_same_weights(problem.params, w)


def step_with(optimizer: sam.SamOptimizer, gradients: Sequence[Tensors]) -> list[Tensors]:
    """One step whose passes find these gradients in turn. Returns where the weights stood in each pass."""
    params: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
    seen: list[Tensors] = []

    def closure() -> float:
        gradient = gradients[len(seen)]
        seen.append([p.detach().clone() for p in params])
        for p, g in zip(params, gradient, strict=True):
            p.grad = g.clone()
        return 0.0

    optimizer.step(closure)
    return seen


def zeros(*shapes: int, dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    """Parameters at 0: there w + ε is ε, to the last bit."""
    return [nn.Parameter(torch.zeros(s, dtype=dtype)) for s in shapes]


def random_gradient(params: Sequence[Tensor], seed: int) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in params]


def trained(name: str, *, plan: Mapping[str, Any] | None = None, **options: object) -> dict[str, Tensor]:
    """Weights and statistics of a float32 network with BatchNorm and dropout after six steps."""
    model = net()
    optimizer = sam.build(name, model.parameters(), torch.optim.SGD, **{"model": model, **SGD, **options})
    optimizer.plan(**plan or {})
    torch.manual_seed(7)
    for step in range(6):
        optimizer.step_on(batch(model, seed=step))
    return copies(model)


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    """Whether parallel lists hold equal numbers."""
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
