"""Batches: which samples each step takes, and their losses under the current weights."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.engine.data.augment import Augmentation
from worker.engine.data.parts import Parts
from worker.engine.device import Precision, autocast
from worker.engine.randomness import generator_for, seed_of


class Batch:
    """A batch as the SAM optimizers want it: it can be asked for its losses again and again, whole or in parts."""

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        label_smoothing: float,
        precision: Precision,
    ) -> None:
        self._model = model
        self._images = images
        self._labels = labels
        self._label_smoothing = label_smoothing
        self._precision: Precision = precision
        self._hits = torch.full(labels.shape, -1, dtype=torch.int8, device=labels.device)

    def __len__(self) -> int:
        return len(self._labels)

    def losses(self, part: Tensor | None = None) -> Tensor:
        """One forward pass.

        Args:
            part: indices of the samples wanted; None is all.

        Returns:
            The loss of each sample, float32 [samples], with its graph.
        """
        images = self._images if part is None else self._images[part]
        labels = self._labels if part is None else self._labels[part]
        with autocast(images.device, self._precision):
            logits = self._model(images)
        self._note_hits(part, logits.detach().argmax(1) == labels)
        return F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=self._label_smoothing)

    def correct(self) -> Tensor:
        """How many samples were classified correctly when their losses were first asked for: at the clean weights."""
        return (self._hits == 1).sum()

    def _note_hits(self, part: Tensor | None, right: Tensor) -> None:
        index = slice(None) if part is None else part
        seen = self._hits[index]
        self._hits[index] = torch.where(seen < 0, right.to(torch.int8), seen)


class TrainingBatches:
    """The batches of every epoch, each a function of the seed and of the epoch or step alone."""

    def __init__(
        self,
        parts: Parts,
        augment: Augmentation,
        *,
        batch_size: int,
        seed: int,
        label_smoothing: float,
        precision: Precision,
    ) -> None:
        self._parts = parts
        self._augment = augment
        self._batch_size = batch_size
        self._seed = seed
        self._label_smoothing = label_smoothing
        self._precision: Precision = precision
        self._mean_pixel = parts.normalise.mean_pixel

    def __len__(self) -> int:
        """Batches in an epoch; the last may be smaller."""
        return math.ceil(len(self._parts.training) / self._batch_size)

    def epoch(self, epoch: int, *, skip: int, model: nn.Module) -> Iterator[Batch]:
        """The batches of one epoch (from 0), without the first `skip`, to be trained on one after the other."""
        samples = self._parts.training
        order = torch.randperm(len(samples), generator=generator_for(self._seed, "order", epoch))
        first = epoch * len(self)
        for position, index in enumerate(order.to(samples.labels.device).split(self._batch_size)):
            if position >= skip:
                yield self._batch(samples.images[index], samples.labels[index], first + position, model)

    def _batch(self, images: Tensor, labels: Tensor, step: int, model: nn.Module) -> Batch:
        varied = self._augment(
            images, self._mean_pixel, generator_for(self._seed, "augment", step, device=images.device)
        )
        # What the model draws itself (dropout) comes from torch's own generators.
        torch.manual_seed(seed_of(self._seed, "forward", step))
        return Batch(
            model,
            self._parts.normalise(varied),
            labels,
            label_smoothing=self._label_smoothing,
            precision=self._precision,
        )
