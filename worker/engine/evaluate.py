"""Measuring a model on a part of the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from worker.engine.batches import Forward
from worker.engine.data import Samples
from worker.engine.data.parts import Parts
from worker.engine.ranks import Ranks
from worker.engine.stop import StopFlag

#: Samples per forward pass at most: on a CPU few enough to stay in its cache, on a GPU enough to keep it busy.
BATCH_SIZES: Final[Mapping[str, int]] = {"cpu": 128, "cuda": 1024}
#: Times the samples of a training batch at most: nothing is kept for a backward pass, so that memory does for these.
TIMES_A_BATCH: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a model does on some samples."""

    loss: float
    """Mean loss, without label smoothing."""
    metrics: dict[str, float]
    """What the task measures: "accuracy", or "r2" and "mse"."""

    def named(self, part: str) -> dict[str, float]:
        """Loss and metrics as series of a part: "validation_loss" and so on."""
        return {f"{part}_{name}": value for name, value in {"loss": self.loss, **self.metrics}.items()}


class Watcher(Protocol):
    """Wants to see everything that is measured."""

    def add(self, outputs: Tensor, targets: Tensor) -> None: ...


class Alter(Protocol):
    """Changes raw inputs before the model sees them; is told the first sample's number."""

    def __call__(self, inputs: Tensor, first: int) -> Tensor: ...


@torch.no_grad()
def evaluate(
    forward: Forward,
    samples: Samples,
    parts: Parts,
    *,
    stop: StopFlag,
    ranks: Ranks,
    watchers: Sequence[Watcher] = (),
    alter: Alter | None = None,
) -> Measured:
    """Measure in eval mode; the model is left in it.

    Each of several ranks measures a share, and all get the same result; watchers see their rank's share.

    Raises:
        Stopped: the run was asked to stop; nothing has changed.
    """
    forward.model.eval()
    at_once = min(BATCH_SIZES[parts.device.type], TIMES_A_BATCH * forward.batch_size)
    share = ranks.share(len(samples))
    tally = forward.task.tally()
    loss = torch.zeros((), dtype=torch.float64, device=parts.device)
    first = share.start
    for inputs, targets in samples.batches(at_once, share):
        if ranks.count == 1:  # several ranks have to stop at the same point, which is between two steps
            stop.check()
        on_device = inputs.to(parts.device, non_blocking=True)
        if alter is not None:
            on_device = alter(on_device, first)
        outputs = forward.outputs(parts.normalise(on_device))
        loss += forward.task.losses(outputs, targets).sum()
        forward.task.count(tally, outputs, targets)
        for watcher in watchers:
            watcher.add(outputs, targets)
        first += len(targets)
    return Measured(
        loss=float(ranks.added_up(loss)) / len(samples), metrics=forward.task.metrics(ranks.added_up(tally))
    )
