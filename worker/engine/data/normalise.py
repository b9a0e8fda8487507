"""What a model is shown: inputs of mean 0 and standard deviation 1 over the training part, and targets likewise.

Letters: B samples of a batch, N of the training part, C channels, H height, W width, F features.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from worker.engine.data.dataset import Samples

#: Samples measured at a time: few enough that their copies stay small.
_PIECE: Final = 256

#: Pixels of a channel whose deviation is smaller, in steps of 1/255, are not spread further than this would.
_LEAST_CONTRAST: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Normaliser:
    """Brings pixels, channel by channel, or features to mean 0 and deviation 1, on the device that training is on."""

    mean: Tensor
    """Of the raw inputs, float32 [C, 1, 1] or [F], on that device."""
    std: Tensor
    """Likewise; infinite where a feature is the same in the whole training part, which makes it 0."""
    memory_format: torch.memory_format

    def __call__(self, inputs: Tensor) -> Tensor:
        """uint8 [B, C, H, W] or float32 [B, F], on any device, to float32 as the model wants it."""
        # moved before it is widened: a quarter of the bytes
        there = inputs.to(self.mean.device, non_blocking=True)
        centred = there.to(torch.float32, memory_format=self.memory_format) - self.mean
        return centred.div_(self.std)

    @property
    def mean_pixel(self) -> Tensor | None:
        """The mean colour as a pixel, uint8 [C]; None for features."""
        return None if self.mean.dim() == 1 else self.mean.flatten().round().to(torch.uint8)

    def description(self) -> dict[str, list[float | None]]:
        """As JSON values, one number per channel or feature; a deviation is None where inputs become 0."""
        mean, std = self.mean.flatten().tolist(), self.std.flatten().tolist()
        return {"mean": mean, "std": [value if math.isfinite(value) else None for value in std]}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetScale:
    """Mean and deviation of the training targets. What is learnt is the standardised target."""

    mean: float
    std: float

    def standardise(self, targets: Tensor) -> Tensor:
        """From the dataset's units to mean 0 and deviation 1."""
        return (targets - self.mean) / self.std

    def restore(self, outputs: Tensor) -> Tensor:
        """From what a model says to the dataset's units."""
        return outputs * self.std + self.mean


def normaliser_of(training: Samples, device: torch.device, *, channels_last: bool) -> Normaliser:
    """Measure the training part, where it lies on the CPU, for training on a device."""
    if training.source.dim() == 2:
        mean, std = _of_features(training)
        layout = torch.contiguous_format
    else:
        mean, std = (of_channel[:, None, None] for of_channel in _of_pixels(training))
        layout = torch.channels_last if channels_last else torch.contiguous_format
    return Normaliser(mean=mean.to(device), std=std.to(device), memory_format=layout)


def scale_of(targets: Tensor) -> TargetScale:
    """Measure the targets of the training part, float32 [N], of which not all are the same."""
    values = targets.double()
    return TargetScale(mean=float(values.mean()), std=float(values.std(correction=0)))


def moments_of(images: Tensor) -> Tensor:
    """Sum and sum of squares of the pixels of each channel, int64 [B, C, 2], of uint8 [B, C, H, W]."""
    pixels = images.flatten(2).double()  # exact up to 2^53, and quicker than integers
    return torch.stack([pixels.sum(2), pixels.square().sum(2)], dim=2).long()


def _of_pixels(training: Samples) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, float32 [C]; exact, as sums of integers."""
    if training.moments is None:
        total = torch.stack([moments_of(images).sum(0) for images, _ in training.batches(_PIECE)]).sum(0)
    else:
        total = (training.moments if training.rows is None else training.moments[training.rows]).sum(0)
    height, width = training.source.shape[2:]
    mean, mean_square = (total.double() / (len(training) * height * width)).unbind(1)
    std = (mean_square - mean.square()).clamp(min=0).sqrt().clamp(min=_LEAST_CONTRAST)
    return mean.float(), std.float()


def _of_features(training: Samples) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each feature, float32 [F]."""
    mean = torch.stack([features.sum(0) for features in _pieces(training)]).sum(0) / len(training)
    squares = torch.stack([(features - mean).square().sum(0) for features in _pieces(training)]).sum(0)
    lowest = torch.stack([features.amin(0) for features in _pieces(training)]).amin(0)
    highest = torch.stack([features.amax(0) for features in _pieces(training)]).amax(0)
    std = (squares / len(training)).sqrt().float()
    # Told by the values: rounding alone can give a feature that never changes a tiny deviation.
    is_constant = (lowest == highest) | (std == 0)
    return mean.float(), torch.where(is_constant, torch.inf, std)


def _pieces(training: Samples) -> Iterator[Tensor]:
    for features, _ in training.batches(_PIECE):
        yield features.double()
