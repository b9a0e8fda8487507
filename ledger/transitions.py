"""Everything that changes the ledger, one function per script in `lua/`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, cast

from ledger.calls import Answer, Call
from ledger.documents import shown_job
from ledger.errors import Displaced, EventRefused, JobNotFound, LeaseLost, NotEnrolled
from lowland.spec import Event, JobSpec, Status
from lowland.spec.resource import Job
from lowland.spec.states import Outcome

Wish = Literal["pause", "cancel"]


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
class Lease:
    """The right to run a job, proved by a fencing token."""

    job_id: str
    token: int
    """Counts the job's runs; only the newest may write."""
    attempt: int
    worker: str
    device: str
    """The worker's device, or several with commas."""
    spec: JobSpec
    checkpoints: tuple[Checkpoint, ...]
    """Where to go on from: the latest, and the one before in case that is damaged."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that ended, and the state that led to."""

    job_id: str
    status: Status


def submit(job_id: str, spec: JobSpec, *, owner: str) -> Call[Job]:
    """Create a job and queue it; gives it."""
    args = (
        job_id,
        spec.model_dump_json(),
        owner,
        spec.device_class,
        spec.resources.world_size,
        spec.priority,
        spec.max_attempts,
    )
    return Call("submit", args, lambda answer: shown_job(answer[1]))


def claim(
    claim_id: str,
    *,
    worker: str,
    runner: str,
    lease_ms: int,
    classes: Sequence[str],
    devices: Sequence[str],
    failure: Failure,
) -> Call[Lease | None]:
    """Take the best queued job that fits the worker; None where there is none, or no device is free.

    Args:
        claim_id: a UUID of its own for each call, so that a repetition gets the same lease.
        worker: for whom.
        runner: who asks, one of the worker's processes. It holds nothing any more.
        lease_ms: how long the lease lasts without being renewed.
        classes: the device classes the worker takes.
        devices: all devices of the worker; those in use are known to the ledger.
        failure: how a run ends that the runner has broken off.
    """

    def read(answer: Answer) -> Lease | None:
        if answer[0] != "ok":
            return None
        job_id, token, attempt, device, spec, checkpoints = (str(part) for part in answer[1:])
        return Lease(
            job_id=job_id,
            token=int(token),
            attempt=int(attempt),
            worker=worker,
            device=device,
            spec=JobSpec.model_validate_json(spec),
            checkpoints=read_checkpoints(checkpoints),
        )

    asked = (claim_id, worker, runner, lease_ms, failure.detail, failure.to_json())
    return Call("claim", (*asked, len(classes), *classes, *devices), read)


def renew(lease: Lease, *, lease_ms: int) -> Call[Wish | None]:
    """Extend a lease; gives what was asked of the job.

    Raises:
        LeaseLost: the job belongs to somebody else.
    """
    return Call("renew", (lease.job_id, lease.token, lease_ms), lambda answer: _wish(answer, lease))


def report(
    lease: Lease, sequence: int, *, lease_ms: int, fields: Mapping[str, str], point: str = ""
) -> Call[Wish | None]:
    """Record what the engine reported; extends the lease and gives what was asked of the job.

    Args:
        lease: under which the engine runs.
        sequence: the report's number within its run, from 1; one that is not higher than the last changes nothing.
        lease_ms: how long the lease lasts from now.
        fields: of the job's hash (`documents.py` says which there are).
        point: a point of the series, as JSON; empty for none.

    Raises:
        LeaseLost: the job belongs to somebody else.
    """
    pairs = [part for pair in fields.items() for part in pair]
    args = (lease.job_id, lease.token, sequence, lease_ms, point, *pairs)
    return Call("report", args, lambda answer: _wish(answer, lease))


def settle(lease: Lease, outcome: Outcome, *, detail: str = "", failure: Failure | None = None) -> Call[Status]:
    """End a run, once the engine's processes are gone; gives the job's new state.

    Raises:
        LeaseLost: the job belongs to somebody else; call `vacate` for its devices.
    """
    error = failure.to_json() if failure else ""
    args = (lease.job_id, lease.token, outcome, detail, error)

    def read(answer: Answer) -> Status:
        if answer[0] == "lost_lease":
            raise LeaseLost(lease.job_id, lease.token)
        return Status(str(answer[1]))

    return Call("settle", args, read)


def vacate(lease: Lease) -> Call[None]:
    """Free the devices of a run whose lease was lost, once the engine's processes are gone."""
    return Call("vacate", (lease.worker, lease.device, lease.job_id, lease.token), lambda answer: None)


def expire(*, failure: Failure, most: int = 100) -> Call[list[Ended]]:
    """End the runs whose lease has run out."""
    return Call("expire", (failure.detail, failure.to_json(), most), _ended)


def cancel(job_id: str) -> Call[Job]:
    """Cancel a job, or ask its runner to; gives it.

    Raises:
        JobNotFound: no job has this id.
        EventRefused: it has ended otherwise.
    """

    def read(answer: Answer) -> Job:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        if answer[0] == "not_allowed":
            raise EventRefused(job_id, Event.CANCEL, Status(str(answer[1])))
        return shown_job(answer[1])

    return Call("cancel", (job_id,), read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a worker says of itself."""

    worker: str
    """Its name, unique among all machines."""
    incarnation: str
    """One per start."""
    runners: Sequence[str]
    """Those of its runners that live."""


def enroll(
    presence: Presence, *, classes: Sequence[str], devices: Sequence[str], failure: Failure
) -> Call[list[Ended]]:
    """Register a worker under its name; runs of runners that do not live any more end as lost.

    Raises:
        Displaced: another worker has the name, and was heard a moment ago.
    """

    def read(answer: Answer) -> list[Ended]:
        if answer[0] == "name_in_use":
            raise Displaced(presence.worker)
        return _ended(answer)

    known = (presence.worker, presence.incarnation, ",".join(classes), ",".join(devices))
    return Call("enroll", (*known, failure.detail, failure.to_json(), *presence.runners), read)


def heartbeat(presence: Presence, *, failure: Failure) -> Call[list[Ended]]:
    """A worker is alive; runs of runners that do not live any more end as lost.

    Raises:
        NotEnrolled: the ledger does not know the worker.
        Displaced: another worker has taken its name.
    """

    def read(answer: Answer) -> list[Ended]:
        if answer[0] == "not_enrolled":
            raise NotEnrolled(presence.worker)
        if answer[0] == "displaced":
            raise Displaced(presence.worker)
        return _ended(answer)

    args = (presence.worker, presence.incarnation, failure.detail, failure.to_json(), *presence.runners)
    return Call("heartbeat", args, read)


def leave(presence: Presence, *, failure: Failure) -> Call[None]:
    """A worker has stopped in order; a run that it could not settle ends as lost."""
    args = (presence.worker, presence.incarnation, failure.detail, failure.to_json())
    return Call("leave", args, lambda answer: None)


def _wish(answer: Answer, lease: Lease) -> Wish | None:
    if answer[0] == "lost_lease":
        raise LeaseLost(lease.job_id, lease.token)
    return cast("Wish", answer[1]) if answer[1] else None


def _ended(answer: Answer) -> list[Ended]:
    words = [str(part) for part in answer[1:]]
    return [Ended(job_id, Status(status)) for job_id, status in zip(words[::2], words[1::2], strict=True)]
