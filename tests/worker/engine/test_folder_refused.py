"""Folders of images that cannot be used: whatever is wrong with them is named by its file."""

import errno
import os
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowland.spec.datasets import Folder
from lowland.spec.job import JobSpec
from tests.worker.engine.folders import load, pixels, save, settings_in, write
from tests.worker.engine.running import session_in
from worker.engine.building import build_run
from worker.engine.data import DATASETS
from worker.engine.errors import DatasetBroken, DatasetUnavailable, SpecUnusable
from worker.engine.settings import EngineSettings


def _scribble(root: Path) -> None:
    (root / "cat" / "1.png").write_bytes(b"no image")


def _truncate(root: Path) -> None:
    path = root / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:-30])


def _claim_to_be_huge(root: Path) -> None:
    """A PNG file whose header promises 2^31 - 1 pixels each way."""
    path = root / "cat" / "1.png"
    head = path.read_bytes()
    path.write_bytes(head[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + head[24:])


def _add_text(root: Path) -> None:
    (root / "cat" / "1.png").unlink()
    (root / "cat" / "1.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


@pytest.mark.parametrize("damage", [_scribble, _truncate, _claim_to_be_huge, _add_text])
def test_what_is_no_image_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    write(tmp_path, {"cat": 3, "dog": 3})
    root = tmp_path / "data" / "pets"
    damage(root)

    with pytest.raises(
        DatasetBroken, match=rf"^folder in {root} cannot be read: cat/1\.png cannot be read as an image"
    ):
        load(tmp_path)


def test_an_image_of_16_bits_is_refused_rather_than_cut(tmp_path: Path) -> None:
    write(tmp_path, {"cat": 3, "dog": 3})
    save(tmp_path / "data" / "pets" / "cat" / "1.png", np.full((6, 5), 1000, np.uint16))

    with pytest.raises(DatasetBroken, match=r"cat/1\.png has more than 8 bits a channel \(Pillow's mode I;16\)"):
        load(tmp_path)


def test_images_of_two_sizes_are_both_named(tmp_path: Path) -> None:
    write(tmp_path, {"train/cat": 3, "train/dog": 3, "test/cat": 1, "test/dog": 1})
    save(tmp_path / "data" / "pets" / "test" / "dog" / "0.png", pixels(0, height=7, width=9))

    with pytest.raises(
        DatasetBroken, match=r"train/cat/0\.png has 5x6 pixels and test/dog/0\.png has 9x7; give dataset\.size"
    ):
        load(tmp_path)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"cat": 2}, "it has 1 class folders; a classifier needs at least 2"),
        ({"test/cat": 2, "dog": 2}, 'it has "test" and no train'),
        ({"train/cat": 2, "train/dog": 2, "dog": 2}, "beside train it has dog; give it parts or classes, not both"),
        ({"train/cat": 1, "val/cat": 1, "validation/cat": 1}, "it has both validation and val; remove one of them"),
        (
            {"train/cat": 1, "train/dog": 1, "test/cat": 1, "test/cow": 1},
            "its classes are not those of the training set: they differ in cow, dog",
        ),
    ],
    ids=["one class", "no train", "parts and classes", "two validation parts", "classes that differ"],
)
def test_a_folder_that_is_laid_out_otherwise_is_refused(tmp_path: Path, counts: dict[str, int], said: str) -> None:
    write(tmp_path, counts)

    with pytest.raises(DatasetBroken) as caught:
        load(tmp_path)

    assert said in str(caught.value)


def test_a_class_without_a_training_image_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"cat": 2})
    (tmp_path / "data" / "pets" / "dog").mkdir()

    with pytest.raises(DatasetBroken, match="dog has no images"):
        load(tmp_path)


def test_a_part_without_an_image_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"train/cat": 2, "train/dog": 2})
    for name in ("cat", "dog"):
        (tmp_path / "data" / "pets" / "test" / name).mkdir(parents=True)

    with pytest.raises(DatasetBroken, match=r"pets/test cannot be read: it has no images"):
        load(tmp_path)


