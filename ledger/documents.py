"""The job's hash in Redis, and the job resource made from it.

    written by submit    id status spec owner queue priority max_attempts attempts_allowed created_ms
                         webhook_events webhook_secret, if there is a webhook
    by what GET shows    version, another one with every change
                         request_id, if a request has made it
                         dataset variant model name tags, as far as it has them, to be found by (finding.py)
    while it waits       queued_ms
    by claim             token worker device started_ms     run:{token}:{attempt,worker,device,model,started_ms}
    by begin             run:{token}:engine
    by report            progress objective accuracy best_accuracy test_accuracy metrics stop_reason checkpoints
                         artifact:{name} notice:{token}:{number}
    at a run's end       spent settled finished_ms error error_ms   run:{token}:{ended_ms,outcome,detail}
    by pack              packed

JSON values were made in Python and are stored as they came; times are integer milliseconds by Redis's clock.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel

from ledger.packing import Entry, Fields, unpack
from lowland.spec import Event, JobSpec, Status
from lowland.spec.reports import ArtifactWritten
from lowland.spec.resource import (
    Artifact,
    Attempt,
    Job,
    JobError,
    Links,
    Notice,
    Objective,
    Progress,
    QueuePlace,
    StoredCheckpoint,
)

#: Beginning of the fields that hold one artifact each.
ARTIFACT_FIELD: Final = "artifact:"
#: Beginning of the fields that hold one notice each.
NOTICE_FIELD: Final = "notice:"

#: What people may ask of a job.
_ASKED: Final = (Event.PAUSE, Event.RESUME, Event.RETRY, Event.CANCEL)

M = TypeVar("M", bound=BaseModel)


class StoredArtifact(ArtifactWritten):
    """An artifact as the job's hash holds it."""

    token: int
    """The run that wrote it; the file lies in that run's folder."""


@dataclass(frozen=True, slots=True)
class WrittenSpec:
    """A spec, and its JSON as the ledger keeps it."""

    spec: JobSpec
    text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a queued job waits, as the scripts count it."""

    ahead: int
    """Jobs that are claimed earlier, as far as priority and age decide."""
    higher: int
    """Those of them that have a higher priority."""
    of_class: int
    """Live workers that take its device class."""
    of_version: int
    """Those of them that read its version of the spec."""
    of_labels: int
    """Those of them that have its labels."""
    devices: int
    """The most devices with its memory that one of them has."""
    free: int
    """The most of these that are free on one of them."""
    at_quota: int
    """1 where its owner has as many running as those allow."""
    reserved_by: str
    """The worker that keeps devices free for it; empty for none."""


def shown_job(part: object, *, written: WrittenSpec | None = None) -> Job:
    """The resource, from what the scripts' `show` gives; see `to_job`."""
    _, _, facts = cast("tuple[object, object, list[Any]]", part)
    return to_job(shown_fields(part), Waiting(*facts) if facts else None, written=written)


