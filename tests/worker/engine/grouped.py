"""Engines of several ranks in tests: each is a process group of its own, as a runner starts it."""

import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, NoReturn

import psutil

import worker.engine
from lowland.spec.job import JobSpec
from lowland.spec.reports import Advanced, Broken, Report, read_report, write_report
from tests.waiting import until
from tests.worker.engine.running import Outcome, parsed, tiny
from worker.engine.errors import broken
from worker.engine.launch import together

When = Callable[[Report], bool]
#: What one rank does; a partial of a module's function.
Work = Callable[[int], None]


#: Fields of a job that is never over before its test is.
ENDLESS: Mapping[str, Any] = {"epochs": 10_000, "sam": "sam"}


def in_ranks(ranks: int, **fields: Any) -> JobSpec:
    """A small job for so many processes on the CPU."""
    return tiny(**{"precision": "fp32", **fields, "resources": {"device": "cpu", "world_size": ranks}})


def has_stepped(report: Report) -> bool:
    """When the first step was reported."""
    return isinstance(report, Advanced)


def never(report: Report) -> bool:
    """When nothing was."""
    return False


class GroupedEngine:
    """An engine in a process group of its own, forked from a process that has called `preload` and nothing else.

    Args:
        stop_at: SIGTERM comes to all ranks while the first one writes a report that meets this; a function of a module.
    """

    def __init__(self, spec: JobSpec, out: Path, *, resume: Sequence[Path] = (), stop_at: When = never) -> None:
        out.mkdir(exist_ok=True)
        self._reports = out / "reports.jsonl"
        arguments = (spec.model_dump_json(), out, self._reports, resume, stop_at)
        self._process = warm_context().Process(target=_run, args=arguments)
        self._process.start()

    def wait_for(self, condition: When, what: str) -> None:
        """Until it has reported that."""
        until(lambda: any(map(condition, self._seen())), what, seconds=60)

    def ranks(self) -> list[psutil.Process]:
        """Its processes, by rank."""
        first = psutil.Process(self._process.pid)
        return [first, *sorted(first.children(), key=lambda process: process.create_time())]

    def ended(self) -> Outcome:
        """Wait for it to leave."""
        self._process.join(60)
        if self._process.exitcode is None:
            for rank in self.ranks():
                rank.kill()
            raise AssertionError("the engine was still running")
        return Outcome(status=self._process.exitcode, reports=parsed(self._reports.read_bytes()))

    def _seen(self) -> list[Report]:
        lines = self._reports.read_bytes() if self._reports.exists() else b""
        return parsed(lines[: lines.rfind(b"\n") + 1])


def warm_context() -> ForkServerContext:
    """How to fork from a process that has imported all an engine needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.worker.engine.preloaded"])
    return context


def told_of(count: int, work: Work, out: Path) -> Broken | None:
    """Let ranks do a piece of work, in processes of their own; the error they end in."""
    told = out / "told.json"
    process = warm_context().Process(target=_work, args=(count, work, told))
    process.start()
    process.join(60)
    assert process.exitcode is not None, "the ranks were still running"
    if not told.exists():
        assert process.exitcode == 0
        return None
    report = read_report(told.read_bytes())
    assert isinstance(report, Broken)
    return report


def _work(count: int, work: Work, told: Path) -> None:
    try:
        together(count, work, give_up=partial(_tell, told))
    except Exception as error:  # noqa: BLE001  the edge of a process
        _tell(told, broken(error))
    os._exit(0)


def _tell(told: Path, report: Broken) -> NoReturn:
    told.write_bytes(write_report(report))
    os._exit(1)


class _ReportsFile(BytesIO):
    """Passes reports on, and stops the process group at one of them."""

    def __init__(self, path: Path, stop_at: When) -> None:
        super().__init__()
        self._file = path.open("wb", buffering=0)
        self._stop_at = stop_at

    def write(self, line: Any, /) -> int:
        self._file.write(line)
        if self._stop_at(read_report(bytes(line))):
            os.killpg(0, signal.SIGTERM)
        return len(line)


def _run(spec: str, out: Path, reports: Path, resume: Sequence[Path], stop_at: When) -> None:
    os.setsid()
    os.environ["LOWLAND_THREADS"] = "1"
    # What an engine that is killed leaves in the temporary folder lies with the test's own files.
    tempfile.tempdir = str(out)
    file = _ReportsFile(reports, stop_at)
    os._exit(worker.engine.run(JobSpec.parse(json.loads(spec)), out=out, reports=file, resume=resume))
