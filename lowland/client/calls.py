"""A call of the API as a value: what to send, and how to read the answer. Whoever has a connection can run it."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from lowland.client.answers import Answer, read
from lowland.client.lines import all_lines
from lowland.errors import FieldError, JobNotFound, SpecInvalid
from lowland.spec import JobSpec
from lowland.spec.catalogue import (
    DatasetEntry,
    DatasetList,
    FunctionEntry,
    FunctionList,
    ModelEntry,
    ModelList,
    OptimizerEntry,
    OptimizerList,
    ScheduleEntry,
    ScheduleList,
    VariantEntry,
    VariantList,
)
from lowland.spec.resource import (
    Cancelled,
    CheckpointList,
    DeliveryList,
    DryRun,
    Job,
    JobPage,
    Readiness,
    Series,
    Worker,
    WorkerList,
)
from lowland.spec.show import shown

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

#: What the server takes and a header carries unchanged.
_KEY: Final = re.compile(r"(?! )[\x20-\x7e]{1,255}(?<! )")
#: A stream is taken for dead after so long without a sign of life; servers send one every 15 seconds.
SILENCE_S: Final = 60.0

Asked = Literal["pause", "resume", "cancel"]
LogSource = Literal["engine", "events"]
Parameter = str | Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request, and what its answer means."""

    method: str = "GET"
    path: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])
    body: bytes | None = None
    """JSON."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Beside the body's type."""
    repeatable: bool = True
    """Whether sending it twice does no more than sending it once."""
    silence_s: float = 0.0
    """How long the server may be silent of its own accord, beside what any answer may take."""
    longest_s: float = math.inf
    """How long it may be silent at most, for whatever reason."""
    read: Callable[[Answer], T]
    """Turns an answer that is no failure into a value. Raises ValueError where it is none of ours."""


class JobFilters(TypedDict, total=False):
    """Which jobs: those that fit all of it."""

    status: str | None
    """Only jobs in this state."""
    dataset: str | None
    """Only jobs on it."""
    variant: str | None
    """Only jobs with it."""
    model: str | None
    """Only jobs of it, such as "cnn" or "torchvision/resnet50"."""
    name: str | None
    """Only jobs whose name begins so."""
    tags: Sequence[str]
    """Only jobs with all of these, each "team" or "team:vision"."""
    owner: str | None
    """Only jobs of theirs."""


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
    return Call(method="POST", path="/jobs", body=_written(spec), headers=headers, read=_as(Job))


def dry_run(spec: Mapping[str, object] | JobSpec) -> Call[DryRun]:
    """Ask what would become of a job.

    Raises:
        SpecInvalid: the spec holds something that JSON cannot say.
    """
    parameters = {"dry_run": "true"}
    return Call(method="POST", path="/jobs", parameters=parameters, body=_written(spec), read=_as(DryRun))


def get(job: Job | str) -> Call[Job]:
    """Read a job."""
    return Call(path=job_path(job), read=_as(Job))


def get_version(job: Job | str) -> Call[tuple[Job, str]]:
    """Read a job, and its version: the ETag."""
    return Call(path=job_path(job), read=_version)


def await_change(job: Job | str, version: str, *, wait_s: int) -> Call[tuple[Job, str] | None]:
    """Read a job once it is not as its version says; None where it still is after so many seconds."""
    return Call(
        path=job_path(job),
        headers={"If-None-Match": version, "Prefer": f"wait={wait_s}"},
        silence_s=wait_s,
        read=lambda answer: None if answer.status == 304 else _version(answer),
    )


def page(filters: JobFilters, *, limit: int, cursor: str | None = None) -> Call[JobPage]:
    """Read a page of jobs, newest first."""
    return Call(path="/jobs", parameters=_given(**_by_tag(filters), limit=str(limit), cursor=cursor), read=_as(JobPage))


def cancel_all(filters: JobFilters, *, everything: bool, cursor: str | None = None) -> Call[Cancelled]:
    """Cancel jobs that have not ended, some of them."""
    chosen = {"all": "true"} if everything else _given(**_by_tag(filters))
    return Call(method="POST", path="/jobs/cancel", parameters=_given(**chosen, cursor=cursor), read=_as(Cancelled))


def ask(job: Job | str, event: Asked) -> Call[Job]:
    """Pause, resume or cancel a job."""
    return Call(method="POST", path=f"{job_path(job)}/{event}", read=_as(Job))


def retry(job: Job | str, *, from_checkpoint: bool) -> Call[Job]:
    """Retry a job. Sent again after it has failed once more it would retry it once more."""
    parameters = {"from_checkpoint": "true"} if from_checkpoint else {}
    return Call(method="POST", path=f"{job_path(job)}/retry", parameters=parameters, repeatable=False, read=_as(Job))


def delete(job: Job | str) -> Call[None]:
    """Delete a job. Sent again it finds none."""
    return Call(method="DELETE", path=job_path(job), read=lambda _: None)


def checkpoints(job: Job | str) -> Call[CheckpointList]:
    """Read what a job can go on from."""
    return Call(path=f"{job_path(job)}/checkpoints", read=_as(CheckpointList))


