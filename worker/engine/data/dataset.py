"""A dataset as it is read: labelled images in memory, a part to learn from and a part to be tested on.

Letters: N samples, C channels, H height, W width.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from worker.engine.settings import EngineSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Images, uint8 [N, C, H, W], with their labels, int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> "Samples":
        return Samples(images=self.images[index], labels=self.labels[index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """All samples of a dataset; labels are 0 to `classes` - 1."""

    train: Samples
    test: Samples
    classes: int


#: How a dataset is read: from what is on this machine, or from the network.
Load = Callable[[EngineSettings], Dataset]
