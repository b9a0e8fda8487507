"""A close look at one step: how long the gradient and the perturbation are, and how far the loss rises between them.

    gradient_norm         ‖g‖₂, g = ∇L(w) on the step's batch
    perturbation_norm     ‖ε‖₂
    rise                  L(w + ε) - L(w), the same batch and the same random numbers
    predicted_rise        ε·g, its first-order prediction; for SAM that is ρ‖g‖_q

Looking costs one forward and backward, and one forward at w + ε; the step itself is as if nobody had looked.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sam import SamOptimizer
from worker.engine.batches import Batch
from worker.engine.ranks import Ranks


class Probe:
    """A batch (`sam.Batch`) around one that is looked at in the passes of a step.

    Of several batches that make one step the first is enough. With several ranks each looks at its share.

    Args:
        batch: untouched so far.
        model: the module itself, not one that shares gradients with other ranks.
        optimizer: whose passes they are.
    """

    def __init__(self, batch: Batch, model: nn.Module, optimizer: SamOptimizer) -> None:
        self._batch = batch
        self._model = model
        self._optimizer = optimizer
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._start = [p.detach().clone() for p in self._parameters]
        with self._apart():
            loss = batch.mean_loss(model)
            found = torch.autograd.grad(loss, self._parameters, materialize_grads=True)
        self._loss = loss.detach()
        self._gradient = [g.detach() for g in found]
        self._perturbed: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._batch)

    @property
    def labels(self) -> Tensor | None:
        """See `sam.Batch.labels`."""
        return self._batch.labels

    def losses(self, part: Tensor | None = None) -> Tensor:
        """See `sam.Batch.losses`. At the first perturbed weights it looks around."""
        if self._optimizer.is_perturbed and not self._perturbed:
            self._perturbed = self._look()
        return self._batch.losses(part)

    def metrics(self, ranks: Ranks) -> dict[str, float]:
        """What was seen, means over the ranks; of the perturbation nothing where the step had none.

        What overflowed in half precision is left out: a loss scaler skips such a step.
        """
        seen = [_norm(self._gradient), *self._perturbed]
        values = (ranks.added_up(torch.stack(seen).double()) / ranks.count).tolist()
        named = zip(("gradient_norm", "perturbation_norm", "rise", "predicted_rise"), values, strict=False)
        return {name: value for name, value in named if math.isfinite(value)}

    @torch.no_grad()
    def _look(self) -> list[Tensor]:
        with self._apart():
            rise = self._batch.mean_loss(self._model) - self._loss
        norms: list[Tensor] = []
        predicted: list[Tensor] = []
        for p, start, g in zip(self._parameters, self._start, self._gradient, strict=True):
            eps = p - start  # of one parameter at a time, not of all
            norms.append(eps.norm())
            predicted.append((eps * g).sum())
        return [torch.stack(norms).norm(), rise, torch.stack(predicted).sum()]

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """Random numbers and buffers (BatchNorm's statistics) are afterwards as they were."""
        buffers = [(buffer, buffer.clone()) for buffer in self._model.buffers()]
        device = self._start[0].device
        with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device], device_type=device.type):
            yield
        with torch.no_grad():
            for buffer, copy in buffers:
                buffer.copy_(copy)


def _norm(tensors: list[Tensor]) -> Tensor:
    return torch.stack([t.norm() for t in tensors]).norm()
