"""`lowland metrics`, `artifacts` and `download`."""

import csv
import hashlib
import io
import json
from pathlib import Path

import pytest

from ledger import Ledger
from lowland.cli.exits import Exit
from tests.api.conftest import Worker
from tests.cli import played
from tests.cli.running import Shell
from tests.ledger.playing import submit


@pytest.fixture
def job_id(ledger: Ledger, worker: Worker, artifact_dir: Path) -> str:
    """A job that has measured and written something."""
    job_id = submit(ledger)
    lease = worker.claim()
    for number in (1, 2, 3):
        played.epoch(ledger, lease, number, number / 4)
    played.artifact(ledger, lease, artifact_dir, "evaluation.json", sequence=4)
    played.artifact(ledger, lease, artifact_dir, "model.safetensors", sequence=5)
    worker.settle(lease, "succeeded")
    return job_id


def test_series_are_a_table(lowland: Shell, job_id: str) -> None:
    assert [line.split() for line in lowland("metrics", job_id).stdout.splitlines()] == [
        ["STEP", "EPOCH", "train_loss", "validation_accuracy"],
        ["10", "1", "1", "0.25"],
        ["20", "2", "0.5", "0.5"],
        ["30", "3", "0.3333", "0.75"],
    ]


def test_series_are_csv_and_json_in_full(lowland: Shell, job_id: str) -> None:
    rows = list(csv.DictReader(io.StringIO(lowland("metrics", job_id, "--csv").stdout)))
    as_json = json.loads(lowland("metrics", job_id, "--json", "--names", "train_loss", "--max-points", "2").stdout)

    assert [(row["step"], row["epoch"], float(row["train_loss"])) for row in rows] == [
        ("10", "1", 1.0),
        ("20", "2", 0.5),
        ("30", "3", 1 / 3),
    ]
    assert (as_json["steps"], as_json["epochs"]) == ([10, 30], [1, 3])
    assert as_json["values"] == {"train_loss": [1.0, 1 / 3]}


def test_series_that_do_not_fit_are_named(lowland: Shell, job_id: str) -> None:
    said = lowland.on_terminal("metrics", job_id, width=30)

    assert said.lines[0].split() == ["STEP", "EPOCH", "train_loss"]
    assert "not shown for want of width: validation_accuracy; choose with --names" in said.text


def test_nothing_measured_is_no_table(lowland: Shell, ledger: Ledger) -> None:
    said = lowland("metrics", job_id := submit(ledger))

    assert (said.stdout, said.stderr) == ("", f"nothing was measured yet of job {job_id}\n")
    assert lowland("artifacts", job_id).stderr == f"job {job_id} has made no files yet\n"
    assert lowland("metrics", job_id, "--csv", "--json").returncode == Exit.UNUSABLE


def test_files_are_listed(lowland: Shell, job_id: str) -> None:
    head, *rows = [line.split() for line in lowland("artifacts", job_id).stdout.splitlines()]

    sha256 = hashlib.sha256(played.CONTENT).hexdigest()
    assert head == ["NAME", "SIZE", "TYPE", "SHA256"]
    assert rows == [
        [name, "25.6", "kB", "application/octet-stream", sha256] for name in ("evaluation.json", "model.safetensors")
    ]
    assert [one["name"] for one in json.loads(lowland("artifacts", job_id, "--json").stdout)] == [
        "evaluation.json",
        "model.safetensors",
    ]


def test_all_files_are_fetched_into_a_folder_that_is_made(lowland: Shell, job_id: str, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"

    said = lowland("download", job_id, "-o", str(folder))

    assert said.stdout.split() == [str(folder / "evaluation.json"), str(folder / "model.safetensors")]
    assert [Path(path).read_bytes() for path in said.stdout.split()] == [played.CONTENT] * 2


def test_one_file_is_fetched_under_another_name(lowland: Shell, job_id: str, tmp_path: Path) -> None:
    said = lowland("download", job_id, "model.safetensors", "-o", str(tmp_path / "weights"), "--json")

    assert json.loads(said.stdout) == [{"name": "model.safetensors", "path": str(tmp_path / "weights")}]
    assert (tmp_path / "weights").read_bytes() == played.CONTENT
    into = lowland("download", job_id, "model.safetensors", "-o", f"{tmp_path}/new/")
    assert into.stdout == f"{tmp_path}/new/model.safetensors\n"


def test_what_cannot_be_fetched_is_said_in_one_line(lowland: Shell, job_id: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    missing = lowland("download", job_id, "nope", "-o", str(tmp_path))
    no_folder = lowland("download", job_id, "-o", str(tmp_path / "file"))

    assert missing.returncode == Exit.NOT_FOUND
    assert missing.stderr == (
        f"lowland: job {job_id} has no artifact nope; it has evaluation.json, model.safetensors\n"
    )
    assert (no_folder.returncode, no_folder.stderr) == (Exit.FAILED, f"lowland: {tmp_path}/file: file exists\n")
