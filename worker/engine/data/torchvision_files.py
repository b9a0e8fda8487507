"""Datasets in torchvision's files: found on disk, else downloaded, else a clear error.

LOWLAND_DATA_DIR/…              read, never written
LOWLAND_DOWNLOAD_DIR/<name>/…   what was downloaded earlier, or is now

They are decoded once, and then opened from where they are kept decoded (`cache.py`).
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from lowland.spec.datasets import DatasetSpec
from worker.engine.data.cache import Decoded, DecodedPart, PartName, opened
from worker.engine.data.checksums import checksums
from worker.engine.data.dataset import Dataset
from worker.engine.errors import DatasetBroken, DatasetUnavailable
from worker.engine.network import network_timeout
from worker.engine.reporting import SILENT, Reporter
from worker.engine.settings import EngineSettings

#: How downloading fails; torchvision raises RuntimeError for a wrong checksum and for having tried every mirror.
_DOWNLOAD_ERRORS: Final = (OSError, RuntimeError, HTTPException, EOFError)
#: Images laid out anew at a time.
_PIECE: Final = 256


class TorchvisionSplit(Protocol):
    """One split of a dataset, as torchvision's classes give it."""

    data: Any
    """Images, uint8 [N, H, W] or [N, H, W, C]."""
    targets: Any
    """Classes, N integers."""
    classes: Any
    """Their names."""


class TorchvisionClass(Protocol):
    """A dataset's class in torchvision."""

    def __call__(self, root: str, train: bool, *, download: bool) -> TorchvisionSplit: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchvisionFiles:
    """A dataset that torchvision knows how to read and where to get."""

    name: str
    reader: TorchvisionClass
    files: Sequence[str]
    """Where its unpacked files lie under a data folder."""
    classes: tuple[str, ...] | None = None
    """Names of the classes; None are torchvision's."""
    sha256: Mapping[str, str] = field(default_factory=dict[str, str])
    """Checksums of files that torchvision's class reads without looking at them."""

    def load(self, spec: DatasetSpec, settings: EngineSettings, reporter: Reporter = SILENT) -> Dataset:
        """Read it from the first folder that has it.

        Raises:
            DatasetUnavailable: no folder has it and downloading it failed.
            DatasetBroken: a folder has the files and they cannot be read.
        """
        if folder := self.found(settings):
            return self._opened(folder, settings, reporter)
        looked: list[str] = []
        for setting, folder in self._places(settings):
            looked.append(f"{folder} has no {self._missing(folder)}" if folder else f"{setting} is not set")
        downloads = settings.download_dir / self.name
        try:
            self._download(downloads)
        except _DOWNLOAD_ERRORS as error:
            raise DatasetUnavailable(self.name, looked=looked, cause=error) from error
        return self._opened(downloads, settings, reporter)

    def found(self, settings: EngineSettings) -> Path | None:
        """The first folder that has all of it."""
        places = (folder for _, folder in self._places(settings))
        return next((folder for folder in places if folder and not self._missing(folder)), None)

    def _places(self, settings: EngineSettings) -> Sequence[tuple[str, Path | None]]:
        downloads = settings.download_dir / self.name
        return ("LOWLAND_DATA_DIR", settings.data_dir), ("LOWLAND_DOWNLOAD_DIR", downloads)

    def _missing(self, folder: Path) -> str | None:
        return next((file for file in self.files if not (folder / file).is_file()), None)

    def _opened(self, folder: Path, settings: EngineSettings, reporter: Reporter) -> Dataset:
        files = {name: folder / name for name in self.files}
        kept = opened(self.name, partial(self._decode, folder), files=files, settings=settings, reporter=reporter)
        return Dataset(
            train=kept.parts["train"], test=kept.parts["test"], classes=kept.classes, checksums=kept.checksums
        )

    def _decode(self, folder: Path) -> Decoded:
        found = checksums({name: folder / name for name in self.sha256})
        if wrong := next((name for name in found if found[name] != self.sha256[name]), None):
            problem = f"{wrong} is not the published file: its SHA-256 is {found[wrong]}, not {self.sha256[wrong]}"
            raise DatasetBroken(self.name, folder=folder, problem=problem)
        try:
            train, test = (self.reader(str(folder), train, download=False) for train in (True, False))
        # torchvision checks with assertions and lets struct and pickle errors through: whatever it raises, the
        # files are what is wrong.
        except Exception as error:
            raise DatasetBroken(self.name, folder=folder, problem=error) from error
        classes = tuple(train.classes) if self.classes is None else self.classes
        parts: dict[PartName, DecodedPart] = {
            "train": self._part(train, folder, len(classes)),
            "test": self._part(test, folder, len(classes)),
        }
        return Decoded(classes=classes, parts=parts)

    def _part(self, split: TorchvisionSplit, folder: Path, classes: int) -> DecodedPart:
        images, labels = np.asarray(split.data), np.asarray(split.targets, dtype=np.int64)
        if len(images) != len(labels) or len(labels) == 0:
            raise DatasetBroken(
                self.name, folder=folder, problem=f"there are {len(images)} images and {len(labels)} labels"
            )
        if not 0 <= labels.min() <= labels.max() < classes:
            raise DatasetBroken(self.name, folder=folder, problem=f"a label is not in 0 to {classes - 1}")
        count, height, width, channels = (*images.shape, 1)[:4]
        return DecodedPart(
            shape=(count, channels, height, width), blocks=partial(_channels_first, images), targets=labels
        )

    def fetch(self, folder: Path) -> None:
        """Download into a data folder, which may hold other datasets.

        Raises:
            DatasetUnavailable: downloading it failed.
        """
        try:
            with self._arrived(folder) as arrived:
                for file in self.files:
                    (folder / file).parent.mkdir(parents=True, exist_ok=True)
                    (arrived / file).replace(folder / file)
        except _DOWNLOAD_ERRORS as error:
            raise DatasetUnavailable(self.name, looked=[f"{folder} does not have all of it"], cause=error) from error

    def _download(self, folder: Path) -> None:
        """Download beside the folder and rename, so that a folder that is there is complete."""
        with self._arrived(folder.parent) as arrived:
            try:
                arrived.rename(folder)
            except OSError:
                # Another engine may have been quicker; what counts is that the files are there.
                if self._missing(folder):
                    raise

    @contextmanager
    def _arrived(self, beside: Path) -> Iterator[Path]:
        """A temporary folder in this one, with the dataset."""
        beside.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=beside, prefix=f".{self.name}-") as temporary:
            arriving = Path(temporary) / self.name
            with network_timeout():
                for train in (True, False):
                    self.reader(str(arriving), train, download=True)
            yield arriving


def _channels_first(images: np.ndarray) -> Iterator[np.ndarray]:
    """[N, H, W] or [N, H, W, C] as pieces of [N, C, H, W]."""
    for start in range(0, len(images), _PIECE):
        piece = images[start : start + _PIECE]
        yield piece.reshape(*piece.shape[:3], -1).transpose(0, 3, 1, 2)