def test_a_folder_in_a_class_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"cat": 2, "dog": 2, "dog/puppy": 2})

    with pytest.raises(DatasetBroken, match="dog/puppy is no file; a class folder holds images alone"):
        load(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pets").write_bytes(b"")

    with pytest.raises(DatasetBroken, match="it is a file; give a folder with a folder for each class"):
        load(tmp_path)


def test_without_a_data_folder_there_are_no_own_images(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetUnavailable, match=r'^folder is not on disk: dataset\.path is "pets", and LOWLAND_DATA_DIR'
    ):
        DATASETS["folder"](Folder(path="pets"), EngineSettings(data_dir=None, cache_dir=tmp_path))


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    with pytest.raises(DatasetUnavailable, match=f'dataset.path is "pets", and {tmp_path / "data"} has nothing there'):
        load(tmp_path)


def _link_the_folder(data: Path, outside: Path) -> None:
    (data / "pets").symlink_to(outside)


def _link_to_itself(data: Path, outside: Path) -> None:
    (data / "pets").symlink_to(data / "pets")


@pytest.mark.parametrize("link", [_link_the_folder, _link_to_itself])
def test_no_link_leads_out_of_the_data_folder(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    write(tmp_path / "elsewhere", {"cat": 2, "dog": 2})
    (tmp_path / "data").mkdir()
    link(tmp_path / "data", tmp_path / "elsewhere" / "data" / "pets")

    with pytest.raises(DatasetUnavailable):
        load(tmp_path)


@pytest.mark.parametrize("place", ["train", "train/dog", "train/dog/1.png"])
def test_a_link_inside_the_folder_is_refused(tmp_path: Path, place: str) -> None:
    write(tmp_path / "elsewhere", {"train/cat": 2, "train/dog": 2})
    write(tmp_path, {"train/cat": 2, "train/dog": 1} if place == "train/dog/1.png" else {"train/cat": 2})
    linked = tmp_path / "data" / "pets" / place
    if place == "train":
        (tmp_path / "data" / "pets" / "train").rename(tmp_path / "data" / "pets" / "test")
    linked.symlink_to(tmp_path / "elsewhere" / "data" / "pets" / place)

    with pytest.raises(DatasetBroken, match=f"{linked.name} is a link; put what it leads to in its place"):
        load(tmp_path)


@pytest.mark.parametrize("path", ["../elsewhere", "/etc"])
def test_a_path_that_the_contract_would_refuse_is_refused_here_too(tmp_path: Path, path: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    spec = Folder.model_construct(path=path, size=None, channels=3)

    with pytest.raises(DatasetUnavailable, match=r"it leads out of"):
        DATASETS["folder"](spec, settings_in(tmp_path))


@pytest.mark.parametrize("what", ["iterdir", "open"])
def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The superuser may read everything: the refusal is the operating system's, played."""
    write(tmp_path, {"a": 2, "b": 2})
    refused = tmp_path / "data" / "pets" / "b" if what == "iterdir" else tmp_path / "data" / "pets" / "b" / "1.png"
    really = getattr(Path, what)

    def guarded(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path, *arguments, **options)

    monkeypatch.setattr(Path, what, guarded)

    with pytest.raises(DatasetBroken, match=rf"Permission denied: '{re.escape(str(refused))}'"):
        load(tmp_path)


def test_a_place_to_keep_images_that_may_not_be_read_is_not_the_folders_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a": 2, "b": 2})
    really = Path.exists

    def guarded(path: Path, **options: Any) -> bool:
        if path.is_relative_to(tmp_path / "decoded"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path, **options)

    monkeypatch.setattr(Path, "exists", guarded)

    with pytest.raises(PermissionError):
        load(tmp_path)


def _build(root: Path, stop: dict[str, Any]) -> None:
    """Build a run that has a validation part only if the folder has one."""
    dataset = {"name": "folder", "path": "pets", "validation_fraction": 0.0}
    spec = JobSpec.parse({"dataset": dataset, "model": "linear", "stop": stop})
    build_run(spec, replace(session_in(root), settings=settings_in(root)))


def test_a_stop_rule_may_not_name_a_part_that_the_folder_lacks(tmp_path: Path) -> None:
    write(tmp_path, {"a": 4, "b": 4})

    with pytest.raises(SpecUnusable, match=r'metric is "validation_accuracy", and the dataset has no validation part'):
        _build(tmp_path, {"metric": "validation_accuracy", "patience": 3})


def test_a_target_above_what_the_folders_own_part_can_reach_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"train/a": 4, "train/b": 4, "validation/a": 2, "validation/b": 2})

    with pytest.raises(
        SpecUnusable, match=r"stop\.target is 98, and no validation_accuracy is above 1; give at most 1"
    ):
        _build(tmp_path, {"target": 98})
