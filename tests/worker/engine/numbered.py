"""Samples that say which they are, and the steps that are made of them."""

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor, nn

import sam
from lowland.spec.datasets import DatasetSpec
from worker.engine.batches import Batch, Forward, Step, TrainingBatches
from worker.engine.data import Dataset, Samples
from worker.engine.data.augment import AUGMENTATIONS
from worker.engine.data.parts import Parts, prepare
from worker.engine.ranks import ALONE, Ranks
from worker.engine.tasks import TASKS

COUNT = 50


class Recorder(nn.Module):
    """Remembers what it was shown, and says nothing of it."""

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs))
        self.shown: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.shown.append(inputs)
        return self.weight.expand(len(inputs), -1)


def numbered_images(**options: Any) -> Parts:
    """Fifty images, each of one brightness that says which it is, of ten classes that take turns."""
    number = torch.arange(COUNT)
    images = number.to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    return _parts(Samples(source=images, targets=number % 10), classes=10, name="digits", **options)


def numbered_features() -> Parts:
    """Fifty samples of a regression with two features, the first of which says which it is."""
    number = torch.arange(COUNT, dtype=torch.float32)
    return _parts(Samples(source=torch.stack([number, number**2], 1), targets=3 * number), classes=None, name="linear")


def _parts(samples: Samples, *, classes: int | None, **options: Any) -> Parts:
    names = None if classes is None else tuple(map(str, range(classes)))
    given = {"validation_fraction": 0.0, **options}
    spec = TypeAdapter[DatasetSpec](DatasetSpec).validate_python(given)
    dataset = Dataset(train=samples, test=samples, classes=names)
    return prepare(dataset, spec, seed=0, device=torch.device("cpu"), channels_last=True)


def forward_of(model: nn.Module, parts: Parts, *, label_smoothing: float = 0.0) -> Forward:
    """How the model is trained on these parts, in fp32."""
    task = TASKS["regression" if parts.classes is None else "classification"](parts)
    return Forward(
        model=model,
        task=task,
        precision="fp32",
        label_smoothing=label_smoothing,
        sync_perturbation=False,
        batch_size=16,
    )


def batches_of(
    parts: Parts | None = None,
    *,
    accumulate: int = 1,
    seed: int = 0,
    augment: str = "none",
    batch_size: int = 16,
    ranks: Ranks = ALONE,
) -> TrainingBatches:
    """Batches of these parts; of the numbered images where none are given."""
    return TrainingBatches(
        numbered_images() if parts is None else parts,
        AUGMENTATIONS[augment],
        batch_size=batch_size,
        accumulate=accumulate,
        seed=seed,
        ranks=ranks,
    )


def plain(model: nn.Module) -> sam.SamOptimizer:
    """An optimizer that asks for one pass."""
    return sam.Plain(model.parameters(), torch.optim.SGD, lr=0.1)


def steps_of(
    batches: TrainingBatches,
    epoch: int = 0,
    *,
    skip: int = 0,
    model: nn.Module | None = None,
    parts: Parts | None = None,
) -> list[Step]:
    """All steps of an epoch; none of them is taken."""
    model = model or Recorder()
    forward = forward_of(model, parts or numbered_images())
    return list(batches.epoch(epoch, skip=skip, forward=forward, optimizer=plain(model)))


def shown_in(batches: TrainingBatches, epoch: int = 0, *, skip: int = 0, parts: Parts | None = None) -> list[Tensor]:
    """What the model sees in each step."""
    model = Recorder(1 if parts is not None and parts.classes is None else 10)
    for step in steps_of(batches, epoch, skip=skip, model=model, parts=parts):
        step.for_optimizer().losses()
    return model.shown


class Telling(nn.Module):
    """Gives each image of `numbered_images` the class that its brightness says."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(100.0))
        self._normalise = parts.normalise

    def forward(self, images: Tensor) -> Tensor:
        pixels = (self._normalise.std * images + self._normalise.mean)[:, 0, 0, 0]
        return self.weight * F.one_hot(pixels.round().long() % 10, 10)


def counted(batch: Batch) -> dict[str, float]:
    """The metrics of what a batch counts."""
    task = TASKS["classification"](numbered_images())
    tally = task.tally()
    batch.count_into(tally)
    return task.metrics(tally)
