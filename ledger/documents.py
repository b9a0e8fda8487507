"""The job's hash in Redis, and the job resource made from it.

    written by submit    id status spec owner device_class world_size priority max_attempts created_ms
    by claim             token worker device started_ms        run:{token}:{attempt,worker,device,started_ms}
    by report            progress objective accuracy best_accuracy test_accuracy metrics stop_reason checkpoints
                         artifact:{name} notice:{token}:{number}
    at a run's end       spent settled finished_ms error error_ms   run:{token}:{ended_ms,outcome,detail}

JSON values were made in Python and are stored as they came; times are integer milliseconds by Redis's clock.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel

from lowland.spec import JobSpec, Status
from lowland.spec.reports import ArtifactWritten
from lowland.spec.resource import Artifact, Attempt, Job, JobError, Links, Notice, Objective, Progress, QueuePlace

#: Beginning of the fields that hold one artifact each.
ARTIFACT_FIELD: Final = "artifact:"
#: Beginning of the fields that hold one notice each.
NOTICE_FIELD: Final = "notice:"

Fields = Mapping[str, str]
M = TypeVar("M", bound=BaseModel)


class StoredArtifact(ArtifactWritten):
    """An artifact as the job's hash holds it."""

    token: int
    """The run that wrote it; the file lies in that run's folder."""


def shown_job(part: object) -> Job:
    """The resource, from what the prelude's `show` gives."""
    _, ahead, devices = cast("tuple[object, int, int]", part)
    return to_job(shown_fields(part), ahead=ahead, devices=devices)


def shown_fields(part: object) -> dict[str, str]:
    """The job's hash, from what the prelude's `show` gives."""
    flat, _, _ = cast("tuple[Sequence[str], int, int]", part)
    return dict(zip(flat[::2], flat[1::2], strict=True))


def to_job(fields: Fields, *, ahead: int, devices: int) -> Job:
    """The resource.

    Args:
        fields: the job's hash.
        ahead: queued jobs that will be claimed earlier.
        devices: of the largest live worker that takes the job's device class; 0 where none does.
    """
    job_id, status = fields["id"], Status(fields["status"])
    attempts = _attempts(fields)
    return Job(
        id=job_id,
        status=status,
        terminal=status.terminal,
        requested=_text(fields, "requested"),
        spec=JobSpec.model_validate_json(fields["spec"]),
        created_at=_time(fields["created_ms"]),
        started_at=_optional_time(fields, "started_ms"),
        finished_at=_optional_time(fields, "finished_ms"),
        attempt=attempts[-1].attempt if attempts else 0,
        queue=_queue_place(fields, ahead, devices=devices) if status == Status.QUEUED else None,
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
        links=Links(self=f"/jobs/{job_id}", cancel=f"/jobs/{job_id}/cancel"),
    )


def find_artifact(fields: Fields, name: str) -> StoredArtifact | None:
    """Where an artifact of the job lies, if it has one of this name."""
    value = fields.get(ARTIFACT_FIELD + name)
    return StoredArtifact.model_validate_json(value) if value else None


def _queue_place(fields: Fields, ahead: int, *, devices: int) -> QueuePlace:
    world_size = int(fields["world_size"])
    if devices == 0:
        device_class = fields["device_class"]
        needed = "any device" if device_class == "any" else f"device {device_class}"
        reason = f"no live worker offers {needed}"
    elif devices < world_size:
        reason = f"needs {world_size} devices; the largest live worker has {devices}"
    elif ahead:
        reason = f"{ahead} {'job is' if ahead == 1 else 'jobs are'} ahead"
    else:
        reason = "next for a free device"
    return QueuePlace(position=ahead + 1, reason=reason)


def _progress(fields: Fields, status: Status) -> Progress | None:
    found = _model(Progress, fields, "progress")
    if found is None or status == Status.RUNNING:
        return found
    return found.model_copy(update={"eta_s": None})


def _attempts(fields: Fields) -> list[Attempt]:
    runs = [f"run:{token}:" for token in range(1, int(fields["token"]) + 1)]
    return [
        Attempt(
            attempt=int(fields[run + "attempt"]),
            worker=fields[run + "worker"],
            device=fields[run + "device"],
            started_at=_time(fields[run + "started_ms"]),
            ended_at=_optional_time(fields, run + "ended_ms"),
            outcome=_text(fields, run + "outcome"),
            detail=_text(fields, run + "detail"),
        )
        for run in runs
    ]


def _error(fields: Fields) -> JobError | None:
    if "error" not in fields:
        return None
    return JobError(**json.loads(fields["error"]), at=_time(fields["error_ms"]))


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


def _text(fields: Fields, name: str) -> Any:
    return fields.get(name) or None


def _time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _optional_time(fields: Fields, name: str) -> datetime | None:
    return _time(fields[name]) if name in fields else None
