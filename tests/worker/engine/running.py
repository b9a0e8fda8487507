"""Running the engine in tests: in this process, or in one of its own, forked warm as a runner does it."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import torch

import worker.engine
from lowland.spec.job import JobSpec
from lowland.spec.reports import CheckpointWritten, Finished, Report, read_report
from tests.waiting import until
from worker.engine.reporting import SILENT
from worker.engine.session import Session
from worker.engine.settings import EngineSettings
from worker.engine.stop import StopFlag

R = TypeVar("R")

#: Small enough to train in a fraction of a second: 160 training, 40 validation samples, 10 steps an epoch.
TINY: Mapping[str, Any] = {
    "dataset": {"name": "digits", "limit": 200, "validation_fraction": 0.2},
    "model": {"name": "mlp", "width": 16, "depth": 1},
    "sam": "none",
    "batch_size": 16,
    "epochs": 2,
}

#: As small, with classes of 15 and of 16 training samples: some are rarer than others, as ImbSAM needs it.
UNEVEN: Mapping[str, Any] = {"name": "digits", "limit": 195, "validation_fraction": 0.2}


def tiny(**fields: Any) -> JobSpec:
    """A small job, with other fields where given."""
    return JobSpec.parse({**TINY, **fields})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended and what it said."""

    status: int
    reports: list[Report]

    def all(self, kind: type[R]) -> list[R]:
        """The reports of one kind."""
        return [report for report in self.reports if isinstance(report, kind)]

    def one(self, kind: type[R]) -> R:
        """The only report of a kind."""
        (report,) = self.all(kind)
        return report

    @property
    def result(self) -> Finished:
        return self.one(Finished)

    @property
    def last_checkpoint(self) -> CheckpointWritten:
        return self.all(CheckpointWritten)[-1]

    @property
    def weights_sha256(self) -> str:
        """Of the trained model."""
        (sha256,) = [
            report.sha256
            for report in self.reports
            if report.report == "artifact" and report.name == "model.safetensors"
        ]
        return sha256


def session_in(out: Path) -> Session:
    """For what is called without the program around it."""
    return Session(settings=EngineSettings(), device=torch.device("cpu"), out=out, reporter=SILENT, stop=StopFlag())


class StoppingFile(BytesIO):
    """Where reports go until one meets a condition: then this process gets SIGTERM, as the runner would send it."""

    def __init__(self, condition: Callable[[Report], bool]) -> None:
        super().__init__()
        self._condition = condition

    def write(self, line: Any, /) -> int:
        if self._condition(read_report(bytes(line))):
            os.kill(os.getpid(), signal.SIGTERM)
        return super().write(line)


def run(
    spec: JobSpec,
    out: Path,
    *,
    resume: Path | Sequence[Path] = (),
    weights: Path | None = None,
    stop_at: Callable[[Report], bool] = lambda report: False,
) -> Outcome:
    """Train in this process; with `stop_at`, SIGTERM comes while the first such report is being written."""
    reports = StoppingFile(stop_at)
    checkpoints = [resume] if isinstance(resume, Path) else resume
    status = worker.engine.run(spec, out=out, reports=reports, resume=checkpoints, weights=weights)
    return Outcome(status=status, reports=parsed(reports.getvalue()))


def parsed(lines: bytes) -> list[Report]:
    """Every line is a report, and the last one is complete."""
    assert not lines or lines.endswith(b"\n")
    return [read_report(line) for line in lines.splitlines()]


class ForkedEngine:
    """An engine in a process of its own, forked from one that has called `preload` and nothing else."""

    def __init__(self, spec: JobSpec, out: Path, *, resume: Sequence[Path] = (), threads: int = 1) -> None:
        out.mkdir(exist_ok=True)
        self._reports = out / "reports.jsonl"
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.worker.engine.preloaded"])
        arguments = (spec.model_dump_json(), out, self._reports, resume, threads)
        self._process: BaseProcess = context.Process(target=_run_forked, args=arguments)
        self._process.start()

    def wait_for(self, condition: Callable[[Report], bool], what: str) -> None:
        """Until it has reported that."""
        until(lambda: any(map(condition, self._seen())), what, seconds=60)

    def signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def ended(self) -> Outcome:
        """Wait for it to leave."""
        self._process.join(60)
        assert self._process.exitcode is not None, "the engine is still running"
        return Outcome(status=self._process.exitcode, reports=parsed(self._reports.read_bytes()))

    def _seen(self) -> list[Report]:
        lines = self._reports.read_bytes() if self._reports.exists() else b""
        return parsed(lines[: lines.rfind(b"\n") + 1])


def _run_forked(spec: str, out: Path, reports: Path, resume: Sequence[Path], threads: int) -> None:
    os.environ["LOWLAND_THREADS"] = str(threads)
    descriptor = os.open(reports, os.O_WRONLY | os.O_CREAT)
    os._exit(worker.engine.run(JobSpec.parse(json.loads(spec)), out=out, reports=descriptor, resume=resume))