def deliveries(job: Job | str) -> Call[DeliveryList]:
    """Read what a job's webhook was told."""
    return Call(path=f"{job_path(job)}/webhooks", read=_as(DeliveryList))


def series(
    job: Job | str, *, names: Sequence[str], since: str | None, max_points: int | None, superseded: bool
) -> Call[Series]:
    """Read what was measured in the course of a job."""
    parameters = _given(
        names=",".join(names) or None,
        since=since,
        max_points=None if max_points is None else str(max_points),
        superseded="true" if superseded else None,
    )
    return Call(path=f"{job_path(job)}/metrics", parameters=parameters, read=_as(Series))


def log(
    job: Job | str, *, source: LogSource, attempt: int | None, run: int | None, tail: int | None, follow: bool
) -> Call[list[str]]:
    """Read what a job's engine has printed, or what has happened to the job."""
    parameters = _given(
        source=source,
        attempt=None if attempt is None else str(attempt),
        run=None if run is None else str(run),
        tail=None if tail is None else str(tail),
        follow="true" if follow else None,
    )
    return Call(
        path=f"{job_path(job)}/logs",
        parameters=parameters,
        # an engine may have nothing to say for hours, and of events there is a sign of life
        silence_s=(math.inf if source == "engine" else SILENCE_S) if follow else 0.0,
        read=lambda answer: all_lines(answer.body),
    )


def events(job: Job | str, *, after: str | None) -> Call[None]:
    """Follow what happens to a job."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
    return Call(path=f"{job_path(job)}/events", headers=headers, silence_s=SILENCE_S, read=lambda _: None)


def artifact(job: Job | str, name: str, *, sha256: str, from_byte: int) -> Call[None]:
    """Fetch a file of a job, or what lacks of it."""
    only = {"Range": f"bytes={from_byte}-", "If-Range": f'"{sha256}"'} if from_byte else {}
    # as it is, for its bytes are counted
    headers = {"Accept-Encoding": "identity", **only}
    return Call(path=f"{job_path(job)}/artifacts/{quote(name, safe='')}", headers=headers, read=lambda _: None)


def workers() -> Call[list[Worker]]:
    """Read who trains."""
    return Call(path="/workers", read=lambda answer: read(WorkerList, answer.body).workers)


def drain(worker_id: str) -> Call[Worker]:
    """Have a worker take no more jobs, and stop."""
    return Call(method="POST", path=f"/workers/{quote(worker_id, safe='')}/drain", read=_as(Worker))


def variants() -> Call[list[VariantEntry]]:
    """Read which SAM variants there are."""
    return Call(path="/variants", read=lambda answer: read(VariantList, answer.body).variants)


def datasets() -> Call[list[DatasetEntry]]:
    """Read which datasets there are."""
    return Call(path="/datasets", read=lambda answer: read(DatasetList, answer.body).datasets)


def models() -> Call[list[ModelEntry]]:
    """Read which models there are."""
    return Call(path="/models", read=lambda answer: read(ModelList, answer.body).models)


def optimizers() -> Call[list[OptimizerEntry]]:
    """Read which base optimizers there are."""
    return Call(path="/optimizers", read=lambda answer: read(OptimizerList, answer.body).optimizers)


def schedules() -> Call[list[ScheduleEntry]]:
    """Read which schedules of the learning rate there are."""
    return Call(path="/schedules", read=lambda answer: read(ScheduleList, answer.body).schedules)


def functions() -> Call[list[FunctionEntry]]:
    """Read which test functions there are."""
    return Call(path="/functions", read=lambda answer: read(FunctionList, answer.body).functions)


def readiness() -> Call[Readiness]:
    """Ask whether the server can take jobs."""
    return Call(path="/readyz", read=_as(Readiness))


def job_path(job: Job | str) -> str:
    """Where a job is found.

    Raises:
        JobNotFound: no job is called so, and the path would lead elsewhere.
    """
    job_id = job if isinstance(job, str) else job.id
    if job_id in {"", ".", ".."}:
        raise JobNotFound(status=404, slug="job-not-found", detail=f"{shown(job_id)} is no job's id")
    return f"/jobs/{quote(job_id, safe='')}"


def _as(model: type[M]) -> Callable[[Answer], M]:
    return lambda answer: read(model, answer.body)


def _version(answer: Answer) -> tuple[Job, str]:
    return read(Job, answer.body), answer.headers.get("etag", "")


def _by_tag(filters: JobFilters) -> dict[str, Parameter | None]:
    parameters: dict[str, Parameter | None] = {**filters}  # pyright: ignore[reportAssignmentType]  its values are these
    tags = parameters.pop("tags", None)
    return {**parameters, "tag": list(tags) if tags else None}


def _given(**parameters: Parameter | None) -> dict[str, Parameter]:
    return {name: value for name, value in parameters.items() if value is not None}


def _written(spec: Mapping[str, object] | JobSpec) -> bytes:
    given = spec.model_dump(mode="json") if isinstance(spec, JobSpec) else spec
    try:
        return json.dumps(given, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        detail = f"the spec cannot be written as JSON: {error}"
        raise SpecInvalid([FieldError(field="", value=None, detail=detail)]) from error
