"""A dataset as it is read: samples with targets, a part to learn from and a part to be tested on.

Letters: M rows of a source, N samples, C channels, H height, W width, F features.

A source is an image array, uint8 [M, C, H, W], or a feature table, float32 [M, F]; it may be a memory-mapped file,
larger than memory, of which only what is asked for is read. Targets are classes, int64 [N], or values, float32 [N].
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from worker.engine.reporting import Reporter
from worker.engine.settings import EngineSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Some rows of a source with their targets. Choosing among them copies no input."""

    source: Tensor
    targets: Tensor
    """Those of these samples, in their order."""
    rows: Tensor | None = None
    """Which rows of the source the samples are, int64 [N], where the source is; None is all of them in order."""
    moments: Tensor | None = None
    """Of each row of an image source and each channel the sum and the sum of squares of its pixels, int64 [M, C, 2], on
    the CPU: with it mean and deviation of any choice of rows are had without reading the images. None: not known."""

    def __len__(self) -> int:
        return len(self.targets)

    def inputs(self, index: Tensor) -> Tensor:
        """The inputs of the samples at `index` (int64, where the source is), gathered there."""
        return self.source[index if self.rows is None else self.rows[index]]

    def batches(self, size: int, part: slice = slice(None)) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets of at most `size` samples at a time, in order; all of them, or those of a slice."""
        first, end, _ = part.indices(len(self))
        for start in range(first, end, size):
            piece = slice(start, min(start + size, end))
            yield self.source[piece if self.rows is None else self.rows[piece]], self.targets[piece]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """All samples of a dataset."""

    train: Samples
    test: Samples
    validation: Samples | None = None
    """A validation part the dataset has of its own; None where it is to be split off."""
    classes: tuple[str, ...] | None
    """Names of the classes 0, 1, ...; None for regression."""
    features: tuple[str, ...] | None = None
    """Names of the features in order; None of images, and where they have none."""
    checksums: Mapping[str, str] = field(default_factory=dict[str, str])
    """SHA-256 of every file it was read from, by the file's path under its folder."""


class Load(Protocol):
    """How a dataset is read."""

    def __call__(self, spec: Any, settings: EngineSettings, reporter: Reporter = ...) -> Dataset:
        """Read it.

        Args:
            spec: the member of the contract's union.
            settings: of this machine.
            reporter: is told now and then that the engine is alive, where reading takes long.
        """
        ...
