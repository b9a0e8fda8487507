"""folder: people's own images, a folder for each class, under LOWLAND_DATA_DIR.

<path>/<class>/<image>                    all of it training set, of which a fixed test part is split off
<path>/<part>/<class>/<image>             with train, perhaps validation (or val), perhaps test
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from lowland.spec.datasets import Folder
from lowland.spec.show import cut, one_of
from worker.engine.data.cache import Decoded, DecodedPart, PartName, opened
from worker.engine.data.dataset import Dataset
from worker.engine.data.own_files import own_path
from worker.engine.data.pictures import NotAPicture, read_picture
from worker.engine.data.splits import with_test_part
from worker.engine.errors import DatasetBroken
from worker.engine.reporting import SILENT, Reporter
from worker.engine.settings import EngineSettings

#: What the folders of the parts are called.
_PARTS: Final[Mapping[str, PartName]] = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A part's images in order, and the class of each."""

    images: Sequence[Path]
    targets: Sequence[int]


def load(spec: Folder, settings: EngineSettings, reporter: Reporter = SILENT) -> Dataset:
    """Read it from where it was kept decoded, or decode it.

    Raises:
        OwnDatasetUnavailable: the path names nothing under LOWLAND_DATA_DIR.
        DatasetBroken: the folder is not laid out as it should be, or a file is no image.
    """
    folder = own_path(spec.name, spec.path, settings)
    try:
        classes, parts = _listed(folder)
        kept = opened(
            spec.name,
            partial(_decode, spec, folder, classes, parts),
            files={str(path.relative_to(folder)): path for part in parts.values() for path in part.images},
            settings=settings,
            reporter=reporter,
            options={"classes": classes, "size": spec.size, "channels": spec.channels},
        )
    except (PermissionError, FileNotFoundError) as error:
        if not Path(str(error.filename)).is_relative_to(folder):
            raise
        raise _broken(folder, error) from error
    train, test = kept.parts["train"], kept.parts.get("test")
    if test is None:
        train, test = with_test_part(spec.name, train)
    return Dataset(
        train=train,
        validation=kept.parts.get("validation"),
        test=test,
        classes=kept.classes,
        checksums=kept.checksums,
    )


def _listed(folder: Path) -> tuple[tuple[str, ...], Mapping[PartName, _Listed]]:
    """The classes and what each part holds; no image is opened."""
    if not folder.is_dir():
        raise _broken(folder, "it is a file; give a folder with a folder for each class")
    folders = _part_folders(folder)
    classes = _class_names(folders["train"])
    if len(classes) < 2:
        raise _broken(folders["train"], f"it has {len(classes)} class folders; a classifier needs at least 2")
    for inner in folders.values():
        if differing := {*_class_names(inner)} ^ {*classes}:
            listed = cut(", ".join(sorted(differing)))
            raise _broken(inner, f"its classes are not those of the training set: they differ in {listed}")
    return classes, {name: _images_in(inner, is_training=name == "train") for name, inner in folders.items()}


def _part_folders(folder: Path) -> Mapping[PartName, Path]:
    """Where each part lies: in a folder of its own, or all in the one there is."""
    inner = _folders_in(folder)
    named = {path.name for path in inner if path.name in _PARTS}
    if not named:
        return {"train": folder}
    if "train" not in named:
        raise _broken(folder, f"it has {one_of(sorted(named))} and no train")
    if {"validation", "val"} <= named:
        raise _broken(folder, "it has both validation and val; remove one of them")
    if others := [path.name for path in inner if path.name not in _PARTS]:
        raise _broken(folder, f"beside train it has {cut(', '.join(others))}; give it parts or classes, not both")
    return {_PARTS[path.name]: path for path in inner}


def _class_names(folder: Path) -> tuple[str, ...]:
    return tuple(path.name for path in _folders_in(folder))


def _folders_in(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, in order, without what is hidden; a link might lead out of LOWLAND_DATA_DIR."""
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if link := next((path for path in entries if path.is_symlink()), None):
        raise _broken(folder, f"{link.name} is a link; put what it leads to in its place")
    return entries


def _images_in(folder: Path, *, is_training: bool) -> _Listed:
    images: list[Path] = []
    targets: list[int] = []
    for number, inner in enumerate(_folders_in(folder)):
        files = _entries(inner)
        if is_training and not files:
            raise _broken(folder, f"{inner.name} has no images")
        if strange := next((path for path in files if not path.is_file()), None):
            raise _broken(folder, f"{strange.relative_to(folder)} is no file; a class folder holds images alone")
        images += files
        targets += [number] * len(files)
    if not images:
        raise _broken(folder, "it has no images")
    return _Listed(images=images, targets=targets)


def _decode(spec: Folder, folder: Path, classes: tuple[str, ...], parts: Mapping[PartName, _Listed]) -> Decoded:
    """Find out how large the images are; they are decoded when asked for, so that not all need fit in memory."""
    first = parts["train"].images[0]
    channels, height, width = _read(spec, folder, first).shape

    def blocks(part: _Listed) -> Iterator[np.ndarray]:
        for path in part.images:
            picture = _read(spec, folder, path)
            if picture.shape != (channels, height, width):
                raise _broken(
                    folder,
                    f"{first.relative_to(folder)} has {width}x{height} pixels and {path.relative_to(folder)} has "
                    f"{picture.shape[2]}x{picture.shape[1]}; give dataset.size to bring all to one",
                )
            yield picture[None]

    return Decoded(
        classes=classes,
        parts={
            name: DecodedPart(
                shape=(len(part.images), channels, height, width),
                blocks=partial(blocks, part),
                targets=np.array(part.targets, np.int64),
            )
            for name, part in parts.items()
        },
    )


def _read(spec: Folder, folder: Path, path: Path) -> np.ndarray:
    try:
        return read_picture(path, channels=spec.channels, size=spec.size)
    except NotAPicture as error:
        raise _broken(folder, f"{path.relative_to(folder)} {error}") from error


def _broken(folder: Path, problem: str | OSError) -> DatasetBroken:
    return DatasetBroken("folder", folder=folder, problem=problem)
