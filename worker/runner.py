"""The runner answers a bell: claim a job, start its engine, see it through, settle, until no job is left for it.

It is the pool child of a Celery worker, single-threaded, and does not know torch. A SIGTERM to it means: drain.
"""

import logging
import signal
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

from ledger import (
    Failure,
    Keys,
    Lease,
    LeaseLost,
    Ledger,
    LedgerUnavailable,
    Machine,
    NotEnrolled,
    OtherStore,
    SpecUnreadable,
    WeightsMissing,
    presence,
    runs,
)
from ledger.calls import Call
from ledger.logs import about
from ledger.store import read_store_id, run_folder
from lowland.spec import Status
from lowland.spec.reports import Noticed
from worker.devices import engine_environment
from worker.endings import Ending, ending
from worker.engines import Engine, Start, Work, engine_command, fork_engine, program_engine
from worker.origins import weights_of_origin
from worker.outbox import FIRST_PAUSE_S, LONGEST_PAUSE_S, Outbox
from worker.recording import Recorder
from worker.settings import WorkerSettings
from worker.shelf import Shelf
from worker.supervision import DrainFlag, Supervision

T = TypeVar("T")

log: Final = logging.getLogger(__name__)

#: A command that takes longer finds Redis away; the loop goes on and tries again.
REDIS_TIMEOUT_S: Final = 1.0

#: The longest rest of a runner that can start no engine.
LONGEST_REST_S: Final = 60.0

BROKEN_OFF: Final = Failure(
    type="runner-broke", title="The runner broke off", detail="the process that ran the job went on without it"
)

#: How engines start, by the setting `engine_start`.
STARTS: Final[dict[str, Start]] = {"fork": fork_engine, "subprocess": program_engine(engine_command)}


