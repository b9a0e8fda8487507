"""A runner, the job it runs with a shell script in the engine's place, and the ledger both live in."""

import threading
from collections.abc import Callable
from contextlib import suppress

import psutil

from ledger import Lease, Ledger, reads
from ledger.store import claim_store
from lowland.spec.resource import Job
from tests.ledger.playing import STORE, enroll, machine
from tests.waiting import until
from tests.worker.engines import (
    read,
    shell_engine,
)
from worker.engines import Start
from worker.runner import Runner
from worker.settings import WorkerSettings


def a_runner(settings: WorkerSettings, ledger: Ledger, start: Start) -> Runner:
    """A runner of a worker with one slot that has enrolled."""
    store = STORE
    with suppress(OSError):  # a test may want a store that cannot be used
        store = claim_store(settings.artifact_dir)
    enroll(ledger, store=store)
    return Runner(settings, machine(), worker="w1", incarnation="i1", name="r1", start=start)


class Played:
    """A runner, the job it runs, and the ledger both live in."""

    def __init__(self, settings: WorkerSettings, ledger: Ledger, script: str) -> None:
        self.runner = a_runner(settings, ledger, shell_engine(script))
        self.ledger = ledger
        self.folder = settings.artifact_dir

    def answer(self) -> Job:
        """Run one job, then look at it: the only one."""
        self.runner.run_one()
        return self.job()

    def job(self) -> Job:
        return self.ledger.run(reads.list_jobs(limit=1)).jobs[0]

    def answering(self) -> threading.Thread:
        """Run one job beside the test."""
        thread = threading.Thread(target=self.runner.run_one, daemon=True)
        thread.start()
        return thread


Play = Callable[[str], Played]


def descriptors() -> int:
    """How many descriptors this process holds."""
    return psutil.Process().num_fds()


def engine_pid(played: Played) -> int:
    """The engine's process id, once its script has written it down."""
    job_id = played.job().id
    return int(until(lambda: read(played.folder / "jobs" / job_id / "1" / "pid").strip(), "the engine runs"))


def lease_of(played: Played) -> Lease:
    """The lease of the only job's first run."""
    job = played.job()
    return Lease(
        job_id=job.id,
        token=1,
        worker="w1",
        device="cpu:0",
        attempt=1,
        device_model="a CPU",
        former_model="",
        spec=job.spec,
        checkpoints=(),
    )


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
