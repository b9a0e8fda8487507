"""What a trainer hands to `step_on`: one batch, as the losses it has at the present weights."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Batch(Protocol):
    """One batch of n samples: all that any variant ever asks a trainer for.

    `len(batch)` is n. Everything is asked for again in each pass of a step, and has to answer for the weights as they
    are then.
    """

    def __len__(self) -> int: ...

    @property
    def labels(self) -> Tensor | None:
        """The class of each sample, int64 [n], on the CPU, so that reading it waits for no device; None without."""
        ...

    def losses(self, part: Tensor | None = None) -> Tensor:
        """Run the forward (autocast included) and return the loss of each sample, with its graph.

        `part` (int64 [m], on the CPU or the batch's device) asks for those samples only, in that order; without it the
        whole batch is meant. Returns shape [n] or [m]. Nothing is reduced, scaled or sent backward here.
        """
        ...


class Minibatch:
    """A batch made of a model, inputs and targets.

        cross_entropy = functools.partial(torch.nn.functional.cross_entropy, reduction="none")
        optimizer.step_on(sam.Minibatch(model, x, y, cross_entropy))

    Args:
        model: anything called with inputs.
        inputs: [n, ...].
        targets: [n, ...].
        loss: takes the model's outputs and the targets, returns the losses of single samples, [n].
        labels: the class of each sample, int64 [n], on the CPU. Without it targets of that type and shape are taken,
            which waits for the device where they are not on the CPU.
    """

    def __init__(
        self,
        model: Callable[[Tensor], Tensor],
        inputs: Tensor,
        targets: Tensor,
        loss: Callable[[Tensor, Tensor], Tensor],
        *,
        labels: Tensor | None = None,
    ) -> None:
        self._model = model
        self._inputs = inputs
        self._targets = targets
        self._loss = loss
        self._labels = labels

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def labels(self) -> Tensor | None:
        """See `Batch.labels`."""
        if self._labels is None and self._targets.dtype == torch.int64 and self._targets.dim() == 1:
            self._labels = self._targets.cpu()
        return self._labels

    def losses(self, part: Tensor | None = None) -> Tensor:
        """See `Batch.losses`."""
        x, y = (self._inputs, self._targets) if part is None else (self._inputs[part], self._targets[part])
        return self._loss(self._model(x), y)


class Accumulated:
    """Several batches that make one step: the mean loss is that over all their samples, each of which counts alike.

    A pass over the mean loss runs them one after the other and adds up their gradients, so that only one of them has to
    fit into memory. A pass over the losses of single samples (SAM's shards and second order, ImbSAM, ESAM) holds the
    graphs of all of them.

    Args:
        batches: at least one; all of them with labels, or none.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        if not batches:
            raise ValueError("batches must be at least one, got none")
        self.batches = tuple(batches)

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    @property
    def labels(self) -> Tensor | None:
        """See `Batch.labels`."""
        labels = [batch.labels for batch in self.batches]
        known = [label for label in labels if label is not None]
        return torch.cat(known) if len(known) == len(labels) else None

    def losses(self, part: Tensor | None = None) -> Tensor:
        """See `Batch.losses`."""
        if part is None:
            return torch.cat([batch.losses() for batch in self.batches])
        found: list[Tensor] = []
        places: list[Tensor] = []
        first = 0
        for batch in self.batches:
            here = ((part >= first) & (part < first + len(batch))).nonzero()[:, 0]
            if len(here):
                found.append(batch.losses(part[here] - first))
                places.append(here.to(found[-1].device))
            first += len(batch)
        order = torch.cat(places).argsort()
        return torch.cat(found)[order]
