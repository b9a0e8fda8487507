"""What workers do with jobs: claim one, report, end the run. One function per script in `lua/`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, cast

from pydantic import ValidationError

from ledger.calls import Answer, Call
from ledger.errors import LeaseLost, LedgerError, NotEnrolled
from lowland.spec import JobSpec, Status
from lowland.spec.states import Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a job's `error` says."""

    type: str
    title: str
    detail: str

    def to_json(self) -> str:
        """As the ledger keeps it."""
        return json.dumps({"type": self.type, "title": self.title, "detail": self.detail})


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that counts: the file lies in the folder of the run that wrote it."""

    token: int
    name: str
    size_bytes: int
    sha256: str
    step: int


def write_checkpoints(checkpoints: Sequence[Checkpoint]) -> str:
    """As the ledger keeps them: JSON, the latest first."""
    return json.dumps([asdict(checkpoint) for checkpoint in checkpoints])


def read_checkpoints(written: str) -> tuple[Checkpoint, ...]:
    """The other way round; none where nothing was written."""
    return tuple(Checkpoint(**fields) for fields in json.loads(written or "[]"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a job."""

    job_id: str
    token: int
    """Counts the job's runs; only the newest may write."""
    worker: str
    device: str
    """The worker's slot, or several with commas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease(Run):
    """The right to run a job, proved by its fencing token."""

    attempt: int
    device_model: str
    """What kind of device it runs on."""
    former_model: str
    """What kind of device the latest checkpoint is from; empty where there is none."""
    spec: JobSpec
    checkpoints: tuple[Checkpoint, ...]
    """Where to go on from: the latest, and the one before in case that is damaged."""
    request_id: str = ""
    """Of the request that made the job, for logs; empty where it is not known."""


class SpecUnreadable(LedgerError):
    """A job was claimed whose stored spec cannot be read; the run is to be settled."""

    def __init__(self, run: Run, problem: str) -> None:
        self.run = run
        super().__init__(f"the stored spec of job {run.job_id} cannot be read: {problem}")


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that ended, and the state that led to."""

    job_id: str
    status: Status
    token: int = field(default=0, compare=False)
    attempt: int = field(default=0, compare=False)
    request_id: str = field(default="", compare=False)
    """Of the request that made the job; empty where it is not known."""


def names_of(run: Lease | Ended) -> dict[str, str | int]:
    """What a run is called in logs."""
    names: dict[str, str | int] = {"job_id": run.job_id, "attempt": run.attempt, "token": run.token}
    return {**names, "request_id": run.request_id} if run.request_id else names


Ending = Literal["succeeded", "failed", "stopped", "lost"]
"""How an engine ended: stopped where that was by request."""


def claim(
    claim_id: str, *, worker: str, incarnation: str, runner: str, lease_ms: int, failure: Failure
) -> Call[Lease | None]:
    """Take the best queued job that fits what is free of the machine; None where there is none, nothing is free, or the
    worker drains.

    Args:
        claim_id: a UUID of its own for each call, so that a repetition gets the same lease.
        worker: for whom.
        incarnation: the worker's, as it enrolled.
        runner: who asks, one of the worker's processes. It holds nothing any more.
        lease_ms: how long the lease lasts without being renewed.
        failure: how a run ends that the runner has broken off.

    Raises:
        NotEnrolled: the ledger does not know the worker, or another one has its name.
        SpecUnreadable: the job's spec cannot be read.
    """

    def read(answer: Answer) -> Lease | None:
        if answer[0] == "not_enrolled":
            raise NotEnrolled(worker)
        if answer[0] != "ok":
            return None
        job_id, token, attempt, device, model, former_model, spec, checkpoints, request_id = (
            str(part) for part in answer[1:]
        )
        try:
            read_spec = JobSpec.stored(spec)
        except ValidationError as error:
            run = Run(job_id=job_id, token=int(token), worker=worker, device=device)
            raise SpecUnreadable(run, str(error)) from error
        return Lease(
            job_id=job_id,
            token=int(token),
            worker=worker,
            device=device,
            attempt=int(attempt),
            device_model=model,
            former_model=former_model,
            spec=read_spec,
            checkpoints=read_checkpoints(checkpoints),
            request_id=request_id,
        )

    return Call("claim", (claim_id, worker, incarnation, runner, lease_ms, failure.detail, failure.to_json()), read)


def begin(lease: Lease, *, lease_ms: int) -> Call[Wish | None]:
    """Say that an engine is about to be started: from now on the run's end spends an attempt. Extends the lease, and
    gives what was asked of the job.

    Raises:
        LeaseLost: the job belongs to somebody else.
    """
    return Call("begin", (lease.job_id, lease.token, lease_ms), lambda answer: _wish(answer, lease))


def renew(lease: Lease, *, lease_ms: int) -> Call[Wish | None]:
    """Extend a lease; gives what was asked of the job.

    Raises:
        LeaseLost: the job belongs to somebody else.
    """
    return Call("renew", (lease.job_id, lease.token, lease_ms), lambda answer: _wish(answer, lease))


def report(
    lease: Lease, sequence: int, *, lease_ms: int, fields: Mapping[str, str], point: str = "", notice: str = ""
) -> Call[Wish | None]:
    """Record what the engine reported; extends the lease and gives what was asked of the job.

    Args:
        lease: under which the engine runs.
        sequence: the report's number within its run, from 1; one that is not higher than the last changes nothing.
        lease_ms: how long the lease lasts from now.
        fields: of the job's hash (`documents.py` says which there are).
        point: a point of the series, as JSON; empty for none.
        notice: an event for the job's history, as JSON; empty for none.

    Raises:
        LeaseLost: the job belongs to somebody else.
    """
    pairs = [part for pair in fields.items() for part in pair]
    args = (lease.job_id, lease.token, sequence, lease_ms, point, notice, *pairs)
    return Call("report", args, lambda answer: _wish(answer, lease))


def settle(run: Run, ending: Ending, *, detail: str = "", failure: Failure | None = None) -> Call[Status]:
    """End a run, once the engine's processes are gone; gives the job's new state.

    Raises:
        LeaseLost: the job belongs to somebody else; call `vacate` for its slots.
    """
    error = failure.to_json() if failure else ""
    args = (run.job_id, run.token, ending, detail, error)

    def read(answer: Answer) -> Status:
        if answer[0] == "lost_lease":
            raise LeaseLost(run.job_id, run.token)
        return Status(str(answer[1]))

    return Call("settle", args, read)


def vacate(run: Run) -> Call[None]:
    """Free the slots of a run whose lease was lost, once the engine's processes are gone."""
    return Call("vacate", (run.worker, run.device, run.job_id, run.token), lambda answer: None)


def expire(*, failure: Failure, lease_ms: int, most: int = 100) -> Call[list[Ended]]:
    """End the runs whose lease has run out, once this was called again and again for as long as a lease lasts."""
    return Call("expire", (failure.detail, failure.to_json(), most, lease_ms), read_ended)


def _wish(answer: Answer, lease: Lease) -> Wish | None:
    if answer[0] == "lost_lease":
        raise LeaseLost(lease.job_id, lease.token)
    return cast("Wish", answer[1]) if answer[1] else None


def read_ended(answer: Answer) -> list[Ended]:
    """The runs that an answer says were ended."""
    words = iter(str(part) for part in answer[1:])
    return [
        Ended(job_id, Status(status), int(token), int(attempt or 0), request_id)
        for job_id, status, token, attempt, request_id in zip(words, words, words, words, words, strict=True)
    ]
