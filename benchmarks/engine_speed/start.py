"""From the engine's start to its first step: forked from a process that has everything loaded, as a worker does it.

    python -m benchmarks.engine_speed.start SPEC TIMES

is that process: it computes nothing itself, and prints a line of JSON for each start.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NoReturn

import worker.engine
from lowland.spec import JobSpec
from lowland.spec.reports import Broken, read_report

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Seconds from the fork on."""

    built: float
    """Until data, model and optimizer are there, and the first step begins."""
    first_step: float
    """Until the first step is taken."""


def starts(spec: JobSpec, *, times: int, threads: int) -> list[Start]:
    """Start the engine so many times; once before, which is not counted, so that the decoded data are there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.json"
        path.write_text(spec.model_dump_json())
        command = [sys.executable, "-m", "benchmarks.engine_speed.start", str(path), str(times + 1)]
        environment = {**os.environ, "LOWLAND_THREADS": str(threads)}
        found = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    return [Start(**json.loads(line)) for line in found.stdout.splitlines()][1:]


def _started(spec: JobSpec, folder: Path) -> Start:
    """Fork an engine, and end it after its first step."""
    reader, writer = os.pipe()
    began_at = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        _train(spec, folder, writer)
    os.close(writer)
    times: dict[str, float] = {}
    with os.fdopen(reader, "rb") as lines:
        for line in lines:
            report = read_report(line)
            times.setdefault(report.report, time.perf_counter() - began_at)
            if isinstance(report, Broken):
                sys.exit(f"{report.title}: {report.detail}")
            if "progress" in times:
                break
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return Start(built=times["started"], first_step=times["progress"])


def _train(spec: JobSpec, folder: Path, writer: int) -> NoReturn:
    os._exit(worker.engine.run(spec, out=folder, reports=writer))


def main() -> None:
    """Load everything, then fork."""
    path, times = sys.argv[1:]
    spec = JobSpec.parse(json.loads(Path(path).read_text()))
    worker.engine.preload()
    for _ in range(int(times)):
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(_started(spec, Path(folder)))), flush=True)


if __name__ == "__main__":
    main()
