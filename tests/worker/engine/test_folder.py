"""People's own images: a folder for each class, perhaps in parts."""

import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lowland.spec.job import JobSpec
from lowland.spec.reports import Preparing, read_report
from tests.worker.engine.folders import inputs_of, load, pixels, save, settings_in, write
from tests.worker.engine.running import session_in
from worker.engine.building import build_run
from worker.engine.reporting import Reporter


def test_class_folders_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, {"train/dog": 1, "train/cat": 2, "test/dog": 1, "test/cat": 1})

    dataset = load(tmp_path)

    images = [torch.from_numpy(pixels(number).transpose(2, 0, 1)) for number in (0, 1, 0)]
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.targets.tolist() == [0, 0, 1]
    assert torch.equal(inputs_of(dataset.train), torch.stack(images))
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
    write(tmp_path, {"cat": 20, "dog": 10})

    first, again = load(tmp_path), load(tmp_path)

    assert torch.bincount(first.train.targets).tolist() == [16, 8]
    assert torch.bincount(first.test.targets).tolist() == [4, 2]
    assert torch.equal(inputs_of(first.test), inputs_of(again.test))


@pytest.mark.parametrize("name", ["validation", "val"])
def test_a_validation_part_goes_by_either_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"train/cat": 5, "train/dog": 5, f"{name}/cat": 1, f"{name}/dog": 2})

    dataset = load(tmp_path)

    assert dataset.validation is not None
    assert dataset.validation.targets.tolist() == [0, 1, 1]
    assert (len(dataset.train), len(dataset.test)) == (8, 2)


def test_what_is_hidden_and_what_lies_beside_the_class_folders_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"cat": 5, "dog": 5})
    pets = tmp_path / "data" / "pets"
    (pets / "README.md").write_text("All of them live here.")
    (pets / ".git").mkdir()
    (pets / "cat" / ".DS_Store").write_bytes(b"\0")

    assert load(tmp_path).classes == ("cat", "dog")


def test_the_shorter_side_is_scaled_and_a_square_cut_out_of_the_middle(tmp_path: Path) -> None:
    left, middle, right = (np.full((20, 20, 3), grey, np.uint8) for grey in (0, 100, 200))
    for name in ("a", "b"):
        save(tmp_path / "data" / "pets" / name / "wide.png", np.hstack([left, middle, right]))
        save(tmp_path / "data" / "pets" / name / "tall.png", np.vstack([left, middle, right]))

    dataset = load(tmp_path, size=4)

    images = inputs_of(dataset.train).int()
    assert images.shape == (3, 3, 4, 4)
    # The outermost pixels are averages that reach a little beyond the square.
    assert (images - 100).abs().max() <= 15
    assert (images[:, :, 1:3, 1:3] == 100).all()


def test_grey_images_in_colour_and_coloured_ones_in_grey(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "data" / "pets" / name / "0.png", np.full((4, 4), 80, np.uint8))
        save(tmp_path / "data" / "pets" / name / "1.png", np.full((4, 4, 3), 80, np.uint8))

    grey, colour = load(tmp_path, channels=1), load(tmp_path, channels=3)

    assert torch.equal(inputs_of(grey.train), torch.full((3, 1, 4, 4), 80, dtype=torch.uint8))
    assert torch.equal(inputs_of(colour.train), torch.full((3, 3, 4, 4), 80, dtype=torch.uint8))


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    """A camera that was held upright stores the picture lying, and says so in the metadata (orientation 6)."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        for number in range(3):
            save(tmp_path / "data" / "pets" / name / f"{number}.jpg", pixels(0, height=8, width=16), exif=exif)

    assert inputs_of(load(tmp_path).train).shape == (5, 3, 16, 8)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "gif", "tif", "ppm"])
def test_every_usual_format_is_read_whatever_its_name_says(tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        path = tmp_path / "data" / "pets" / name / f"picture.{ending}"
        save(path, np.full((8, 8, 3), 90, np.uint8))
        path.rename(path.with_suffix(""))

    images = inputs_of(load(tmp_path).train)

    assert images.shape == (1, 3, 8, 8)
    assert (images.int() - 90).abs().max() <= 2


def test_images_are_decoded_once(tmp_path: Path) -> None:
    write(tmp_path, {"cat": 3, "dog": 3})
    first = load(tmp_path)
    (entry,) = (tmp_path / "decoded").iterdir()
    kept = entry.stat().st_ino

    again = load(tmp_path)

    assert [path.stat().st_ino for path in (tmp_path / "decoded").iterdir()] == [kept]
    assert torch.equal(inputs_of(first.train), inputs_of(again.train))


def test_classes_that_change_their_names_are_not_taken_for_the_old_ones(tmp_path: Path) -> None:
    write(tmp_path, {"cat": 2, "dog": 2})
    load(tmp_path)

    (tmp_path / "data" / "pets" / "cat").rename(tmp_path / "data" / "pets" / "wolf")

    assert load(tmp_path).classes == ("dog", "wolf")


def test_two_folders_whose_files_look_alike_are_not_one(tmp_path: Path) -> None:
    """Unpacked from archives that set every time to the same, images without compression have the same sizes too."""
    for path, seed in ("pets", 1), ("cars", 2):
        for number, name in enumerate(("a", "b")):
            for image in range(2):
                file = tmp_path / "data" / path / name / f"{image}.bmp"
                save(file, pixels(10 * seed + 2 * number + image))
                os.utime(file, (1_000_000_000, 1_000_000_000))

    first, second = load(tmp_path, "pets"), load(tmp_path, "cars")

    assert not torch.equal(first.train.source, second.train.source)
    assert first.checksums != second.checksums


def test_an_image_replaced_under_its_old_time_is_decoded_anew(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for image in range(2):
            save(tmp_path / "data" / "pets" / name / f"{image}.bmp", pixels(image))
    file = tmp_path / "data" / "pets" / "a" / "0.bmp"
    before, seen = file.stat(), load(tmp_path)

    save(file, pixels(7))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert not torch.equal(load(tmp_path).train.source, seen.train.source)


def test_a_run_that_reads_a_folder_for_long_says_that_it_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a": 4, "b": 4})
    monkeypatch.setattr("worker.engine.reporting.PREPARING_INTERVAL_S", 0.0)
    told = BytesIO()

    spec = JobSpec.parse({"dataset": {"name": "folder", "path": "pets"}, "model": "linear"})
    build_run(spec, replace(session_in(tmp_path), settings=settings_in(tmp_path), reporter=Reporter(told)))

    works = [read_report(line) for line in told.getvalue().splitlines()]
    assert Preparing(work="checksums", done=8, of=8) in works
    assert Preparing(work="decoding", done=8, of=8) in works
