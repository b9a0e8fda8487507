"""What a trainer hands to `step_on`: one batch, as the losses it has at the present weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from torch import Tensor
from torch.amp.grad_scaler import GradScaler


class Batch(Protocol):
    """One batch of n samples. `losses` is called once per forward pass, under `torch.enable_grad()`."""

    def losses(self, part: Tensor | None = None) -> Tensor:
        """Run the forward (autocast included) and return the loss of each sample, with its graph.

        `part` (int64, shape [m], on the batch's device) asks for those samples only, in that order; without
        it the whole batch is meant. Returns shape [n] or [m]. Nothing is reduced, scaled or sent backward
        here.
        """
        ...


#: One pass of a variant's step. None is the objective itself: the mean loss of the batch, or the caller's
#: closure. A function is a pass that needs more than that: it sends backward what it needs and returns the
#: loss to report.
Pass: TypeAlias = Callable[[Batch], Tensor] | None


@dataclass(frozen=True, slots=True)
class MeanLoss:
    """A batch as a closure: forward, mean, backward. Returns the mean loss, detached."""

    batch: Batch
    scaler: GradScaler | None

    def __call__(self) -> Tensor:
        loss = self.batch.losses().mean()
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        return loss.detach()
