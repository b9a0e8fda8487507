"""The engine as a program: `python -m worker.engine`, its descriptors and its exit status."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import worker.engine
from lowland.spec.reports import (
    EXIT_STOPPED,
    Advanced,
    ArtifactWritten,
    Broken,
    CheckpointWritten,
    EpochEnded,
    Finished,
    Started,
)
from tests.worker.engine.running import TINY, ForkedEngine, parsed, run, tiny
from worker.engine.errors import SpecUnusable, broken
from worker.engine.program import read_spec

_ROOT = Path(__file__).parents[3]


def _command(spec: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "worker.engine", str(spec), "--out", str(out)]


def test_standard_output_carries_reports_alone_even_when_a_library_prints(tmp_path: Path) -> None:
    """oneDNN's verbose mode writes to descriptor 1 from C."""
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({**TINY, "model": {"name": "cnn", "width": 4}, "epochs": 1}))

    ended = subprocess.run(
        _command(spec, tmp_path / "out"),
        check=False,
        cwd=_ROOT,
        env={**os.environ, "ONEDNN_VERBOSE": "1"},
        capture_output=True,
        timeout=100,
    )

    assert ended.returncode == 0, ended.stderr.decode()
    assert b"onednn_verbose" in ended.stderr
    reports = parsed(ended.stdout)
    assert isinstance(reports[0], Started)
    assert isinstance(reports[-1], Finished)


@pytest.mark.parametrize(
    ("fields", "type_"),
    [
        ({"optimizer": {"name": "sgd", "lr": 1e30}}, "loss-not-finite"),
        ({"model": {"name": "mlp", "width": 16384, "depth": 64}}, "out-of-memory"),
        ({"model": {"name": "torchvision/alexnet"}}, "model-unsuited"),
    ],
)
def test_an_error_with_a_name_is_told_without_a_traceback(tmp_path: Path, fields: dict[str, Any], type_: str) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({**TINY, **fields}))

    ended = subprocess.run(
        _command(spec, tmp_path / "out"), check=False, cwd=_ROOT, capture_output=True, text=True, timeout=100
    )

    (told,) = [report for report in parsed(ended.stdout.encode()) if isinstance(report, Broken)]
    assert (ended.returncode, told.type) == (1, type_)
    assert "Traceback" not in ended.stderr


def test_a_descriptor_can_be_given_for_the_reports(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"dataset": "digits", "epoch": 3}))
    reading, writing = os.pipe()

    with subprocess.Popen(
        [*_command(spec, tmp_path / "out"), "--report-fd", str(writing)],
        cwd=_ROOT,
        pass_fds=[writing],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as engine:
        os.close(writing)
        with os.fdopen(reading, "rb") as lines:
            reports = parsed(lines.read())
        printed, _ = engine.communicate(timeout=100)

    assert engine.returncode == 1
    assert printed == b""
    (report,) = reports
    assert isinstance(report, Broken)
    assert report.type == "spec-invalid"
    assert report.permanent
    assert "epoch" in report.detail
    assert "epochs" in report.detail


def test_importing_the_engine_imports_no_torch() -> None:
    """Only `preload` and `run` do, so that the runner's own modules stay light."""
    check = "import sys, worker.engine; sys.exit('torch' in sys.modules)"

    ended = subprocess.run([sys.executable, "-c", check], check=False, cwd=_ROOT, timeout=60)

    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        ("{", "line 1, column 2 of "),
        ("[" * 100_000, "is nested more than 32 levels deep"),
        ('{"dataset": "digits", "epochs": 1, "epochs": 2}', '"epochs" stands twice'),
        ('{"dataset": "kminst"}', "kmnist"),
        (None, "cannot be read"),
    ],
)
def test_a_spec_file_that_cannot_be_used_is_a_permanent_error(
    tmp_path: Path, contents: str | None, problem: str
) -> None:
    spec = tmp_path / "spec.json"
    if contents is not None:
        spec.write_text(contents)

    with pytest.raises(SpecUnusable) as caught:
        read_spec(spec)

    assert problem in str(caught.value)
    assert broken(caught.value).permanent


def test_sigterm_writes_a_checkpoint_and_leaves_with_75(tmp_path: Path) -> None:
    engine = ForkedEngine(tiny(epochs=10_000), tmp_path / "out")
    engine.wait_for(lambda report: isinstance(report, Advanced), "the first step")

    engine.signal(signal.SIGTERM)
    ended = engine.ended()

    assert ended.status == EXIT_STOPPED
    last = ended.reports[-1]
    assert isinstance(last, CheckpointWritten)
    assert (tmp_path / "out" / last.name).stat().st_size == last.size_bytes
    assert last.step >= 1


def test_a_forked_engine_computes_on_as_many_threads_as_it_is_given(tmp_path: Path) -> None:
    """A thread pool made before the fork would leave the child waiting for threads that it does not have."""
    engine = ForkedEngine(tiny(epochs=1, model={"name": "cnn", "width": 8}), tmp_path / "out", threads=2)

    assert engine.ended().status == 0


def test_sigterm_before_the_first_step_leaves_a_checkpoint_of_step_0(tmp_path: Path) -> None:
    ended = run(tiny(), tmp_path, stop_at=lambda report: isinstance(report, Started))

    assert ended.status == EXIT_STOPPED
    assert ended.last_checkpoint.step == 0


def test_an_unexpected_error_is_reported_with_its_class_and_is_not_permanent(tmp_path: Path) -> None:
    in_the_way = tmp_path / "out"
    in_the_way.write_text("a file where the folder should be")

    ended = run(tiny(), in_the_way)

    assert ended.status == 1
    report = ended.one(Broken)
    assert report.type == "engine-error"
    assert not report.permanent
    assert report.detail.startswith("FileExistsError: ")


def test_a_reader_that_went_away_ends_the_run_with_1(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    status = worker.engine.run(tiny(), out=tmp_path, reports=writing)

    os.close(writing)
    assert status == 1


def test_the_handler_of_sigterm_is_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    run(tiny(epochs=1), tmp_path)

    assert signal.getsignal(signal.SIGTERM) is before


def test_reports_come_in_the_order_of_the_contract(tmp_path: Path) -> None:
    """started, progress*, (epoch | checkpoint | artifact)*, result; progress may come between epochs."""
    ended = run(tiny(epochs=2), tmp_path)

    kinds = [type(report) for report in ended.reports if not isinstance(report, Advanced)]
    assert kinds == [
        Started,
        *[EpochEnded, CheckpointWritten] * 2,
        *[ArtifactWritten] * 4,
        Finished,
    ]
    assert ended.status == 0
    progress = [report.progress for report in ended.all(Advanced)]
    assert progress[0].step == 1
    assert progress[-1].fraction == 1.0
