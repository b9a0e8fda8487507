"""What one sample is like that a model is built for: an image, or a vector of features."""

from collections.abc import Sequence
from dataclasses import dataclass


class ShapeUnsuited(ValueError):
    """The model cannot take such samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """So many features, in no order that a model could use."""

    values: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of a tensor that holds one sample: [F]."""
        return (self.values,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShape:
    """Channels, and pixels each way."""

    channels: int
    height: int
    width: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of a tensor that holds one sample: [C, H, W]."""
        return self.channels, self.height, self.width

    @property
    def values(self) -> int:
        """Numbers in one image."""
        return self.channels * self.height * self.width

    def halved(self, *, channels: int) -> "ImageShape":
        """What a convolution to so many channels and a halving of the sides (rounded down) make of it."""
        return ImageShape(channels=channels, height=self.height // 2, width=self.width // 2)

    @property
    def can_be_halved(self) -> bool:
        """Whether at least 2x2 pixels are left after halving.

        A single pixel says nothing about where things are, and a BatchNorm behind it cannot train on a batch of one.
        """
        return min(self.height, self.width) >= 4


#: What a model that wants no images takes too.
InputShape = ImageShape | Vector


def shape_of(sizes: Sequence[int]) -> InputShape:
    """What samples are like that tensors of these sizes hold, [F] or [C, H, W]."""
    if len(sizes) == 1:
        return Vector(values=sizes[0])
    channels, height, width = sizes
    return ImageShape(channels=channels, height=height, width=width)
