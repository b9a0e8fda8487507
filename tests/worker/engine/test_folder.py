"""People's own images: a folder for each class, perhaps in parts; whatever is wrong with them is named by its file."""

import errno
import os
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lowland.spec.datasets import Folder
from lowland.spec.job import JobSpec
from lowland.spec.reports import Preparing, read_report
from tests.worker.engine.running import session_in
from worker.engine.building import build_run
from worker.engine.data import DATASETS, Dataset, Samples
from worker.engine.errors import DatasetBroken, DatasetUnavailable, SpecUnusable
from worker.engine.reporting import Reporter
from worker.engine.settings import EngineSettings


def _settings(root: Path) -> EngineSettings:
    return EngineSettings(data_dir=root / "data", cache_dir=root / "decoded")


def _load(root: Path, path: str = "pets", **options: Any) -> Dataset:
    return DATASETS["folder"](Folder(path=path, **options), _settings(root))


def _pixels(seed: int, height: int = 6, width: int = 5, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def _save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def _write(root: Path, counts: Mapping[str, int]) -> None:
    """So many images in each of some folders under `pets`; image `i` of a folder is `_pixels(i)`."""
    for folder, count in counts.items():
        for number in range(count):
            _save(root / "data" / "pets" / folder / f"{number}.png", _pixels(number))


def _inputs(samples: Samples | None) -> torch.Tensor:
    assert samples is not None
    return samples.inputs(torch.arange(len(samples)))


def test_class_folders_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    _write(tmp_path, {"train/dog": 1, "train/cat": 2, "test/dog": 1, "test/cat": 1})

    dataset = _load(tmp_path)

    images = [torch.from_numpy(_pixels(number).transpose(2, 0, 1)) for number in (0, 1, 0)]
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.targets.tolist() == [0, 0, 1]
    assert torch.equal(_inputs(dataset.train), torch.stack(images))
    assert dataset.test.targets.tolist() == [0, 1]
    assert dataset.validation is None
    assert dataset.checksums.keys() == {
        "train/cat/0.png",
        "train/cat/1.png",
        "train/dog/0.png",
        "test/cat/0.png",
        "test/dog/0.png",
    }


def test_without_parts_a_fifth_of_each_class_is_the_test_part(tmp_path: Path) -> None:
    _write(tmp_path, {"cat": 20, "dog": 10})

    first, again = _load(tmp_path), _load(tmp_path)

    assert torch.bincount(first.train.targets).tolist() == [16, 8]
    assert torch.bincount(first.test.targets).tolist() == [4, 2]
    assert torch.equal(_inputs(first.test), _inputs(again.test))


@pytest.mark.parametrize("name", ["validation", "val"])
def test_a_validation_part_goes_by_either_name(tmp_path: Path, name: str) -> None:
    _write(tmp_path, {"train/cat": 5, "train/dog": 5, f"{name}/cat": 1, f"{name}/dog": 2})

    dataset = _load(tmp_path)

    assert dataset.validation is not None
    assert dataset.validation.targets.tolist() == [0, 1, 1]
    assert (len(dataset.train), len(dataset.test)) == (8, 2)


def test_what_is_hidden_and_what_lies_beside_the_class_folders_is_passed_over(tmp_path: Path) -> None:
    _write(tmp_path, {"cat": 5, "dog": 5})
    pets = tmp_path / "data" / "pets"
    (pets / "README.md").write_text("All of them live here.")
    (pets / ".git").mkdir()
    (pets / "cat" / ".DS_Store").write_bytes(b"\0")

    assert _load(tmp_path).classes == ("cat", "dog")


def test_the_shorter_side_is_scaled_and_a_square_cut_out_of_the_middle(tmp_path: Path) -> None:
    left, middle, right = (np.full((20, 20, 3), grey, np.uint8) for grey in (0, 100, 200))
    for name in ("a", "b"):
        _save(tmp_path / "data" / "pets" / name / "wide.png", np.hstack([left, middle, right]))
        _save(tmp_path / "data" / "pets" / name / "tall.png", np.vstack([left, middle, right]))

    dataset = _load(tmp_path, size=4)

    images = _inputs(dataset.train).int()
    assert images.shape == (3, 3, 4, 4)
    # The outermost pixels are averages that reach a little beyond the square.
    assert (images - 100).abs().max() <= 15
    assert (images[:, :, 1:3, 1:3] == 100).all()


def test_grey_images_in_colour_and_coloured_ones_in_grey(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _save(tmp_path / "data" / "pets" / name / "0.png", np.full((4, 4), 80, np.uint8))
        _save(tmp_path / "data" / "pets" / name / "1.png", np.full((4, 4, 3), 80, np.uint8))

    grey, colour = _load(tmp_path, channels=1), _load(tmp_path, channels=3)

    assert torch.equal(_inputs(grey.train), torch.full((3, 1, 4, 4), 80, dtype=torch.uint8))
    assert torch.equal(_inputs(colour.train), torch.full((3, 3, 4, 4), 80, dtype=torch.uint8))


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    """A camera that was held upright stores the picture lying, and says so in the metadata (orientation 6)."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        for number in range(3):
            _save(tmp_path / "data" / "pets" / name / f"{number}.jpg", _pixels(0, height=8, width=16), exif=exif)

    assert _inputs(_load(tmp_path).train).shape == (5, 3, 16, 8)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "gif", "tif", "ppm"])
def test_every_usual_format_is_read_whatever_its_name_says(tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        path = tmp_path / "data" / "pets" / name / f"picture.{ending}"
        _save(path, np.full((8, 8, 3), 90, np.uint8))
        path.rename(path.with_suffix(""))

    images = _inputs(_load(tmp_path).train)

    assert images.shape == (1, 3, 8, 8)
    assert (images.int() - 90).abs().max() <= 2


def test_images_are_decoded_once(tmp_path: Path) -> None:
    _write(tmp_path, {"cat": 3, "dog": 3})
    first = _load(tmp_path)
    (entry,) = (tmp_path / "decoded").iterdir()
    kept = entry.stat().st_ino

    again = _load(tmp_path)

    assert [path.stat().st_ino for path in (tmp_path / "decoded").iterdir()] == [kept]
    assert torch.equal(_inputs(first.train), _inputs(again.train))


def test_classes_that_change_their_names_are_not_taken_for_the_old_ones(tmp_path: Path) -> None:
    _write(tmp_path, {"cat": 2, "dog": 2})
    _load(tmp_path)

    (tmp_path / "data" / "pets" / "cat").rename(tmp_path / "data" / "pets" / "wolf")

    assert _load(tmp_path).classes == ("dog", "wolf")


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
    _write(tmp_path, {"cat": 3, "dog": 3})
    root = tmp_path / "data" / "pets"
    damage(root)

    with pytest.raises(
        DatasetBroken, match=rf"^folder in {root} cannot be read: cat/1\.png cannot be read as an image"
    ):
        _load(tmp_path)


def test_an_image_of_16_bits_is_refused_rather_than_cut(tmp_path: Path) -> None:
    _write(tmp_path, {"cat": 3, "dog": 3})
    _save(tmp_path / "data" / "pets" / "cat" / "1.png", np.full((6, 5), 1000, np.uint16))

    with pytest.raises(DatasetBroken, match=r"cat/1\.png has more than 8 bits a channel \(Pillow's mode I;16\)"):
        _load(tmp_path)


def test_images_of_two_sizes_are_both_named(tmp_path: Path) -> None:
    _write(tmp_path, {"train/cat": 3, "train/dog": 3, "test/cat": 1, "test/dog": 1})
    _save(tmp_path / "data" / "pets" / "test" / "dog" / "0.png", _pixels(0, height=7, width=9))

    with pytest.raises(
        DatasetBroken, match=r"train/cat/0\.png has 5x6 pixels and test/dog/0\.png has 9x7; give dataset\.size"
    ):
        _load(tmp_path)


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
    _write(tmp_path, counts)

    with pytest.raises(DatasetBroken) as caught:
        _load(tmp_path)

    assert said in str(caught.value)


def test_a_class_without_a_training_image_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, {"cat": 2})
    (tmp_path / "data" / "pets" / "dog").mkdir()

    with pytest.raises(DatasetBroken, match="dog has no images"):
        _load(tmp_path)


def test_a_part_without_an_image_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, {"train/cat": 2, "train/dog": 2})
    for name in ("cat", "dog"):
        (tmp_path / "data" / "pets" / "test" / name).mkdir(parents=True)

    with pytest.raises(DatasetBroken, match=r"pets/test cannot be read: it has no images"):
        _load(tmp_path)


def test_a_folder_in_a_class_folder_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, {"cat": 2, "dog": 2, "dog/puppy": 2})

    with pytest.raises(DatasetBroken, match="dog/puppy is no file; a class folder holds images alone"):
        _load(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pets").write_bytes(b"")

    with pytest.raises(DatasetBroken, match="it is a file; give a folder with a folder for each class"):
        _load(tmp_path)


def test_without_a_data_folder_there_are_no_own_images(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetUnavailable, match=r'^folder is not on disk: dataset\.path is "pets", and LOWLAND_DATA_DIR'
    ):
        DATASETS["folder"](Folder(path="pets"), EngineSettings(data_dir=None, cache_dir=tmp_path))


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    with pytest.raises(DatasetUnavailable, match=f'dataset.path is "pets", and {tmp_path / "data"} has nothing there'):
        _load(tmp_path)


def _link_the_folder(data: Path, outside: Path) -> None:
    (data / "pets").symlink_to(outside)


def _link_to_itself(data: Path, outside: Path) -> None:
    (data / "pets").symlink_to(data / "pets")


@pytest.mark.parametrize("link", [_link_the_folder, _link_to_itself])
def test_no_link_leads_out_of_the_data_folder(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    _write(tmp_path / "elsewhere", {"cat": 2, "dog": 2})
    (tmp_path / "data").mkdir()
    link(tmp_path / "data", tmp_path / "elsewhere" / "data" / "pets")

    with pytest.raises(DatasetUnavailable):
        _load(tmp_path)


@pytest.mark.parametrize("place", ["train", "train/dog", "train/dog/1.png"])
def test_a_link_inside_the_folder_is_refused(tmp_path: Path, place: str) -> None:
    _write(tmp_path / "elsewhere", {"train/cat": 2, "train/dog": 2})
    _write(tmp_path, {"train/cat": 2, "train/dog": 1} if place == "train/dog/1.png" else {"train/cat": 2})
    linked = tmp_path / "data" / "pets" / place
    if place == "train":
        (tmp_path / "data" / "pets" / "train").rename(tmp_path / "data" / "pets" / "test")
    linked.symlink_to(tmp_path / "elsewhere" / "data" / "pets" / place)

    with pytest.raises(DatasetBroken, match=f"{linked.name} is a link; put what it leads to in its place"):
        _load(tmp_path)


@pytest.mark.parametrize("path", ["../elsewhere", "/etc"])
def test_a_path_that_the_contract_would_refuse_is_refused_here_too(tmp_path: Path, path: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    spec = Folder.model_construct(path=path, size=None, channels=3)

    with pytest.raises(DatasetUnavailable, match=r"it leads out of"):
        DATASETS["folder"](spec, _settings(tmp_path))


def test_two_folders_whose_files_look_alike_are_not_one(tmp_path: Path) -> None:
    """Unpacked from archives that set every time to the same, images without compression have the same sizes too."""
    for path, seed in ("pets", 1), ("cars", 2):
        for number, name in enumerate(("a", "b")):
            for image in range(2):
                file = tmp_path / "data" / path / name / f"{image}.bmp"
                _save(file, _pixels(10 * seed + 2 * number + image))
                os.utime(file, (1_000_000_000, 1_000_000_000))

    first, second = _load(tmp_path, "pets"), _load(tmp_path, "cars")

    assert not torch.equal(first.train.source, second.train.source)
    assert first.checksums != second.checksums


def test_an_image_replaced_under_its_old_time_is_decoded_anew(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for image in range(2):
            _save(tmp_path / "data" / "pets" / name / f"{image}.bmp", _pixels(image))
    file = tmp_path / "data" / "pets" / "a" / "0.bmp"
    before, seen = file.stat(), _load(tmp_path)

    _save(file, _pixels(7))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert not torch.equal(_load(tmp_path).train.source, seen.train.source)


@pytest.mark.parametrize("what", ["iterdir", "open"])
def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The superuser may read everything: the refusal is the operating system's, played."""
    _write(tmp_path, {"a": 2, "b": 2})
    refused = tmp_path / "data" / "pets" / "b" if what == "iterdir" else tmp_path / "data" / "pets" / "b" / "1.png"
    really = getattr(Path, what)

    def guarded(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path, *arguments, **options)

    monkeypatch.setattr(Path, what, guarded)

    with pytest.raises(DatasetBroken, match=rf"Permission denied: '{re.escape(str(refused))}'"):
        _load(tmp_path)


def test_a_place_to_keep_images_that_may_not_be_read_is_not_the_folders_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, {"a": 2, "b": 2})
    really = Path.exists

    def guarded(path: Path, **options: Any) -> bool:
        if path.is_relative_to(tmp_path / "decoded"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path, **options)

    monkeypatch.setattr(Path, "exists", guarded)

    with pytest.raises(PermissionError):
        _load(tmp_path)


_WITHOUT_A_PART_BY_FRACTION: dict[str, Any] = {
    "dataset": {"name": "folder", "path": "pets", "validation_fraction": 0.0},
    "model": "linear",
}


@pytest.fixture
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine looks for folders in `tmp_path / "data"`."""
    monkeypatch.setenv("LOWLAND_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LOWLAND_CACHE_DIR", str(tmp_path / "decoded"))


@pytest.mark.usefixtures("_own_folder")
def test_a_stop_rule_may_not_name_a_part_that_the_folder_lacks(tmp_path: Path) -> None:
    _write(tmp_path, {"a": 4, "b": 4})
    stop = {"metric": "validation_accuracy", "patience": 3}

    with pytest.raises(SpecUnusable, match=r'metric is "validation_accuracy", and the dataset has no validation part'):
        build_run(JobSpec.parse({**_WITHOUT_A_PART_BY_FRACTION, "stop": stop}), session_in(tmp_path))


@pytest.mark.usefixtures("_own_folder")
def test_a_target_above_what_the_folders_own_part_can_reach_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, {"train/a": 4, "train/b": 4, "validation/a": 2, "validation/b": 2})

    with pytest.raises(
        SpecUnusable, match=r"stop\.target is 98, and no validation_accuracy is above 1; give at most 1"
    ):
        build_run(JobSpec.parse({**_WITHOUT_A_PART_BY_FRACTION, "stop": {"target": 98}}), session_in(tmp_path))


@pytest.mark.usefixtures("_own_folder")
def test_a_run_that_reads_a_folder_for_long_says_that_it_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, {"a": 4, "b": 4})
    monkeypatch.setattr("worker.engine.reporting.PREPARING_INTERVAL_S", 0.0)
    told = BytesIO()

    build_run(JobSpec.parse(_WITHOUT_A_PART_BY_FRACTION), replace(session_in(tmp_path), reporter=Reporter(told)))

    works = [read_report(line) for line in told.getvalue().splitlines()]
    assert Preparing(work="checksums", done=8, of=8) in works
    assert Preparing(work="decoding", done=8, of=8) in works