def shown_fields(part: object) -> dict[str, str]:
    """The job's hash with what is packed of it, from what the scripts' `show` gives."""
    flat, packed, _ = cast("tuple[Sequence[str], str, object]", part)
    return {**pairs(flat), **(unpack(packed) if packed else {})}


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """A hash, as Lua gives it."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def entries(found: object) -> list[Entry]:
    """Those of a stream, as Lua gives them."""
    return [(entry_id, pairs(flat)) for entry_id, flat in cast("list[tuple[str, list[str]]]", found)]


def to_job(fields: Fields, waiting: Waiting | None = None, *, written: WrittenSpec | None = None) -> Job:
    """The resource.

    Args:
        fields: the job's hash.
        waiting: why it waits, while it does.
        written: a spec at hand with its JSON; where the job has the same, that is not read again.
    """
    job_id, status = fields["id"], Status(fields["status"])
    spec = written.spec if written and written.text == fields["spec"] else JobSpec.stored(fields["spec"])
    attempts = _attempts(fields)
    return Job(
        id=job_id,
        status=status,
        terminal=status.terminal,
        requested=_text(fields, "requested"),
        spec=spec,
        created_at=time_of(fields["created_ms"]),
        started_at=_optional_time(fields, "started_ms"),
        finished_at=_optional_time(fields, "finished_ms"),
        attempt=attempts[-1].attempt if attempts else 0,
        queue=queue_place(spec, waiting) if waiting else None,
        objective=_model(Objective, fields, "objective"),
        progress=_progress(fields, status),
        accuracy=_number(fields, "accuracy"),
        best_accuracy=_number(fields, "best_accuracy"),
        test_accuracy=_number(fields, "test_accuracy"),
        metrics=json.loads(fields.get("metrics", "{}")),
        stop_reason=_text(fields, "stop_reason"),
        notices=[
            Notice.model_validate_json(value) for name, value in sorted(fields.items()) if name.startswith(NOTICE_FIELD)
        ],
        error=_error(fields),
        worker=_text(fields, "worker"),
        device=_text(fields, "device"),
        attempts=attempts,
        artifacts=[
            _artifact(job_id, value) for name, value in sorted(fields.items()) if name.startswith(ARTIFACT_FIELD)
        ],
        links=Links(self=f"/jobs/{job_id}", **{event: f"/jobs/{job_id}/{event}" for event in _ASKED}),
    )


def find_artifact(fields: Fields, name: str) -> StoredArtifact | None:
    """Where an artifact of the job lies, if it has one of this name."""
    value = fields.get(ARTIFACT_FIELD + name)
    return StoredArtifact.model_validate_json(value) if value else None


def queue_place(spec: JobSpec, waiting: Waiting) -> QueuePlace:
    """Where in the queue a job stands, and why."""
    return QueuePlace(position=waiting.ahead + 1, reason=_reason(spec, waiting))


def _reason(spec: JobSpec, waiting: Waiting) -> str:
    """What stands in the way first."""
    needs = spec.resources
    what = "GPU" if spec.device_class == "cuda" or needs.gpu_memory_gb else "device"
    what += "" if needs.world_size == 1 else "s"
    if not waiting.of_class:
        offered = "any device" if spec.device_class == "any" else f"device {spec.device_class}"
        return f"no live worker offers {offered}"
    if not waiting.of_version:
        return f"no live worker reads version {spec.version} of the job spec"
    if not waiting.of_labels:
        return f"needs a worker labelled {' and '.join(needs.labels)}; no live one is"
    if waiting.devices < needs.world_size:
        memory = f" with {needs.gpu_memory_gb:g} GB" if needs.gpu_memory_gb else ""
        return f"needs {needs.world_size} {what}{memory}; the largest live worker has {waiting.devices}"
    if waiting.at_quota:
        return "owner at quota"
    if waiting.reserved_by:
        return f"needs {needs.world_size} {what}; {waiting.reserved_by} keeps free for it what gets free"
    if waiting.higher:
        return f"{waiting.higher} {_jobs(waiting.higher)} of higher priority"
    if waiting.ahead:
        return f"{waiting.ahead} {_jobs(waiting.ahead)} ahead"
    if needs.world_size > 1 and waiting.free < needs.world_size:
        return f"needs {needs.world_size} {what} at once; the most that are free on one worker now is {waiting.free}"
    return "next for a free device"


def _jobs(count: int) -> str:
    return "job" if count == 1 else "jobs"


def _progress(fields: Fields, status: Status) -> Progress | None:
    found = _model(Progress, fields, "progress")
    if found is None or status == Status.RUNNING:
        return found
    return found.model_copy(update={"eta_s": None})


def _attempts(fields: Fields) -> list[Attempt]:
    runs = {token: f"run:{token}:" for token in range(1, int(fields["token"]) + 1)}
    return [
        Attempt(
            attempt=int(fields[run + "attempt"]),
            run=token,
            worker=fields[run + "worker"],
            device=fields[run + "device"],
            device_model=fields[run + "model"],
            started_at=time_of(fields[run + "started_ms"]),
            ended_at=_optional_time(fields, run + "ended_ms"),
            outcome=_text(fields, run + "outcome"),
            detail=_text(fields, run + "detail"),
        )
        for token, run in runs.items()
        if run + "attempt" in fields
    ]


def _error(fields: Fields) -> JobError | None:
    if "error" not in fields:
        return None
    return JobError(**json.loads(fields["error"]), at=time_of(fields["error_ms"]))


def shown_checkpoints(fields: Fields) -> list[StoredCheckpoint]:
    """What the job can go on from, the latest first."""
    return [
        StoredCheckpoint(**checkpoint, attempt=_whole(fields, f"run:{checkpoint['token']}:attempt"))
        for checkpoint in cast("list[dict[str, Any]]", json.loads(fields.get("checkpoints") or "[]"))
    ]


def _artifact(job_id: str, value: str) -> Artifact:
    stored = StoredArtifact.model_validate_json(value)
    return Artifact(
        name=stored.name,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        media_type=stored.media_type,
        href=f"/jobs/{job_id}/artifacts/{stored.name}",
    )


def _model(model: type[M], fields: Fields, name: str) -> M | None:
    return model.model_validate_json(fields[name]) if name in fields else None


def _number(fields: Fields, name: str) -> float | None:
    return float(fields[name]) if fields.get(name) else None


def _whole(fields: Fields, name: str) -> int | None:
    return int(fields[name]) if fields.get(name) else None


def _text(fields: Fields, name: str) -> Any:
    return fields.get(name) or None


def time_of(milliseconds: str) -> datetime:
    """A moment of the ledger's."""
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def as_text(moment: datetime) -> str:
    """A moment, as the API's JSON has it (RFC 3339).

    Args:
        moment: in UTC.
    """
    return moment.isoformat().replace("+00:00", "Z")


def optional_time(milliseconds: str) -> datetime | None:
    """A moment of the ledger's; None for an empty text."""
    return time_of(milliseconds) if milliseconds else None


def _optional_time(fields: Fields, name: str) -> datetime | None:
    return time_of(fields[name]) if name in fields else None
