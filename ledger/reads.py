"""Everything that reads the ledger, one function per reading script in `lua/`."""

from dataclasses import dataclass
from typing import Any, cast

from ledger.calls import Answer, Call
from ledger.documents import (
    StoredArtifact,
    Waiting,
    find_artifact,
    queue_place,
    shown_checkpoints,
    shown_fields,
    shown_job,
)
from ledger.errors import JobNotFound, WeightsMissing
from ledger.finding import ANY, Wanted
from ledger.keys import DEVICE_CLASSES, SCHEMA, bell_queue, check_schema
from ledger.transitions import Idempotency, queue_name
from lowland.spec import JobSpec
from lowland.spec.models import WEIGHTS_FILES, InitFrom
from lowland.spec.resource import Job, JobPage, QueuePlace, StoredCheckpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The ledger's own state."""

    live_workers: int
    queued: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How many jobs of a device class wait, and how many bells ring for them."""

    device_class: str
    waiting: int
    bells: int
    slots: int
    """Of live workers that take the class."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """A job, and the version that it has."""

    job: Job
    version: str
    """Changes with all that is shown but its place in the queue."""


def get_job(job_id: str, *, owner: str = "") -> Call[Job]:
    """A job as it stands.

    Args:
        job_id: which.
        owner: whose it must be; empty for anybody's.

    Raises:
        JobNotFound: no job of theirs has this id.
    """

    def read(answer: Answer) -> Job:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        return shown_job(answer[1])

    return Call("get", (job_id, owner, ""), read)


def get_job_unless(job_id: str, version: str, *, owner: str = "") -> Call[Versioned | None]:
    """A job as it stands, unless it still has the version that is known; None then.

    Raises:
        JobNotFound: no job of the owner has this id.
    """

    def read(answer: Answer) -> Versioned | None:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        if answer[0] == "same":
            return None
        return Versioned(shown_job(answer[1]), shown_fields(answer[1]).get("version", ""))

    return Call("get", (job_id, owner, version), read)


def get_artifact(job_id: str, name: str, *, owner: str = "") -> Call[StoredArtifact | None]:
    """Where an artifact of a job lies; None where the job has none of this name.

    Args:
        job_id: which.
        name: of the artifact.
        owner: whose the job must be; empty for anybody's.

    Raises:
        JobNotFound: no job of theirs has this id.
    """

    def read(answer: Answer) -> StoredArtifact | None:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        return find_artifact(shown_fields(answer[1]), name)

    return Call("get", (job_id, owner, ""), read)


def get_webhook_secret(job_id: str) -> Call[str | None]:
    """What signs the job's webhooks; no part of the job that people see.

    Raises:
        JobNotFound: no job has this id.
    """

    def read(answer: Answer) -> str | None:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        return shown_fields(answer[1]).get("webhook_secret")

    return Call("get", (job_id, "", ""), read)


def get_weights(origin: InitFrom, *, owner: str = "") -> Call[StoredArtifact]:
    """Where the weights lie that a job is to start from.

    Args:
        origin: which job's, and which of them.
        owner: whose that job must be; empty for anybody's.

    Raises:
        WeightsMissing: no job of theirs has this id, or it has no weights.
    """

    def read(answer: Answer) -> StoredArtifact:
        if answer[0] == "no_such_job":
            raise WeightsMissing(origin.job, "which is not known")
        stored = find_artifact(shown_fields(answer[1]), WEIGHTS_FILES[origin.artifact])
        if stored is None:
            raise WeightsMissing(origin.job, "which has no weights")
        return stored

    return Call("get", (origin.job, owner, ""), read)


def is_known(idempotency: Idempotency, *, owner: str) -> Call[bool]:
    """Whether a job was made under the owner's key."""
    return Call("known", (owner, idempotency.key), lambda answer: answer[1] == 1)


def list_jobs(*, limit: int, cursor: str | None = None, wanted: Wanted = ANY) -> Call[JobPage]:
    """A page of jobs, newest first. It may have fewer than could be, and a `next`: a call looks at some 1,000 jobs.

    Args:
        limit: jobs a page, at least 1.
        cursor: the `next` of the page before.
        wanted: only these.
    """

    def read(answer: Answer) -> JobPage:
        return JobPage(jobs=[shown_job(part) for part in answer[2:]], next=str(answer[1]) or None)

    return Call("list", (cursor or "", limit, *wanted.words()), read)


def get_checkpoints(job_id: str, *, owner: str = "") -> Call[list[StoredCheckpoint]]:
    """What a job can go on from, the latest first.

    Raises:
        JobNotFound: no job has this id.
    """

    def read(answer: Answer) -> list[StoredCheckpoint]:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        return shown_checkpoints(shown_fields(answer[1]))

    return Call("get", (job_id, owner, ""), read)


def place(spec: JobSpec, *, owner: str) -> Call[QueuePlace]:
    """Which place in the queue a job would have."""

    def read(answer: Answer) -> QueuePlace:
        return queue_place(spec, Waiting(*cast("list[Any]", answer[1])))

    return Call("place", (queue_name(spec, owner), spec.priority), read)


def overview() -> Call[Overview]:
    """Whether anyone is there, and how much there is to do.

    Raises:
        LedgerUnusable: the ledger has a layout of another version.
    """

    def read(answer: Answer) -> Overview:
        check_schema(str(answer[1]) or SCHEMA)
        live, queued, running = (int(str(part)) for part in answer[2:])
        return Overview(live_workers=live, queued=queued, running=running)

    return Call("overview", (), read)


def backlog() -> Call[list[Backlog]]:
    """For each device class, how many jobs wait and how many bells ring."""

    def read(answer: Answer) -> list[Backlog]:
        parts = [str(part) for part in answer[1:]]
        rows = zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True)
        return [
            Backlog(device_class=name, waiting=int(waiting), bells=int(bells), slots=int(slots))
            for name, waiting, bells, slots in rows
        ]

    return Call("backlog", DEVICE_CLASSES, read, lists=tuple(bell_queue(name) for name in DEVICE_CLASSES))
