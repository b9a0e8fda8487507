"""Decoded images are kept: decoded once, opened from then on, made again when damaged, done without where need be."""

import hashlib
import json
import logging
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

from lowland.spec.reports import Preparing, read_report
from worker.engine.data.cache import ABANDONED_AFTER_S, Decoded, DecodedPart, Opened, opened
from worker.engine.data.normalise import moments_of
from worker.engine.errors import DatasetBroken
from worker.engine.reporting import Reporter
from worker.engine.settings import EngineSettings

IMAGES = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 1, 1, 0, 1])
PARTS = {"train": slice(0, 3), "test": slice(3, 5)}


class Source:
    """A dataset of one file, which counts how often it is decoded."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "images"
        self.file.write_bytes(b"as they come")
        self.settings = EngineSettings(cache_dir=folder / "decoded")
        self.decoded = 0
        self.meet: Callable[[], object] = lambda: None

    def open(self, **options: object) -> Opened:
        return opened("pictures", self._decode, files={"images": self.file}, settings=self.settings, options=options)

    def open_and_tell(self, reporter: Reporter) -> Opened:
        return opened("pictures", self._decode, files={"images": self.file}, settings=self.settings, reporter=reporter)

    @property
    def entries(self) -> list[Path]:
        """What lies where decoded images are kept, hidden names too."""
        folder = self.settings.cache_dir
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _decode(self) -> Decoded:
        self.decoded += 1
        self.meet()
        return Decoded(
            classes=("a", "b"),
            parts={"train": _part(PARTS["train"]), "test": _part(PARTS["test"])},
        )


def _part(which: slice) -> DecodedPart:
    images = IMAGES[which].numpy()
    return DecodedPart(
        shape=(len(images), 3, 4, 6),
        blocks=lambda: iter([images[:2], images[2:]]),
        targets=TARGETS[which].numpy(),
    )


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def _check(found: Opened) -> None:
    """It holds all there is."""
    assert found.classes == ("a", "b")
    assert found.checksums == {"images": hashlib.sha256(b"as they come").hexdigest()}
    assert found.parts.keys() == PARTS.keys()
    for name, part in found.parts.items():
        assert torch.equal(part.source, IMAGES[PARTS[name]])
        assert torch.equal(part.targets, TARGETS[PARTS[name]])
        assert part.moments is not None
        assert torch.equal(part.moments, moments_of(IMAGES[PARTS[name]]))


def test_images_are_decoded_once(source: Source) -> None:
    for _ in range(3):
        _check(source.open())

    assert source.decoded == 1
    assert len(source.entries) == 1


def test_nothing_can_be_written_into_what_is_kept(source: Source) -> None:
    """A memory map of the file, which other engines have open too; it is only read."""
    source.open()

    found = source.open()

    (entry,) = source.entries
    assert str(entry / "train-inputs.npy") in Path("/proc/self/maps").read_text()
    assert not any(
        "w" in line.split()[1] for line in Path("/proc/self/maps").read_text().splitlines() if str(entry) in line
    )
    _check(found)


def test_what_is_open_stays_usable_when_its_files_go(source: Source) -> None:
    found = source.open()

    shutil.rmtree(source.settings.cache_dir)

    _check(found)


def test_a_file_that_has_changed_is_decoded_anew(source: Source) -> None:
    source.open()
    stat = source.file.stat()

    os.utime(source.file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    source.open()

    assert source.decoded == 2


def test_images_decoded_another_way_are_kept_beside_the_others(source: Source) -> None:
    for size in (32, 64, 32, 64):
        source.open(size=size)

    assert source.decoded == 2
    assert len(source.entries) == 2


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _reshape(path: Path) -> None:
    np.save(path, np.load(path)[None])


def _retype(path: Path) -> None:
    np.save(path, np.load(path).astype(np.float32))


def _overwrite(path: Path) -> None:
    path.write_bytes(b"{}")


ARRAYS = [f"{part}-{kind}.npy" for part in PARTS for kind in ("inputs", "targets", "moments")]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in ARRAYS for damage in (Path.unlink, _cut, _lengthen, _empty, _reshape, _retype)),
        *(("meta.json", damage) for damage in (Path.unlink, _cut, _empty, _overwrite)),
    ],
)
def test_what_is_damaged_is_made_again_and_not_trusted(
    source: Source, caplog: pytest.LogCaptureFixture, name: str, damage: Callable[[Path], object]
) -> None:
    source.open()
    (entry,) = source.entries
    damage(entry / name)

    _check(source.open())

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"decoded images are damaged and made again: folder={entry} problem=" in caplog.text
    _check(source.open())
    assert (source.decoded, source.entries) == (2, [entry])


def test_without_a_place_to_keep_them_images_are_decoded_each_time(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.settings.cache_dir.write_bytes(b"not a folder")

    _check(source.open())
    _check(source.open())

    assert source.decoded == 2
    assert caplog.text.count("decoded images are not kept: folder=") == 2


@contextmanager
def _files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Writing more into a file of this process fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_images_are_decoded_into_memory_and_nothing_is_left(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    with _files_of_at_most(300):
        found = source.open()

    _check(found)
    assert "decoded images are not kept: folder=" in caplog.text
    assert source.entries == []


def test_of_engines_that_decode_at_once_each_has_its_images_and_one_entry_stays(source: Source) -> None:
    source.meet = threading.Barrier(4, timeout=30).wait
    found: list[Opened] = []

    engines = [threading.Thread(target=lambda: found.append(source.open())) for _ in range(4)]
    for engine in engines:
        engine.start()
    for engine in engines:
        engine.join()

    assert (source.decoded, len(found)) == (4, 4)
    for one in found:
        _check(one)
    (entry,) = source.entries
    assert sorted(path.name for path in entry.iterdir()) == sorted([*ARRAYS, "meta.json"])


def test_an_image_that_cannot_be_decoded_leaves_nothing_behind(source: Source) -> None:
    def blocks() -> Iterator[np.ndarray]:
        yield IMAGES[:1].numpy()
        raise DatasetBroken("pictures", folder=source.file.parent, problem="the second is no image")

    part = DecodedPart(shape=(2, 3, 4, 6), blocks=blocks, targets=np.zeros(2, np.int64))

    with pytest.raises(DatasetBroken, match="the second is no image"):
        opened(
            "pictures",
            lambda: Decoded(classes=("a",), parts={"train": part}),
            files={"images": source.file},
            settings=source.settings,
        )

    assert source.entries == []


@pytest.mark.parametrize(("age_s", "stays"), [(ABANDONED_AFTER_S + 60, False), (ABANDONED_AFTER_S - 60, True)])
def test_what_a_killed_engine_left_is_swept_away_once_nobody_writes_to_it(
    source: Source, age_s: float, stays: bool
) -> None:
    source.open()
    (entry,) = source.entries
    left = entry.with_name(f".{entry.name}-left")
    entry.rename(left)
    for path in (*left.iterdir(), left):
        written_at = path.stat().st_mtime - age_s
        os.utime(path, (written_at, written_at))

    source.open()

    assert (left in source.entries) == stays


def test_the_checksums_are_kept_with_the_images(source: Source) -> None:
    source.open()

    (entry,) = source.entries
    assert json.loads((entry / "meta.json").read_text()) == {
        "classes": ["a", "b"],
        "shapes": {"train": [3, 3, 4, 6], "test": [2, 3, 4, 6]},
        "checksums": {"images": hashlib.sha256(b"as they come").hexdigest()},
    }


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_engine_that_reads_for_long_says_that_it_is_alive(
    source: Source, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engine.reporting.PREPARING_INTERVAL_S", 0.0)
    if not is_kept:
        source.settings.cache_dir.write_text("no folder")
    told = BytesIO()

    source.open_and_tell(Reporter(told))

    assert [read_report(line) for line in told.getvalue().splitlines()] == [
        Preparing(work="checksums", done=1, of=1),
        Preparing(work="decoding", done=2, of=3),
        Preparing(work="decoding", done=3, of=3),
        Preparing(work="decoding", done=2, of=2),
        Preparing(work="decoding", done=2, of=2),
    ]


def test_what_is_read_quickly_is_not_worth_a_word(source: Source) -> None:
    told = BytesIO()

    source.open_and_tell(Reporter(told))

    assert told.getvalue() == b""


def test_reports_that_nobody_takes_are_not_taken_for_a_full_disk(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engine.reporting.PREPARING_INTERVAL_S", 0.0)
    reader, writer = os.pipe()
    os.close(reader)

    with pytest.raises(BrokenPipeError):
        source.open_and_tell(Reporter(writer))

    os.close(writer)
    assert source.entries == []
    assert source.decoded <= 1
