"""What people do with jobs: submit, pause, resume, cancel, retry, delete. One function per script in `lua/`."""

import uuid
from dataclasses import dataclass
from typing import Literal

from ledger.calls import Answer, Call, Instead
from ledger.documents import WrittenSpec, shown_job
from ledger.errors import (
    CheckpointMissing,
    DeletionRefused,
    EventRefused,
    IdempotencyKeyReused,
    JobGone,
    JobNotFound,
    QuotaReached,
)
from ledger.finding import Wanted, found_by
from ledger.packing import unpack
from lowland.spec import Event, JobSpec, Status
from lowland.spec.resource import Job
from lowland.spec.states import Wish

Asked = Literal[Event.PAUSE, Event.RESUME, Event.CANCEL]


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """What makes a request happen once, however often it is sent."""

    key: str
    """The caller's name for the request; known for 24 hours."""
    fingerprint: str
    """A digest of what is asked for: under one key it stays the same."""


def submit(
    job_id: str,
    spec: JobSpec,
    *,
    owner: str,
    idempotency: Idempotency | None = None,
    quota: int | None = None,
    request_id: str | None = None,
) -> Call[Job]:
    """Create a job and queue it; gives it, or the one that was made under this idempotency key before.

    Args:
        job_id: of the new job.
        spec: what to train.
        owner: whose it is.
        idempotency: what to know a repeated request by; None for one that nobody repeats.
        quota: unfinished jobs the owner may have, this one among them; None means any number.
        request_id: of the HTTP request, for the logs of whoever has to do with the job later.

    Raises:
        QuotaReached: the owner has so many already.
        IdempotencyKeyReused: the key was used for something else.
        JobGone: the job that was made under the key has been deleted.
    """
    webhook = spec.webhook
    spec = spec.without_secret()
    written = WrittenSpec(spec, spec.model_dump_json())
    fields: dict[str, str | int] = {
        **found_by(spec),
        "spec": written.text,
        "priority": spec.priority,
        "max_attempts": spec.max_attempts,
        "attempts_allowed": spec.max_attempts,
    }
    if webhook is not None:
        fields["webhook_events"] = ",".join(webhook.events)
        if webhook.secret is not None:
            fields["webhook_secret"] = webhook.secret
    if request_id is not None:
        fields["request_id"] = request_id
    key, fingerprint = (idempotency.key, idempotency.fingerprint) if idempotency else ("", "")

    def read(answer: Answer) -> Job:
        if answer[0] == "key_reused":
            raise IdempotencyKeyReused(key, str(answer[1]))
        if answer[0] == "job_gone":
            raise JobGone(str(answer[1]))
        if answer[0] == "quota":
            raise QuotaReached(owner, quota or 0)
        return shown_job(answer[1], written=written)

    args = [part for pair in fields.items() for part in pair]
    given = (job_id, owner, queue_name(spec, owner), key, fingerprint, _or_empty(quota))
    return Call("submit", (*given, *args), read)


def queue_name(spec: JobSpec, owner: str) -> str:
    """The queue of all jobs of an owner that need the same of a machine."""
    needs = spec.resources
    labels = ",".join(sorted(needs.labels))
    return f"{spec.device_class}:{needs.world_size}:{needs.gpu_memory_gb or 0:g}:{labels}:{spec.version}:{owner}"


def ask(job_id: str, event: Asked, *, owner: str = "") -> Call[Job]:
    """Pause, resume or cancel a job; gives it. What runs is asked to stop, and shows that as `requested`.

    Args:
        job_id: which.
        event: what.
        owner: whose it must be; empty for anybody's.

    Raises:
        JobNotFound: no job of theirs has this id.
        EventRefused: its state does not allow it.
    """
    return Call("ask", (_request_id(), job_id, event, owner), lambda answer: _job(answer, job_id, event))


def retry(job_id: str, *, from_checkpoint: bool, owner: str = "", quota: int | None = None) -> Call[Job]:
    """Queue a job again that failed or was cancelled, with as many attempts as it had at first; gives it.

    Args:
        job_id: which.
        from_checkpoint: go on from its latest checkpoint; else start over.
        owner: whose it must be; empty for anybody's.
        quota: unfinished jobs its owner may have, this one among them; None means any number.

    Raises:
        JobNotFound: no job of theirs has this id.
        QuotaReached: its owner has so many already.
        EventRefused: its state does not allow it.
        CheckpointMissing: it has no checkpoint.
    """
    request, start = _request_id(), "checkpoint" if from_checkpoint else "start"

    def call(packed: str = "") -> Call[Job]:
        fields = [part for pair in unpack(packed).items() for part in pair] if packed else []
        return Call("retry", (request, job_id, start, owner, _or_empty(quota), packed, *fields), read)

    def read(answer: Answer) -> Job:
        if answer[0] == "packed":  # what scripts cannot unpack
            raise Instead(call(str(answer[1])))
        if answer[0] == "no_checkpoint":
            raise CheckpointMissing(job_id)
        if answer[0] == "quota":
            raise QuotaReached(str(answer[1]), quota or 0)
        return _job(answer, job_id, Event.RETRY)

    return call()


def _or_empty(quota: int | None) -> int | str:
    return "" if quota is None else quota


def delete(job_id: str, *, owner: str = "") -> Call[None]:
    """Delete a job that has ended: it is gone at once, its files as soon as a keeper comes to it.

    Raises:
        JobNotFound: no job has this id.
        DeletionRefused: it has not ended.
    """

    def read(answer: Answer) -> None:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        if answer[0] == "not_allowed":
            raise DeletionRefused(job_id, Status(str(answer[1])))

    return Call("delete", (_request_id(), job_id, owner), read)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a cancellation of many jobs has come."""

    status: str
    """The state it goes on in."""
    after: str
    """The id it goes on after; empty where it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledJobs:
    """What one call has done to many jobs."""

    cancelled: int
    requested: int
    """Running jobs that were asked to stop."""
    next: Place | None
    """Where to go on; None where it is done."""


def cancel_all(wanted: Wanted, *, most: int, start: Place | None = None) -> Call[CancelledJobs]:
    """Cancel jobs that are looked for and have not ended, as `ask` does each.

    Args:
        wanted: which jobs.
        most: how many in this call, at least 1.
        start: the `next` of the call before.
    """

    def read(answer: Answer) -> CancelledJobs:
        cancelled, requested, status, after = (str(part) for part in answer[1:])
        following = Place(status, after) if status else None
        return CancelledJobs(cancelled=int(cancelled), requested=int(requested), next=following)

    place = start or Place("", "")
    return Call("cancel_all", (_request_id(), most, place.status, place.after, *wanted.words()), read)


def _request_id() -> str:
    """One per call, so that it is carried out once however often it is sent."""
    return uuid.uuid4().hex


def _job(answer: Answer, job_id: str, event: Event) -> Job:
    if answer[0] == "no_such_job":
        raise JobNotFound(job_id)
    if answer[0] == "not_allowed":
        status, requested = str(answer[1]), str(answer[2])
        wish: Wish | None = "cancel" if requested == "cancel" else "pause" if requested == "pause" else None
        raise EventRefused(job_id, event, Status(status), wish)
    return shown_job(answer[1])
