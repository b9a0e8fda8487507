"""Starting an engine: one process that trains one run of a job, in a session of its own.

    runner ── os.fork ──► engine      torch is loaded already: the first report comes within milliseconds
    runner ── exec ─────► engine      the same contract, where fork is no choice

Either way the engine dies with its runner, holds no descriptor but its log and its report pipe, and leaves by
`os._exit` or as any program does.
"""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Final, NoReturn

from ledger.store import ENGINE_LOG
from lowland.spec import JobSpec
from worker.orphans import die_with

#: Where the forked engine finds its report pipe.
_REPORT_FD: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an engine is to do."""

    spec: JobSpec
    folder: Path
    """Where it writes; exists."""
    resume: Sequence[Path] = ()
    """Checkpoints to go on from, the latest first."""
    weights: Path | None = None
    """The file that `model.init_from` means."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """What it must find in its environment, beside what is there."""
    heading: str = ""
    """The first line of its log: says whose it is."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine."""

    pid: int
    """Also its process group."""
    reports: int
    """Descriptor its reports are read from."""

    def stop(self) -> None:
        """Ask it to write a checkpoint and stop."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its children at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has ended by itself; its exit status is still to be read
            os.killpg(self.pid, number)


Start = Callable[[Work], Engine]


def fork_engine(work: Work) -> Engine:
    """Start the engine as a fork of this process.

    Raises:
        OSError: there is no room for it, or its folder cannot be written.
    """
    runner = os.getpid()
    with _log(work) as log, _pipe() as (reading, writing), _pipe() as (at_home, leaving):
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _become_engine(work, runner, writing.fileno(), log.fileno())
        writing.close()
        leaving.close()
        at_home.read(1)  # ends when the child has closed what it inherited: from then on it can be signalled
        return Engine(pid, os.dup(reading.fileno()))


def program_engine(command: Callable[[Work, int], list[str]]) -> Start:
    """A way to start any program that keeps the engine's contract.

    Args:
        command: from the work and the report pipe's descriptor, the program's arguments.
    """

    def start(work: Work) -> Engine:
        runner = os.getpid()
        with _log(work) as log, _pipe() as (reading, writing):
            process = subprocess.Popen(
                command(work, writing.fileno()),
                env={**os.environ, **work.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing.fileno(),),
                start_new_session=True,
                preexec_fn=lambda: die_with(runner),  # noqa: PLW1509  the runner has one thread
            )
            process.returncode = 0  # the runner waits for the process itself; Popen must not
            return Engine(process.pid, os.dup(reading.fileno()))

    return start


def engine_command(work: Work, report_fd: int) -> list[str]:
    """The engine of this house as a program."""
    spec = work.folder / "spec.json"
    spec.write_text(work.spec.model_dump_json(), encoding="utf-8")
    resume = [option for path in work.resume for option in ("--resume", str(path))]
    weights = ["--weights", str(work.weights)] if work.weights else []
    options = ["--out", str(work.folder), "--report-fd", str(report_fd), "--keep-all", *resume, *weights]
    return [sys.executable, "-m", "worker.engine", str(spec), *options]


def _log(work: Work) -> FileIO:
    file = FileIO(work.folder / ENGINE_LOG, "a")
    if work.heading:
        with suppress(OSError):  # on a full disk it is for the engine to say so
            file.write(work.heading.encode() + b"\n")
    return file


@contextmanager
def _pipe() -> Generator[tuple[FileIO, FileIO]]:
    """The reading and the writing end of a pipe, closed afterwards if they are not yet."""
    reading, writing = os.pipe()
    with FileIO(reading, "r") as reader, FileIO(writing, "w") as writer:
        yield reader, writer


def _become_engine(work: Work, runner: int, writing: int, log: int) -> NoReturn:
    status = 1
    try:
        os.setsid()
        die_with(runner)
        _forget_signals()
        _keep_only(writing, log)
        os.environ.update(work.environment)
        from worker.engine import run  # noqa: PLC0415  loads torch; the runner itself does without
        from worker.engine.reporting import log_to_stderr  # noqa: PLC0415

        log_to_stderr()  # the runner's log is another
        status = run(
            work.spec,
            out=work.folder,
            reports=_REPORT_FD,
            resume=work.resume,
            keep_all=True,
            weights=work.weights,
        )
    except BaseException:  # noqa: BLE001  the edge of a process: nothing of the runner's may run in its copy
        with suppress(OSError):  # the disk that the log is on may be full
            traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _forget_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def _keep_only(writing: int, log: int) -> None:
    """Close every descriptor but the report pipe and the log: an inherited one keeps others waiting for its end."""
    null = os.open(os.devnull, os.O_RDONLY)
    spare_log, spare_report = (os.dup(fd) for fd in (log, writing))
    for source, target in ((null, 0), (spare_log, 1), (spare_log, 2), (spare_report, _REPORT_FD)):
        os.dup2(source, target)
    os.closerange(_REPORT_FD + 1, os.sysconf("SC_OPEN_MAX"))
