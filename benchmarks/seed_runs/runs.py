"""Single runs, each an engine in a process of its own; one that was cut short goes on, a finished one is not repeated.

<out>/<sheet>/<variant>-<epochs>/seed-<seed>/
    spec.json        what is trained; another spec is refused
    engine/          the engine's folder: checkpoints while it trains, then its artifacts
    engine.log       its standard error
    attempts.jsonl   status and seconds of each time it ran; one that died with this program is missing
    result.json      written last
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict

from lowland.spec import JobSpec
from lowland.spec.reports import Broken, EpochEnded, Finished, Report, Started, read_report

ROOT: Final = Path(__file__).resolve().parents[2]

R = TypeVar("R")


class RunFailed(Exception):
    """The engine gave up, or its folder holds another run; the message says why."""


class Result(BaseModel):
    """How a run ended. Accuracies are fractions, of the weights selected on the validation part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sheet: str
    variant: str
    epochs: int
    seed: int
    validation_accuracy: float | None
    """None where the recipe has no validation part."""
    test_accuracy: float
    metrics: dict[str, float]
    seconds: float
    """From the engine's start to its end, reading data and testing included, over all attempts."""
    attempts: int
    threads: int
    device: str
    precision: str
    torch: str
    busy: float
    """The machine's load when the last attempt began: above `threads` others were computing too."""


def folder_of(out: Path, sheet: str, spec: JobSpec) -> Path:
    """Where a run is kept."""
    return out / sheet / f"{spec.sam.variant}-{spec.epochs}" / f"seed-{spec.seed}"


def results_in(out: Path) -> list[Result]:
    """All that are finished."""
    return [Result.model_validate_json(path.read_bytes()) for path in sorted(out.glob("*/*/seed-*/result.json"))]


def run(sheet: str, spec: JobSpec, out: Path, *, threads: int) -> Result:
    """Train, or go on training, and keep the result; a finished run is only read.

    Raises:
        RunFailed: it did not come to its end.
        KeyboardInterrupt: whoever interrupted it finds a checkpoint to go on from.
    """
    folder = folder_of(out, sheet, spec)
    _claim(folder, spec)
    kept = folder / "result.json"
    if kept.exists():
        return Result.model_validate_json(kept.read_bytes())
    busy = os.getloadavg()[0]
    reports = _train(f"{sheet} {spec.sam.variant} {spec.seed}", spec, folder, threads=threads)
    started, finished = _one(Started, reports), _one(Finished, reports)
    if finished.test_accuracy is None:
        raise RunFailed(f"{folder} has no test accuracy: the sheets are of classification")
    attempts = [json.loads(line) for line in (folder / "attempts.jsonl").read_text().splitlines()]
    result = Result(
        sheet=sheet,
        variant=spec.sam.variant,
        epochs=spec.epochs,
        seed=spec.seed,
        validation_accuracy=finished.accuracy,
        test_accuracy=finished.test_accuracy,
        metrics=finished.metrics,
        seconds=sum(attempt["seconds"] for attempt in attempts),
        attempts=len(attempts),
        threads=threads,
        device=started.device,
        precision=started.precision,
        torch=metadata.version("torch"),
        busy=busy,
    )
    _write(kept, result.model_dump_json(indent=1))
    for checkpoint in _checkpoints(folder):
        checkpoint.unlink()
    return result


def _claim(folder: Path, spec: JobSpec) -> None:
    """Make the folder this spec's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "spec.json"
    if not path.exists():
        _write(path, spec.model_dump_json(indent=1))
    if JobSpec.parse(json.loads(path.read_text())) != spec:
        raise RunFailed(f"{folder} holds a run of another spec; give another --out, or remove it")


def _train(label: str, spec: JobSpec, folder: Path, *, threads: int) -> list[Report]:
    """One attempt. Gives all reports but those of progress."""
    began_at = time.monotonic()
    reports: list[Report] = []
    command = [sys.executable, "-m", "worker.engine", folder / "spec.json", "--out", folder / "engine"]
    for checkpoint in _checkpoints(folder):
        command += ["--resume", checkpoint]
    environment = {**os.environ, "LOWLAND_THREADS": str(threads)}
    with (folder / "engine.log").open("ab") as log:
        # a session of its own: an interrupt comes to us, and the engine is told to write a checkpoint
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        try:
            for report in _reports(process):
                reports.append(report)
                if isinstance(report, EpochEnded):
                    _say(label, report, spec.epochs, time.monotonic() - began_at)
        except KeyboardInterrupt:
            process.terminate()
            raise
        finally:
            status = _wait(process)
            with (folder / "attempts.jsonl").open("a") as attempts:
                attempts.write(json.dumps({"status": status, "seconds": time.monotonic() - began_at}) + "\n")
    if status != 0:
        broken = [report for report in reports if isinstance(report, Broken)]
        said = f"{broken[-1].title}: {broken[-1].detail}" if broken else f"see {folder / 'engine.log'}"
        raise RunFailed(f"{label}: the engine ended with status {status}: {said}")
    return reports


def _reports(process: subprocess.Popen[bytes]) -> Iterator[Report]:
    assert process.stdout is not None
    for line in process.stdout:
        report = read_report(line)
        if report.report != "progress":
            yield report


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Let what it still says go, and wait for its end."""
    assert process.stdout is not None
    with process.stdout as said:
        while said.read(65536):
            pass
    return process.wait()


def _say(label: str, report: EpochEnded, epochs: int, seconds: float) -> None:
    shown = "" if report.accuracy is None else f", validation {100 * report.accuracy:.2f} %"
    print(f"{label}: epoch {report.epoch}/{epochs}{shown}, {seconds:.0f} s", flush=True)


def _checkpoints(folder: Path) -> list[Path]:
    """The latest first."""
    return sorted((folder / "engine").glob("checkpoint-*.pt"), reverse=True)


def _one(kind: type[R], reports: list[Report]) -> R:
    (report,) = [report for report in reports if isinstance(report, kind)]
    return report


def _write(path: Path, text: str) -> None:
    """Complete or not at all."""
    arriving = path.with_name(f".{path.name}")
    arriving.write_text(text + "\n", encoding="utf-8")
    arriving.replace(path)
