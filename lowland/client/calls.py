"""A call of the API as a value: what to send, and how to read the answer. Whoever has a connection can run it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import quote

from lowland.client.answers import read
from lowland.errors import FieldError, SpecInvalid
from lowland.spec import JobSpec
from lowland.spec.resource import Job, JobPage
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
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
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
    given = spec.model_dump(mode="json") if isinstance(spec, JobSpec) else spec
    try:
        body = json.dumps(given, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        detail = f"the spec cannot be written as JSON: {error}"
        raise SpecInvalid([FieldError(field="", value=None, detail=detail)]) from error
    headers = {"Idempotency-Key": key}
    return Call(method="POST", path="/jobs", body=body, headers=headers, repeatable=True, read=_read_job)


def get(job_id: str) -> Call[Job]:
    """Read a job."""
    return Call(method="GET", path=job_path(job_id), repeatable=True, read=_read_job)


def page(*, limit: int, cursor: str | None = None, status: str | None = None) -> Call[JobPage]:
    """Read a page of jobs, newest first."""
    given = {"limit": str(limit), "cursor": cursor, "status": status}
    parameters = {name: value for name, value in given.items() if value is not None}
    return Call(method="GET", path="/jobs", parameters=parameters, repeatable=True, read=_read_page)


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


def _read_job(body: bytes) -> Job:
    return read(Job, body)


def _read_page(body: bytes) -> JobPage:
    return read(JobPage, body)
