"""A call of the API as a value: what to send, and how to read the answer. Whoever has a connection can run it."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import quote

from lowland.client.answers import read
from lowland.errors import FieldError, SpecInvalid
from lowland.spec import JobSpec
from lowland.spec.resource import Cancelled, CheckpointList, DryRun, Job, JobPage
from lowland.spec.show import shown

T = TypeVar("T")

#: What the server takes and a header carries unchanged.
_KEY: Final = re.compile(r"(?! )[\x20-\x7e]{1,255}(?<! )")

Asked = Literal["pause", "resume", "cancel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request, and what its answer means."""

    method: str
    path: str
    parameters: Mapping[str, str | Sequence[str]] = field(default_factory=dict[str, str | Sequence[str]])
    body: bytes | None = None
    """JSON."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Beside the body's type."""
    repeatable: bool
    """Whether sending it twice does no more than sending it once."""
    read: Callable[[bytes], T]
    """Turns a successful answer's body into a value. Raises ValueError where it is none of ours."""


def submit(spec: Mapping[str, object] | JobSpec, idempotency_key: str) -> Call[Job]:
    """Queue a job, once under this key.

    Raises:
        SpecInvalid: the spec holds something that JSON cannot say.
        ValueError: the key cannot be sent.
    """
    key = str(idempotency_key)  # a number from a database, say
    if not _KEY.fullmatch(key):
        accepted = "1 to 255 printable ASCII characters, without a space at the ends"
        raise ValueError(f"idempotency_key is {shown(key)}; give {accepted}")
    headers = {"Idempotency-Key": key}
    return Call(method="POST", path="/jobs", body=_written(spec), headers=headers, repeatable=True, read=_read_job)


def get(job_id: str) -> Call[Job]:
    """Read a job."""
    return Call(method="GET", path=job_path(job_id), repeatable=True, read=_read_job)


def dry_run(spec: Mapping[str, object] | JobSpec) -> Call[DryRun]:
    """Ask what would become of a job.

    Raises:
        SpecInvalid: the spec holds something that JSON cannot say.
    """
    return Call(
        method="POST",
        path="/jobs",
        parameters={"dry_run": "true"},
        body=_written(spec),
        repeatable=True,
        read=lambda body: read(DryRun, body),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which jobs: those that fit all of it. None fits any."""

    status: str | None = None
    dataset: str | None = None
    variant: str | None = None
    model: str | None = None
    name: str | None = None
    tags: Sequence[str] = ()
    owner: str | None = None

    def parameters(self) -> dict[str, str | Sequence[str]]:
        """As the server reads them."""
        given = {**asdict(self), "tag": list(self.tags)}
        del given["tags"]
        return {name: value for name, value in given.items() if value}


def page(filters: Filters, *, limit: int, cursor: str | None = None) -> Call[JobPage]:
    """Read a page of jobs, newest first."""
    parameters = {**filters.parameters(), "limit": str(limit), **({"cursor": cursor} if cursor else {})}
    return Call(method="GET", path="/jobs", parameters=parameters, repeatable=True, read=_read_page)


def cancel_all(filters: Filters, *, cursor: str | None = None) -> Call[Cancelled]:
    """Cancel jobs that have not ended, some of them."""
    chosen = filters.parameters() or {"all": "true"}
    parameters = {**chosen, **({"cursor": cursor} if cursor else {})}
    return Call(
        method="POST",
        path="/jobs/cancel",
        parameters=parameters,
        repeatable=True,
        read=lambda body: read(Cancelled, body),
    )


def delete(job_id: str) -> Call[None]:
    """Delete a job. Sent again it finds none."""
    return Call(method="DELETE", path=job_path(job_id), repeatable=True, read=lambda body: None)


def checkpoints(job_id: str) -> Call[CheckpointList]:
    """Read what a job can go on from."""
    return Call(
        method="GET",
        path=f"{job_path(job_id)}/checkpoints",
        repeatable=True,
        read=lambda body: read(CheckpointList, body),
    )


def ask(job_id: str, event: Asked) -> Call[Job]:
    """Pause, resume or cancel a job."""
    return Call(method="POST", path=f"{job_path(job_id)}/{event}", repeatable=True, read=_read_job)


def retry(job_id: str, *, from_checkpoint: bool) -> Call[Job]:
    """Retry a job. Sent again after it has failed once more it would retry it once more."""
    parameters = {"from_checkpoint": "true"} if from_checkpoint else {}
    return Call(
        method="POST", path=f"{job_path(job_id)}/retry", parameters=parameters, repeatable=False, read=_read_job
    )


def job_path(job_id: str) -> str:
    """Where a job is found."""
    return f"/jobs/{quote(job_id, safe='')}"


def _written(spec: Mapping[str, object] | JobSpec) -> bytes:
    given = spec.model_dump(mode="json") if isinstance(spec, JobSpec) else spec
    try:
        return json.dumps(given, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        detail = f"the spec cannot be written as JSON: {error}"
        raise SpecInvalid([FieldError(field="", value=None, detail=detail)]) from error


def _read_job(body: bytes) -> Job:
    return read(Job, body)


def _read_page(body: bytes) -> JobPage:
    return read(JobPage, body)
