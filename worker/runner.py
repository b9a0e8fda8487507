"""The runner answers a bell: claim a job, start its engine, see it through, settle.

It is the pool child of a Celery worker, single-threaded, and does not know torch. A SIGTERM to it means: drain.
"""

import logging
import signal
import time
import uuid
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

from ledger import Failure, Keys, Lease, LeaseLost, Ledger, LedgerUnavailable, transitions
from ledger.calls import Call
from ledger.store import run_folder
from worker.devices import device_classes, devices, engine_environment
from worker.endings import Ending, ending
from worker.engines import Start, Work, engine_command, fork_engine, program_engine
from worker.outbox import FIRST_PAUSE_S, LONGEST_PAUSE_S, Outbox
from worker.recording import Recorder
from worker.settings import WorkerSettings
from worker.supervision import DrainFlag, Supervision

T = TypeVar("T")

log: Final = logging.getLogger(__name__)

#: A command that takes longer finds Redis away; the loop goes on and tries again.
REDIS_TIMEOUT_S: Final = 1.0

#: How engines start, by the setting `engine_start`.
STARTS: Final[dict[str, Start]] = {"fork": fork_engine, "subprocess": program_engine(engine_command)}


class Runner:
    """Answers bells, one at a time.

    Args:
        settings: of the worker.
        worker: its name in the ledger.
        start: how engines start; by default what the settings say.
    """

    def __init__(self, settings: WorkerSettings, worker: str, start: Start | None = None) -> None:
        self.drain: Final = DrainFlag()
        self._settings = settings
        self.worker: Final = worker
        self._start = start or STARTS[settings.engine_start]
        self._devices = devices(settings)
        self._ledger = Ledger(settings.redis_url, Keys(settings.redis_prefix), timeout_s=REDIS_TIMEOUT_S)

    def drain_on_sigterm(self) -> None:
        """From now on SIGTERM means: put the job back, after a checkpoint, and take no other."""

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            self.drain.raised = True

        signal.signal(signal.SIGTERM, on_sigterm)

    def answer(self, bell: str) -> None:
        """Claim the best job that fits and see it through; do nothing where there is none.

        Args:
            bell: the bell's id. A bell that rings twice is two claims; the ledger gives each job once.
        """
        lease = self._claim(bell)
        if lease is None:
            return
        run = f"job {lease.job_id} run {lease.token}"
        log.info("run started: %s, attempt %d on %s", run, lease.attempt, lease.device)
        try:
            end = self._run(lease)
            status = self._persist(transitions.settle(lease, end.outcome, detail=end.detail, failure=end.failure))
            log.info("run ended: %s %s %s, the job is %s", run, end.outcome, end.detail, status)
        except LeaseLost:
            log.warning("lease lost: %s", run)
            self._persist(transitions.vacate(lease))
        except LedgerUnavailable:
            # the keeper ends the run when its lease runs out
            log.error("run not settled, the ledger is away and the worker stops: %s", run)

    def _claim(self, bell: str) -> Lease | None:
        try:
            return self._ledger.run(
                transitions.claim(
                    str(uuid.uuid4()),
                    worker=self.worker,
                    bell=bell,
                    lease_ms=round(self._settings.lease_s * 1000),
                    classes=device_classes(self._devices),
                    devices=self._devices,
                )
            )
        except LedgerUnavailable as error:
            # the job, if one was claimed, comes back when its lease runs out; else the keeper rings again
            log.warning("bell %s not answered: %s", bell, error)
            return None

    def _run(self, lease: Lease) -> Ending:
        folder = run_folder(self._settings.artifact_dir, lease.job_id, lease.token)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            engine = self._start(self._work(lease, folder))
        except OSError as error:
            detail = f"no engine could be started: {error}"
            failure = Failure(type="engine-not-started", title="The engine could not be started", detail=detail)
            return Ending(outcome="lost", detail=detail, failure=failure)
        outbox = Outbox(self._ledger, lease, lease_s=self._settings.lease_s)
        course = Supervision(
            engine, lease.spec, outbox, Recorder(lease.token), drain=self.drain, grace_s=self._settings.grace_s
        ).see_through()
        self._empty(outbox)
        return ending(course)

    def _work(self, lease: Lease, folder: Path) -> Work:
        environment = engine_environment(lease.device, len(self._devices))
        return Work(spec=lease.spec, folder=folder, resume=self._checkpoint(lease), environment=environment)

    def _checkpoint(self, lease: Lease) -> Path | None:
        checkpoint = lease.checkpoint
        if checkpoint is None:
            return None
        path = run_folder(self._settings.artifact_dir, lease.job_id, checkpoint.token) / checkpoint.name
        if path.is_file() and path.stat().st_size == checkpoint.size_bytes:
            return path
        log.warning("checkpoint missing, job %s starts over: %s", lease.job_id, path)
        return None

    def _empty(self, outbox: Outbox) -> None:
        """Wait until everything is recorded: what follows depends on it."""
        give_up = _Patience(self.drain)
        while not outbox.is_empty:
            outbox.send()
            if not outbox.is_empty:
                give_up.wait(outbox.due_in_s)

    def _persist(self, call: Call[T]) -> T:
        """Run a call however long Redis is away."""
        give_up = _Patience(self.drain)
        while True:
            try:
                return self._ledger.run(call)
            except LedgerUnavailable:
                give_up.wait(give_up.next_pause_s())


class _Patience:
    """Waits for Redis without end, or for a while once the worker is told to stop."""

    #: How long a worker that is told to stop waits for Redis.
    _DRAIN_S: Final = 3.0

    def __init__(self, drain: DrainFlag) -> None:
        self._drain = drain
        self._until: float | None = None
        self._pause_s = FIRST_PAUSE_S

    def next_pause_s(self) -> float:
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        return pause_s

    def wait(self, seconds: float) -> None:
        """Sleep.

        Raises:
            LedgerUnavailable: it has been long enough.
        """
        if self._drain.raised:
            self._until = self._until or time.monotonic() + self._DRAIN_S
            if time.monotonic() > self._until:
                raise LedgerUnavailable("Redis is away and the worker stops")
        time.sleep(seconds)
