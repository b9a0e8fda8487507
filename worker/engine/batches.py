"""Batches: which samples each step takes, and their losses under the current weights."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sam
from worker.engine.data.augment import Augmentation
from worker.engine.data.parts import Parts
from worker.engine.device import Precision, autocast
from worker.engine.randomness import generator_for, seed_of

#: What the data say of the model, without label smoothing.
_CROSS_ENTROPY: Final = partial(F.cross_entropy, reduction="none")


class Batch:
    """A batch as the SAM optimizers want it (`sam.Batch`), which also counts what was classified correctly.

    Args:
        model: is asked for logits again in each pass.
        images: normalised, [samples, C, H, W].
        targets: classes, int64 [samples], where the images are.
        labels: the same on the CPU.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        targets: Tensor,
        labels: Tensor,
        *,
        label_smoothing: float,
        precision: Precision,
    ) -> None:
        self._model = model
        self._images = images
        self._targets = targets
        self._labels = labels
        self._label_smoothing = label_smoothing
        self._precision: Precision = precision
        self._hits = torch.full(targets.shape, -1, dtype=torch.int8, device=targets.device)

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def labels(self) -> Tensor:
        """The class of each sample, int64 [samples], on the CPU."""
        return self._labels

    def losses(self, part: Tensor | None = None) -> Tensor:
        """One forward pass.

        Args:
            part: indices of the samples wanted, on any device; None is all.

        Returns:
            The loss of each sample, float32 [samples], with its graph.
        """
        images, targets = self._images, self._targets
        if part is not None:
            part = part.to(images.device, non_blocking=True)
            images, targets = images[part], targets[part]
        logits = _logits(self._model, self._precision, images)
        self._note_hits(part, logits.detach().argmax(1) == targets)
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=self._label_smoothing)

    def correct(self) -> Tensor:
        """How many samples were classified correctly when their losses were first asked for.

        That is at the clean weights, except for a variant that has no pass there (MSAM).
        """
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
        device = self._parts.training.labels.device
        order = torch.randperm(len(self._parts.training), generator=generator_for(self._seed, "order", epoch))
        pieces = zip(order.split(self._batch_size), order.to(device).split(self._batch_size), strict=True)
        first = epoch * len(self)
        for position, (host_index, index) in enumerate(pieces):
            if position >= skip:
                yield self._batch(host_index, index, first + position, model)

    def sample(self, count: int, step: int, *, model: nn.Module) -> sam.Batch:
        """Training samples to estimate something from: as they are, with plain cross-entropy.

        Args:
            count: how many; all, where there are fewer.
            step: decides, with the seed, which; nothing that training draws is touched.
            model: whose losses they are.
        """
        parts = self._parts
        order = torch.randperm(len(parts.training), generator=generator_for(self._seed, "sample", step))
        host_index = order[: min(count, len(order))]
        samples = parts.training[host_index.to(parts.training.labels.device)]
        return sam.Minibatch(
            partial(_logits, model, self._precision),
            parts.normalise(samples.images),
            samples.labels,
            _CROSS_ENTROPY,
            labels=parts.host_labels[host_index],
        )

    def _batch(self, host_index: Tensor, index: Tensor, step: int, model: nn.Module) -> Batch:
        parts = self._parts
        samples = parts.training[index]
        varied = self._augment(
            samples.images, self._mean_pixel, generator_for(self._seed, "augment", step, device=index.device)
        )
        # What the model draws itself (dropout) comes from torch's own generators.
        torch.manual_seed(seed_of(self._seed, "forward", step))
        return Batch(
            model,
            parts.normalise(varied),
            samples.labels,
            parts.host_labels[host_index],
            label_smoothing=self._label_smoothing,
            precision=self._precision,
        )


def _logits(model: nn.Module, precision: Precision, images: Tensor) -> Tensor:
    """One forward pass, float32 [samples, classes]."""
    with autocast(images.device, precision):
        return model(images).float()
