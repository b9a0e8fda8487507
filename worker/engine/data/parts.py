"""The parts of a dataset as a run uses them: split off, normalised, on the training device.

test            the dataset's own test part; never split, never looked at before the end
training set    at most `limit` samples, each class in proportion
  ├ validation  `validation_fraction` of it, each class in proportion; none when that is 0
  └ training    the rest
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lowland.spec.datasets import DatasetSpec
from worker.engine.data.dataset import Dataset, Samples
from worker.engine.data.splits import stratified
from worker.engine.errors import DatasetTooSmall
from worker.engine.randomness import generator_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Normaliser:
    """Brings uint8 pixels to mean 0 and standard deviation 1 over the training part, channel by channel."""

    mean: Tensor
    """Of the pixels as they are stored, float32 [C]."""
    std: Tensor
    memory_format: torch.memory_format

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [B, C, H, W] to float32, laid out as the model wants it."""
        centred = images.to(torch.float32, memory_format=self.memory_format) - self.mean[:, None, None]
        return centred.div_(self.std[:, None, None])

    @property
    def mean_pixel(self) -> Tensor:
        """The mean colour as a pixel, uint8 [C]."""
        return self.mean.round().to(torch.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All a run needs of its dataset, on one device."""

    training: Samples
    host_labels: Tensor
    """Those of the training part, int64 [N], on the CPU: who reads them there waits for no device."""
    validation: Samples | None
    test: Samples
    normalise: Normaliser
    classes: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.training.images.shape[1:]
        return channels, height, width

    @property
    def class_counts(self) -> list[int]:
        """Training samples of each class."""
        return torch.bincount(self.host_labels, minlength=self.classes).tolist()


def prepare(dataset: Dataset, spec: DatasetSpec, *, seed: int, device: torch.device, channels_last: bool) -> Parts:
    """Split, measure and move a dataset.

    Raises:
        DatasetTooSmall: the training part would be empty.
    """
    training, validation = _split(dataset.train, spec, seed=seed)
    mean, std = _mean_and_std(training.images)
    return Parts(
        training=_on(device, training),
        host_labels=training.labels,
        validation=None if validation is None else _on(device, validation),
        test=_on(device, dataset.test),
        normalise=Normaliser(
            mean=mean.to(device),
            std=std.to(device),
            memory_format=torch.channels_last if channels_last else torch.contiguous_format,
        ),
        classes=dataset.classes,
    )


def _split(samples: Samples, spec: DatasetSpec, *, seed: int) -> tuple[Samples, Samples | None]:
    if spec.limit is not None and spec.limit < len(samples):
        _, kept = stratified(samples.labels, spec.limit, generator_for(seed, "limit"))
        samples = samples[kept]
    if spec.validation_fraction == 0:
        return samples, None
    count = max(1, round(spec.validation_fraction * len(samples)))
    if count >= len(samples):
        raise DatasetTooSmall(samples=len(samples), validation_fraction=spec.validation_fraction)
    training, validation = stratified(samples.labels, count, generator_for(seed, "validation"))
    return samples[training], samples[validation]


def _mean_and_std(images: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel of uint8 [N, C, H, W], exactly: from how often each of the 256 values occurs."""
    value = torch.arange(256, dtype=torch.float64)
    means, stds = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = (share * value).sum()
        means.append(mean)
        # A channel that is the same everywhere carries nothing: it becomes 0.
        stds.append(((share * (value - mean) ** 2).sum().sqrt()).clamp(min=1.0))
    return torch.stack(means).float(), torch.stack(stds).float()


def _on(device: torch.device, samples: Samples) -> Samples:
    return Samples(images=samples.images.to(device), labels=samples.labels.to(device))
