"""Passes: what a variant's program asks for, and who has them.

program   a generator: yields a `Pass`, finds the gradients in `.grad` when it goes on
driver    runs it: a closure, a batch (`MeanLoss`), or a hand-written loop that waits between two calls
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from sam.batch import Accumulated, Batch


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward and backward.

    Attributes:
        may_stay_local: whether its gradient only makes ε, so that data-parallel ranks need not share it.
        run: makes a pass of its own kind: sends something backward and returns the loss to report. None is the
            objective itself: the caller's closure, or the mean loss of the batch. A step reports the loss of its
            first pass.
    """

    may_stay_local: bool
    run: Callable[[], Tensor] | None = None


#: The objective at w, for ε.
CLEAN = Pass(may_stay_local=True)
#: The objective, for the update.
FINAL = Pass(may_stay_local=False)

#: A variant's program.
Passes: TypeAlias = Generator[Pass, None, None]


@dataclass(frozen=True, slots=True)
class MeanLoss:
    """A batch, or several, as a closure: forward, mean, backward of each. Returns the mean loss, detached."""

    batch: Batch
    scaler: GradScaler | None

    def __call__(self) -> Tensor:
        batches = self.batch.batches if isinstance(self.batch, Accumulated) else (self.batch,)
        means: list[Tensor] = []
        for batch in batches:
            losses = losses_of(batch)
            loss = losses.mean() if len(batches) == 1 else losses.sum() / len(self.batch)
            backward(loss, self.scaler)
            means.append(loss.detach())
        return means[0] if len(batches) == 1 else torch.stack(means).sum()


def losses_of(batch: Batch, part: Tensor | None = None) -> Tensor:
    """The losses of a batch's samples, or of a part. ValueError where they are not one for each."""
    losses = batch.losses(part)
    wanted = len(batch) if part is None else len(part)
    if losses.shape != (wanted,):
        raise ValueError(
            f"losses must return one loss for each of {wanted} samples, shape [{wanted}], got {list(losses.shape)}; "
            'torch\'s losses do with reduction="none"'
        )
    return losses


def backward(loss: Tensor, scaler: GradScaler | None) -> None:
    """Send a loss backward, scaled where there is a scaler."""
    (loss if scaler is None else scaler.scale(loss)).backward()
