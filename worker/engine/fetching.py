"""Bringing a dataset to this machine before a job asks for it, to where engines look."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from lowland.spec.datasets import DatasetSpec
from worker.engine.data import DATASETS, FILES
from worker.engine.settings import EngineSettings

_ADAPTER: Final[TypeAdapter[Any]] = TypeAdapter(DatasetSpec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A dataset that is at hand and was read."""

    name: str
    folder: Path | None
    """Where its files lie; None where they come with scikit-learn, or it is made up."""
    downloaded: bool
    """Whether they were fetched now."""
    train: int
    """Training samples."""
    test: int
    """Test samples."""
    sha256: Mapping[str, str]
    """Of each file it was read from, by its path under the folder."""


def fetch(name: str, settings: EngineSettings) -> Fetched:
    """Make sure that a dataset is here and whole: download it into `data_dir`, or without one into `download_dir`,
    unless it is there, check its files, and keep its images decoded for the first job.

    Args:
        name: of `DATASETS`, but none of people's own files.
        settings: of this machine.

    Raises:
        DatasetUnavailable: it cannot be downloaded.
        DatasetBroken: its files are there and not the published ones.
    """
    files = FILES.get(name)
    folder = files.found(settings) if files else None
    wanted = files is not None and folder is None
    if files is not None and folder is None and settings.data_dir is not None:
        files.fetch(settings.data_dir)
    dataset = DATASETS[name](_ADAPTER.validate_python(name), settings)
    return Fetched(
        name=name,
        folder=files.found(settings) if files else None,
        downloaded=wanted,
        train=len(dataset.train),
        test=len(dataset.test),
        sha256=dataset.checksums,
    )


def at_hand(settings: EngineSettings) -> Iterator[tuple[str, Path | None]]:
    """Every dataset that has files to fetch, and the folder that has them; None where none does."""
    for name, files in FILES.items():
        yield name, files.found(settings)
