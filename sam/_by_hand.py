"""A hand-written loop between `first_step` and `second_step`: a program that waits, and what pass one left."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from sam import _ranks
from sam._passes import Passes
from sam._replay import Buffers


@dataclass(frozen=True, slots=True)
class Kept:
    """The final gradients by parameter, and the buffers, as the first pass left them."""

    gradients: list[tuple[Tensor, Tensor]]
    buffers: list[Tensor]

    def put_back(self, buffers: Buffers) -> None:
        """Undo what a second pass that was not needed did to both."""
        for p, g in self.gradients:
            p.grad = g
        buffers.put_back(self.buffers)


@dataclass(frozen=True, slots=True)
class ByHand:
    """A step under way. `kept` is what pass one left, where one pass was enough."""

    passes: Passes
    kept: Kept | None
    scaler: GradScaler | None

    @classmethod
    def of(
        cls,
        passes: Passes,
        parameters: Iterable[Tensor],
        buffers: Buffers,
        *,
        more: bool,
        scaler: GradScaler | None,
    ) -> Self:
        """The step after its first pass; copies are made only where no other pass is needed."""
        if more:
            return cls(passes, None, scaler)
        gradients = [(p, g.clone()) for p in parameters if (g := p.grad) is not None]
        # The loop may have kept them on their rank, not knowing that the step would take no other pass.
        _ranks.average_([[g] for _, g in gradients])
        return cls(passes, Kept(gradients, buffers.copy()), scaler)
