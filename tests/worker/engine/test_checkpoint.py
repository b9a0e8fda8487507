"""Checkpoints on disk: complete or not there, checked before they are believed, few."""

import hashlib
import zipfile
from pathlib import Path
from random import Random
from typing import BinaryIO

import pytest
import torch

from lowland.spec.reports import Broken, CheckpointWritten
from tests.worker.engine.running import run, tiny
from worker.engine.checkpoint import read_checkpoint
from worker.engine.errors import CheckpointDamaged, CheckpointUnusable
from worker.engine.files import Written, write_file

SPEC = tiny()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A good one."""
    ended = run(SPEC, tmp_path)
    return tmp_path / ended.last_checkpoint.name


def test_the_report_names_size_and_checksum_of_what_lies_on_disk(tmp_path: Path) -> None:
    ended = run(SPEC, tmp_path)

    for report in ended.all(CheckpointWritten):
        raw = (tmp_path / report.name).read_bytes()
        assert (len(raw), hashlib.sha256(raw).hexdigest()) == (report.size_bytes, report.sha256)


def test_the_last_two_are_kept_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    ended = run(tiny(epochs=4), tmp_path)

    written = [report.name for report in ended.all(CheckpointWritten)]
    assert len(written) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*written[-2:], "evaluation.json", "manifest.json", "metrics.jsonl", "model.safetensors"]
    )


def test_they_are_written_every_so_many_epochs(tmp_path: Path) -> None:
    ended = run(tiny(epochs=5, checkpoint_every_epochs=2), tmp_path)

    assert [report.epoch for report in ended.all(CheckpointWritten)] == [2, 4]


def test_they_are_written_within_an_epoch_when_time_is_up(tmp_path: Path) -> None:
    ended = run(tiny(epochs=1, checkpoint_every_s=1e-9), tmp_path)

    assert [report.step for report in ended.all(CheckpointWritten)] == [*range(1, 10), 10]


def test_torch_reads_one_without_running_code_from_it(checkpoint: Path) -> None:
    contents = torch.load(checkpoint, weights_only=True)

    assert set(contents) == {
        "format",
        "spec",
        "versions",
        "model",
        "optimizer",
        "scaler",
        "averaged",
        "state",
        "ranks",
    }


@pytest.mark.parametrize("kept", [0, 1, 0.5, 0.999], ids=["empty", "one byte", "half", "almost all"])
def test_a_truncated_one_is_refused(checkpoint: Path, kept: float) -> None:
    raw = checkpoint.read_bytes()
    checkpoint.write_bytes(raw[: int(kept * len(raw)) if kept < 1 else 1])

    with pytest.raises(CheckpointUnusable, match=r"^checkpoint-.*damaged"):
        read_checkpoint(checkpoint, SPEC)


def test_a_changed_byte_in_the_weights_is_noticed(checkpoint: Path) -> None:
    with zipfile.ZipFile(checkpoint) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    raw = bytearray(checkpoint.read_bytes())
    # The member's data end where the next header begins; well before that there is nothing but weights.
    raw[largest.header_offset + largest.file_size // 2 + 512] ^= 0x01
    checkpoint.write_bytes(raw)

    with pytest.raises(CheckpointUnusable, match="does not match its checksum"):
        read_checkpoint(checkpoint, SPEC)


def test_whatever_bit_is_wrong_it_is_damaged_or_as_good(checkpoint: Path) -> None:
    """In the archive's own tables a wrong bit may be one that nobody reads."""
    raw = checkpoint.read_bytes()
    whole = torch.load(checkpoint, weights_only=True)["model"]
    random = Random(0)
    damaged = 0

    for _ in range(300):
        bit = random.randrange(8 * len(raw))
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        checkpoint.write_bytes(changed)
        try:
            model = read_checkpoint(checkpoint, SPEC)["model"]
        except CheckpointDamaged:
            damaged += 1
        else:
            assert all(torch.equal(model[name], tensor) for name, tensor in whole.items())

    assert damaged > 200


def test_a_missing_one_may_be_there_for_another_attempt(tmp_path: Path) -> None:
    ended = run(SPEC, tmp_path / "out", resume=tmp_path / "nowhere.pt")

    report = ended.one(Broken)
    assert (report.type, report.permanent) == ("checkpoint-unreadable", False)
    assert report.detail == "nowhere.pt: No such file or directory"


def test_some_other_archive_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")

    with pytest.raises(CheckpointUnusable, match="or no checkpoint"):
        read_checkpoint(path, SPEC)


def test_some_other_torch_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save(torch.zeros(3), path)

    with pytest.raises(CheckpointUnusable, match="it holds a Tensor"):
        read_checkpoint(path, SPEC)


def test_a_file_whose_writing_fails_is_not_there_and_the_one_before_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, lambda file: file.write(b"before"))

    def fail(file: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_file(path, fail)

    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("file", b"before")]


def test_a_file_is_not_seen_under_its_name_before_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file"
    seen_early = []

    def write(file: BinaryIO) -> None:
        file.write(b"all of it")
        seen_early.append(path.exists())

    written = write_file(path, write)

    assert seen_early == [False]
    assert written == Written(
        name="file", size_bytes=len(b"all of it"), sha256=hashlib.sha256(b"all of it").hexdigest()
    )
