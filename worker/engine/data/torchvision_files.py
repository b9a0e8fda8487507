"""Datasets in torchvision's files: found on disk, else downloaded, else a clear error.

LOWLAND_DATA_DIR/…              read, never written
LOWLAND_DOWNLOAD_DIR/<name>/…   what was downloaded earlier, or is now
"""

import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from worker.engine.data.dataset import Dataset, Samples
from worker.engine.errors import DatasetBroken, DatasetUnavailable
from worker.engine.settings import EngineSettings

#: Seconds a silent server is waited for while downloading.
NETWORK_TIMEOUT_S: Final = 30.0


class TorchvisionSplit(Protocol):
    """One split of a dataset, as torchvision's classes give it."""

    data: Any
    targets: Any


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
    classes: int

    def load(self, settings: EngineSettings) -> Dataset:
        """Read it from the first folder that has it.

        Raises:
            DatasetUnavailable: no folder has it and downloading it failed.
            DatasetBroken: a folder has the files and they cannot be read.
        """
        looked: list[str] = []
        downloads = settings.download_dir / self.name
        for setting, folder in ("LOWLAND_DATA_DIR", settings.data_dir), ("LOWLAND_DOWNLOAD_DIR", downloads):
            if folder is None:
                looked.append(f"{setting} is not set")
            elif missing := self._missing(folder):
                looked.append(f"{folder} has no {missing}")
            else:
                return self._read(folder)
        try:
            self._download(downloads)
        # torchvision raises RuntimeError for a wrong checksum and for having tried every mirror.
        except (OSError, RuntimeError, HTTPException, EOFError) as error:
            raise DatasetUnavailable(self.name, looked=looked, cause=error) from error
        return self._read(downloads)

    def _missing(self, folder: Path) -> str | None:
        return next((file for file in self.files if not (folder / file).is_file()), None)

    def _read(self, folder: Path) -> Dataset:
        try:
            train, test = (self.reader(str(folder), train, download=False) for train in (True, False))
        # torchvision checks with assertions and lets struct and pickle errors through: whatever it raises, the
        # files are what is wrong.
        except Exception as error:
            raise DatasetBroken(self.name, folder=folder, problem=error) from error
        return Dataset(train=self._samples(train, folder), test=self._samples(test, folder), classes=self.classes)

    def _samples(self, split: TorchvisionSplit, folder: Path) -> Samples:
        images = _channels_first(torch.as_tensor(split.data))
        labels = torch.as_tensor(split.targets, dtype=torch.int64)
        if len(images) != len(labels) or len(labels) == 0:
            raise DatasetBroken(
                self.name, folder=folder, problem=f"there are {len(images)} images and {len(labels)} labels"
            )
        if not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise DatasetBroken(self.name, folder=folder, problem=f"a label is not in 0 to {self.classes - 1}")
        return Samples(images=images, labels=labels)

    def _download(self, folder: Path) -> None:
        """Download beside the folder and rename, so that a folder that is there is complete."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{self.name}-") as temporary:
            arriving = Path(temporary) / self.name
            with _network_timeout(NETWORK_TIMEOUT_S):
                self.reader(str(arriving), True, download=True)
            try:
                arriving.rename(folder)
            except OSError:
                # Another engine may have been quicker; what counts is that the files are there.
                if self._missing(folder):
                    raise


def _channels_first(images: Tensor) -> Tensor:
    """[N, H, W] or [N, H, W, C] to contiguous [N, C, H, W]."""
    return images.reshape(*images.shape[:3], -1).permute(0, 3, 1, 2).contiguous()


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    """torchvision opens its connections without one; by default a silent server would be waited for without end."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
