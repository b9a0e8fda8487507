"""The ledger as plain Python: what every script must do, written down a second time without Redis."""

from dataclasses import dataclass, field

from lowland.spec import TRANSITIONS, Event, Status
from lowland.spec.states import FULFILLED

MAX_ATTEMPTS = 2


@dataclass
class ModelRun:
    """One run of a job."""

    worker: str
    runner: str
    begun: bool = False
    outcome: str | None = None
    expires: bool = False
    """Whether its lease has run out by now, if nobody renews it."""
    holds_slot: bool = True
    sequence: int = 0


@dataclass
class ModelJob:
    """A job."""

    owner: str
    priority: int
    number: int
    """Its age: submitted so many jobs after the first."""
    status: Status = Status.QUEUED
    requested: str | None = None
    spent: int = 0
    allowed: int = MAX_ATTEMPTS
    accuracy: float | None = None
    error: bool = False
    """Whether it has one: its latest run went wrong."""
    has_checkpoint: bool = False
    runs: list[ModelRun] = field(default_factory=list[ModelRun])

    @property
    def current(self) -> ModelRun:
        """The latest run."""
        return self.runs[-1]


@dataclass
class ModelLedger:
    """All jobs, and workers with one slot each."""

    jobs: dict[str, ModelJob] = field(default_factory=dict[str, ModelJob])

    def submit(self, job_id: str, owner: str, priority: int) -> None:
        self.jobs[job_id] = ModelJob(owner, priority, number=len(self.jobs))

    def running_of(self, owner: str) -> int:
        return sum(job.owner == owner and job.status == Status.RUNNING for job in self.jobs.values())

    def holder_of(self, worker: str) -> tuple[str, ModelRun] | None:
        """Whose run has the worker's slot."""
        for job_id, job in self.jobs.items():
            for run in job.runs:
                if run.worker == worker and run.holds_slot:
                    return job_id, run
        return None

    def best(self) -> str | None:
        """The job that a worker with a free slot gets: of each owner's heads, by priority, running jobs, age."""
        waiting = [(job_id, job) for job_id, job in self.jobs.items() if job.status == Status.QUEUED]
        heads: dict[str, tuple[str, ModelJob]] = {}
        for job_id, job in sorted(waiting, key=lambda one: (-one[1].priority, one[1].number)):
            heads.setdefault(job.owner, (job_id, job))
        ranked = sorted(
            heads.values(), key=lambda one: (-one[1].priority, self.running_of(one[1].owner), one[1].number)
        )
        return ranked[0][0] if ranked else None

    def claim(self, worker: str, runner: str) -> str | None:
        """A runner that claims holds nothing; gives the job it gets."""
        held = self.holder_of(worker)
        if held is not None and held[1].runner == runner:
            self.runner_died(worker)
        if self.holder_of(worker) is not None or (job_id := self.best()) is None:
            return None
        job = self.jobs[job_id]
        job.status = Status.RUNNING
        job.runs.append(ModelRun(worker, runner))
        return job_id

    def ask(self, job_id: str, event: Event) -> bool:
        """Pause, resume or cancel; False where that is refused."""
        job = self.jobs[job_id]
        if job.status == Status.RUNNING:
            if job.requested == "cancel" and event != Event.CANCEL:
                return False
            job.requested = None if event == Event.RESUME else str(event)
            return True
        if job.status in TRANSITIONS[event]:
            job.status, job.error = TRANSITIONS[event][job.status], False
            return True
        return job.status in FULFILLED[event]

    def retry(self, job_id: str, *, from_checkpoint: bool) -> str:
        """Gives done, refused or no checkpoint."""
        job = self.jobs[job_id]
        if job.status in FULFILLED[Event.RETRY]:
            return "refused" if job.requested == "cancel" else "done"
        if job.status not in TRANSITIONS[Event.RETRY]:
            return "refused"
        if from_checkpoint and not job.has_checkpoint:
            return "no checkpoint"
        if not from_checkpoint:
            job.accuracy, job.has_checkpoint = None, False
        job.status, job.allowed, job.error = Status.QUEUED, job.spent + MAX_ATTEMPTS, False
        return "done"

    def settle(self, job_id: str, ending: str) -> None:
        """The runner ends the current run."""
        self.jobs[job_id].current.holds_slot = False
        self.end(job_id, ending)

    def end(self, job_id: str, ending: str) -> None:
        """However it came, the current run has ended."""
        job, run = self.jobs[job_id], self.jobs[job_id].current
        wish, job.requested, job.error = job.requested, None, False
        if ending in {"stopped", "lost"} and wish is not None:
            job.status = Status.CANCELLED if wish == "cancel" else Status.PAUSED
            run.outcome = str(job.status)
        elif ending == "stopped":
            job.status, run.outcome = Status.QUEUED, "put_back"
        else:
            run.outcome = ending
            job.spent += run.begun
            job.error = ending != "succeeded"
            if ending == "lost":
                job.status = Status.QUEUED if job.spent < job.allowed else Status.FAILED
            else:
                job.status = Status.SUCCEEDED if ending == "succeeded" else Status.FAILED

    def runner_died(self, worker: str) -> None:
        """The worker's heartbeat does not name it any more."""
        held = self.holder_of(worker)
        if held is not None:
            job_id, run = held
            run.holds_slot = False
            if run.outcome is None:
                self.end(job_id, "lost")

    def expire(self) -> None:
        """The keeper ends every run whose lease has run out."""
        for job_id, job in self.jobs.items():
            if job.status == Status.RUNNING and job.current.expires:
                self.end(job_id, "lost")