class Runner:
    """Answers bells, one at a time.

    Args:
        settings: of the worker.
        machine: what it offers.
        worker: its name in the ledger.
        incarnation: of this start of it.
        name: the runner's own, unique for ever.
        start: how engines start; by default what the settings say.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        machine: Machine,
        *,
        worker: str,
        incarnation: str,
        name: str,
        start: Start | None = None,
    ) -> None:
        self.drain: Final = DrainFlag()
        self._settings = settings
        self._machine = machine
        self._worker = worker
        self._incarnation = incarnation
        self._name = name
        self._start = start or STARTS[settings.engine_start]
        self._failed_starts = 0
        self._ledger = Ledger(settings.redis_url, Keys(settings.redis_prefix), timeout_s=REDIS_TIMEOUT_S)

    def drain_on_sigterm(self) -> None:
        """From now on SIGTERM means: put the job back, after a checkpoint, and take no other."""

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            self.drain.raised = True

        signal.signal(signal.SIGTERM, on_sigterm)

    def answer(self) -> None:
        """Answer a bell: run the jobs that fit, the best first, until there is none, or the worker is to stop.

        Whoever rings, and however often: the ledger gives each job once.
        """
        while self.run_one():
            pass

    def run_one(self) -> bool:
        """Claim the best job that fits and see it through; whether there may be another one to run."""
        try:
            if (lease := self._claim()) is None:
                return False
            with about(worker=self._worker, **runs.names_of(lease)):
                self._see_through(lease)
        except SpecUnreadable as error:
            log.error("%s", error)
            failure = Failure(type="spec-unreadable", title="The job spec cannot be read", detail=str(error))
            self._persist(runs.settle(error.run, "failed", detail=failure.detail, failure=failure))
        except NotEnrolled:
            log.warning("bell not answered: the ledger does not know worker %s", self._worker)
            return False
        except LedgerUnavailable as error:
            # whatever this runner holds is freed when the worker, or another one under its name, reports next
            log.error("bell given up: the ledger is away and the worker stops: %s", error)
            return False
        self._rest_after_failed_starts()
        return not self.drain.raised

    def _claim(self) -> Lease | None:
        """Claim once, asking again until the answer is there: the lease may have been given though it got lost."""
        return self._persist(
            runs.claim(
                str(uuid.uuid4()),
                worker=self._worker,
                incarnation=self._incarnation,
                runner=self._name,
                lease_ms=self._lease_ms,
                failure=BROKEN_OFF,
            )
        )

    @property
    def _lease_ms(self) -> int:
        return round(self._settings.lease_s * 1000)

    def _see_through(self, lease: Lease) -> None:
        run = f"job {lease.job_id} run {lease.token}"
        shelf = Shelf(self._settings.artifact_dir, lease)
        log.info("run started: %s, attempt %d on %s", run, lease.attempt, lease.device)
        try:
            end = self._run(lease, shelf)
            status = self._persist(runs.settle(lease, end.outcome, detail=end.detail, failure=end.failure))
            log.info("run ended: %s %s %s, the job is %s", run, end.outcome, end.detail, status)
            if status == Status.SUCCEEDED:
                shelf.clear()
        except LeaseLost:
            log.warning("lease lost: %s", run)
            self._persist(runs.vacate(lease))

    def _run(self, lease: Lease, shelf: Shelf) -> Ending:
        outbox = Outbox(self._ledger, lease, lease_s=self._settings.lease_s, recorded=shelf.recorded)
        try:
            self._check_store()
            notices = shelf.look(outbox.send)
            # a checkpoint holds everything: what the job once started from may be gone
            weights = None if shelf.files else self._weights(lease)
            if self._persist(runs.begin(lease, lease_ms=self._lease_ms)) is not None:
                return Ending(outcome="stopped")
            engine = self._start_engine(lease, shelf.files, weights)
        except WeightsMissing as error:
            failure = Failure(type="weights-missing", title="The weights to start from are missing", detail=str(error))
            return Ending(outcome="failed", detail=str(error), failure=failure)
        except OSError as error:
            # the machine is to blame and not the job, which spends no attempt
            self._failed_starts += 1
            detail = f"no engine could be started on {self._worker}: {error}"
            failure = Failure(type="engine-not-started", title="The engine could not be started", detail=detail)
            return Ending(outcome="stopped", detail=detail, failure=failure)
        self._failed_starts = 0
        recorder = Recorder(lease.token, shelf.counting)
        for notice in [*notices, *_other_bits(lease, shelf)]:
            outbox.put(recorder.record(notice))
        course = Supervision(
            engine, lease.spec, outbox, recorder, drain=self.drain, grace_s=self._settings.grace_s
        ).see_through()
        self._empty(outbox)
        return ending(course)

    def _check_store(self) -> None:
        """Make sure that the folder is the store still: where it is not mounted, checkpoints would count as missing.

        Raises:
            OSError: it is not, or cannot be read.
        """
        try:
            self._persist(presence.adopt(read_store_id(self._settings.artifact_dir)))
        except OtherStore as error:
            raise OSError(str(error)) from error

    def _weights(self, lease: Lease) -> Path | None:
        """Of the job that this one starts from, asking until Redis answers."""
        patience = _Patience(self.drain)
        while True:
            try:
                return weights_of_origin(self._ledger, self._settings.artifact_dir, lease)
            except LedgerUnavailable:
                patience.wait(patience.next_pause_s())

    def _start_engine(self, lease: Lease, resume: Sequence[Path], weights: Path | None) -> Engine:
        folder = run_folder(self._settings.artifact_dir, lease.job_id, lease.token)
        folder.mkdir(parents=True, exist_ok=True)
        environment = engine_environment(lease.device, self._settings, slots=len(self._machine.slots))
        return self._start(
            Work(
                spec=lease.spec,
                folder=folder,
                resume=resume,
                weights=weights,
                environment=environment,
                heading=" ".join(f"{name}={value}" for name, value in runs.names_of(lease).items()),
            )
        )

    def _rest_after_failed_starts(self) -> None:
        """Leave the job to others for a while, longer each time, when this machine cannot start engines."""
        if self._failed_starts:
            rest_s = LONGEST_REST_S if self._failed_starts > 5 else 2.0**self._failed_starts
            log.warning("no engine starts here: no bell is answered for %g s", rest_s)
            until = time.monotonic() + rest_s
            while time.monotonic() < until and not self.drain.raised:
                time.sleep(0.1)

    def _empty(self, outbox: Outbox) -> None:
        """Wait until everything is recorded: what follows depends on it."""
        patience = _Patience(self.drain)
        while not outbox.is_empty:
            outbox.send()
            if not outbox.is_empty:
                patience.wait(outbox.due_in_s)

    def _persist(self, call: Call[T]) -> T:
        """Run a call however long Redis is away.

        Raises:
            LedgerUnavailable: it still is, and the worker is to stop.
        """
        patience = _Patience(self.drain)
        while True:
            try:
                return self._ledger.run(call)
            except LedgerUnavailable:
                patience.wait(patience.next_pause_s())


def _other_bits(lease: Lease, shelf: Shelf) -> list[Noticed]:
    """A notice where the run goes on from a checkpoint of another kind of device: its arithmetic is another."""
    if not shelf.counting or lease.former_model == lease.device_model:
        return []
    detail = f"the run goes on on {lease.device_model} from a checkpoint of {lease.former_model}; not bit-identical"
    return [Noticed(type="other-device-model", detail=detail)]


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
